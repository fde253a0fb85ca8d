//! One site: its figures and its heaviest stack.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use riptide_reader::{
    profile::{Frame as StackFrame, Site, Snapshot},
    symbolize::{display_name, is_runtime_frame},
};

use super::{
    centered,
    figures::{self, Figures},
    layout, lines, overview, rule, text,
};
use crate::{app::App, units};

/// Spare columns at both sides of the whole-screen form.
const MARGIN: u16 = 1;

/// How far the whole-screen form can be scrolled.
#[must_use]
pub fn scroll_max(app: &App) -> usize {
    let body = layout::areas(app).body;
    let (Some(site), Some(snapshot)) = (app.detail_site(), app.snapshot()) else {
        return 0;
    };
    let width = body.width.saturating_sub(2 * MARGIN);
    content(app, site, snapshot, width)
        .len()
        .saturating_sub(usize::from(body.height))
}

/// The whole-screen form.
pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let (Some(site), Some(snapshot)) = (app.detail_site(), app.snapshot()) else {
        centered(
            frame,
            area,
            vec![Line::styled(
                "this site holds no sampled blocks any more",
                app.theme.dim(),
            )],
        );
        return;
    };
    let inner = Rect {
        x: area.x + MARGIN,
        width: area.width.saturating_sub(2 * MARGIN),
        ..area
    };
    let content = content(app, site, snapshot, inner.width);
    lines(
        frame,
        inner,
        content
            .into_iter()
            .skip(app.detail_scroll)
            .take(usize::from(inner.height))
            .collect(),
    );
}

/// The form beside the table.
pub(super) fn render_pane(frame: &mut Frame, area: Rect, app: &App, site: &Site) {
    let Some(snapshot) = app.snapshot() else {
        return;
    };
    let content = content(app, site, snapshot, area.width);
    let height = usize::from(area.height);
    let hidden = content.len().saturating_sub(height);
    let mut shown: Vec<Line<'static>> = content.into_iter().take(height).collect();
    if hidden > 0
        && let Some(last) = shown.last_mut()
    {
        *last = Line::styled(
            format!("… {} lines more behind enter", hidden + 1),
            app.theme.dim(),
        );
    }
    lines(frame, area, shown);
}

fn content(app: &App, site: &Site, snapshot: &Snapshot, width: u16) -> Vec<Line<'static>> {
    let theme = app.theme;
    let cells = usize::from(width).max(1);
    let mut out: Vec<Line<'static>> = text::wrap(&display_name(&site.function), cells)
        .into_iter()
        .map(|line| Line::styled(line, theme.strong()))
        .collect();
    match overview::place(site) {
        Some(place) => out.extend(
            text::wrap(&place, cells)
                .into_iter()
                .map(|line| Line::styled(line, theme.line())),
        ),
        None => out.push(Line::styled("no file and line", theme.warn())),
    }
    out.push(Line::raw(""));
    let figures = Figures::of(snapshot);
    let average = if site.live_objects.estimate > 0.0 {
        units::bytes(site.live_bytes.estimate / site.live_objects.estimate)
    } else {
        "-".to_owned()
    };
    let rows = [
        (
            "live",
            format!(
                "{}  {} of the heap",
                figures.live_bytes(&site.live_bytes),
                units::percent(site.live_bytes.estimate, snapshot.live.bytes.estimate)
            ),
        ),
        (
            "objects",
            format!(
                "{}, {average} each",
                figures.live_objects(&site.live_objects)
            ),
        ),
        ("growth", {
            let growth = site.growth_bytes_per_second.as_ref();
            format!("{} {}", figures::growth(growth), figures::direction(growth))
        }),
        (
            "allocates",
            format!(
                "{} in all, {}/s",
                units::bytes_with_error(&site.allocated_bytes_total),
                figures::or_dash(site.allocations_per_second, units::count)
            ),
        ),
        (
            "age",
            format!(
                "median {}",
                figures::or_dash(site.median_age_seconds, units::duration)
            ),
        ),
        ("samples", format!("{} live", site.live_samples)),
    ];
    for (name, value) in rows {
        out.push(Line::from(vec![
            Span::styled(text::left(name, 11), theme.dim()),
            Span::raw(value),
        ]));
    }
    out.push(Line::raw(""));
    out.push(rule(
        "heaviest stack, innermost first",
        width,
        theme.strong(),
        theme.dim(),
    ));
    out.extend(stack(app, &site.stack, cells));
    out
}

fn stack(app: &App, stack: &[StackFrame], cells: usize) -> Vec<Line<'static>> {
    let theme = app.theme;
    let mut out = Vec::new();
    let mut folded = 0_usize;
    let fold = |folded: &mut usize, out: &mut Vec<Line<'static>>| {
        if *folded > 0 {
            let plural = if *folded == 1 { "frame" } else { "frames" };
            out.push(Line::styled(
                format!("   … {folded} runtime {plural}, x shows them"),
                theme.dim(),
            ));
            *folded = 0;
        }
    };
    for (number, frame) in stack.iter().enumerate() {
        let runtime = is_runtime_frame(frame);
        if runtime && !app.sites.runtime_frames {
            folded += 1;
            continue;
        }
        fold(&mut folded, &mut out);
        let style = if runtime { theme.dim() } else { theme.text() };
        let mark = if frame.inlined { " (inlined)" } else { "" };
        let label = format!("{number:>2} ");
        let indent = text::width(&label);
        let room = cells.saturating_sub(indent);
        let name = display_name(&frame.function);
        let name = if text::width(&name) + mark.len() > room {
            format!("{}{mark}", text::without_arguments(&name))
        } else {
            format!("{name}{mark}")
        };
        for (index, part) in text::wrap(&name, room).into_iter().enumerate() {
            let head = if index == 0 {
                label.clone()
            } else {
                " ".repeat(indent)
            };
            out.push(Line::from(vec![
                Span::styled(head, theme.dim()),
                Span::styled(part, style),
            ]));
        }
        let place = match (&frame.file, frame.line, &frame.module) {
            (Some(file), Some(line), _) => Some(format!("{file}:{line}")),
            (Some(file), None, _) => Some(file.clone()),
            (None, _, Some(module)) => Some(format!("in {module}")),
            (None, _, None) => None,
        };
        if let Some(place) = place {
            out.push(Line::styled(
                format!("{}{}", " ".repeat(indent), text::keep_end(&place, room)),
                theme.dim(),
            ));
        }
    }
    fold(&mut folded, &mut out);
    if out.is_empty() {
        out.push(Line::styled("no frames", theme.dim()));
    }
    out
}
