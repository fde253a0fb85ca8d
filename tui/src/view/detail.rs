//! One site: its figures, its heaviest stack, the source of the selected frame.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use riptide_reader::{
    leak::Verdict,
    profile::{Inspection, Site, Snapshot},
    symbolize::display_name,
};

use super::{
    centered,
    figures::{self, Figures},
    layout, lines, overview, rule, source,
    stack::{Stack, stack},
    text,
};
use crate::{
    app::{App, SiteKey},
    units,
};

/// Spare columns at both sides of the whole-screen form.
const MARGIN: u16 = 1;
/// Width of the names of figures.
const NAME: usize = 11;

/// Where the parts lie: figures and stack, source.
fn plan(app: &App, body: Rect) -> (Rect, Rect) {
    let inner = Rect {
        x: body.x + MARGIN.min(body.width),
        width: body.width.saturating_sub(2 * MARGIN),
        ..body
    };
    if app.detail.source_only {
        return (Rect { height: 0, ..inner }, inner);
    }
    if layout::is_wide(app) {
        let width = inner.width / 2;
        let right = Rect {
            x: inner.x + width + 1,
            width: inner.width - width - 1,
            ..inner
        };
        return (Rect { width, ..inner }, right);
    }
    let height = (inner.height / 3).clamp(3, 12).min(inner.height);
    let top = Rect {
        height: inner.height - height,
        ..inner
    };
    let bottom = Rect {
        y: inner.y + inner.height - height,
        height,
        ..inner
    };
    (top, bottom)
}

/// The first line shown, so that the selected frame is seen.
#[must_use]
pub fn settled_scroll(app: &App) -> usize {
    let (area, _) = plan(app, layout::areas(app).body);
    let (Some(site), Some(snapshot)) = (app.detail_site(), app.snapshot()) else {
        return 0;
    };
    let content = content(app, site, snapshot, area.width, Some(app.detail.selected));
    let height = usize::from(area.height);
    let last = content.lines.len().saturating_sub(height);
    let scroll = app.detail.scroll.min(last);
    let Some(frame) = content.frames.get(app.detail.selected) else {
        return scroll;
    };
    if app.detail.selected == 0 && scroll == 0 {
        // The figures come first.
        return 0;
    }
    if frame.start < scroll {
        frame.start
    } else if frame.end > scroll + height {
        frame.end.saturating_sub(height).min(last)
    } else {
        scroll
    }
}

/// The whole-screen form.
pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let (Some(site), Some(snapshot)) = (app.detail_site(), app.snapshot()) else {
        centered(
            frame,
            area,
            vec![Line::styled(
                "this site holds no sampled blocks at this moment",
                app.theme.dim(),
            )],
        );
        return;
    };
    let (left, right) = plan(app, area);
    let content = content(app, site, snapshot, left.width, Some(app.detail.selected));
    lines(
        frame,
        left,
        content
            .lines
            .into_iter()
            .skip(app.detail.scroll)
            .take(usize::from(left.height))
            .collect(),
    );
    source::render(frame, right, app);
}

/// The form beside the table.
pub(super) fn render_pane(frame: &mut Frame, area: Rect, app: &App, site: &Site) {
    let Some(snapshot) = app.snapshot() else {
        return;
    };
    let content = content(app, site, snapshot, area.width, None).lines;
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

fn content(
    app: &App,
    site: &Site,
    snapshot: &Snapshot,
    width: u16,
    selected: Option<usize>,
) -> Stack {
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
        None if is_group(app) => {}
        None => out.push(Line::styled("no file and line", theme.warn())),
    }
    out.push(Line::raw(""));
    for (name, value) in rows(app, site, snapshot, cells) {
        let room = cells.saturating_sub(NAME);
        for (index, part) in text::wrap(&value, room).into_iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            out.push(Line::from(vec![
                Span::styled(text::left(name, NAME), theme.dim()),
                Span::raw(part),
            ]));
        }
    }
    out.push(Line::raw(""));
    out.push(rule(
        "heaviest stack, innermost first",
        width,
        theme.strong(),
        theme.dim(),
    ));
    let above = out.len();
    let stack = stack(app, &site.stack, cells, selected);
    out.extend(stack.lines);
    let frames = stack.frames.into_iter();
    Stack {
        lines: out,
        frames: frames.map(|of| of.start + above..of.end + above).collect(),
    }
}

