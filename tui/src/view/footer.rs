//! Last lines: the keys of what is in front, from the key table.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{lines, text};
use crate::{
    app::{App, Screen},
    keys::{self, Action, Scope},
};

/// Lines that the footer takes at most.
const HEIGHT_MAX: usize = 3;

struct Item {
    key: &'static str,
    word: &'static str,
}

impl Item {
    fn width(&self) -> usize {
        text::width(self.key) + 1 + text::width(self.word)
    }
}

fn items(app: &App) -> Vec<Item> {
    if app.prompting() {
        return vec![
            Item {
                key: "enter",
                word: "keep the filter",
            },
            Item {
                key: "esc",
                word: "take it back",
            },
            Item {
                key: "ctrl-u",
                word: "empty it",
            },
            Item {
                key: "e.g.",
                word: "cache  fn:~re  crate:x  live>1M  age>10m  !text",
            },
        ];
    }
    let scope = app.scope();
    keys::footer(scope)
        .filter(|binding| match binding.action {
            Action::Open => !(app.screen == Screen::Picker && app.targets.is_empty()),
            Action::Back => !(app.screen == Screen::Picker && app.popup.is_none()),
            Action::Tab(0) => app.screen != Screen::Overview,
            Action::Tab(_) => app.screen != Screen::Sites,
            _ => true,
        })
        .map(|binding| Item {
            key: binding.label,
            word: match binding.action {
                Action::Pause if matches!(app.mode(), crate::app::Mode::Paused(_)) => "go on",
                Action::Back if app.popup.is_none() => back_word(app),
                Action::Help if scope == Scope::Help => "close",
                _ => binding.footer,
            },
        })
        .collect()
}

fn back_word(app: &App) -> &'static str {
    match app.screen {
        Screen::Detail => "all sites",
        Screen::Sites if !app.sites.filter.is_empty() => "drop the filter",
        _ => "targets",
    }
}

fn wrapped(app: &App, width: u16) -> Vec<Vec<Item>> {
    let mut rows: Vec<Vec<Item>> = Vec::new();
    let mut used = usize::MAX;
    for item in items(app) {
        let cells = item.width();
        if used == usize::MAX || used + 2 + cells > usize::from(width).saturating_sub(1) {
            rows.push(Vec::new());
            used = 1 + cells;
        } else {
            used += 2 + cells;
        }
        if let Some(row) = rows.last_mut() {
            row.push(item);
        }
    }
    rows.truncate(HEIGHT_MAX);
    rows
}

/// Lines that the keys need at a width.
#[must_use]
pub fn height(app: &App, width: u16) -> u16 {
    wrapped(app, width).len() as u16
}

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    let rows = wrapped(app, area.width).into_iter().map(|row| {
        let mut spans = vec![Span::raw(" ")];
        for (index, item) in row.into_iter().enumerate() {
            if index > 0 {
                spans.push(Span::raw("  "));
            }
            spans.push(Span::styled(item.key, theme.key()));
            spans.push(Span::styled(format!(" {}", item.word), theme.dim()));
        }
        Line::from(spans)
    });
    lines(frame, area, rows.collect());
}
