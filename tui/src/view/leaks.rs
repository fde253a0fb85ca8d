//! Verdicts with their evidence.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use riptide_reader::{
    leak::{Finding, Verdict},
    profile::Snapshot,
    symbolize::display_name,
};

use super::{
    centered,
    figures::{self, Figures},
    layout, lines, rule,
    stack::{place, stack},
    text, waiting,
};
use crate::{app::App, keys::Action, theme::Theme, units};

pub(super) fn verdict_style(theme: Theme, verdict: Verdict) -> Style {
    match verdict {
        Verdict::Leak => theme.bad(),
        Verdict::Growing => theme.warn(),
        Verdict::CacheLike | Verdict::WarmUp => theme.text(),
        Verdict::Healthy | Verdict::TooEarly => theme.dim(),
    }
}

fn cells(app: &App, finding: &Finding, snapshot: &Snapshot) -> [String; 4] {
    [
        if app.is_ignored(finding) {
            "ignored".to_owned()
        } else {
            finding.verdict.word().to_owned()
        },
        format!("{:.0}%", finding.confidence * 100.0),
        figures::per_day(finding.growth_bytes_per_second.as_ref()),
        Figures::of(snapshot).live_bytes(&finding.live_bytes),
    ]
}

const TITLES: [&str; 4] = ["verdict", "sure", "a day", "live"];

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    let found = app.parts().and_then(|parts| parts.findings.as_deref());
    let (Some(snapshot), Some(all)) = (app.snapshot(), found) else {
        waiting(frame, area, app);
        return;
    };
    let findings = app.findings();
    if findings.is_empty() {
        nothing(
            frame,
            area,
            app,
            all.count(Verdict::Healthy),
            all.count(Verdict::TooEarly),
        );
        return;
    }
    let areas = layout::list(app, area);
    let shown: Vec<&Finding> = findings
        .iter()
        .skip(app.leaks.offset)
        .take(usize::from(areas.rows.height))
        .copied()
        .collect();
    let rows: Vec<[String; 4]> = shown.iter().map(|of| cells(app, of, snapshot)).collect();
    let mut widths = TITLES.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(text::width(cell));
        }
    }
    let [a, b, c, d] = widths;
    let total = usize::from(areas.rows.width);
    let room = total.saturating_sub(a + b + c + d + 8);
    let line = |cells: [&str; 4], name: &str| {
        let [verdict, sure, day, live] = cells;
        format!(
            "{}  {}  {}  {}  {}",
            text::left(verdict, a),
            text::right(sure, b),
            text::right(day, c),
            text::right(live, d),
            text::keep_end(name, room)
        )
    };
    let heading = format!(
        "function {}/{}",
        findings.len().min(app.leaks.selected + 1),
        findings.len()
    );
    let heading = Line::styled(line(TITLES, &heading), theme.dim());
    lines(frame, areas.columns, vec![heading]);
    let body = shown
        .iter()
        .zip(&rows)
        .enumerate()
        .map(|(index, (finding, row))| {
            let [verdict, sure, day, live] = row;
            let name = display_name(&finding.function);
            let text = line([verdict, sure, day, live], &name);
            let style = if app.leaks.offset + index == app.leaks.selected {
                theme.selected()
            } else if app.is_ignored(finding) {
                theme.dim()
            } else {
                verdict_style(theme, finding.verdict)
            };
            Line::styled(text::left(&text, total), style)
        });
    lines(frame, areas.rows, body.collect());
    if let Some(finding) = app.selected_finding() {
        let content = pane(app, finding, areas.pane.width);
        let height = usize::from(areas.pane.height);
        lines(
            frame,
            areas.pane,
            content.into_iter().take(height).collect(),
        );
    }
}

/// How many are ignored, and what shows them; nothing when none is.
fn ignored_words(app: &App) -> Option<String> {
    let (words, them) = match app.ignored_count() {
        0 => return None,
        1 => ("1 finding is ignored".to_owned(), "it"),
        count => (format!("{count} findings are ignored"), "them"),
    };
    let key = app.keymap.label(Action::ShowIgnored);
    Some(if app.leaks_with_ignored {
        words
    } else {
        format!("{words}; {key} shows {them}")
    })
}

fn nothing(frame: &mut Frame, area: Rect, app: &App, healthy: usize, early: usize) {
    let theme = app.theme;
    let findings = app.parts().and_then(|parts| parts.findings.as_deref());
    let watched = findings.map_or(0.0, |findings| findings.watched_seconds);
    let mut text = vec![
        Line::styled("nothing leaks or grows, as far as was seen", theme.good()),
        Line::raw(""),
        Line::raw(format!(
            "{healthy} sites are healthy, {early} have too few samples, after {}",
            units::whole_seconds(watched)
        )),
    ];
    if let Some(words) = ignored_words(app) {
        text.push(Line::styled(words, theme.dim()));
    }
    centered(frame, area, text);
}

fn pane(app: &App, finding: &Finding, width: u16) -> Vec<Line<'static>> {
    let theme = app.theme;
    let cells = usize::from(width).max(1);
    let mut out = vec![rule(
        &format!(
            "{}, {:.0}% sure{}",
            finding.verdict.word(),
            finding.confidence * 100.0,
            if app.is_ignored(finding) {
                ", ignored"
            } else {
                ""
            }
        ),
        width,
        verdict_style(theme, finding.verdict).patch(theme.strong()),
        theme.dim(),
    )];
    let name = display_name(&finding.function);
    out.extend(
        text::wrap(&name, cells)
            .into_iter()
            .map(|line| Line::styled(line, theme.strong())),
    );
    let place = place(finding.file.as_ref(), finding.line)
        .unwrap_or_else(|| "all sites of the function together".to_owned());
    out.push(Line::styled(text::keep_end(&place, cells), theme.line()));
    let growth = finding.growth_bytes_per_second.as_ref();
    let mut figure = format!("growth {}", figures::growth(growth));
    if let Some(left) = &finding.time_to_limit_seconds {
        figure.push_str(&format!(
            "; the limit is reached in {} to {}",
            units::duration(left.low),
            units::duration(left.high)
        ));
    }
    out.extend(text::wrap(&figure, cells).into_iter().map(Line::raw));
    for sentence in &finding.evidence {
        for (index, part) in text::wrap(sentence, cells.saturating_sub(2))
            .into_iter()
            .enumerate()
        {
            let head = if index == 0 { "- " } else { "  " };
            out.push(Line::from(vec![
                Span::styled(head, theme.dim()),
                Span::raw(part),
            ]));
        }
    }
    if let Some(words) = ignored_words(app) {
        out.extend(
            text::wrap(&words, cells)
                .into_iter()
                .map(|line| Line::styled(line, theme.dim())),
        );
    }
    out.push(rule(
        "stack, innermost first",
        width,
        theme.strong(),
        theme.dim(),
    ));
    out.extend(stack(app, &finding.stack, cells, None).lines);
    out
}
