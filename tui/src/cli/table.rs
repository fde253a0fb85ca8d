//! Tables and headings of the printing commands.

use std::time::Duration;

use riptide_reader::{
    profile::{Estimate, Site, Snapshot, TargetState, UnwinderKind},
    symbolize::display_name,
};

use super::{CliError, Output, output::Ink};
use crate::units::{self, Trend};

/// The word for a state.
pub(super) fn state_word(state: TargetState) -> &'static str {
    match state {
        TargetState::Live => "live",
        TargetState::Exited => "exited",
        TargetState::Killed => "killed",
        TargetState::Unknown => "unknown",
    }
}

/// Reads the time between two repetitions.
pub(super) fn parse_period(text: &str) -> Result<Duration, String> {
    match units::parse_seconds(text) {
        Some(seconds) if (0.1..=86_400.0).contains(&seconds) => {
            Ok(Duration::from_secs_f64(seconds))
        }
        Some(_) => Err("it must lie between 0.1 and 86400 seconds".to_owned()),
        None => Err("a number of seconds is needed, for example 2 or 500ms".to_owned()),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// Prints aligned columns; `sides` says `left` or `right` for each, the last is not padded.
pub(super) fn print(
    out: &mut Output,
    titles: &[&str],
    sides: &[&str],
    rows: &[Vec<String>],
    ink: impl Fn(usize) -> Ink,
) -> Result<(), CliError> {
    let mut widths: Vec<usize> = titles.iter().map(|title| width(title)).collect();
    for row in rows {
        for (width_of_column, cell) in widths.iter_mut().zip(row) {
            *width_of_column = (*width_of_column).max(width(cell));
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (index, ((cell, cells_wide), side)) in cells.zip(&widths).zip(sides).enumerate() {
            if index > 0 {
                line.push_str("  ");
            }
            let blanks = " ".repeat(cells_wide.saturating_sub(width(cell)));
            if *side == "right" {
                line.push_str(&blanks);
                line.push_str(cell);
            } else {
                line.push_str(cell);
                line.push_str(&blanks);
            }
        }
        line.trim_end().to_owned()
    };
    out.line(Ink::Strong, &line(&mut titles.iter().copied()))?;
    for (index, row) in rows.iter().enumerate() {
        out.line(ink(index), &line(&mut row.iter().map(String::as_str)))?;
    }
    Ok(())
}

fn unwinder_name(unwinder: UnwinderKind) -> &'static str {
    match unwinder {
        UnwinderKind::Undecided => "unwinder not chosen yet",
        UnwinderKind::FramePointers => "frame pointers",
        UnwinderKind::Dwarf => "unwind tables",
    }
}

/// `+1.62 MiB/s ±0.21`, or `-` while not known.
pub(super) fn growth(value: Option<&Estimate>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |value| match units::growth_with_error(value).split_once(" ±") {
            // `0 ±234 KiB` has its unit at the end.
            Some(("0", error)) => format!("0 ±{error}/s"),
            Some((figure, error)) => format!("{figure}/s ±{error}"),
            None => "?".to_owned(),
        },
    )
}

/// Whose snapshot it is, in two lines.
pub(super) fn print_heading(out: &mut Output, snapshot: &Snapshot) -> Result<(), CliError> {
    let target = &snapshot.target;
    let lived = match (target.uptime_seconds, target.state) {
        (Some(seconds), TargetState::Live) => format!(", up {}", units::duration(seconds)),
        (Some(seconds), _) => format!(", lived {}", units::duration(seconds)),
        (None, _) => String::new(),
    };
    let interval = if snapshot.sampling.interval_bytes == 1 {
        "every allocation".to_owned()
    } else {
        format!(
            "1 sample per {}",
            units::bytes(snapshot.sampling.interval_bytes as f64)
        )
    };
    out.line(
        Ink::Strong,
        &format!(
            "{} [{}]  {}{lived}; {interval}, {} samples, {}, cost {:.2}% CPU",
            target.name,
            target.pid,
            state_word(target.state),
            units::count(snapshot.sampling.samples as f64),
            unwinder_name(snapshot.sampling.unwinder),
            snapshot.sampling.cost_fraction * 100.0,
        ),
    )?;
    let bound = lower_bound(snapshot);
    let rss = snapshot
        .memory
        .rss
        .map_or_else(|| "unknown".to_owned(), |rss| units::bytes(rss as f64));
    let growing = snapshot
        .rates
        .growth_bytes_per_second
        .as_ref()
        .map(|value| format!("; growth {}", growth(Some(value))))
        .unwrap_or_default();
    out.line(
        Ink::Plain,
        &format!(
            "live heap {bound}{} in {bound}{} blocks; rss {rss}{growing}",
            units::bytes_with_error(&snapshot.live.bytes),
            units::count_with_error(&snapshot.live.objects),
        ),
    )?;
    if snapshot.loss.makes_live_a_lower_bound() {
        out.line(
            Ink::Warn,
            &format!(
                "{} sampled blocks have no record: live figures are lower bounds (>=)",
                snapshot.loss.unrecorded_blocks
            ),
        )?;
    }
    Ok(())
}

fn lower_bound(snapshot: &Snapshot) -> &'static str {
    if snapshot.loss.makes_live_a_lower_bound() {
        ">="
    } else {
        ""
    }
}