/// Whether rows of the Sites screen are groups, which have no place of their own.
fn is_group(app: &App) -> bool {
    app.screen == crate::app::Screen::Sites && app.sites.grouping != crate::look::Grouping::Site
}

fn rows(app: &App, site: &Site, snapshot: &Snapshot, cells: usize) -> Vec<(&'static str, String)> {
    let figures = Figures::of(snapshot);
    let average = if site.live_objects.estimate > 0.0 {
        units::bytes(site.live_bytes.estimate / site.live_objects.estimate)
    } else {
        "-".to_owned()
    };
    let mut rows = vec![(
        "live",
        format!(
            "{}  {} of the heap",
            figures.live_bytes(&site.live_bytes),
            units::percent(site.live_bytes.estimate, snapshot.live.bytes.estimate)
        ),
    )];
    let trend = app.history.trend(site, app.shown_until());
    if trend.len() > 1 {
        let room = cells.saturating_sub(NAME).min(trend.len());
        rows.push(("", text::sparkline(&trend, room)));
    }
    if let Some(base) = &app.base {
        let change = base.change(app.sites.grouping, site);
        let change = change.map_or_else(|| "-".to_owned(), |change| figures::change(&change));
        rows.push(("since base", change));
    }
    rows.push(("growth", {
        let growth = site.growth_bytes_per_second.as_ref();
        format!("{} {}", figures::growth(growth), figures::direction(growth))
    }));
    if let Some(finding) = app.finding_of(site)
        && finding.verdict != Verdict::Healthy
    {
        let verdict = finding.verdict.word();
        let confidence = finding.confidence * 100.0;
        rows.push(("verdict", format!("{verdict}, {confidence:.0}% sure")));
    }
    rows.push((
        "objects",
        format!(
            "{}, {average} each",
            figures.live_objects(&site.live_objects)
        ),
    ));
    rows.push((
        "allocates",
        format!(
            "{} in all, {}/s",
            units::bytes_with_error(&site.allocated_bytes_total),
            figures::or_dash(site.allocations_per_second, units::count)
        ),
    ));
    rows.push((
        "age",
        format!(
            "median {}",
            figures::or_dash(site.median_age_seconds, units::duration)
        ),
    ));
    let inspected = app.parts().and_then(|parts| parts.inspected.as_deref());
    if let Some(inspected) = inspected
        && inspected.key == SiteKey::of(site)
    {
        rows.extend(inspection_rows(&inspected.inspection));
    }
    rows.push(("samples", format!("{} live", site.live_samples)));
    rows
}

fn inspection_rows(of: &Inspection) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let sizes = &of.shapes.sizes_bytes;
    if sizes.count > 0 {
        let size = |bytes: u64| units::bytes(bytes as f64);
        rows.push((
            "sizes",
            if sizes.min == sizes.max {
                format!("all {}", size(sizes.p50))
            } else {
                format!(
                    "median {}, 90% up to {}, most {}",
                    size(sizes.p50),
                    size(sizes.p90),
                    size(sizes.max)
                )
            },
        ));
    }
    let lives = &of.shapes.lifetimes_ms;
    let time = |ms: u64| units::duration(ms as f64 / 1_000.0);
    rows.push((
        "lifetimes",
        match (lives.count, of.freed_share) {
            (0, _) | (_, None) => "nothing was freed yet".to_owned(),
            (_, Some(freed)) => {
                let temporary = of.temporary_share.unwrap_or(0.0) * 100.0;
                format!(
                    "{:.0}% freed, half of them within {}, 90% within {}; {temporary:.0}% within 1 ms",
                    freed * 100.0,
                    time(lives.p50),
                    time(lives.p90)
                )
            }
        },
    ));
    if let (Some(first), Some(last)) = (of.first_seen_seconds_ago, of.last_seen_seconds_ago) {
        rows.push((
            "seen",
            format!(
                "first {} ago, last {} ago, on {} {}",
                units::duration(first),
                units::duration(last),
                of.stacks,
                if of.stacks == 1 { "stack" } else { "stacks" }
            ),
        ));
    }
    rows
}
