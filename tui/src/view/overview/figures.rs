//! The right-hand side of the Overview: the memory map, findings, rates, the target.

use ratatui::{
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use riptide_reader::{
    leak::Verdict,
    profile::{Memory, Snapshot},
};

use super::super::{
    figures::{self, Figures},
    layout, rule, text,
};
use crate::{
    app::App,
    units::{self, Trend},
};

/// A row of the right-hand side; those of low rank give way when there is no room.
struct Figure {
    rank: u8,
    line: Line<'static>,
}

fn figure(rank: u8, name: &str, value: String, note: &str, style: Style, dim: Style) -> Figure {
    let mut spans = vec![
        Span::styled(text::left(name, 10), dim),
        Span::styled(value, style),
    ];
    if !note.is_empty() {
        spans.push(Span::styled(format!("  {note}"), dim));
    }
    Figure {
        rank,
        line: Line::from(spans),
    }
}

pub(super) fn figure_lines(app: &App, snapshot: &Snapshot, area: Rect) -> Vec<Line<'static>> {
    let theme = app.theme;
    let wide = layout::is_wide(app);
    let (plain, dim) = (theme.text(), theme.dim());
    let memory = &snapshot.memory;
    let size = |value: Option<u64>| figures::or_dash(value.map(|v| v as f64), units::bytes);
    let note = |text: String| if wide { text } else { String::new() };
    let mut rows = vec![
        Figure {
            rank: 4,
            line: rule("memory", area.width, theme.strong(), dim),
        },
        figure(
            0,
            "live",
            Figures::of(snapshot).live_bytes(&snapshot.live.bytes),
            "",
            theme.strong(),
            dim,
        ),
        figure(
            2,
            "allocated",
            size(memory.allocated),
            &note(allocated_note(memory)),
            plain,
            dim,
        ),
        figure(
            5,
            "active",
            size(memory.active),
            &note(step_note(memory.allocated, memory.active, "free in slabs")),
            plain,
            dim,
        ),
        figure(
            3,
            "resident",
            size(memory.resident),
            &note(step_note(memory.active, memory.resident, "dirty, metadata")),
            plain,
            dim,
        ),
        figure(
            7,
            "retained",
            size(memory.retained),
            &note("address space only".to_owned()),
            plain,
            dim,
        ),
        figure(
            0,
            "rss",
            size(memory.rss),
            &note(step_note(memory.resident, memory.rss, "not jemalloc")),
            theme.strong(),
            dim,
        ),
    ];
    rows.extend(cgroup_rows(app, snapshot));
    rows.extend(findings_row(app));
    rows.extend(alerts_row(app));
    let rates = &snapshot.rates;
    rows.push(Figure {
        rank: if wide { 6 } else { 8 },
        line: rule("rates", area.width, theme.strong(), dim),
    });
    rows.push(figure(
        5,
        "allocates",
        match (
            rates.allocated_bytes_per_second,
            rates.allocations_per_second,
        ) {
            (Some(bytes), Some(count)) => {
                format!("{}/s  {}/s", units::bytes(bytes), units::count(count))
            }
            _ => "-".to_owned(),
        },
        "",
        plain,
        dim,
    ));
    let growth = rates.growth_bytes_per_second;
    let style = match figures::direction(growth.as_ref()) {
        "▲" => theme.bad(),
        "▼" => theme.good(),
        _ => plain,
    };
    rows.push(figure(
        1,
        "growth",
        figures::growth(growth.as_ref()),
        "",
        style,
        dim,
    ));
    if wide {
        rows.extend(wide_rows(app, snapshot, area));
    }
    fit(rows, usize::from(area.height))
}

/// Leaves out the rows of the highest ranks until the rest fits.
fn fit(mut rows: Vec<Figure>, height: usize) -> Vec<Line<'static>> {
    while rows.len() > height {
        let Some(last) = rows
            .iter()
            .enumerate()
            .max_by_key(|(_, row)| row.rank)
            .map(|(index, _)| index)
        else {
            break;
        };
        rows.remove(last);
    }
    rows.into_iter().map(|row| row.line).collect()
}

fn step_note(from: Option<u64>, to: Option<u64>, what: &str) -> String {
    match (from, to) {
        (Some(from), Some(to)) if to >= from => {
            format!("+{} {what}", units::bytes((to - from) as f64))
        }
        (Some(from), Some(to)) => format!("-{}", units::bytes((from - to) as f64)),
        _ => String::new(),
    }
}

