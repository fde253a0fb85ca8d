//! jemalloc from inside: the way from live bytes to RSS, slabs and their waste, options, advice.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use riptide_reader::{
    advise::{Advice, GainUnit},
    symbolize::display_name,
    waterfall::{Row, RowKind},
};

use super::{layout, lines, rule, shapes::bar, stack::place, text, waiting};
use crate::{app::App, look::Jemalloc, units};

/// Size classes and sites listed.
const LINES_MAX: usize = 12;

/// Where the parts lie: the waterfall, the rest. On a narrow screen the rest is all there is, with the
/// waterfall above it, and scrolls.
fn plan(app: &App, body: Rect) -> (Rect, Rect) {
    if !layout::is_wide(app) {
        return (Rect { width: 0, ..body }, body);
    }
    let width = body.width * 9 / 20;
    let rest = Rect {
        x: body.x + width + 2,
        width: body.width - width - 2,
        ..body
    };
    (Rect { width, ..body }, rest)
}

/// How far it can be scrolled.
#[must_use]
pub fn scroll_max(app: &App) -> usize {
    let (left, right) = plan(app, layout::areas(app).body);
    let Some(found) = found(app) else {
        return 0;
    };
    let over = |lines: usize, area: Rect| lines.saturating_sub(usize::from(area.height));
    over(content(app, found, left, right).1.len(), right)
}

fn found(app: &App) -> Option<&Jemalloc> {
    app.parts()?.jemalloc.as_deref()
}

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let Some(found) = found(app) else {
        waiting(frame, area, app);
        return;
    };
    let (left, right) = plan(app, area);
    let (waterfall, rest) = content(app, found, left, right);
    let height = usize::from(area.height);
    lines(frame, left, waterfall.into_iter().take(height).collect());
    let rest: Vec<Line<'static>> = rest.into_iter().skip(app.jemalloc_scroll).collect();
    let hidden = rest.len().saturating_sub(height);
    let mut shown: Vec<Line<'static>> = rest.into_iter().take(height).collect();
    if hidden > 0
        && let Some(last) = shown.last_mut()
    {
        let note = format!("… {} lines more below", hidden + 1);
        *last = Line::styled(note, app.theme.dim());
    }
    lines(frame, right, shown);
}

fn content(
    app: &App,
    found: &Jemalloc,
    left: Rect,
    right: Rect,
) -> (Vec<Line<'static>>, Vec<Line<'static>>) {
    let waterfall = |width| waterfall(app, &found.rows, width);
    let mut rest = Vec::new();
    if left.width == 0 {
        rest.extend(waterfall(right.width));
        rest.push(Line::raw(""));
    }
    rest.extend(advice(app, &found.advice, right.width));
    rest.push(Line::raw(""));
    rest.extend(slabs(app, found, right.width));
    rest.push(Line::raw(""));
    rest.extend(settings(app, found, right.width));
    let left = if left.width > 0 {
        waterfall(left.width)
    } else {
        Vec::new()
    };
    (left, rest)
}

