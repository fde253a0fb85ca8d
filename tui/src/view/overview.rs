//! The Overview: is the heap growing, where does memory go, which site is to be looked at next.

use ratatui::{
    Frame,
    layout::{Position, Rect},
    style::Style,
    text::{Line, Span},
};
use riptide_reader::{
    leak::{Finding, Verdict},
    profile::{Site, Snapshot, TargetState},
    symbolize::display_name,
};

use super::{
    centered, chart,
    chart::LiveChart,
    figures::{self as written, Figures},
    layout, lines, rule,
    stack::place as place_of,
    text,
};
use crate::{
    app::{App, GROWING_MAX, Picture, growing as beyond_error},
    units,
};

mod figures;
mod growing;

/// Where the parts lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    chart_title: Rect,
    chart: Rect,
    /// Memory and rates.
    figures: Rect,
    sites_title: Rect,
    /// Growing sites.
    pub(super) site_rows: Rect,
    next: Rect,
}

pub(super) fn plan(app: &App, body: Rect) -> Plan {
    let wide = layout::is_wide(app);
    let figures_width = if wide {
        48
    } else {
        (body.width * 2 / 5).clamp(30, 40).min(body.width)
    };
    let left_width = body.width - figures_width;
    let next_height = 2.min(body.height);
    let rest = body.height - next_height;
    // On 24 lines the memory map is whole beside them.
    let wanted = match rest {
        26.. => GROWING_MAX as u16,
        16.. => rest / 4,
        _ => (rest / 3).max(1),
    };
    let sites_height = (wanted + 1).min(rest);
    let top_height = rest - sites_height;
    let left = |y: u16, height: u16, width: u16| Rect {
        x: body.x,
        y,
        width,
        height,
    };
    let sites_width = if wide { left_width } else { body.width };
    let chart_title_height = top_height.min(1);
    let sites_top = body.y + top_height;
    let sites_title_height = sites_height.min(1);
    Plan {
        chart_title: left(body.y, chart_title_height, left_width),
        chart: left(
            body.y + chart_title_height,
            top_height - chart_title_height,
            left_width,
        ),
        figures: Rect {
            x: body.x + left_width + 2.min(figures_width),
            y: body.y,
            width: figures_width.saturating_sub(2),
            height: if wide { body.height } else { top_height },
        },
        sites_title: left(sites_top, sites_title_height, sites_width),
        site_rows: left(
            sites_top + sites_title_height,
            sites_height - sites_title_height,
            sites_width,
        ),
        next: left(body.bottom() - next_height, next_height, sites_width),
    }
}

/// Growing sites shown.
#[must_use]
pub fn site_rows(app: &App) -> usize {
    let rows = plan(app, layout::areas(app).body).site_rows.height;
    app.overview_sites().len().min(usize::from(rows))
}

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    let Some(picture) = app.picture() else {
        let text = match &app.trouble {
            Some(trouble) => trouble_lines(app, &trouble.message, &trouble.hint, area.width),
            None => vec![Line::styled("reading the target", theme.dim())],
        };
        centered(frame, area, text);
        return;
    };
    let plan = plan(app, area);
    let snapshot = &*picture.snapshot;
    render_chart(frame, &plan, app, picture);
    lines(
        frame,
        plan.figures,
        figures::figure_lines(app, snapshot, plan.figures),
    );
    growing::render(frame, &plan, app, picture);
    let mut next = match &app.trouble {
        Some(trouble) => vec![
            Line::styled(trouble.message.clone(), theme.bad()),
            Line::raw(trouble.hint.clone()),
        ],
        None => next_lines(app, snapshot, plan.next.width),
    };
    next.truncate(usize::from(plan.next.height));
    lines(frame, plan.next, next);
}

fn trouble_lines(app: &App, message: &str, hint: &str, width: u16) -> Vec<Line<'static>> {
    let room = usize::from(width.saturating_sub(4));
    let mut out: Vec<Line<'static>> = text::wrap(message, room)
        .into_iter()
        .map(|line| Line::styled(line, app.theme.bad()))
        .collect();
    out.push(Line::raw(""));
    out.extend(text::wrap(hint, room).into_iter().map(Line::raw));
    out
}

fn render_chart(frame: &mut Frame, plan: &Plan, app: &App, picture: &Picture) {
    let theme = app.theme;
    let snapshot = &*picture.snapshot;
    let figures = Figures::of(snapshot);
    let short = format!("live heap {}", figures.live_bytes(&snapshot.live.bytes));
    let title = format!(
        "{short} in {} blocks",
        figures.live_objects(&snapshot.live.objects)
    );
    // A figure is shown whole or not at all.
    let title = if text::width(&title) <= usize::from(plan.chart_title.width) {
        title
    } else {
        short
    };
    lines(
        frame,
        plan.chart_title,
        vec![rule(
            &title,
            plan.chart_title.width,
            theme.strong(),
            theme.dim(),
        )],
    );
    let (start, end) = app.chart_range();
    let points = app.history.points(start, end);
    if app.history.span().is_none_or(|(first, last)| first >= last)
        && snapshot.target.state != TargetState::Live
    {
        centered(
            frame,
            plan.chart,
            vec![
                Line::raw("the process is gone"),
                Line::styled("its heap at the end is shown", theme.dim()),
            ],
        );
        return;
    }
    let (from, to) = ends(app, start, end);
    frame.render_widget(
        LiveChart {
            points: &points,
            start,
            end,
            labels: (&from, &to),
            cursor: app.travel.at_seconds(),
            base: app.base.as_ref().map(|base| base.at_seconds),
            marked: app.travel_marked,
            theme,
        },
        plan.chart,
    );
}

