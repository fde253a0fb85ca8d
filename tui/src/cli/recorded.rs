//! Recordings as targets of the commands that read.

use std::{path::Path, time::Duration};

use riptide_reader::recording::{Replay, Span, is_recording};

use super::{CliError, output::note};

/// The moment `at` of the recording that `target` names; none when it is no recording.
pub(super) fn open(
    target: Option<&str>,
    at: Option<Duration>,
    span: Span,
) -> Result<Option<Replay>, CliError> {
    // A number is a pid, also where a file has that name.
    let path = target.filter(|target| target.parse::<u32>().is_err());
    let Some(path) = path.map(Path::new).filter(|path| is_recording(path)) else {
        return match at {
            None => Ok(None),
            Some(_) => Err(CliError::Usage {
                message: "--at is for recordings".to_owned(),
                hint: "name one: `riptide record TARGET -o FILE` makes it".to_owned(),
            }),
        };
    };
    let replay = Replay::open(path, at, span)?;
    if let Some(problem) = replay.problem() {
        note(&format!("{}: {problem}", path.display()));
    }
    Ok(Some(replay))
}