/// The rows from live to the limit of the cgroup, each with its bar.
fn waterfall(app: &App, rows: &[Row], width: u16) -> Vec<Line<'static>> {
    let theme = app.theme;
    let mut out = vec![rule(
        "from live bytes to RSS",
        width,
        theme.strong(),
        theme.dim(),
    )];
    let figure = |row: &Row| match (&row.interval, row.bytes) {
        (Some(interval), _) => units::bytes_with_error(interval),
        (None, Some(bytes)) => units::bytes(bytes as f64),
        (None, None) => "-".to_owned(),
    };
    let name = |row: &Row| {
        let name = row.name.replace('_', " ");
        match row.kind {
            RowKind::Part => format!("+ {name}"),
            RowKind::Sum => format!("= {name}"),
        }
    };
    // Address space, limits, and what others use in the cgroup would make the rest look like nothing.
    let is_of_memory = |row: &Row| {
        !matches!(
            row.name,
            "virtual" | "retained" | "cgroup_current" | "cgroup_limit"
        )
    };
    let most = rows
        .iter()
        .filter(|row| is_of_memory(row))
        .filter_map(|row| row.bytes)
        .max()
        .unwrap_or(1)
        .max(1);
    let names = rows.iter().map(|row| text::width(&name(row))).max();
    let figures = rows.iter().map(|row| text::width(&figure(row))).max();
    let (names, figures) = (names.unwrap_or(0), figures.unwrap_or(0));
    let room = usize::from(width).saturating_sub(names + figures + 4);
    for row in rows {
        let share = row.bytes.unwrap_or(0) as f64 / most as f64;
        let bar = if is_of_memory(row) {
            bar(share.max(0.0), room)
        } else {
            String::new()
        };
        let (style, paint): (Style, Style) = match row.kind {
            RowKind::Sum => (theme.strong(), theme.line()),
            RowKind::Part => (theme.text(), theme.band()),
        };
        out.push(Line::from(vec![
            Span::styled(format!("{}  ", text::left(&name(row), names)), style),
            Span::styled(format!("{}  ", text::right(&figure(row), figures)), style),
            Span::styled(bar, paint),
        ]));
        for group in &row.groups {
            let bytes = units::bytes(group.resident_bytes as f64);
            // The words give way, never the figure.
            let room = usize::from(width).saturating_sub(text::width(&bytes) + 6);
            let words = text::keep_start(group.owner.describe(), room);
            out.push(Line::styled(format!("    {words}: {bytes}"), theme.dim()));
        }
    }
    out
}

fn gain(advice: &Advice) -> String {
    let gain = &advice.gain;
    let figure = |value: f64| match gain.unit {
        GainUnit::AllocationsPerSecond => units::count(value),
        _ => units::bytes(value),
    };
    let what = match gain.unit {
        GainUnit::RssBytes => " of RSS",
        GainUnit::PeakRssBytes => " of the peak RSS",
        GainUnit::AllocatedBytesPerSecond => " allocated a second",
        GainUnit::AllocationsPerSecond => " allocations a second",
    };
    format!(
        "save {}{what} ({} to {})",
        figure(gain.amount.estimate),
        figure(gain.amount.low),
        figure(gain.amount.high)
    )
}

fn advice(app: &App, advice: &[Advice], width: u16) -> Vec<Line<'static>> {
    let theme = app.theme;
    let cells = usize::from(width);
    let mut out = vec![rule("advice", width, theme.strong(), theme.dim())];
    if advice.is_empty() {
        let note = "nothing to advise: no waste above the thresholds was measured";
        out.extend(text::wrap(note, cells).into_iter().map(Line::raw));
        return out;
    }
    for (number, one) in (1..).zip(advice) {
        let headline = format!("{number}. {}", gain(one));
        out.push(Line::styled(
            text::keep_start(&headline, cells),
            theme.strong(),
        ));
        if let Some(function) = &one.function {
            let name = display_name(function);
            let place = place(one.file.as_ref(), one.line);
            let place = place.map_or_else(String::new, |place| format!("  {place}"));
            let text = text::keep_end(&format!("{name}{place}"), cells.saturating_sub(3));
            out.push(Line::raw(format!("   {text}")));
        }
        let action = format!("→ {}", one.action);
        for part in text::wrap(&action, cells.saturating_sub(3)) {
            out.push(Line::styled(format!("   {part}"), theme.good()));
        }
        for sentence in &one.evidence {
            for part in text::wrap(sentence, cells.saturating_sub(3)) {
                out.push(Line::styled(format!("   {part}"), theme.dim()));
            }
        }
    }
    out
}

