//! `riptide run`: starts a program with a directory of its own for regions, follows every process
//! of it that has riptide, and reports at the end.
//!
//! The program keeps stdin, stdout and stderr; the report goes to stderr, its JSON to a file. A process
//! that ends well may free everything in its last moment, so its sites are judged while it runs as
//! well, and the worse verdict counts.

use std::{
    collections::HashMap,
    ffi::OsString,
    fs::File,
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitCode, ExitStatus},
    thread,
    time::Duration,
};

use riptide_reader::{
    leak::{Finding, Suppressions},
    profile::{Live, SCHEMA_VERSION, Site, TargetInfo},
};
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use signal_hook::{
    consts::signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2},
    iterator::{
        SignalsInfo,
        exfiltrator::{WithOrigin, origin::Origin},
    },
    low_level::siginfo::Cause,
};

use super::{
    CliError, Output,
    gate::{GateArgs, GateFiles, Judged},
    leaks::{self, FailOn},
    output::{Ink, note},
};
use crate::units;

mod directory;
mod follow;

use directory::Directory;
use follow::{Followed, Report};

/// Between two looks at the rings.
const POLL: Duration = Duration::from_millis(50);
/// Sites of a process that the report has.
const SITES_MAX: usize = 20;
const SIGNALS: [i32; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];

/// A gate has a minute, not a day, and may cost more than a service in production may.
const INTERVAL: u64 = 16 << 10;

/// Arguments of `run`.
///
/// Every process of COMMAND that has riptide is followed, so `riptide run -- cargo test` works. Ends
/// with COMMAND's exit code (128 + signal when it was killed, 127 or 126 when it cannot be started),
/// and when that is 0, with 1 on findings at or above --fail-on. stdout stays COMMAND's own.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Mean bytes between two samples: 1 for every allocation, 64KiB, 1MiB [default: 16KiB, unless the
    /// environment says RIPTIDE_SAMPLE_INTERVAL or RIPTIDE_BUDGET]
    #[arg(long, value_name = "SIZE", value_parser = parse_interval)]
    interval: Option<u64>,
    /// Exit with 1 when there is such a finding
    #[arg(long, value_enum, value_name = "VERDICT")]
    fail_on: Option<FailOn>,
    #[command(flatten)]
    gate: GateArgs,
    /// File with lines `leak:PATTERN`: findings with such a frame are left out
    #[arg(long, value_name = "FILE")]
    suppressions: Option<PathBuf>,
    /// Report as JSON: into the file of -o, or else to stderr
    #[arg(long)]
    json: bool,
    /// File for the report as JSON; the text still goes to stderr
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Program and arguments
    #[arg(last = true, required = true, num_args = 1.., value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    command: Ran,
    /// What `riptide run` itself ends with.
    exit_code: u8,
    /// Whether there are findings at or above --fail-on.
    failed_by_findings: bool,
    targets: Vec<Target<'a>>,
    findings: Vec<FoundIn<'a>>,
    suppressed: usize,
}

#[derive(Serialize)]
struct Ran {
    arguments: Vec<String>,
    /// Of COMMAND; none when a signal ended it.
    exit_code: Option<i32>,
    signal: Option<i32>,
}

#[derive(Serialize)]
struct Target<'a> {
    target: &'a TargetInfo,
    watched_seconds: f64,
    live: Live,
    sites: &'a [Site],
}

#[derive(Serialize)]
struct FoundIn<'a> {
    pid: u32,
    #[serde(flatten)]
    finding: &'a Finding,
}

