//! `riptide doctor`: the checklist.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use riptide_reader::{
    ReaderError, Session,
    attach::{directories, resolve_target},
    profile::{SCHEMA_VERSION, Snapshot, TargetInfo},
};
use serde::Serialize;

use super::{CliError, Output, output::Ink};
use crate::doctor::{
    Check, Status, directory, elf,
    process::{self, ProcessFacts},
    profile::{self, HeaderFacts},
};

/// Arguments of `doctor`.
///
/// Ends with 1 when a check fails, and with 3 when there is no such process or no target at all.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pid, process name or region file
    target: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    target: Option<TargetInfo>,
    checks: Vec<Check>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    let mut document = Document {
        schema_version: SCHEMA_VERSION,
        target: None,
        checks: Vec::new(),
    };
    let missing = match resolve_target(args.target.as_deref()) {
        Ok(region) => {
            examine_region(&region, &mut document);
            false
        }
        Err(error) => examine_failure(args.target.as_deref(), error, &mut document)?,
    };
    for found in directories() {
        document.checks.extend(directory::checks(&found));
    }
    if args.json {
        out.json(&document, false)?;
    } else {
        print(out, &document)?;
    }
    out.flush()?;
    let failed = document
        .checks
        .iter()
        .any(|check| check.status == Status::Fail);
    Ok(ExitCode::from(match (missing, failed) {
        (true, _) => 3,
        (false, true) => 1,
        (false, false) => 0,
    }))
}

/// Tells why there is nothing to read. True when there is no such target at all; an error when the
/// question itself was wrong.
fn examine_failure(
    target: Option<&str>,
    error: ReaderError,
    document: &mut Document,
) -> Result<bool, CliError> {
    if let Some(pid) = target.and_then(|target| target.parse().ok()) {
        let facts = ProcessFacts::read(pid);
        if facts.exists {
            document
                .checks
                .push(Check::ok("process", format!("{pid} ({}) runs", facts.name)));
            document.checks.push(process::why_no_region(&facts));
            examine_process(&facts, &mut document.checks);
            return Ok(false);
        }
    }
    match error {
        ReaderError::NoTargets { .. } => {
            document
                .checks
                .push(Check::fail("targets", error.to_string(), error.hint()));
            Ok(true)
        }
        _ => Err(error.into()),
    }
}

fn examine_process(facts: &ProcessFacts, checks: &mut Vec<Check>) {
    let own = ProcessFacts::read(std::process::id());
    checks.extend(process::access(facts, &own));
    checks.push(process::jemalloc_options(facts));
}

fn examine_region(region: &Path, document: &mut Document) {
    let mut session = match Session::attach(region) {
        Ok(session) => session,
        Err(error) => {
            document
                .checks
                .push(Check::fail("region", error.to_string(), error.hint()));
            return;
        }
    };
    let snapshot = session.snapshot();
    document.target = Some(snapshot.target.clone());
    let header = session.header();
    let counts = session.counts();
    let facts = HeaderFacts {
        abi_major: header.abi_major,
        abi_minor: header.abi_minor,
        allocator_version: String::from_utf8_lossy(header.allocator_version()).into_owned(),
        config_error: session.config_error(),
        region_bytes: header.region_bytes,
        unwinders_agree: Some((counts.unwinds_checked, counts.unwinds_agreed)),
    };
    document.checks.extend(profile::checks(&snapshot, &facts));
    let pid = session.host_pid();
    document.checks.push(symbols(&snapshot, pid));
    if let Some(pid) = pid {
        let facts = ProcessFacts::read(pid);
        if facts.exists {
            examine_process(&facts, &mut document.checks);
        }
    }
}

fn symbols(snapshot: &Snapshot, pid: Option<u32>) -> Check {
    let target = &snapshot.target;
    let Some(shown) = &target.executable else {
        return Check::warn(
            "symbols",
            "the program's path is not known",
            "run riptide where the program lies",
        );
    };
    // While the process lives this leads to its program even when the file was replaced.
    match pid.map(|pid| PathBuf::from(format!("/proc/{pid}/exe"))) {
        Some(through_proc) if through_proc.exists() => elf::check(&through_proc, shown),
        _ => elf::check(shown, shown),
    }
}

fn print(out: &mut Output, document: &Document) -> Result<(), CliError> {
    if let Some(target) = &document.target {
        out.line(Ink::Strong, &format!("{} [{}]", target.name, target.pid))?;
    }
    let width = document
        .checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or_default();
    for check in &document.checks {
        let (mark, ink) = match check.status {
            Status::Ok => ("ok  ", Ink::Good),
            Status::Warn => ("warn", Ink::Warn),
            Status::Fail => ("FAIL", Ink::Bad),
        };
        out.line(
            ink,
            &format!("{mark}  {:width$}  {}", check.name, check.detail),
        )?;
        if let Some(fix) = &check.fix {
            out.line(Ink::Plain, &format!("      {:width$}  fix: {fix}", ""))?;
        }
    }
    Ok(())
}
