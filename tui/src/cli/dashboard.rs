//! `riptide [TARGET]`: the dashboard.

use std::{path::PathBuf, process::ExitCode};

use riptide_reader::{Session, attach::resolve_target};
use signal_hook::low_level::emulate_default_handler;

use super::CliError;
use crate::{
    terminal::{self, Outcome},
    theme::Theme,
};

/// Runs it: on one target, or with the picker.
pub(super) fn run(target: Option<&str>, colored: bool) -> Result<ExitCode, CliError> {
    need_terminal()?;
    let region = match target {
        Some(target) => {
            let region = resolve_target(Some(target))?;
            // A target that was named and cannot be read is an answer for the shell.
            drop(Session::attach(&region)?);
            Some(region)
        }
        None => None,
    };
    pass_on(show(region, colored)?)
}

/// Says early and plainly that there is no terminal.
pub(super) fn need_terminal() -> Result<(), CliError> {
    if terminal::is_there() {
        return Ok(());
    }
    Err(CliError::Usage {
        message: "the dashboard needs a terminal on stdin and stdout".to_owned(),
        hint: "`riptide top --once` prints the sites, `riptide demo --headless` the demo's"
            .to_owned(),
    })
}

/// Shows the dashboard.
pub(super) fn show(region: Option<PathBuf>, colored: bool) -> Result<Outcome, CliError> {
    terminal::run(Theme::new(colored), region)
        .map_err(|error| CliError::io("use the terminal", error))
}

/// Ends as the dashboard did: by the same signal, if it was one.
pub(super) fn pass_on(outcome: Outcome) -> Result<ExitCode, CliError> {
    match outcome {
        Outcome::Left => Ok(ExitCode::SUCCESS),
        Outcome::Signal(signal) => {
            emulate_default_handler(signal)
                .map_err(|error| CliError::io("end by a signal", error))?;
            Ok(ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)))
        }
    }
}
