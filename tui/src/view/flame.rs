//! The flame graph, hanging down from its root: an icicle.

use std::sync::Arc;

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
};
use riptide_reader::symbolize::display_name;

use super::{layout, lines, text, waiting};
use crate::{
    app::App,
    flame::{Cell, Lens, Metric},
    units,
};

/// Lines above the graph, and below it for what is selected.
const HEAD: u16 = 1;
const FOOT: u16 = 3;
/// Rows that are laid out at most.
const DEPTH_MAX: usize = 400;

/// A frame where it is drawn.
#[derive(Clone, Debug)]
pub struct Placed {
    /// Function.
    pub name: Arc<str>,
    /// Names from the root.
    pub path: Vec<Arc<str>>,
    /// First column.
    pub column: u16,
    /// Columns.
    pub width: u16,
    value: f64,
    base: Option<f64>,
}

fn graph(body: Rect) -> Rect {
    let head = HEAD.min(body.height);
    let foot = FOOT.min(body.height - head);
    Rect {
        y: body.y + head,
        height: body.height - head - foot,
        ..body
    }
}

/// Rows of the graph on a page.
#[must_use]
pub fn rows(app: &App) -> usize {
    usize::from(graph(layout::areas(app).body).height)
}

fn lens(app: &App) -> Option<Lens<'_>> {
    Some(Lens {
        tree: app.parts()?.flame.as_deref()?,
        base: app.base.as_ref().and_then(|base| base.flame.as_deref()),
        metric: app.flame.metric,
        fold: !app.sites.runtime_frames,
    })
}

/// What is drawn, row by row from what is zoomed into.
#[must_use]
pub fn lay_out(app: &App) -> Vec<Vec<Placed>> {
    let width = layout::areas(app).body.width;
    let Some(lens) = lens(app) else {
        return Vec::new();
    };
    let (root, depth) = lens.find(&app.flame.zoom);
    if root.value <= 0.0 || width == 0 {
        return Vec::new();
    }
    let path: Vec<Arc<str>> = app.flame.zoom.iter().take(depth).cloned().collect();
    let mut rows = Vec::new();
    let mut row = vec![(place(&root, path, 0, width), root)];
    while !row.is_empty() && rows.len() < DEPTH_MAX {
        let mut next = Vec::new();
        for (parent, cell) in &row {
            let mut sum = 0.0;
            for child in lens.children(cell) {
                let edge = |value: f64| {
                    let share = (value / cell.value).clamp(0.0, 1.0);
                    (share * f64::from(parent.width)).round() as u16
                };
                let from = edge(sum);
                sum += child.value;
                let to = edge(sum);
                if to <= from {
                    continue;
                }
                let mut path = parent.path.clone();
                path.push(Arc::clone(&child.name));
                next.push((place(&child, path, parent.column + from, to - from), child));
            }
        }
        rows.push(row.into_iter().map(|(placed, _)| placed).collect());
        row = next;
    }
    rows
}

fn place(cell: &Cell, path: Vec<Arc<str>>, column: u16, width: u16) -> Placed {
    Placed {
        name: Arc::clone(&cell.name),
        path,
        column,
        width,
        value: cell.value,
        base: cell.base,
    }
}

/// The frame under the mouse.
#[must_use]
pub fn cell_at<'a>(app: &App, rows: &'a [Vec<Placed>], at: Position) -> Option<&'a Placed> {
    let area = graph(layout::areas(app).body);
    if !area.contains(at) {
        return None;
    }
    let row = rows.get(usize::from(at.y - area.y) + app.flame.offset)?;
    row.iter().find(|cell| {
        let column = at.x - area.x;
        (cell.column..cell.column + cell.width).contains(&column)
    })
}

/// A function in few cells: without arguments, then without the path before its last parts.
fn short(name: &str, cells: usize) -> String {
    let name = display_name(name);
    if text::width(&name) <= cells {
        return name.into_owned();
    }
    let name = text::without_arguments(&name);
    let mut rest = name.as_str();
    while text::width(rest) > cells {
        match rest.split_once("::") {
            // A closure alone says nothing of where it is.
            Some((_, tail)) if !tail.is_empty() && !tail.starts_with('{') => rest = tail,
            _ => break,
        }
    }
    text::keep_start(rest, cells)
}

/// How far a frame grew (to 1) or shrank (to -1).
fn change(cell: &Placed) -> Option<f64> {
    let base = cell.base?;
    let more = cell.value.max(base);
    // Less than a hundredth is no change worth a colour.
    let change = if more > 0.0 {
        (cell.value - base) / more
    } else {
        0.0
    };
    Some(if change.abs() < 0.01 { 0.0 } else { change })
}

fn style(app: &App, cell: &Placed) -> Style {
    let theme = app.theme;
    let shade = cell.name.bytes().fold(0_u8, u8::wrapping_add);
    let base = match app.flame.metric {
        Metric::Growth if cell.base.is_none() => theme.flame(shade, Some(0.5)),
        _ => theme.flame(shade, change(cell)),
    };
    if app.flame.is_hit(&cell.name) {
        return theme.hit();
    }
    base
}

