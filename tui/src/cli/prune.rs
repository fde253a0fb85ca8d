//! `riptide prune`: removes what dead processes left, only when asked.

use std::process::ExitCode;

use riptide_reader::{
    attach::{directories, discover_in, region_files},
    post_mortem,
    profile::SCHEMA_VERSION,
};
use serde::Serialize;

use super::{
    CliError, Output,
    output::{Ink, note},
};
use crate::units;

/// Arguments of `prune`.
///
/// Regions of processes that ended or were killed since the machine started go, and files that were
/// never finished. Those of running processes stay, and those of which it is not known.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    removed: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    path: String,
    bytes: u64,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    let directories = directories();
    let mut targets = discover_in(&directories);
    let mut problems = Vec::new();
    let removed: Vec<Row> = if args.dry_run {
        targets
            .iter()
            .filter(|target| post_mortem::is_dead(target))
            .map(|target| Row {
                path: target.info.region.to_string_lossy().into_owned(),
                bytes: target.file_bytes,
            })
            .collect()
    } else {
        let mut rows = Vec::new();
        loop {
            let (_, left_out) = region_files(&directories);
            let before = rows.len();
            for file in post_mortem::prune(&targets, &directories) {
                match file.problem {
                    Some(problem) => problems.push(problem),
                    None => rows.push(Row {
                        path: file.path.to_string_lossy().into_owned(),
                        bytes: file.bytes,
                    }),
                }
            }
            // A directory may hold more than is looked at at once.
            if left_out == 0 || rows.len() == before {
                break;
            }
            targets = discover_in(&directories);
        }
        rows
    };
    if args.json {
        let document = Document {
            schema_version: SCHEMA_VERSION,
            removed,
        };
        out.json(&document, false)?;
    } else {
        let word = if args.dry_run {
            "would remove"
        } else {
            "removed"
        };
        for row in &removed {
            let line = format!("{word} {} ({})", row.path, units::bytes(row.bytes as f64));
            out.line(Ink::Plain, &line)?;
        }
        if removed.is_empty() && problems.is_empty() {
            note("nothing to remove: no region of a dead process here");
        }
    }
    out.flush()?;
    // All that could be removed is; the first reason why something is left ends the command.
    match problems.into_iter().next() {
        Some(problem) => Err(problem.into()),
        None => Ok(ExitCode::SUCCESS),
    }
}
