//! Alerts: what is active and what was, value against threshold, what to do.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use riptide_reader::symbolize::display_name;

use super::{centered, figures, layout, lines, rule, text, waiting};
use crate::{
    alerts::{Alert, Severity},
    app::App,
    look::Alerts,
    theme::Theme,
    units,
};

/// An alert in the list.
#[derive(Debug)]
pub struct Row<'a> {
    /// The alert.
    pub alert: &'a Alert,
    /// Seconds until it would be told again.
    cooldown: Option<f64>,
}

/// Active ones first, then those that ended, the newest first.
#[must_use]
pub fn rows(alerts: &Alerts) -> Vec<Row<'_>> {
    let active = alerts.active.iter().map(|of| Row {
        alert: &of.alert,
        cooldown: of.cooldown_left_seconds,
    });
    let ended = alerts.history.iter().map(|alert| Row {
        alert,
        cooldown: None,
    });
    active.chain(ended).collect()
}

fn severity_style(theme: Theme, severity: Severity) -> Style {
    match severity {
        Severity::Critical => theme.bad().patch(theme.strong()),
        Severity::Alert => theme.bad(),
        Severity::Warning => theme.warn(),
    }
}

/// A figure in the unit that its metric's name ends with.
fn figure(metric: &str, value: f64) -> String {
    let rate = |per: &str| format!("{}/{per}", units::bytes(value));
    if metric.ends_with("_per_hour") {
        rate("h")
    } else if metric.ends_with("_per_day") {
        rate("day")
    } else if metric.ends_with("_bytes") {
        units::bytes(value)
    } else if metric.ends_with("_seconds") {
        units::duration(value)
    } else {
        format!("{value:.1}%")
    }
}

/// The rule, and the site if it is about one, in so many cells.
fn name(alert: &Alert, room: usize) -> String {
    let rule = alert.rule.word();
    match alert.evidence.sites.first() {
        Some(site) if alert.rule == crate::alerts::Rule::Leak => {
            let rest = room.saturating_sub(rule.len() + 1);
            format!(
                "{rule} {}",
                text::keep_end(&display_name(&site.function), rest)
            )
        }
        _ => rule.to_owned(),
    }
}

fn cells(app: &App, row: &Row<'_>, alerts: &Alerts) -> [String; 5] {
    let alert = row.alert;
    let since = crate::feed::ago(alerts.unix_now, alert.since);
    let state = match (alert.resolved, app.acknowledged.contains(&alert.id)) {
        (Some(at), _) => {
            let ago = crate::feed::ago(alerts.unix_now, at);
            format!("ended {} ago", units::whole_seconds(ago))
        }
        (None, true) => "acknowledged".to_owned(),
        (None, false) => format!("for {}", units::whole_seconds(since)),
    };
    [
        alert.severity.word().to_owned(),
        state,
        figure(alert.metric, alert.value),
        figure(alert.metric, alert.threshold),
        row.cooldown
            .map_or_else(|| "-".to_owned(), units::whole_seconds),
    ]
}

const TITLES: [&str; 5] = ["severity", "state", "value", "threshold", "cooldown"];

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    let Some(alerts) = app.parts().and_then(|parts| parts.alerts.as_deref()) else {
        waiting(frame, area, app);
        return;
    };
    let rows = rows(alerts);
    if rows.is_empty() {
        nothing(frame, area, app, alerts);
        return;
    }
    let areas = layout::list(app, area);
    let shown: Vec<&Row<'_>> = rows
        .iter()
        .skip(app.alerts.offset)
        .take(usize::from(areas.rows.height))
        .collect();
    let texts: Vec<[String; 5]> = shown.iter().map(|row| cells(app, row, alerts)).collect();
    let mut widths = TITLES.map(str::len);
    for row in &texts {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(text::width(cell));
        }
    }
    let total = usize::from(areas.rows.width);
    // The cooldown gives way to the name.
    let columns = if widths.iter().map(|width| width + 2).sum::<usize>() + 14 <= total {
        5
    } else {
        4
    };
    let line = |cells: &[&str], name: &dyn Fn(usize) -> String| {
        let mut out = String::new();
        for (index, (cell, width)) in cells.iter().zip(widths).take(columns).enumerate() {
            let cell = if index < 2 {
                text::left(cell, width)
            } else {
                text::right(cell, width)
            };
            out.push_str(&cell);
            out.push_str("  ");
        }
        let room = total.saturating_sub(text::width(&out));
        out.push_str(&name(room));
        out
    };
    let heading = format!("rule {}/{}", app.alerts.selected + 1, rows.len());
    let heading = Line::styled(line(&TITLES, &|_| heading.clone()), theme.dim());
    lines(frame, areas.columns, vec![heading]);
    let body = shown
        .iter()
        .zip(&texts)
        .enumerate()
        .map(|(index, (row, cells))| {
            let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
            let style = if app.alerts.offset + index == app.alerts.selected {
                theme.selected()
            } else if row.alert.resolved.is_some() || app.acknowledged.contains(&row.alert.id) {
                theme.dim()
            } else {
                severity_style(theme, row.alert.severity)
            };
            Line::styled(
                text::left(&line(&cells, &|room| name(row.alert, room)), total),
                style,
            )
        });
    lines(frame, areas.rows, body.collect());
    if let Some(row) = rows.get(app.alerts.selected) {
        let content = pane(app, row, alerts, areas.pane.width);
        let height = usize::from(areas.pane.height);
        lines(
            frame,
            areas.pane,
            content.into_iter().take(height).collect(),
        );
    }
}

