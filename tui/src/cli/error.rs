//! What can go wrong, each with one message that names the thing, and a last line that says what to
//! try.

use std::io;

use riptide_reader::ReaderError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The target cannot be read.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// The command cannot be done like this.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to try.
        hint: String,
    },
    /// A file is of a later version.
    #[error("{message}")]
    Newer {
        /// What is of which version.
        message: String,
        /// What to try.
        hint: String,
    },
    /// The configuration has problems; each is a line.
    #[error("the configuration cannot be used\n{0}")]
    Config(#[from] crate::config::Problems),
    /// The server cannot start.
    #[cfg(feature = "serve")]
    #[error(transparent)]
    Serve(crate::serve::ServeError),
    /// The target went away.
    #[error("{message}")]
    Gone {
        /// What went away.
        message: String,
        /// What to try.
        hint: String,
    },
    /// Input or output failed.
    #[error("cannot {operation}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The program to run cannot be started.
    #[error("cannot start {program}: {source}")]
    Start {
        /// What was to be run.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody reads the output any more.
    #[error("nobody reads the output any more")]
    BrokenPipe,
}

impl CliError {
    /// From an error of the system.
    #[must_use]
    pub fn io(operation: &'static str, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe {
            Self::BrokenPipe
        } else {
            Self::Io { operation, source }
        }
    }

    /// What the process ends with.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Reader(error) => error.exit_code(),
            Self::Usage { .. } | Self::Config(_) => 2,
            Self::Gone { .. } => 3,
            Self::Newer { .. } => 4,
            Self::Io { .. } => 5,
            #[cfg(feature = "serve")]
            Self::Serve(_) => 5,
            // As shells, env and timeout have it.
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Start { .. } => 126,
            Self::BrokenPipe => 0,
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Reader(error) => error.hint(),
            Self::Usage { hint, .. } | Self::Newer { hint, .. } | Self::Gone { hint, .. } => {
                hint.clone()
            }
            Self::Config(_) => {
                "correct the lines above; `riptide check-config FILE` reads it again".to_owned()
            }
            #[cfg(feature = "serve")]
            Self::Serve(_) => {
                "another address (--listen 127.0.0.1:0 takes a free port), or end what uses it"
                    .to_owned()
            }
            Self::Io { .. } => "check free space and permissions, then run it again".to_owned(),
            Self::Start { .. } => {
                "check the path and that the file is executable: riptide run -- ./program ARGUMENTS"
                    .to_owned()
            }
            Self::BrokenPipe => String::new(),
        }
    }

    /// The message as it is printed.
    #[must_use]
    pub fn render(&self, colored: bool) -> String {
        let (red, bold, off) = if colored {
            ("\x1b[1;31m", "\x1b[1m", "\x1b[0m")
        } else {
            ("", "", "")
        };
        // Only a configuration has a message of several lines.
        let message = self.to_string();
        let lines: Vec<String> = message.lines().map(super::output::printable).collect();
        let message = lines.join("\n  ");
        let hint = super::output::printable(&self.hint());
        format!("{red}error:{off} {message}\n  {bold}try:{off} {hint}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_says_what_to_try() {
        let error = CliError::Reader(ReaderError::NoSuchProcess { pid: 7 });
        assert_eq!(error.exit_code(), 3);
        let text = error.render(false);
        assert!(text.starts_with("error: there is no process 7"), "{text}");
        assert!(
            text.lines().last().unwrap().starts_with("  try: "),
            "{text}"
        );
    }

    #[test]
    fn a_closed_pipe_is_not_an_error_of_output() {
        let error = CliError::io("write", io::ErrorKind::BrokenPipe.into());
        assert!(matches!(error, CliError::BrokenPipe));
        let error = CliError::io("write", io::ErrorKind::StorageFull.into());
        assert_eq!(error.exit_code(), 5);
    }
}
