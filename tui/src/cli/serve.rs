//! `riptide serve`: follows targets without a screen.

use std::{path::PathBuf, process::ExitCode};

use riptide_reader::attach::resolve_target;

use super::{
    CliError,
    check_config::{parse_setting, sources},
};
use crate::serve::{self, ServeError, Wanted};

/// Arguments of `serve`.
///
/// Follows targets and says over HTTP what it sees: / (a live page), /metrics, /alerts, /health, /livez,
/// /readyz, /profiling/snapshot, /debug/pprof/heap and /debug/pprof/allocs. SIGHUP reads the configuration
/// again, SIGTERM ends it. Without TARGET and --all it follows the only target there is, now or later.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pids, process names or region files
    targets: Vec<String>,
    /// Follow every target of this host
    #[arg(long, conflicts_with = "targets")]
    all: bool,
    /// Configuration file; `riptide gen-config` prints one
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address and port of HTTP, the key http.addr
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Set a key of the configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let mut sources = sources(args.config.clone(), &args.set);
    if let Some(address) = &args.listen {
        let flag = (
            "--listen".to_owned(),
            "http.addr".to_owned(),
            address.clone(),
        );
        sources.flags.push(flag);
    }
    let wanted = if args.all {
        Wanted::All
    } else if args.targets.is_empty() {
        // Several that are there already are as ambiguous as for any command; none may yet come.
        match resolve_target(None) {
            Err(error @ riptide_reader::ReaderError::SeveralTargets { .. }) => {
                return Err(error.into());
            }
            _ => Wanted::Only,
        }
    } else {
        for target in &args.targets {
            // A name may come later, a pid that is not there never means what it should.
            if target.parse::<u32>().is_ok() {
                resolve_target(Some(target))?;
            }
        }
        Wanted::Named(args.targets.clone())
    };
    match serve::run(&sources, wanted) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(ServeError::Config(problems)) => Err(problems.into()),
        Err(error) => Err(CliError::Serve(error)),
    }
}
