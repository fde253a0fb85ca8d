//! `riptide advise`: what would use less memory or allocate less.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use riptide_reader::{
    Session,
    advise::{Advice, Advisor, GainUnit},
    attach::resolve_target,
    profile::{SCHEMA_VERSION, TargetInfo, TargetState},
    symbolize::display_name,
};
use serde::Serialize;

use super::{CliError, Output, output::Ink, table};
use crate::units;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long names are waited for.
const SYMBOLS: Duration = Duration::from_secs(5);

/// Arguments of `advise`.
///
/// A running target is watched for some seconds first: rates need two looks, and memory that is
/// unused for a moment is none to give back. Of a dead one its whole life is judged.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pid, process name or region file
    target: Option<String>,
    /// How long a running target is watched
    #[arg(long = "for", value_name = "DURATION", default_value = "5s", value_parser = table::parse_period)]
    duration: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    target: TargetInfo,
    /// Seconds that the target was watched.
    watched_seconds: f64,
    advice: Vec<Advice>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    let region = resolve_target(args.target.as_deref())?;
    let mut session = Session::attach(&region)?;
    let mut advisor = Advisor::default();
    let start = Instant::now();
    let mut snapshot = session.snapshot();
    session.show_to(&mut advisor, &snapshot);
    while snapshot.target.state == TargetState::Live && start.elapsed() < args.duration {
        let left = args.duration.saturating_sub(start.elapsed());
        std::thread::sleep(LOOK_EVERY.min(left));
        let next = session.snapshot();
        if next.target.state != TargetState::Live {
            // It ended meanwhile: what was seen while it ran is what there is to judge.
            break;
        }
        snapshot = next;
        session.show_to(&mut advisor, &snapshot);
    }
    let watched_seconds = start.elapsed().as_secs_f64();
    session.wait_for_symbols(SYMBOLS);
    if let Some(problem) = session.problem() {
        return Err(problem.into());
    }
    let advice = session.advice(&advisor);
    if args.json {
        let document = Document {
            schema_version: SCHEMA_VERSION,
            target: snapshot.target,
            watched_seconds,
            advice,
        };
        out.json(&document, false)?;
    } else {
        table::print_heading(out, &snapshot)?;
        out.line(Ink::Plain, "")?;
        print(out, &advice)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn print(out: &mut Output, advice: &[Advice]) -> Result<(), CliError> {
    if advice.is_empty() {
        return out.line(
            Ink::Good,
            "nothing to advise: no waste above the thresholds was measured",
        );
    }
    for (number, advice) in (1..).zip(advice) {
        out.line(Ink::Strong, &format!("{number}. {}", headline(advice)))?;
        if let Some(function) = &advice.function {
            let place = match (&advice.file, advice.line) {
                (Some(file), Some(line)) => format!("  {file}:{line}"),
                _ => String::new(),
            };
            out.line(
                Ink::Plain,
                &format!("   at {}{place}", display_name(function)),
            )?;
        }
        for evidence in &advice.evidence {
            out.line(Ink::Plain, &format!("   - {evidence}"))?;
        }
        out.line(Ink::Good, &format!("   → {}", advice.action))?;
    }
    Ok(())
}

/// What there is to gain, with its interval.
fn headline(advice: &Advice) -> String {
    let gain = &advice.gain;
    let amount = match gain.unit {
        GainUnit::AllocationsPerSecond => {
            format!("{} allocations/s", units::count(gain.amount.estimate))
        }
        _ => units::bytes(gain.amount.estimate),
    };
    let ends = |end: f64| match gain.unit {
        GainUnit::AllocationsPerSecond => units::count(end),
        _ => units::bytes(end),
    };
    let what = match gain.unit {
        GainUnit::RssBytes => " of RSS",
        GainUnit::PeakRssBytes => " of the peak RSS",
        GainUnit::AllocatedBytesPerSecond => " allocated a second",
        GainUnit::AllocationsPerSecond => "",
    };
    format!(
        "save {amount}{what} ({} to {}; {:.0}% of it)",
        ends(gain.amount.low),
        ends(gain.amount.high),
        gain.share * 100.0
    )
}
