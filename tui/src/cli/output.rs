//! What is printed: to stdout, or beside a program that owns stdout.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::CliError;

/// Styles of printed text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    Plain,
    Strong,
    Dim,
    Good,
    Warn,
    Bad,
}

/// Where data goes, with or without colours.
pub(super) struct Output {
    writer: Box<dyn Write>,
    colored: bool,
}

impl Output {
    pub(super) fn stdout(colored: bool) -> Self {
        Self {
            writer: Box::new(BufWriter::new(io::stdout())),
            colored,
        }
    }

    /// stderr, for a report beside a program that owns stdout.
    pub(super) fn stderr(colored: bool) -> Self {
        Self {
            writer: Box::new(BufWriter::new(io::stderr())),
            colored,
        }
    }

    /// A file, without colours.
    pub(super) fn file(file: std::fs::File) -> Self {
        Self {
            writer: Box::new(BufWriter::new(file)),
            colored: false,
        }
    }

    pub(super) fn is_colored(&self) -> bool {
        self.colored
    }

    /// One line.
    pub(super) fn line(&mut self, ink: Ink, text: &str) -> Result<(), CliError> {
        let code = match ink {
            _ if !self.colored => "",
            Ink::Plain => "",
            Ink::Strong => "\x1b[1m",
            Ink::Dim => "\x1b[2m",
            Ink::Good => "\x1b[32m",
            Ink::Warn => "\x1b[33m",
            Ink::Bad => "\x1b[31m",
        };
        let off = if code.is_empty() { "" } else { "\x1b[0m" };
        writeln!(self.writer, "{code}{}{off}", printable(text)).map_err(write_error)
    }

    /// A text of several lines that was made for this place, as it is.
    pub(super) fn text(&mut self, text: &str) -> Result<(), CliError> {
        self.writer.write_all(text.as_bytes()).map_err(write_error)
    }

    /// One JSON document: spread over lines, or on one line when more follow.
    pub(super) fn json(
        &mut self,
        value: &impl Serialize,
        on_one_line: bool,
    ) -> Result<(), CliError> {
        let result = if on_one_line {
            serde_json::to_writer(&mut self.writer, value)
        } else {
            serde_json::to_writer_pretty(&mut self.writer, value)
        };
        result.map_err(|error| write_error(error.into()))?;
        writeln!(self.writer).map_err(write_error)
    }

    /// Hands on what was written.
    pub(super) fn flush(&mut self) -> Result<(), CliError> {
        self.writer.flush().map_err(write_error)
    }
}

/// One line for the user, on stderr; that nobody reads it is no reason to stop.
pub(super) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(text));
}

fn write_error(error: io::Error) -> CliError {
    CliError::io("write the output", error)
}

/// Names come from other processes: nothing in them may steer the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| {
            if letter.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                letter
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\u{9b}c"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