fn allocated_note(memory: &Memory) -> String {
    memory
        .rounding
        .map(|rounding| format!("+{} rounding", units::bytes(rounding.estimate)))
        .unwrap_or_default()
}

fn cgroup_rows(app: &App, snapshot: &Snapshot) -> Vec<Figure> {
    let theme = app.theme;
    let memory = &snapshot.memory;
    let Some(usage) = memory.cgroup_usage else {
        return Vec::new();
    };
    let Some(limit) = memory.cgroup_limit else {
        return vec![figure(
            4,
            "cgroup",
            units::bytes(usage as f64),
            "no limit",
            theme.text(),
            theme.dim(),
        )];
    };
    let mut rows = vec![figure(
        4,
        "cgroup",
        format!(
            "{} of {}",
            units::bytes(usage as f64),
            units::bytes(limit as f64)
        ),
        &units::percent(usage as f64, limit as f64),
        if usage as f64 > 0.9 * limit as f64 {
            theme.bad()
        } else {
            theme.text()
        },
        theme.dim(),
    )];
    if let Some(growth) = snapshot.rates.growth_bytes_per_second
        && units::trend(Some(&growth)) == Trend::Grows
        && limit > usage
    {
        let room = (limit - usage) as f64;
        rows.push(figure(
            3,
            "full in",
            format!(
                "{} to {}",
                units::duration(room / growth.high),
                units::duration(room / growth.low)
            ),
            "",
            theme.bad(),
            theme.dim(),
        ));
    }
    rows
}

/// How many sites leak or grow.
fn findings_row(app: &App) -> Option<Figure> {
    let theme = app.theme;
    let findings = app.parts()?.findings.as_deref()?;
    let (leaks, growing) = (
        findings.count(Verdict::Leak),
        findings.count(Verdict::Growing),
    );
    let (text, style) = match (leaks, growing) {
        (0, 0) => ("none so far".to_owned(), theme.text()),
        (0, growing) => (format!("{growing} growing"), theme.warn()),
        (leaks, 0) => (format!("{leaks} leak"), theme.bad()),
        (leaks, growing) => (format!("{leaks} leak, {growing} growing"), theme.bad()),
    };
    let note = match findings.ignored.len() {
        0 => String::new(),
        ignored => format!("{ignored} ignored"),
    };
    Some(figure(2, "findings", text, &note, style, theme.dim()))
}

/// How many alerts are active that the user has not seen.
fn alerts_row(app: &App) -> Option<Figure> {
    let theme = app.theme;
    let alerts = app.parts()?.alerts.as_deref()?;
    let open = alerts.active.iter().map(|of| &of.alert);
    let open = open.filter(|alert| !app.acknowledged.contains(&alert.id));
    let worst = open.clone().map(|alert| alert.severity).max()?;
    let text = match open.count() {
        1 => format!("1 {}", worst.word()),
        count => format!("{count}, worst {}", worst.word()),
    };
    let note = if layout::is_wide(app) {
        "8 shows them"
    } else {
        ""
    };
    Some(figure(2, "alerts", text, note, theme.bad(), theme.dim()))
}

/// What has its place only on a wide screen.
fn wide_rows(app: &App, snapshot: &Snapshot, area: Rect) -> Vec<Figure> {
    let theme = app.theme;
    let (plain, dim) = (theme.text(), theme.dim());
    let room = usize::from(area.width.saturating_sub(10));
    let mut rows = vec![Figure {
        rank: 8,
        line: rule("target", area.width, theme.strong(), dim),
    }];
    let mut add = |rank, name: &str, value: String| {
        rows.push(figure(
            rank,
            name,
            text::keep_end(&value, room),
            "",
            plain,
            dim,
        ));
    };
    if let Some(executable) = &snapshot.target.executable {
        add(8, "program", executable.display().to_string());
    }
    add(9, "region", snapshot.target.region.display().to_string());
    add(
        8,
        "sampling",
        format!(
            "{} samples, 1 per {}",
            units::count(snapshot.sampling.samples as f64),
            units::bytes(snapshot.sampling.interval_bytes as f64)
        ),
    );
    let loss = &snapshot.loss;
    add(
        8,
        "lost",
        format!(
            "{} overwritten, {} dropped, {} torn",
            loss.overwritten, loss.dropped, loss.torn
        ),
    );
    add(
        8,
        "",
        format!("{} blocks without a record", loss.unrecorded_blocks),
    );
    rows
}
