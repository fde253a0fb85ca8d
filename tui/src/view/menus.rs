//! The menus: orders, columns, export formats.

use ratatui::{Frame, layout::Rect, text::Line};
use riptide_reader::export::Format;

use super::{lines, popup, text};
use crate::app::{App, Column, SortBy};

fn menu(frame: &mut Frame, body: Rect, app: &App, title: &str, rows: &[String], selected: usize) {
    let widest = rows.iter().map(|row| text::width(row)).max().unwrap_or(0);
    let wanted = widest.max(text::width(title) + 2) + 4;
    let width = u16::try_from(wanted).unwrap_or(u16::MAX).min(body.width);
    let height = u16::try_from(rows.len() + 2)
        .unwrap_or(u16::MAX)
        .min(body.height);
    let area = Rect {
        x: body.x + (body.width - width) / 2,
        y: body.y + (body.height - height) / 2,
        width,
        height,
    };
    let inner = popup(frame, area, title, app);
    let page = usize::from(inner.height).max(1);
    let offset = (selected + 1).saturating_sub(page);
    let rows = rows.iter().enumerate().skip(offset).take(page);
    let rows = rows.map(|(index, row)| {
        let style = if index == selected {
            app.theme.selected()
        } else {
            app.theme.text()
        };
        Line::styled(text::left(row, usize::from(inner.width)), style)
    });
    lines(frame, inner, rows.collect());
}

pub(super) fn sort(frame: &mut Frame, body: Rect, app: &App, selected: usize) {
    let rows = SortBy::ALL.map(|order| {
        let mark = if order != app.sites.sort {
            " "
        } else if app.sites.reversed {
            "▲"
        } else {
            "▼"
        };
        format!("{mark} {}", order.name())
    });
    menu(frame, body, app, "sort by", &rows, selected);
}

pub(super) fn columns(frame: &mut Frame, body: Rect, app: &App, selected: usize) {
    let rows = Column::OPTIONAL.map(|column| {
        let mark = if app.sites.hidden.contains(&column) {
            "[ ]"
        } else {
            "[x]"
        };
        format!(
            "{mark} {}  {}",
            text::left(column.title(), 10),
            column.meaning()
        )
    });
    menu(frame, body, app, "columns", &rows, selected);
}

fn what_for(format: Format) -> &'static str {
    match format {
        Format::Pprof => "go tool pprof, Pyroscope, Parca",
        Format::Folded => "flamegraph.pl, inferno",
        Format::Flamegraph => "an SVG for the browser",
        Format::Speedscope => "speedscope.app",
        Format::Firefox => "profiler.firefox.com",
        Format::Jeprof => "jeprof, google-pprof",
        Format::Json => "all that riptide knows; `riptide diff` reads it",
        Format::Html => "a report in one file for the browser",
    }
}

pub(super) fn export(frame: &mut Frame, body: Rect, app: &App, selected: usize) {
    let rows = Format::ALL
        .map(|format| format!("{}  {}", text::left(format.name(), 10), what_for(format)));
    let title = if app.is_paused() || app.travel.picture().is_some() && app.recording.is_none() {
        "export the target as it is now"
    } else {
        "export"
    };
    menu(frame, body, app, title, &rows, selected);
}
