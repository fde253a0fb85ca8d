//! `riptide gen-config`: every key of `serve`, explained.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::ValueEnum;

use super::{CliError, Output};
use crate::config;

/// What the table of keys is printed as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A configuration file
    #[default]
    Toml,
    /// A page of documentation
    Markdown,
}

/// Arguments of `gen-config`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to print
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    format: Format,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    let text = match args.format {
        Format::Toml => config::toml(),
        Format::Markdown => config::markdown(),
    };
    out.flush()?;
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(|source| CliError::io("write the output", source))?;
    Ok(ExitCode::SUCCESS)
}
