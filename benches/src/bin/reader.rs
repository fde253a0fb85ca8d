//! What `riptide top` does while it watches, for a process that may not have a region yet: attaches
//! when there is one, follows the journal ten times a second, takes a snapshot every second with
//! symbols, and ends with the process. Prints the samples that it has seen.

use std::{
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use riptide_reader::{Session, attach::resolve_target, profile::TargetState};

const SEARCH: Duration = Duration::from_millis(20);
const POLL: Duration = Duration::from_millis(100);
const SNAPSHOT: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let Some(pid) = std::env::args().nth(1) else {
        eprintln!("usage: bench-reader PID");
        return ExitCode::FAILURE;
    };
    println!("{}", watch(&pid));
    ExitCode::SUCCESS
}

/// Samples of the process as far as they were seen; 0 when it never had a region to attach to.
fn watch(pid: &str) -> u64 {
    let Some(mut session) = attach(pid) else {
        return 0;
    };
    let mut samples = 0;
    let mut next = Instant::now();
    loop {
        session.poll();
        if Instant::now() >= next {
            next += SNAPSHOT;
            session.snapshot();
        }
        samples = session.counts().samples.max(samples);
        if session.info().state != TargetState::Live || session.problem().is_some() {
            return samples;
        }
        thread::sleep(POLL);
    }
}

fn attach(pid: &str) -> Option<Session> {
    let process = Path::new("/proc").join(pid);
    while process.join("exe").exists() {
        let region = resolve_target(Some(pid));
        if let Some(session) = region.ok().and_then(|region| Session::attach(&region).ok()) {
            return Some(session);
        }
        thread::sleep(SEARCH);
    }
    None
}