fn delivery(alerts: &Alerts) -> String {
    if alerts.channels.is_empty() {
        "shown here only; `riptide serve` with channels in its configuration sends them".to_owned()
    } else {
        format!(
            "shown here; `riptide serve` sends them by {}",
            alerts.channels.join(", ")
        )
    }
}

fn nothing(frame: &mut Frame, area: Rect, app: &App, alerts: &Alerts) {
    let theme = app.theme;
    let mut text = vec![
        Line::styled("no alert is active, and none was", theme.good()),
        Line::raw(""),
        Line::styled(delivery(alerts), theme.dim()),
        Line::styled("`riptide gen-config` lists the thresholds", theme.dim()),
    ];
    if let Some(problem) = &alerts.problem {
        text.push(Line::raw(""));
        text.push(Line::styled(
            "default thresholds are in force:",
            theme.warn(),
        ));
        let width = usize::from(area.width.saturating_sub(4));
        text.extend(text::wrap(problem, width).into_iter().map(Line::raw));
    }
    centered(frame, area, text);
}

fn pane(app: &App, row: &Row<'_>, alerts: &Alerts, width: u16) -> Vec<Line<'static>> {
    let (theme, alert) = (app.theme, row.alert);
    let cells = usize::from(width).max(1);
    let title = format!(
        "{} {}, {}",
        alert.severity.word(),
        alert.category.word(),
        alert.component.word()
    );
    let mut out = vec![rule(
        &title,
        width,
        severity_style(theme, alert.severity).patch(theme.strong()),
        theme.dim(),
    )];
    let wrapped = |sentence: &str| text::wrap(sentence, cells);
    out.extend(
        wrapped(&alert.summary)
            .into_iter()
            .map(|line| Line::styled(line, theme.strong())),
    );
    let value = figure(alert.metric, alert.value);
    let interval = match (alert.evidence.low, alert.evidence.high) {
        (Some(low), Some(high)) => format!(
            " ({} to {})",
            figure(alert.metric, low),
            figure(alert.metric, high)
        ),
        _ => String::new(),
    };
    let against = format!(
        "{} is {value}{interval}, the threshold {}",
        alert.metric,
        figure(alert.metric, alert.threshold)
    );
    out.extend(wrapped(&against).into_iter().map(Line::raw));
    if let Some(left) = row.cooldown {
        let cooldown = format!(
            "told again in {} at the earliest",
            units::whole_seconds(left)
        );
        out.push(Line::styled(cooldown, theme.dim()));
    }
    for recommendation in &alert.recommendations {
        let parts = text::wrap(recommendation, cells.saturating_sub(2));
        for (index, part) in parts.into_iter().enumerate() {
            let head = if index == 0 { "→ " } else { "  " };
            out.push(Line::styled(format!("{head}{part}"), theme.good()));
        }
    }
    for statement in &alert.evidence.statements {
        let parts = text::wrap(statement, cells.saturating_sub(2));
        for (index, part) in parts.into_iter().enumerate() {
            let head = if index == 0 { "- " } else { "  " };
            out.push(Line::from(vec![
                Span::styled(head, theme.dim()),
                Span::raw(part),
            ]));
        }
    }
    if !alert.evidence.sites.is_empty() {
        out.push(rule("sites", width, theme.strong(), theme.dim()));
    }
    for site in &alert.evidence.sites {
        let growth = figures::growth(site.growth_bytes_per_second.as_ref());
        let room = cells.saturating_sub(text::width(&growth) + 2);
        let name = text::keep_end(&display_name(&site.function), room);
        out.push(Line::raw(format!("{growth}  {name}")));
    }
    out.push(rule("delivery", width, theme.strong(), theme.dim()));
    out.extend(
        wrapped(&delivery(alerts))
            .into_iter()
            .map(|line| Line::styled(line, theme.dim())),
    );
    out
}
