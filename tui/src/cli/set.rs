//! `riptide set`: changes the sampling of a running process.

use std::{process::ExitCode, time::Duration};

use riptide_reader::{
    Session,
    attach::resolve_target,
    clock::{Clock, SystemClock},
    control::{self, Control, INTERVAL_MAX},
    profile::{SCHEMA_VERSION, TargetInfo, TargetState},
};
use serde::Serialize;

use super::{CliError, Output, output::Ink, table, top};
use crate::units;

/// How long the process is given to take the interval over: it looks ten times a second, whenever
/// it takes a sample.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Arguments of `set`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pid, process name or region file
    target: Option<String>,
    /// Mean bytes between two samples: 1 records every allocation; `default` goes back to what the
    /// process started with
    #[arg(long, value_name = "SIZE", value_parser = parse_wish)]
    interval: Wish,
    /// Go back by itself after this time (30s, 5m)
    #[arg(long = "for", value_name = "DURATION", value_parser = table::parse_period)]
    duration: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Default,
    Bytes(u64),
}

fn parse_wish(text: &str) -> Result<Wish, String> {
    if text == "default" {
        return Ok(Wish::Default);
    }
    match units::parse_bytes(text) {
        Some(bytes) if bytes.fract() == 0.0 && (1.0..=INTERVAL_MAX as f64).contains(&bytes) => {
            Ok(Wish::Bytes(bytes as u64))
        }
        Some(_) => Err(format!("it must lie between 1 and {INTERVAL_MAX} bytes")),
        None => Err("a size is needed, for example 64KiB, 1 or default".to_owned()),
    }
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    target: TargetInfo,
    /// What was asked for; `null` for the default.
    asked_bytes: Option<u64>,
    /// Interval before.
    before_bytes: u64,
    /// Interval in force now.
    interval_bytes: u64,
    /// Whether the process has taken it over already.
    in_force: bool,
    /// After which it goes back by itself.
    for_seconds: Option<f64>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    if args.interval == Wish::Default && args.duration.is_some() {
        return Err(CliError::Usage {
            message: "--for needs an interval to go back from".to_owned(),
            hint: "leave out --for, or name an interval".to_owned(),
        });
    }
    let region = resolve_target(args.target.as_deref())?;
    let mut session = Session::attach(&region)?;
    if session.info().state != TargetState::Live {
        return Err(top::gone(&session));
    }
    let before = session.snapshot().sampling;
    let asked = match args.interval {
        Wish::Default => {
            control::take_back(&region)?;
            None
        }
        Wish::Bytes(interval) => {
            let until_ns = args.duration.map_or(u64::MAX, |duration| {
                let span = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
                SystemClock.monotonic_ns().saturating_add(span)
            });
            control::ask(&region, &Control { interval, until_ns })?;
            Some(interval)
        }
    };
    let after = wait(&mut session, asked)?;
    let document = Document {
        schema_version: SCHEMA_VERSION,
        target: session.info(),
        asked_bytes: asked,
        before_bytes: before.interval_bytes,
        interval_bytes: after.interval_bytes,
        in_force: after.is_in_force,
        for_seconds: args.duration.map(|duration| duration.as_secs_f64()),
    };
    if args.json {
        out.json(&document, false)?;
    } else {
        print(&document, out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

struct Outcome {
    interval_bytes: u64,
    is_in_force: bool,
}

/// Looks until the process has looked at the control file, or for as long as it is given.
fn wait(session: &mut Session, asked: Option<u64>) -> Result<Outcome, CliError> {
    let ticks_before = session.counts().ticks;
    let mut waited = Duration::ZERO;
    loop {
        let snapshot = session.snapshot();
        if snapshot.target.state != TargetState::Live {
            return Err(top::gone(session));
        }
        let interval_bytes = snapshot.sampling.interval_bytes;
        // One tick may have begun before the file was there.
        let has_looked = session.counts().ticks >= ticks_before + 2;
        let is_in_force = match asked {
            Some(asked) => interval_bytes == asked || has_looked,
            None => has_looked,
        };
        if is_in_force || waited >= PATIENCE {
            return Ok(Outcome {
                interval_bytes,
                is_in_force,
            });
        }
        std::thread::sleep(LOOK_EVERY);
        waited += LOOK_EVERY;
    }
}

fn print(document: &Document, out: &mut Output) -> Result<(), CliError> {
    let name = |bytes: u64| match bytes {
        1 => "every allocation".to_owned(),
        bytes => format!("one sample in {}", units::bytes(bytes as f64)),
    };
    let target = format!("{} [{}]", document.target.name, document.target.pid);
    let back = document.for_seconds.map_or_else(String::new, |seconds| {
        format!(", for {}", units::duration(seconds))
    });
    if document.in_force {
        let text = format!(
            "{target}: {}{back} (before: {})",
            name(document.interval_bytes),
            name(document.before_bytes)
        );
        out.line(Ink::Plain, &text)?;
        match document.asked_bytes {
            Some(asked) if asked != document.interval_bytes => out.line(
                Ink::Warn,
                "the process does not take that: without an address range of its own it samples no \
                 denser than 64 KiB, and it heeds only a file of the user that it runs as",
            ),
            _ => Ok(()),
        }
    } else {
        let wish = document
            .asked_bytes
            .map_or_else(|| "the default".to_owned(), name);
        let text = format!(
            "{target}: asked for {wish}{back}; it takes it over with its next sample (it has \
             allocated too little in the last {} to take one)",
            units::duration(PATIENCE.as_secs_f64())
        );
        out.line(Ink::Warn, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_sizes_or_the_default() {
        assert_eq!(parse_wish("default"), Ok(Wish::Default));
        assert_eq!(parse_wish("1"), Ok(Wish::Bytes(1)));
        assert_eq!(parse_wish("64KiB"), Ok(Wish::Bytes(65_536)));
        for wrong in ["0", "1.5", "8GiB", "-1", "often", ""] {
            assert!(parse_wish(wrong).is_err(), "{wrong}");
        }
    }
}