fn parse_interval(text: &str) -> Result<u64, String> {
    let bytes = units::parse_bytes(text).filter(|bytes| *bytes >= 1.0 && bytes.fract() == 0.0);
    bytes
        .map(|bytes| bytes as u64)
        .ok_or_else(|| "use 1, 65536, 64KiB or 1MiB".to_owned())
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    let suppressions = match &args.suppressions {
        Some(path) => leaks::read_suppressions(path)?,
        None => Suppressions::default(),
    };
    // Before COMMAND runs, so that what cannot be written is known before minutes have gone by.
    let json = match &args.output {
        Some(path) => {
            Some(Output::file(File::create(path).map_err(|source| {
                CliError::io("create the file of the report", source)
            })?))
        }
        None => None,
    };
    let files = GateFiles::open(&args.gate)?;
    let directory = Directory::new().map_err(|error| CliError::io("make a directory", error))?;
    // Before COMMAND is started: no signal is lost between the two.
    let mut signals = SignalsInfo::<WithOrigin>::new(SIGNALS)
        .map_err(|error| CliError::io("listen for signals", error))?;
    let mut child = start(args, &directory)?;
    let mut followed = Followed::new(directory.path());
    let status = wait(&mut child, &mut signals, &mut followed)
        .map_err(|error| CliError::io("wait for the program", error))?;
    let (mut reports, problems) = followed.finish();
    // Regions may be large; they are not needed any more.
    drop(directory);
    for problem in problems {
        note(&format!("riptide: {problem}"));
    }
    let suppressed = reports
        .iter_mut()
        .map(|report| {
            let found = report.findings.len();
            let silenced = |finding: &Finding| suppressions.silence(&finding.stack);
            report.findings.retain(|finding| !silenced(finding));
            found - report.findings.len()
        })
        .sum();
    let failed = reports
        .iter()
        .flat_map(|report| &report.findings)
        .any(|finding| {
            args.fail_on
                .is_some_and(|fail_on| fail_on.is_met_by(finding.verdict))
        });
    let exit_code = match code_of(status) {
        0 if failed => 1,
        code => code,
    };
    let document = document(args, status, exit_code, failed, &reports, suppressed);
    let judged: Vec<Judged<'_>> = reports
        .iter()
        .map(|report| Judged {
            target: &report.snapshot.target,
            watched_seconds: report.watched_seconds,
            findings: &report.findings,
        })
        .collect();
    let told = tell(args, out, json, &document, &reports)
        .and_then(|()| files.write(&judged, args.fail_on));
    match told {
        // The outcome of COMMAND is worth more than that of the report.
        Err(error) if exit_code == 0 => Err(error),
        Err(error) => {
            note(&format!("riptide: {error}"));
            Ok(ExitCode::from(exit_code))
        }
        Ok(()) => Ok(ExitCode::from(exit_code)),
    }
}

fn start(args: &Args, directory: &Directory) -> Result<Child, CliError> {
    let (program, arguments) = args.command.split_first().ok_or_else(|| CliError::Usage {
        message: "there is no program to run".to_owned(),
        hint: "riptide run -- PROGRAM ARGUMENTS".to_owned(),
    })?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("RIPTIDE_DIR", directory.path())
        .env("RIPTIDE_KEEP", "1");
    let is_chosen = |name| std::env::var_os(name).is_some();
    let is_left_alone = is_chosen("RIPTIDE_SAMPLE_INTERVAL") || is_chosen("RIPTIDE_BUDGET");
    if let Some(interval) = args.interval.or((!is_left_alone).then_some(INTERVAL)) {
        command.env("RIPTIDE_SAMPLE_INTERVAL", interval.to_string());
    }
    command.spawn().map_err(|source| CliError::Start {
        program: program.to_string_lossy().into_owned(),
        source,
    })
}

/// Follows the processes until the program has ended.
fn wait(
    child: &mut Child,
    signals: &mut SignalsInfo<WithOrigin>,
    followed: &mut Followed,
) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        for origin in signals.pending() {
            forward(child, &origin);
        }
        followed.look();
        thread::sleep(POLL);
    }
}

/// A key press reaches every process of the terminal's foreground group by itself; a second copy of
/// it would often mean "at once".
fn forward(child: &Child, origin: &Origin) {
    if origin.cause == Cause::Kernel {
        return;
    }
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(origin.signal)) {
        // Not waited for yet, so the pid is still the child's; that it has ended is no error.
        let _ = kill_process(pid, signal);
    }
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    // Codes are a byte on every system that has regions.
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(255)
}