fn text_of(app: &App, cell: &Placed) -> String {
    let width = usize::from(cell.width);
    if width < 2 {
        return "│".to_owned();
    }
    let sign = match change(cell) {
        Some(change) if change > 0.0 => "+",
        Some(change) if change < 0.0 => "-",
        _ => "",
    };
    let hit = if app.flame.is_hit(&cell.name) {
        "*"
    } else {
        ""
    };
    let name = short(&cell.name, width.saturating_sub(1 + sign.len() + hit.len()));
    let whole = format!("│{hit}{sign}{name}");
    text::left(&text::keep_start(&whole, width), width)
}

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    let Some(lens) = lens(app) else {
        waiting(frame, area, app);
        return;
    };
    let head = Rect {
        height: HEAD.min(area.height),
        ..area
    };
    let metric = app.flame.metric;
    let rows = &app.flame.rows;
    let Some(root) = rows.first().and_then(|row| row.first()) else {
        let words = match metric {
            Metric::Growth if !lens.tree.has_growth => "growth is not known yet".to_owned(),
            Metric::Growth => "nothing grows".to_owned(),
            _ => format!("there are no {}", metric.name()),
        };
        let line = format!(
            "{words}; {} shows another metric",
            app.keymap.label(crate::keys::Action::Metric)
        );
        super::centered(frame, area, vec![Line::styled(line, theme.dim())]);
        return;
    };
    lines(frame, head, vec![heading(app, &lens, root, head.width)]);
    let graph = graph(area);
    let visible = rows
        .iter()
        .skip(app.flame.offset)
        .take(usize::from(graph.height));
    for (y, row) in visible.enumerate() {
        for cell in row {
            let selected = cell.path == app.flame.selected;
            let base = style(app, cell);
            let style = if selected {
                theme.selected_frame(base)
            } else {
                base
            };
            let text = text_of(app, cell);
            let x = graph.x + cell.column;
            let y = graph.y + y as u16;
            frame
                .buffer_mut()
                .set_stringn(x, y, text, usize::from(cell.width), style);
        }
    }
    let foot = Rect {
        y: graph.bottom(),
        height: area.bottom() - graph.bottom(),
        ..area
    };
    let selected = rows
        .iter()
        .flatten()
        .find(|cell| cell.path == app.flame.selected);
    if let Some(selected) = selected {
        lines(frame, foot, footing(app, &lens, selected, root, foot));
    }
    let deepest = rows.len();
    let shown = app.flame.offset + usize::from(graph.height);
    if deepest > shown && foot.height > 0 {
        let note = format!("▼ {} rows more ", deepest - shown);
        let width = text::width(&note) as u16;
        if width < foot.width {
            let x = foot.right() - width;
            frame
                .buffer_mut()
                .set_stringn(x, foot.y, note, usize::from(width), theme.dim());
        }
    }
}

fn figure(metric: Metric, value: f64) -> String {
    match metric {
        Metric::Live | Metric::Alloc => units::bytes(value),
        Metric::Objects => units::count(value),
        Metric::Growth => format!("{}/s", units::bytes(value)),
    }
}

/// The whole with its error, where it is known.
fn whole(app: &App, metric: Metric, value: f64) -> String {
    let live = app.snapshot().map(|snapshot| snapshot.live);
    match (metric, live) {
        (Metric::Live, Some(live)) => units::bytes_with_error(&live.bytes),
        (Metric::Objects, Some(live)) => units::count_with_error(&live.objects),
        _ => figure(metric, value),
    }
}

fn heading(app: &App, lens: &Lens<'_>, root: &Placed, width: u16) -> Line<'static> {
    let theme = app.theme;
    let metric = app.flame.metric;
    let all = lens.root();
    let mut spans = vec![
        Span::styled(format!(" {} ", metric.name()), theme.strong()),
        Span::raw(whole(app, metric, all.value)),
    ];
    if !app.flame.zoom.is_empty() {
        spans.push(Span::styled(
            format!("  zoomed: {}", units::percent(root.value, all.value)),
            theme.strong(),
        ));
    }
    if let Some(base) = &app.base {
        let words = if base.flame.is_none() {
            "  the base has no flame graph".to_owned()
        } else {
            format!(
                "  {} against the base: + grew, - shrank",
                signed(metric, root)
            )
        };
        spans.push(Span::styled(words, theme.strong()));
    }
    let searched = app.flame.searched();
    if !searched.is_empty() {
        let (zoomed, _) = lens.find(&root.path);
        let sum = lens.value_of_hits(&zoomed, |name| app.flame.is_hit(name));
        spans.push(Span::styled(
            format!(
                "  * {searched}: {} of what is shown",
                units::percent(sum, root.value)
            ),
            theme.hit(),
        ));
    }
    if !app.sites.runtime_frames {
        spans.push(Span::styled("  runtime frames are folded", theme.dim()));
    }
    // What does not fit is left out whole, from the end.
    let mut used = 0;
    spans.retain(|span| {
        used += span.width();
        used <= usize::from(width)
    });
    Line::from(spans)
}

fn signed(metric: Metric, cell: &Placed) -> String {
    let Some(base) = cell.base else {
        return String::new();
    };
    let sign = if cell.value >= base { "+" } else { "-" };
    format!("{sign}{}", figure(metric, (cell.value - base).abs()))
}

fn footing(
    app: &App,
    lens: &Lens<'_>,
    cell: &Placed,
    root: &Placed,
    area: Rect,
) -> Vec<Line<'static>> {
    let theme = app.theme;
    let width = usize::from(area.width.saturating_sub(1));
    let metric = app.flame.metric;
    let name = display_name(&cell.name);
    // Room for the note about rows below.
    let name = text::keep_end(&name, width.saturating_sub(18));
    let mut figures = format!(
        "{}  {} of what is shown, {} of all",
        figure(metric, cell.value),
        units::percent(cell.value, root.value),
        units::percent(cell.value, lens.root().value)
    );
    if cell.base.is_some() {
        figures.push_str(&format!("  {} against the base", signed(metric, cell)));
    }
    let place = lens.tree.place(&cell.name);
    let place = place.map_or_else(String::new, |(file, line)| format!("{file}:{line}"));
    vec![
        Line::styled(format!(" {name}"), theme.strong()),
        Line::raw(format!(" {figures}")),
        Line::styled(format!(" {}", text::keep_end(&place, width)), theme.line()),
    ]
}