fn slabs(app: &App, found: &Jemalloc, width: u16) -> Vec<Line<'static>> {
    let theme = app.theme;
    let cells = usize::from(width);
    let of = &found.fragmentation;
    let title = format!(
        "slabs of small blocks: {} of {} unused ({})",
        units::bytes(of.waste_bytes as f64),
        units::bytes(of.slab_bytes as f64),
        units::percent(of.waste_bytes as f64, of.slab_bytes as f64)
    );
    let title = text::keep_start(&title, cells.saturating_sub(1));
    let mut out = vec![rule(&title, width, theme.strong(), theme.dim())];
    if of.age_seconds.is_none() {
        out.push(Line::styled("jemalloc was not asked yet", theme.dim()));
        return out;
    }
    let rows: Vec<[String; 5]> = of
        .bins
        .iter()
        .take(LINES_MAX)
        .map(|bin| {
            [
                units::bytes(bin.size as f64),
                units::count(bin.blocks as f64),
                units::count(bin.slabs as f64),
                format!("{:.0}%", bin.occupancy * 100.0),
                units::bytes(bin.waste_bytes as f64),
            ]
        })
        .collect();
    const TITLES: [&str; 5] = ["class", "blocks", "slabs", "full", "unused"];
    let mut widths = TITLES.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(text::width(cell));
        }
    }
    let line = |cells: &[&str]| {
        let cells = cells.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| text::right(cell, width))
            .collect();
        cells.join("  ")
    };
    if !rows.is_empty() {
        out.push(Line::styled(line(&TITLES), theme.dim()));
    }
    let used: usize = widths.iter().map(|width| width + 2).sum();
    let most = of.bins.first().map_or(1, |bin| bin.waste_bytes).max(1);
    for (row, bin) in rows.iter().zip(&of.bins) {
        let cells_of: Vec<&str> = row.iter().map(String::as_str).collect();
        let share = bin.waste_bytes as f64 / most as f64;
        out.push(Line::from(vec![
            Span::raw(format!("{}  ", line(&cells_of))),
            Span::styled(bar(share, cells.saturating_sub(used)), theme.band()),
        ]));
    }
    if !of.sites.is_empty() {
        out.push(Line::styled("whose blocks keep them:", theme.dim()));
    }
    for site in of.sites.iter().take(LINES_MAX / 2) {
        let kept = units::bytes(site.waste_bytes as f64);
        let name = display_name(&site.function);
        let room = cells.saturating_sub(12);
        out.push(Line::raw(format!(
            "{}  {}",
            text::right(&kept, 10),
            text::keep_end(&name, room)
        )));
    }
    out
}

fn settings(app: &App, found: &Jemalloc, width: u16) -> Vec<Line<'static>> {
    let theme = app.theme;
    let mut out = vec![rule("in force", width, theme.strong(), theme.dim())];
    let cells = usize::from(width);
    let memory = app.snapshot().map(|snapshot| snapshot.memory);
    let size =
        |bytes: Option<u64>| bytes.map_or_else(|| "-".to_owned(), |b| units::bytes(b as f64));
    let memory = memory.unwrap_or_default();
    let rows = [
        (
            "arenas",
            found
                .arenas
                .map_or_else(|| "-".to_owned(), |arenas| arenas.to_string()),
        ),
        (
            "tcaches",
            format!(
                "{} free in the caches of threads",
                size(memory.thread_caches)
            ),
        ),
        (
            "pages",
            format!(
                "dirty {}, muzzy {}, retained {}",
                size(memory.dirty),
                size(memory.muzzy),
                size(memory.retained)
            ),
        ),
        (
            "figures",
            match (memory.age_seconds, found.epoch_seconds) {
                (Some(age), Some(took)) => format!(
                    "{} old; the target took {:.0} µs for them",
                    units::duration(age),
                    took * 1e6
                ),
                (Some(age), None) => format!("{} old", units::duration(age)),
                _ => "never taken".to_owned(),
            },
        ),
        (
            "options",
            match found.options.as_deref() {
                None => "not known: the environment cannot be read".to_owned(),
                Some("") => "jemalloc's own: _RJEM_MALLOC_CONF is not set".to_owned(),
                Some(options) => format!("_RJEM_MALLOC_CONF={options}"),
            },
        ),
    ];
    for (name, value) in rows {
        for (index, part) in text::wrap(&value, cells.saturating_sub(9))
            .into_iter()
            .enumerate()
        {
            let name = if index == 0 { name } else { "" };
            out.push(Line::from(vec![
                Span::styled(text::left(name, 9), theme.dim()),
                Span::raw(part),
            ]));
        }
    }
    out
}
