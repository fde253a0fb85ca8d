//! `riptide demo`: the bundled service, on the dashboard or as a printed report.

use std::{
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use riptide_reader::Session;

use super::{CliError, Output, dashboard, output::note, top};
use crate::{
    app::SortBy,
    demo::{
        child::{DemoError, DemoService, SERVICE_ARGUMENT},
        service,
    },
};

/// Between two looks at the ring.
const POLL: Duration = Duration::from_millis(100);
/// Between two snapshots.
const LOOK: Duration = Duration::from_secs(1);
/// How long symbols are waited for.
const SYMBOLS: Duration = Duration::from_secs(10);

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print the sites, fastest growing first, instead of the dashboard
    #[arg(long)]
    headless: bool,
    /// Seconds for which the service is watched, with --headless
    #[arg(long, value_name = "N", default_value_t = 20, requires = "headless", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// Print JSON, with --headless
    #[arg(long, requires = "headless")]
    json: bool,
    /// Sites printed, with --headless; 0 for all
    #[arg(long, value_name = "N", default_value_t = 20, requires = "headless")]
    limit: usize,
}

pub(super) fn run(
    args: &Args,
    settings: Option<&Path>,
    out: &mut Output,
) -> Result<ExitCode, CliError> {
    if !args.headless {
        dashboard::need_terminal()?;
    }
    let mut service = DemoService::start()?;
    let region = service.region()?;
    if !args.headless {
        let outcome = dashboard::show(Some(region), settings, out.is_colored())?;
        drop(service);
        return dashboard::pass_on(outcome);
    }
    note(&format!(
        "watching the demo service (process {}) for {} s",
        service.pid(),
        args.seconds
    ));
    let mut session = Session::attach(&region)?;
    let until = Instant::now() + Duration::from_secs(u64::from(args.seconds));
    let mut look = Instant::now();
    while Instant::now() < until {
        thread::sleep(POLL);
        service.check()?;
        session.poll();
        if Instant::now() >= look {
            // Asks for the symbols of new stacks early.
            session.snapshot();
            look += LOOK;
        }
    }
    session.snapshot();
    session.wait_for_symbols(SYMBOLS);
    let mut snapshot = session.snapshot_of_last_look();
    drop(service);
    top::sort(&mut snapshot, SortBy::Growth);
    top::print(out, snapshot, args.limit, args.json, false)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Whether this process is the service: asked before the command line is read, as a child that is
/// profiled from its first allocation on should show the service and not the parser.
pub(super) fn is_service() -> bool {
    let mut arguments = std::env::args_os().skip(1);
    arguments
        .next()
        .is_some_and(|first| first == SERVICE_ARGUMENT)
        && arguments.next().is_none()
}

/// The service itself, in the child.
pub(super) fn serve() -> Result<ExitCode, CliError> {
    service::run().map_err(|error| CliError::io("serve on the loopback interface", error))?;
    Ok(ExitCode::SUCCESS)
}

impl From<DemoError> for CliError {
    fn from(error: DemoError) -> Self {
        let message = error.to_string();
        match error {
            DemoError::Start(source) => Self::io("start the demo service", source),
            DemoError::Ended { .. } => Self::Gone {
                message,
                hint: "run it again; if it ends again, please report what it said".to_owned(),
            },
            DemoError::NoRegion { pid, .. } => Self::Gone {
                message,
                hint: format!(
                    "unset RIPTIDE_DIR and look at /dev/shm: is there room? `riptide doctor {pid}` \
                     checks it while the service runs"
                ),
            },
        }
    }
}