/// Words for both ends of the time shown.
fn ends(app: &App, start: f64, end: f64) -> (String, String) {
    if app.recording.is_some() {
        let at = |seconds: f64| units::whole_seconds(seconds.max(0.0));
        return (at(start), at(end));
    }
    let is_held = app.is_paused() && app.travel.picture().is_none();
    let last = match app.history.span() {
        Some((_, last)) if !is_held => last,
        _ => end,
    };
    let ago = |at: f64| format!("-{}", chart::span(last - at));
    let is_live = app
        .snapshot()
        .is_some_and(|snapshot| snapshot.target.state == TargetState::Live);
    let now = match (last - end < 1.0, is_live) {
        (true, true) if is_held => "held".to_owned(),
        (true, true) => "now".to_owned(),
        (true, false) => "end".to_owned(),
        (false, _) => ago(end),
    };
    (ago(start), now)
}

/// The moment under a column of the chart.
#[must_use]
pub fn moment_at_column(app: &App, body: Rect, column: u16) -> Option<f64> {
    app.picture()?;
    let plot = chart::plot(plan(app, body).chart)?;
    let (start, end) = app.chart_range();
    let column = column.clamp(plot.x, plot.right().saturating_sub(1)) - plot.x;
    let share = f64::from(column) / f64::from(plot.width.saturating_sub(1).max(1));
    Some(start + share * (end - start))
}

/// The moment under the mouse, when it is over the chart.
#[must_use]
pub fn moment_at(app: &App, body: Rect, at: Position) -> Option<f64> {
    let plot = chart::plot(plan(app, body).chart)?;
    plot.contains(at)
        .then(|| moment_at_column(app, body, at.x))?
}

/// `file:line` of a site.
pub(crate) fn place(site: &Site) -> Option<String> {
    place_of(site.file.as_ref(), site.line)
}

/// The worst leak, if one was found.
fn leak(app: &App) -> Option<&Finding> {
    let worst = app.findings().first().copied()?;
    (worst.verdict == Verdict::Leak).then_some(worst)
}

fn next_lines(app: &App, snapshot: &Snapshot, width: u16) -> Vec<Line<'static>> {
    let theme = app.theme;
    let room = usize::from(width).saturating_sub(6);
    let next = |text: String, style: Style| {
        Line::from(vec![
            Span::styled("next: ", theme.key()),
            Span::styled(text, style),
        ])
    };
    let indented = |text: String| Line::from(format!("      {text}"));
    if let Some(finding) = leak(app) {
        let rest = format!(
            " leaks {} ({:.0}% sure)",
            written::growth(finding.growth_bytes_per_second.as_ref()),
            finding.confidence * 100.0
        );
        let name = text::keep_end(
            &display_name(&finding.function),
            room.saturating_sub(text::width(&rest)),
        );
        let place = place_of(finding.file.as_ref(), finding.line);
        let place = place.unwrap_or_else(|| "all its sites together".to_owned());
        let second = format!("{place}; 4 shows the evidence");
        return vec![
            next(format!("{name}{rest}"), theme.strong()),
            indented(text::keep_end(&second, room)),
        ];
    }
    if let Some(site) = beyond_error(&snapshot.sites).first() {
        let rest = format!(
            " grows {}; enter shows it",
            written::growth(site.growth_bytes_per_second.as_ref())
        );
        let name = text::keep_end(
            &display_name(&site.function),
            room.saturating_sub(text::width(&rest)),
        );
        let place = place(site).unwrap_or_else(|| {
            "no file and line: build the program with debug = \"line-tables-only\"".to_owned()
        });
        return vec![
            next(format!("{name}{rest}"), theme.strong()),
            indented(text::keep_end(&place, room)),
        ];
    }
    let (first, second) = match snapshot.target.state {
        TargetState::Live if snapshot.rates.growth_bytes_per_second.is_none() => (
            "watching for growth",
            "a site counts as growing once its growth exceeds its own error",
        ),
        TargetState::Live => (
            "no site grows beyond its error so far",
            "2 shows all sites; enter opens the selected one",
        ),
        _ => (
            "2 shows what held the memory when the process ended",
            "enter opens the selected site",
        ),
    };
    vec![
        next(first.to_owned(), theme.text()),
        indented(second.to_owned()),
    ]
}