fn document<'a>(
    args: &Args,
    status: ExitStatus,
    exit_code: u8,
    failed: bool,
    reports: &'a [Report],
    suppressed: usize,
) -> Document<'a> {
    let mut findings: Vec<FoundIn<'a>> = reports
        .iter()
        .flat_map(|report| {
            let pid = report.snapshot.target.pid;
            report
                .findings
                .iter()
                .map(move |finding| FoundIn { pid, finding })
        })
        .collect();
    findings.sort_by_key(|found| found.finding.verdict);
    let arguments = args.command.iter();
    Document {
        schema_version: SCHEMA_VERSION,
        command: Ran {
            arguments: arguments
                .map(|argument| argument.to_string_lossy().into_owned())
                .collect(),
            exit_code: status.code(),
            signal: status.signal(),
        },
        exit_code,
        failed_by_findings: failed,
        targets: reports
            .iter()
            .map(|report| Target {
                target: &report.snapshot.target,
                watched_seconds: report.watched_seconds,
                live: report.snapshot.live,
                sites: report
                    .snapshot
                    .sites
                    .get(..SITES_MAX)
                    .unwrap_or(&report.snapshot.sites),
            })
            .collect(),
        findings,
        suppressed,
    }
}

fn tell(
    args: &Args,
    out: &mut Output,
    json: Option<Output>,
    document: &Document<'_>,
    reports: &[Report],
) -> Result<(), CliError> {
    let only_json = args.json && json.is_none();
    if let Some(mut file) = json {
        file.json(document, false)?;
        file.flush()?;
    }
    if reports.is_empty() {
        note(&format!(
            "riptide: no process of {} had riptide: add riptide-alloc to it, and start it without \
             RIPTIDE=off",
            document
                .command
                .arguments
                .first()
                .map_or("the command", String::as_str)
        ));
    }
    if only_json {
        out.json(document, false)?;
        return out.flush();
    }
    for report in reports {
        print(out, report)?;
    }
    if document.suppressed > 0 {
        let text = format!("{} findings suppressed", document.suppressed);
        out.line(Ink::Dim, &text)?;
    }
    if document.failed_by_findings {
        let code = document.exit_code;
        out.line(Ink::Bad, &format!("riptide: findings; exit code {code}"))?;
    }
    out.flush()
}

fn print(out: &mut Output, report: &Report) -> Result<(), CliError> {
    out.line(Ink::Plain, "")?;
    super::table::print_sites(out, &report.snapshot, SITES_MAX)?;
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for finding in &report.findings {
        *counts.entry(finding.verdict.word()).or_default() += 1;
        if finding.verdict <= riptide_reader::leak::Verdict::Growing {
            leaks::print_finding(out, finding)?;
        }
    }
    let count = |word: &str| counts.get(word).copied().unwrap_or(0);
    out.line(Ink::Plain, "")?;
    out.line(
        Ink::Strong,
        &format!(
            "process {}: {} leak, {} growing in {}",
            report.snapshot.target.pid,
            count("leak"),
            count("growing"),
            units::whole_seconds(report.watched_seconds)
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_the_programs_own() {
        assert_eq!(code_of(ExitStatus::from_raw(0)), 0);
        assert_eq!(code_of(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(code_of(ExitStatus::from_raw(9)), 137);
        assert_eq!(code_of(ExitStatus::from_raw(255 << 8)), 255);
    }

    #[test]
    fn intervals_are_whole_bytes() {
        assert_eq!(parse_interval("64KiB"), Ok(65_536));
        assert_eq!(parse_interval("1"), Ok(1));
        for text in ["0", "0.5", "-1", "many"] {
            assert!(parse_interval(text).is_err(), "{text}");
        }
    }
}
