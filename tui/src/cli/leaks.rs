//! `riptide leaks`: verdicts on the sites, with what they rest on.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use riptide_reader::{
    Session,
    attach::resolve_target,
    leak::{Finding, Suppressions, Verdict},
    profile::{SCHEMA_VERSION, Snapshot, TargetInfo, TargetState},
    recording::Span,
    symbolize::display_name,
};
use serde::Serialize;

use super::{
    CliError, Output,
    gate::{GateArgs, GateFiles, Judged},
    output::{Ink, note},
    recorded, table,
};
use crate::units;

/// How long symbols are waited for.
const SYMBOLS: Duration = Duration::from_secs(3);
/// Between two looks at the ring.
const POLL: Duration = Duration::from_millis(100);
/// Between two looks at the tables.
const LOOK: Duration = Duration::from_secs(1);
/// A target that runs is watched for so long unless told otherwise.
const WATCHED: Duration = Duration::from_secs(60);

/// Which verdicts make the command fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// Only leaks
    Leak,
    /// Leaks and what grows
    Growing,
}

impl FailOn {
    pub(super) fn is_met_by(self, verdict: Verdict) -> bool {
        match self {
            Self::Leak => verdict == Verdict::Leak,
            Self::Growing => verdict <= Verdict::Growing,
        }
    }
}

/// Arguments of `leaks`.
///
/// Watches a running target for a while (60 s unless told otherwise) and judges its sites by births,
/// deaths and ages. What a dead one left is judged at once, with less confidence.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pid, process name, region file or recording
    target: Option<String>,
    /// Watch for so long: 90, 60s, 5m, 1h; 0 judges from one look
    #[arg(long = "for", value_name = "DURATION", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Print again every so many seconds (10 if not said), until the target ends or --for is over
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "10", value_parser = table::parse_period)]
    watch: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Exit with 1 when there is such a finding
    #[arg(long, value_enum, value_name = "VERDICT")]
    fail_on: Option<FailOn>,
    #[command(flatten)]
    gate: GateArgs,
    /// File with lines `leak:PATTERN`: findings with such a frame are left out
    #[arg(long, value_name = "FILE")]
    suppressions: Option<PathBuf>,
    /// Print healthy sites too
    #[arg(long)]
    all: bool,
    /// Of a recording: the moment, counted from its beginning
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    at: Option<Duration>,
}

#[derive(Serialize)]
struct Document<'a> {
    schema_version: u32,
    target: &'a TargetInfo,
    watched_seconds: f64,
    suppressed: usize,
    findings: &'a [Finding],
}

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    units::parse_seconds(text)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| "use seconds or 500ms, 60s, 5m, 1h".to_owned())
}

/// What one look found.
struct Report {
    snapshot: Snapshot,
    watched_seconds: f64,
    findings: Vec<Finding>,
    suppressed: usize,
}

impl Report {
    fn suppress(&mut self, suppressions: &Suppressions) {
        let found = self.findings.len();
        self.findings
            .retain(|finding| !suppressions.silence(&finding.stack));
        self.suppressed = found - self.findings.len();
    }