/// The sites of a snapshot in their order.
pub(super) fn print_sites(
    out: &mut Output,
    snapshot: &Snapshot,
    limit: usize,
) -> Result<(), CliError> {
    print_heading(out, snapshot)?;
    if snapshot.pending_symbols > 0 {
        out.line(
            Ink::Warn,
            &format!("{} stacks still wait for symbols", snapshot.pending_symbols),
        )?;
    }
    out.line(Ink::Plain, "")?;
    if snapshot.sites.is_empty() {
        return out.line(Ink::Dim, "no sampled blocks are live");
    }
    let shown: Vec<&Site> = snapshot
        .sites
        .iter()
        .take(if limit == 0 { usize::MAX } else { limit })
        .collect();
    let bound = lower_bound(snapshot);
    let rows: Vec<Vec<String>> = shown
        .iter()
        .map(|site| {
            vec![
                format!("{bound}{}", units::bytes_with_error(&site.live_bytes)),
                units::percent(site.live_bytes.estimate, snapshot.live.bytes.estimate),
                growth(site.growth_bytes_per_second.as_ref()),
                format!("{bound}{}", units::count_with_error(&site.live_objects)),
                site.allocations_per_second
                    .map_or_else(|| "-".to_owned(), units::count),
                site.median_age_seconds
                    .map_or_else(|| "-".to_owned(), units::duration),
                function_and_place(site),
            ]
        })
        .collect();
    let growing = |index: usize| {
        shown
            .get(index)
            .and_then(|site| site.growth_bytes_per_second)
            .is_some_and(|growth| units::trend(Some(&growth)) == Trend::Grows)
    };
    print(
        out,
        &["LIVE", "%", "GROWTH", "OBJECTS", "ALLOCS/S", "AGE", "SITE"],
        &["right", "right", "right", "right", "right", "right", "left"],
        &rows,
        |index| if growing(index) { Ink::Bad } else { Ink::Plain },
    )?;
    let hidden = snapshot.sites.len() - shown.len();
    if hidden > 0 {
        out.line(
            Ink::Dim,
            &format!("{hidden} more sites (--limit 0 prints all)"),
        )?;
    }
    Ok(())
}

fn function_and_place(site: &Site) -> String {
    let name = display_name(&site.function);
    match (&site.file, site.line) {
        (Some(file), Some(line)) => format!("{name}  {file}:{line}"),
        (Some(file), None) => format!("{name}  {file}"),
        _ => name.into_owned(),
    }
}
