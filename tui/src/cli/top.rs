//! `riptide top`: the sites that hold memory.

use std::{
    io::IsTerminal,
    process::ExitCode,
    time::{Duration, Instant},
};

use riptide_reader::{
    Session,
    attach::resolve_target,
    profile::{Snapshot, TargetState},
    recording::Span,
};

use super::{CliError, Output, output::Ink, recorded, table};
use crate::app::SortBy;

/// How long symbols are waited for.
const SYMBOLS: Duration = Duration::from_secs(3);
/// Between two looks at the ring.
const POLL: Duration = Duration::from_millis(100);

/// Arguments of `top`.
///
/// Prints once with --once, with --json, or when stdout is no terminal; else, or with --watch, it
/// repeats until the target ends.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pid, process name, region file or recording
    target: Option<String>,
    /// Print once
    #[arg(long, conflicts_with = "watch")]
    once: bool,
    /// Repeat every so many seconds (2 if not said); with --json one document a line
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = table::parse_period)]
    watch: Option<Duration>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Sites printed; 0 for all
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Order of the sites
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    sort: SortBy,
    /// Of a recording: the moment, counted from its beginning
    #[arg(long, value_name = "DURATION", value_parser = super::leaks::parse_duration)]
    at: Option<Duration>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    if let Some(mut replay) = recorded::open(args.target.as_deref(), args.at, Span::Moment)? {
        let mut snapshot = replay.snapshot();
        sort(&mut snapshot, args.sort);
        print(out, snapshot, args.limit, args.json, false)?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let region = resolve_target(args.target.as_deref())?;
    let mut session = Session::attach(&region)?;
    // Asks for the symbols; what is printed first is of this look, so that it has its names.
    session.snapshot();
    session.wait_for_symbols(SYMBOLS);
    let mut snapshot = session.snapshot_of_last_look();
    let repeat =
        !args.once && (args.watch.is_some() || (!args.json && std::io::stdout().is_terminal()));
    let period = args.watch.unwrap_or(Duration::from_secs(2));
    loop {
        if let Some(problem) = session.problem() {
            return Err(problem.into());
        }
        sort(&mut snapshot, args.sort);
        let state = snapshot.target.state;
        print(out, snapshot, args.limit, args.json, repeat)?;
        out.flush()?;
        if !repeat {
            return Ok(ExitCode::SUCCESS);
        }
        if state != TargetState::Live {
            return Err(gone(&session));
        }
        let until = Instant::now() + period;
        while Instant::now() < until {
            std::thread::sleep(POLL.min(period));
            session.poll();
        }
        snapshot = session.snapshot();
    }
}

/// Sorts the sites; those of the reader are sorted by live bytes already.
pub(super) fn sort(snapshot: &mut Snapshot, order: SortBy) {
    if order != SortBy::Live {
        snapshot
            .sites
            .sort_by(|left, right| order.compare(left, right));
    }
}

/// Prints a snapshot as a table or as JSON.
pub(super) fn print(
    out: &mut Output,
    mut snapshot: Snapshot,
    limit: usize,
    json: bool,
    more_follow: bool,
) -> Result<(), CliError> {
    if json {
        if limit > 0 {
            snapshot.sites.truncate(limit);
        }
        return out.json(&snapshot, more_follow);
    }
    if more_follow && out.is_colored() {
        // A fresh picture at the top of the screen, as watch(1) does.
        print_clear();
    }
    table::print_sites(out, &snapshot, limit)?;
    if more_follow {
        out.line(Ink::Plain, "")?;
    }
    Ok(())
}

fn print_clear() {
    use std::io::Write;
    let _ = std::io::stdout().write_all(b"\x1b[H\x1b[2J");
}

/// The target ended while it was watched.
pub(super) fn gone(session: &Session) -> CliError {
    let info = session.info();
    CliError::Gone {
        message: format!(
            "{} (process {}) {}",
            info.name,
            info.pid,
            match info.state {
                TargetState::Exited => "ended cleanly",
                TargetState::Killed => "was killed or crashed",
                TargetState::Live | TargetState::Unknown => "went away",
            }
        ),
        hint: format!(
            "`riptide top --once {}` reads what it left, unless it ended cleanly",
            info.region.display()
        ),
    }
}
