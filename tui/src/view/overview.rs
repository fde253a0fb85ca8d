//! The Overview: is the heap growing, where does memory go, which site is to be looked at next.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use riptide_reader::{
    profile::{Memory, Site, Snapshot, TargetState},
    symbolize::display_name,
};

use super::{
    centered,
    chart::LiveChart,
    figures::{self, Figures},
    layout, lines, rule, text,
};
use crate::{
    app::{App, GROWING_MAX, Picture, Point, growing},
    units::{self, Trend},
};

const TREND_CELLS: usize = 16;

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
    let wanted = if rest >= 26 {
        GROWING_MAX as u16
    } else {
        (rest / 3).clamp(1, GROWING_MAX as u16)
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
        figure_lines(app, snapshot, plan.figures),
    );
    render_sites(frame, &plan, app, picture);
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
    let title = format!(
        "live heap {} in {} blocks",
        figures.live_bytes(&snapshot.live.bytes),
        figures.live_objects(&snapshot.live.objects)
    );
    let title = text::keep_start(&title, usize::from(plan.chart_title.width));
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
    let points: Vec<Point> = picture.history.points().copied().collect();
    if points.len() < 2 && snapshot.target.state != TargetState::Live {
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
    frame.render_widget(
        LiveChart {
            points: &points,
            end: if snapshot.target.state == TargetState::Live {
                "now"
            } else {
                "end"
            },
            line: theme.line(),
            band: theme.band(),
            dim: theme.dim(),
        },
        plan.chart,
    );
}

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

fn figure_lines(app: &App, snapshot: &Snapshot, area: Rect) -> Vec<Line<'static>> {
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
    let rates = &snapshot.rates;
    rows.push(Figure {
        rank: 6,
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

fn render_sites(frame: &mut Frame, plan: &Plan, app: &App, picture: &Picture) {
    let theme = app.theme;
    let snapshot = &*picture.snapshot;
    let growth_is_known = snapshot
        .sites
        .iter()
        .any(|site| site.growth_bytes_per_second.is_some());
    let title = if growth_is_known {
        "growing sites"
    } else {
        "largest sites"
    };
    lines(
        frame,
        plan.sites_title,
        vec![rule(
            title,
            plan.sites_title.width,
            theme.strong(),
            theme.dim(),
        )],
    );
    let shown: Vec<&Site> = app
        .overview_sites()
        .into_iter()
        .take(usize::from(plan.site_rows.height))
        .collect();
    let figures = Figures::of(snapshot);
    let cells: Vec<[String; 2]> = shown
        .iter()
        .map(|site| {
            [
                figures::growth(site.growth_bytes_per_second.as_ref()),
                figures.live_bytes(&site.live_bytes),
            ]
        })
        .collect();
    let column = |index: usize| {
        cells
            .iter()
            .filter_map(|row| row.get(index))
            .map(|cell| text::width(cell))
            .max()
            .unwrap_or_default()
    };
    let (growth_width, live_width) = (column(0), column(1));
    let total = usize::from(plan.site_rows.width);
    let fixed = 2 + growth_width + 2 + live_width + 2;
    let trend_cells = if total >= fixed + TREND_CELLS + 2 + 20 {
        TREND_CELLS
    } else {
        0
    };
    let room = total.saturating_sub(fixed + trend_cells + 2 * usize::from(trend_cells > 0));
    let rows = shown
        .iter()
        .zip(&cells)
        .enumerate()
        .map(|(index, (site, row))| {
            let [growth, live] = row;
            let direction = figures::direction(site.growth_bytes_per_second.as_ref());
            let trend = if trend_cells > 0 {
                let values: Vec<f64> = picture.history.trend(site).collect();
                format!("{}  ", text::sparkline(&values, trend_cells))
            } else {
                String::new()
            };
            let name = text::keep_end(&display_name(&site.function), room);
            let line = format!(
                "{direction} {}  {}  {trend}{name}",
                text::right(growth, growth_width),
                text::right(live, live_width),
            );
            let style = if index == app.overview.selected {
                theme.selected()
            } else if direction == "▲" {
                theme.bad()
            } else {
                theme.text()
            };
            Line::styled(text::left(&line, total), style)
        });
    lines(frame, plan.site_rows, rows.collect());
}

/// `file:line` of a site.
pub(super) fn place(site: &Site) -> Option<String> {
    let file = site.file.as_ref()?;
    Some(match site.line {
        Some(line) => format!("{file}:{line}"),
        None => file.clone(),
    })
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
    if let Some(site) = growing(&snapshot.sites).first() {
        let rest = format!(
            " grows {}; enter shows it",
            figures::growth(site.growth_bytes_per_second.as_ref())
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
