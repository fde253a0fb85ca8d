//! `riptide check-config`: everything that is wrong with a configuration.

use std::{path::PathBuf, process::ExitCode};

use serde::Serialize;

use super::{CliError, Output, output::Ink};
use crate::config::{self, KEYS, Origin, Problem, Sources};

/// Arguments of `check-config`.
///
/// Reads all layers as `serve` does: /etc/riptide/riptide.toml, the user's riptide/riptide.toml, FILE,
/// variables RIPTIDE__SECTION__KEY, and --set. Ends with 2 when anything is wrong.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The file that `serve` would get by --config
    file: Option<PathBuf>,
    /// Set a key, as the flag of `serve` does
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse_setting)]
    set: Vec<(String, String)>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    files: Vec<String>,
    problems: Vec<Row>,
    settings: Vec<Setting>,
}

#[derive(Serialize)]
struct Row {
    origin: String,
    line: Option<usize>,
    column: Option<usize>,
    message: String,
    suggestion: String,
}

#[derive(Serialize)]
struct Setting {
    key: &'static str,
    value: String,
    origin: String,
}

/// `KEY=VALUE` of a flag.
pub(super) fn parse_setting(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(key, value)| (key.trim().to_owned(), value.to_owned()))
        .ok_or_else(|| "write KEY=VALUE, for example http.addr=127.0.0.1:7071".to_owned())
}

/// The layers of this process with a file and flags.
pub(super) fn sources(file: Option<PathBuf>, settings: &[(String, String)]) -> Sources {
    let mut sources = Sources::of_process(file);
    sources.flags = settings
        .iter()
        .map(|(key, value)| ("--set".to_owned(), key.clone(), value.clone()))
        .collect();
    sources
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    let loaded = config::load(&sources(args.file.clone(), &args.set));
    if args.json {
        let code = if loaded.is_ok() { 0 } else { 2 };
        out.json(&document(loaded), false)?;
        out.flush()?;
        return Ok(ExitCode::from(code));
    }
    let loaded = loaded?;
    for path in &loaded.files {
        out.line(Ink::Good, &format!("ok: {}", path.display()))?;
    }
    for key in KEYS.iter().filter(|key| loaded.origins.is_set(key.name)) {
        let value = key
            .show(&loaded.config)
            .unwrap_or_else(|| "unset".to_owned());
        let origin = loaded.origins.of(key.name);
        out.line(Ink::Plain, &format!("{} = {value}  # {origin}", key.name))?;
    }
    out.line(Ink::Dim, "what is not named here is at its default")?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn document(loaded: Result<config::Loaded, config::Problems>) -> Document {
    let schema_version = riptide_reader::profile::SCHEMA_VERSION;
    match loaded {
        Ok(loaded) => Document {
            schema_version,
            files: loaded
                .files
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            problems: Vec::new(),
            settings: KEYS
                .iter()
                .filter_map(|key| {
                    Some(Setting {
                        key: key.name,
                        value: key.show(&loaded.config)?,
                        origin: loaded.origins.of(key.name).to_string(),
                    })
                })
                .collect(),
        },
        Err(problems) => Document {
            schema_version,
            files: Vec::new(),
            problems: problems.0.into_iter().map(row).collect(),
            settings: Vec::new(),
        },
    }
}

fn row(problem: Problem) -> Row {
    let (line, column) = match problem.origin {
        Origin::File { line, column, .. } => (Some(line), Some(column)),
        _ => (None, None),
    };
    Row {
        origin: problem.origin.to_string(),
        line,
        column,
        message: problem.message,
        suggestion: problem.suggestion,
    }
}
