//! The sort menu.

use ratatui::{Frame, layout::Rect, text::Line};

use super::{lines, popup, text};
use crate::app::{App, SortBy};

pub(super) fn render(frame: &mut Frame, body: Rect, app: &App, selected: usize) {
    let width = 34.min(body.width);
    let height = (SortBy::ALL.len() as u16 + 2).min(body.height);
    let area = Rect {
        x: body.x + (body.width - width) / 2,
        y: body.y + (body.height - height) / 2,
        width,
        height,
    };
    let inner = popup(frame, area, "sort by", app);
    let rows = SortBy::ALL.iter().enumerate().map(|(index, order)| {
        let mark = if *order != app.sites.sort {
            " "
        } else if app.sites.reversed {
            "▲"
        } else {
            "▼"
        };
        let line = format!("{mark} {}", order.name());
        let style = if index == selected {
            app.theme.selected()
        } else {
            app.theme.text()
        };
        Line::styled(text::left(&line, usize::from(inner.width)), style)
    });
    lines(frame, inner, rows.collect());
}
