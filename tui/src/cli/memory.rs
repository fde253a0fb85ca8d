//! `riptide memory`: where the memory goes, from live bytes to RSS.

use std::{process::ExitCode, time::Duration};

use riptide_reader::{
    Session,
    attach::resolve_target,
    profile::{SCHEMA_VERSION, Snapshot, TargetInfo, TargetState},
    recording::Span,
    symbolize::display_name,
    waterfall::{Fragmentation, Row, RowKind},
};
use serde::Serialize;

use super::{CliError, Output, output::Ink, recorded, table, top};
use crate::units;

/// Size classes and sites of fragmentation printed.
const LINES_MAX: usize = 5;
/// Waste below this share of the slabs is how allocators are.
const WASTE_WORTH_A_LINE: f64 = 0.05;
const WASTE_MIN_BYTES: u64 = 1 << 20;
/// How long names are waited for.
const SYMBOLS: Duration = Duration::from_secs(3);

/// Arguments of `memory`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pid, process name, region file or recording
    target: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Repeat every so many seconds (2 if not said); with --json one document a line
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", value_parser = table::parse_period)]
    watch: Option<Duration>,
    /// Of a recording: the moment, counted from its beginning
    #[arg(long, value_name = "DURATION", value_parser = super::leaks::parse_duration)]
    at: Option<Duration>,
}

#[derive(Serialize)]
struct Document {
    schema_version: u32,
    target: TargetInfo,
    rows: Vec<Row>,
    /// Seconds since jemalloc's figures were taken.
    figures_age_seconds: Option<f64>,
    fragmentation: Fragmentation,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<ExitCode, CliError> {
    if let Some(mut replay) = recorded::open(args.target.as_deref(), args.at, Span::Moment)? {
        let snapshot = replay.snapshot();
        let rows = replay.waterfall(&snapshot);
        show(args, out, snapshot, &rows, replay.fragmentation())?;
        return Ok(ExitCode::SUCCESS);
    }
    let region = resolve_target(args.target.as_deref())?;
    let mut session = Session::attach(&region)?;
    session.snapshot();
    session.wait_for_symbols(SYMBOLS);
    loop {
        let snapshot = session.snapshot();
        if let Some(problem) = session.problem() {
            return Err(problem.into());
        }
        let rows = session.waterfall(&snapshot);
        let fragmentation = session.fragmentation();
        let state = snapshot.target.state;
        show(args, out, snapshot, &rows, fragmentation)?;
        let Some(period) = args.watch else {
            return Ok(ExitCode::SUCCESS);
        };
        if state != TargetState::Live {
            return Err(top::gone(&session));
        }
        std::thread::sleep(period);
    }
}

fn show(
    args: &Args,
    out: &mut Output,
    snapshot: Snapshot,
    rows: &[Row],
    fragmentation: Fragmentation,
) -> Result<(), CliError> {
    if args.json {
        let document = Document {
            schema_version: SCHEMA_VERSION,
            figures_age_seconds: snapshot.memory.age_seconds,
            target: snapshot.target,
            rows: rows.to_vec(),
            fragmentation,
        };
        out.json(&document, args.watch.is_some())?;
    } else {
        table::print_heading(out, &snapshot)?;
        out.line(Ink::Plain, "")?;
        print(out, rows)?;
        print_fragmentation(out, &fragmentation)?;
    }
    out.flush()
}

/// Which classes and sites keep slabs, when that is worth saying.
fn print_fragmentation(out: &mut Output, found: &Fragmentation) -> Result<(), CliError> {
    let share = found.waste_bytes as f64 / (found.slab_bytes as f64).max(1.0);
    let little = share < WASTE_WORTH_A_LINE || found.waste_bytes < WASTE_MIN_BYTES;
    if little || found.age_seconds.is_none() {
        return Ok(());
    }
    out.line(Ink::Plain, "")?;
    out.line(
        Ink::Strong,
        &format!(
            "fragmentation: {} of {} in slabs of small blocks is unused ({:.0}%)",
            units::bytes(found.waste_bytes as f64),
            units::bytes(found.slab_bytes as f64),
            share * 100.0
        ),
    )?;
    for bin in found.bins.iter().take(LINES_MAX) {
        out.line(
            Ink::Plain,
            &format!(
                "  {} in blocks of {}: {} blocks in {} slabs, {:.0}% full",
                units::bytes(bin.waste_bytes as f64),
                bin.size,
                units::count(bin.blocks as f64),
                units::count(bin.slabs as f64),
                bin.occupancy * 100.0
            ),
        )?;
    }
    for site in found.sites.iter().take(LINES_MAX) {
        let place = match (&site.file, site.line) {
            (Some(file), Some(line)) => format!("  {file}:{line}"),
            _ => String::new(),
        };
        out.line(
            Ink::Plain,
            &format!(
                "  {} kept by {} live in {}{place}",
                units::bytes(site.waste_bytes as f64),
                units::bytes(site.live_bytes as f64),
                display_name(&site.function),
            ),
        )?;
    }
    Ok(())
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
                source(row),
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

/// Where a figure comes from, and what it is made of.
fn source(row: &Row) -> String {
    let groups = row
        .groups
        .iter()
        .filter(|group| group.resident_bytes > 0 && row.groups.len() > 1)
        .map(|group| {
            let bytes = units::bytes(group.resident_bytes as f64);
            format!("{} {bytes}", group.owner.describe())
        });
    let groups: Vec<String> = groups.collect();
    if groups.is_empty() {
        row.source.clone()
    } else {
        groups.join(", ")
    }
}