    fn judged(&self) -> [Judged<'_>; 1] {
        [Judged {
            target: &self.snapshot.target,
            watched_seconds: self.watched_seconds,
            findings: &self.findings,
        }]
    }
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    let suppressions = match &args.suppressions {
        Some(path) => read_suppressions(path)?,
        None => Suppressions::default(),
    };
    let files = GateFiles::open(&args.gate)?;
    if let Some(mut replay) = recorded::open(args.target.as_deref(), args.at, Span::Past)? {
        let mut report = Report {
            snapshot: replay.snapshot(),
            watched_seconds: replay.watched_seconds(),
            findings: replay.findings(),
            suppressed: 0,
        };
        report.suppress(&suppressions);
        print(args, out, &report, false)?;
        files.write(&report.judged(), args.fail_on)?;
        return Ok(ExitCode::from(u8::from(fails(args, &report))));
    }
    let region = resolve_target(args.target.as_deref())?;
    let mut session = Session::attach(&region)?;
    session.snapshot();
    let live = session.info().state == TargetState::Live;
    let watch_for = match (args.duration, args.watch) {
        (Some(duration), _) => Some(duration),
        (None, Some(_)) => None,
        (None, None) => Some(WATCHED),
    };
    if live && let Some(duration) = watch_for.filter(|duration| !duration.is_zero()) {
        note(&format!(
            "watching {} (process {}) for {}",
            session.info().name,
            session.info().pid,
            units::duration(duration.as_secs_f64())
        ));
    }
    let began = Instant::now();
    let mut printed = Instant::now();
    let mut failed = false;
    loop {
        let left = watch_for.map(|duration| duration.saturating_sub(began.elapsed()));
        let over = left.is_some_and(|left| left.is_zero());
        if over || session.info().state != TargetState::Live || session.problem().is_some() {
            break;
        }
        if let Some(period) = args.watch
            && printed.elapsed() >= period
        {
            let report = look(&mut session, &suppressions);
            failed |= fails(args, &report);
            print(args, out, &report, true)?;
            printed = Instant::now();
        }
        pass(&mut session, left.map_or(LOOK, |left| left.min(LOOK)));
    }
    // What is known of a target that ended is reported all the same.
    let report = look(&mut session, &suppressions);
    if report.watched_seconds == 0.0
        && let Some(problem) = session.problem()
    {
        return Err(problem.into());
    }
    failed |= fails(args, &report);
    print(args, out, &report, args.watch.is_some())?;
    files.write(&report.judged(), args.fail_on)?;
    Ok(if failed {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

pub(super) fn read_suppressions(path: &Path) -> Result<Suppressions, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::io("read the suppressions", error))?;
    Suppressions::parse(&text).map_err(|error| CliError::Usage {
        message: format!("{}: {error}", path.display()),
        hint: "write one `leak:PATTERN` a line; `#` begins a comment".to_owned(),
    })
}

/// Follows the journal for `span`, then looks at the tables.
pub(super) fn pass(session: &mut Session, span: Duration) {
    let until = Instant::now() + span;
    while Instant::now() < until {
        std::thread::sleep(POLL.min(span));
        session.poll();
    }
    session.snapshot();
}

fn look(session: &mut Session, suppressions: &Suppressions) -> Report {
    session.snapshot();
    session.wait_for_symbols(SYMBOLS);
    let snapshot = session.snapshot_of_last_look();
    let mut report = Report {
        snapshot,
        watched_seconds: session.watched_seconds(),
        findings: session.findings(),
        suppressed: 0,
    };
    report.suppress(suppressions);
    report
}

fn fails(args: &Args, report: &Report) -> bool {
    let meets = |finding: &Finding| {
        args.fail_on
            .is_some_and(|fail_on| fail_on.is_met_by(finding.verdict))
    };
    report.findings.iter().any(meets)
}

fn print(
    args: &Args,
    out: &mut Output,
    report: &Report,
    more_follow: bool,
) -> Result<(), CliError> {
    let shown = |finding: &&Finding| args.all || finding.verdict != Verdict::Healthy;
    if args.json {
        let findings: Vec<Finding> = report.findings.iter().filter(shown).cloned().collect();
        let document = Document {
            schema_version: SCHEMA_VERSION,
            target: &report.snapshot.target,
            watched_seconds: report.watched_seconds,
            suppressed: report.suppressed,
            findings: &findings,
        };
        out.json(&document, more_follow)?;
        return out.flush();
    }
    table::print_heading(out, &report.snapshot)?;
    let told = |verdict| matches!(verdict, Verdict::Leak | Verdict::Growing);
    for finding in report.findings.iter().filter(shown) {
        if told(finding.verdict) || args.all {
            print_finding(out, finding)?;
        }
    }
    out.line(Ink::Plain, "")?;
    out.line(Ink::Strong, &summary(report))?;
    if more_follow {
        out.line(Ink::Plain, "")?;
    }
    out.flush()
}

pub(super) fn print_finding(out: &mut Output, finding: &Finding) -> Result<(), CliError> {
    let ink = match finding.verdict {
        Verdict::Leak => Ink::Bad,
        Verdict::Growing => Ink::Warn,
        _ => Ink::Plain,
    };
    let place = match (&finding.file, finding.line) {
        (Some(file), Some(line)) => format!("  {file}:{line}"),
        (Some(file), None) => format!("  {file}"),
        _ => String::new(),
    };
    out.line(Ink::Plain, "")?;
    out.line(
        ink,
        &format!(
            "{} ({:.0} %)  {}{place}",
            finding.verdict.word(),
            100.0 * finding.confidence,
            display_name(&finding.function)
        ),
    )?;
    let growth = finding
        .growth_bytes_per_second
        .as_ref()
        .map_or_else(String::new, |growth| {
            format!("; growth {}", table::growth(Some(growth)))
        });
    out.line(
        Ink::Plain,
        &format!(
            "  live {} in {} blocks{growth}",
            units::bytes_with_error(&finding.live_bytes),
            units::count_with_error(&finding.live_objects)
        ),
    )?;
    for sentence in &finding.evidence {
        out.line(Ink::Plain, &format!("  - {sentence}"))?;
    }
    if finding.verdict <= Verdict::Growing {
        for frame in finding.stack.iter().take(8) {
            out.line(
                Ink::Dim,
                &format!("      at {}", display_name(&frame.function)),
            )?;
        }
    }
    Ok(())
}

fn summary(report: &Report) -> String {
    let verdicts = [
        Verdict::Leak,
        Verdict::Growing,
        Verdict::CacheLike,
        Verdict::WarmUp,
        Verdict::Healthy,
        Verdict::TooEarly,
    ];
    let counts: Vec<String> = verdicts
        .iter()
        .map(|verdict| {
            let of = |finding: &&Finding| finding.verdict == *verdict;
            let count = report.findings.iter().filter(of).count();
            format!("{count} {}", verdict.word())
        })
        .collect();
    let suppressed = match report.suppressed {
        0 => String::new(),
        count => format!("; {count} suppressed"),
    };
    format!(
        "{} after {}{suppressed}",
        counts.join(", "),
        units::whole_seconds(report.watched_seconds)
    )
}
