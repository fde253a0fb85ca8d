//! `riptide memory`: where the memory goes, from live bytes to RSS.

use std::{process::ExitCode, time::Duration};

use riptide_reader::{
    Session,
    attach::resolve_target,
    profile::{SCHEMA_VERSION, TargetInfo, TargetState},
    waterfall::{Row, RowKind},
};
use serde::Serialize;

use super::{CliError, Output, output::Ink, table, top};
use crate::units;

/// Arguments of `memory`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pid, process name or region file
    target: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Repeat every so many seconds (2 if not said); with --json one document a line
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = table::parse_period)]
    watch: Option<Duration>,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    target: TargetInfo,
    rows: Vec<Row>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    let region = resolve_target(args.target.as_deref())?;
    let mut session = Session::attach(&region)?;
    loop {
        session.poll();
        let snapshot = session.snapshot();
        if let Some(problem) = session.problem() {
            return Err(problem.into());
        }
        let rows = session.waterfall(&snapshot);
        let state = snapshot.target.state;
        if args.json {
            let document = Document {
                schema_version: SCHEMA_VERSION,
                target: snapshot.target,
                rows,
            };
            out.json(&document, args.watch.is_some())?;
        } else {
            table::print_heading(out, &snapshot)?;
            out.line(Ink::Plain, "")?;
            print(out, &rows)?;
        }
        out.flush()?;
        let Some(period) = args.watch else {
            return Ok(ExitCode::SUCCESS);
        };
        if state != TargetState::Live {
            return Err(top::gone(&session));
        }
        std::thread::sleep(period);
    }
}

fn print(out: &mut Output, rows: &[Row]) -> Result<(), CliError> {
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let name = row.name.replace('_', " ");
            vec![
                match row.kind {
                    RowKind::Part => format!("  + {name}"),
                    RowKind::Sum => format!("= {name}"),
                },
                row.bytes
                    .map_or_else(|| "unknown".to_owned(), |bytes| units::bytes(bytes as f64)),
                row.source.to_owned(),
            ]
        })
        .collect();
    table::print(
        out,
        &["MEMORY", "SIZE", "SOURCE"],
        &["left", "right", "left"],
        &cells,
        |index| match rows.get(index).map(|row| row.kind) {
            Some(RowKind::Sum) => Ink::Strong,
            _ => Ink::Plain,
        },
    )
}
