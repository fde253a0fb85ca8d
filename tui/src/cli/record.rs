//! `riptide record`: a target's past in a file.

use std::{
    fs::File,
    path::PathBuf,
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use riptide_reader::{Session, attach::resolve_target, profile::TargetState, recording::Recorder};
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM};

use super::{CliError, output::note};
use crate::units;

/// Between two looks at the ring.
const POLL: Duration = Duration::from_millis(100);
/// Between two looks that are recorded.
const LOOK: Duration = Duration::from_secs(1);
/// What a recording may grow by in a second, beyond a beginning of so many bytes: 50 MB in an hour.
const BYTES_PER_SECOND: f64 = 11_500.0;
const BYTES_AT_FIRST: f64 = 8e6;
/// How long symbols are waited for at the end.
const SYMBOLS: Duration = Duration::from_secs(10);

/// Arguments of `record`.
///
/// Looks once a second, less often when that would make more than 50 MB in an hour. The file can be read
/// while it is written, and after a crash of the recorder up to the last whole look. Ends with the
/// target, after --for, or with ctrl-c.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pid, process name or region file
    target: Option<String>,
    /// File to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Record for so long: 90, 60s, 5m, 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = super::leaks::parse_duration)]
    duration: Option<Duration>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let failed = |source| CliError::io("write the recording", source);
    let region = resolve_target(args.target.as_deref())?;
    let mut session = Session::attach(&region)?;
    let file = File::create(&args.output).map_err(failed)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGHUP, SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| CliError::io("listen for signals", error))?;
    }
    let mut recorder = Recorder::begin(file, &session).map_err(failed)?;
    let info = session.info();
    note(&format!(
        "recording {} (process {}) into {}",
        info.name,
        info.pid,
        args.output.display()
    ));
    let began = Instant::now();
    let mut due = began;
    let mut looks = 0_u64;
    loop {
        let over = args
            .duration
            .is_some_and(|duration| began.elapsed() >= duration);
        // Relaxed: nothing else is told by it.
        let stopped = stop.load(Ordering::Relaxed);
        let ended = session.info().state != TargetState::Live || session.problem().is_some();
        let last = over || stopped || ended;
        let allowed = BYTES_AT_FIRST + BYTES_PER_SECOND * began.elapsed().as_secs_f64();
        if last || Instant::now() >= due && recorder.bytes() as f64 <= allowed {
            session.snapshot();
            recorder.follow(&session);
            if last {
                session.wait_for_symbols(SYMBOLS);
            }
            recorder.look(&mut session).map_err(failed)?;
            looks += 1;
            due = Instant::now() + LOOK;
        }
        if last {
            break;
        }
        thread::sleep(POLL);
        session.poll();
        recorder.follow(&session);
    }
    let bytes = recorder.bytes();
    recorder.finish(&mut session).map_err(failed)?;
    note(&format!(
        "{}: {looks} looks in {}, {}",
        args.output.display(),
        units::whole_seconds(began.elapsed().as_secs_f64()),
        units::bytes(bytes as f64)
    ));
    match session.problem() {
        Some(problem) => Err(problem.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}
