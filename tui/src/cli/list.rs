//! `riptide list`: the targets there are.

use std::{process::ExitCode, time::Duration};

use riptide_reader::{
    attach::{directories, region_files},
    post_mortem,
    profile::{TargetInfo, TargetState},
};
use serde::Serialize;

use super::{
    CliError, Output,
    output::{Ink, note},
    table,
};
use crate::{feed, units};

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Repeat every so many seconds (2 if not said); with --json one document a line
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = table::parse_period)]
    watch: Option<Duration>,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    targets: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    info: TargetInfo,
    /// Why it cannot be read, if so.
    problem: Option<String>,
    /// Why it died, when the kernel tells.
    cause_of_death: Option<&'static str>,
}

/// A process that was killed, and a kill for want of memory in its cgroup since its last look.
const OOM_KILL: &str = "oom-kill";

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    loop {
        print(args, out)?;
        out.flush()?;
        match args.watch {
            Some(period) => std::thread::sleep(period),
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

fn print(args: &Args, out: &mut Output) -> Result<(), CliError> {
    let (_, left_out) = region_files(&directories());
    if left_out > 0 {
        note(&format!(
            "{left_out} older region files are not looked at; `riptide prune` removes those of the dead"
        ));
    }
    let rows: Vec<Row> = feed::targets()
        .into_iter()
        .map(|target| Row {
            cause_of_death: cause_of_death(&target.info),
            info: target.info,
            problem: target.trouble.map(|trouble| trouble.message),
        })
        .collect();
    if args.json {
        let document = Document {
            schema_version: riptide_reader::profile::SCHEMA_VERSION,
            targets: rows,
        };
        return out.json(&document, args.watch.is_some());
    }
    if rows.is_empty() {
        note("no targets; start a program that uses riptide_alloc::Riptide, or `riptide demo`");
        return Ok(());
    }
    let titles = ["PID", "NAME", "STATE", "LIVED", "REGION"];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.info.pid.to_string(),
                row.info.name.clone(),
                match row.cause_of_death {
                    Some(cause) => format!("{} ({cause})", table::state_word(row.info.state)),
                    None => table::state_word(row.info.state).to_owned(),
                },
                row.info
                    .uptime_seconds
                    .map_or_else(|| "-".to_owned(), units::duration),
                match &row.problem {
                    Some(problem) => format!("{} ({problem})", row.info.region.display()),
                    None => row.info.region.display().to_string(),
                },
            ]
        })
        .collect();
    table::print(
        out,
        &titles,
        &["right", "left", "left", "right", "left"],
        &cells,
        |_| Ink::Plain,
    )
}

fn cause_of_death(info: &TargetInfo) -> Option<&'static str> {
    let killed = info.state == TargetState::Killed;
    (killed && post_mortem::oom_kill_since(&info.region) == Some(true)).then_some(OOM_KILL)
}
