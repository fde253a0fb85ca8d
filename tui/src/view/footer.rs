//! Last lines: the keys of what is in front, from the key table.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{lines, text};
use crate::{
    app::{App, Popup, Prompt, PromptKind, Screen},
    keys::{Action, Scope},
    look::Grouping,
};

/// Lines that the footer takes at most.
const HEIGHT_MAX: usize = 3;

struct Item {
    key: String,
    word: String,
    /// Left out where it would take another line.
    is_filler: bool,
}

impl Item {
    fn new(key: &str, word: &str) -> Self {
        Self {
            key: key.to_owned(),
            word: word.to_owned(),
            is_filler: false,
        }
    }

    fn width(&self) -> usize {
        text::width(&self.key) + 1 + text::width(&self.word)
    }
}

fn prompt_items(prompt: &Prompt) -> Vec<Item> {
    let (keep, example) = match prompt.kind {
        PromptKind::Filter => (
            "keep the filter",
            "cache  fn:~re  crate:x  live>1M  age>10m  verdict:leak  !text",
        ),
        PromptKind::Search => ("keep the search", "serde"),
        PromptKind::Command => ("do it", "group crate  export pprof heap.pb.gz  at 5m  help"),
    };
    let (mark, sentence) = match &prompt.error {
        Some(error) => ("!", error.as_str()),
        None => ("e.g.", example),
    };
    vec![
        Item::new("enter", keep),
        Item::new("esc", "take it back"),
        Item::new("ctrl-u", "empty it"),
        Item::new(mark, sentence),
    ]
}

fn items(app: &App) -> Vec<Item> {
    if let Some(prompt) = app.prompt.as_ref().filter(|_| app.prompting()) {
        return prompt_items(prompt);
    }
    let scope = app.scope();
    app.keymap
        .footer(scope)
        .filter(|row| match row.binding.action {
            Action::Open => !(app.screen == Screen::Picker && app.targets.is_empty()),
            Action::Restarted => app.successor.is_some(),
            Action::Now => app.travel.picture().is_some(),
            Action::Pause => app.recording.is_none(),
            Action::ShowIgnored => app.ignored_count() > 0,
            _ => true,
        })
        // Of a target that cannot be read there is nothing to export, to compare or to hold.
        .filter(|row| {
            scope.is_menu_or_picker()
                || app.picture().is_some()
                || matches!(
                    row.binding.action,
                    Action::Back | Action::Command | Action::Help | Action::Quit
                )
        })
        .map(|row| {
            let word = match row.binding.action {
                Action::Pause if app.is_paused() => "go on",
                Action::Base if app.base.is_some() => "end diff",
                Action::Back if app.popup.is_none() => back_word(app),
                Action::Help if scope == Scope::Help => "close",
                Action::Open => open_word(app),
                Action::Filter if app.screen == Screen::Sites => "filter",
                Action::RuntimeFrames if app.sites.runtime_frames => "fold runtime",
                Action::ShowIgnored if app.leaks_with_ignored => "hide ignored",
                Action::Ignore if app.selected_finding().is_some_and(|of| app.is_ignored(of)) => {
                    "no longer ignore"
                }
                _ => row.binding.footer,
            };
            Item {
                is_filler: row.binding.is_filler,
                ..Item::new(&row.label, word)
            }
        })
        .collect()
}

fn open_word(app: &App) -> &'static str {
    match (app.popup, app.screen) {
        (Some(Popup::Columns { .. }), _) => "show or hide",
        (Some(Popup::Export { .. }), _) => "write it",
        (None, Screen::Flame) => "zoom",
        (None, Screen::Detail) if app.detail.source_only => "stack",
        (None, Screen::Detail) => "source",
        _ => "open",
    }
}

fn back_word(app: &App) -> &'static str {
    match app.screen {
        Screen::Detail => "back",
        Screen::Sites if !app.sites.filter.is_empty() => "drop the filter",
        Screen::Sites if app.sites.grouping != Grouping::Site => "by site",
        Screen::Flame if !app.flame.zoom.is_empty() => "zoom out",
        Screen::Flame if !app.flame.search.is_empty() => "drop the search",
        _ => "targets",
    }
}

/// All but the fillers, and of these those that take no other line.
fn fitting(app: &App, width: u16) -> Vec<Item> {
    let mut all = items(app);
    let lines = wrap(all.iter().filter(|item| !item.is_filler), width).len();
    let mut at = 0;
    while at < all.len() {
        let is_over = |items: &[Item], at: usize| {
            let shown = items.iter().enumerate();
            let shown = shown.filter(|(index, item)| !item.is_filler || *index <= at);
            wrap(shown.map(|(_, item)| item), width).len() > lines
        };
        if all.get(at).is_some_and(|item| item.is_filler) && is_over(&all, at) {
            all.remove(at);
        } else {
            at += 1;
        }
    }
    all
}

fn wrapped(app: &App, width: u16) -> Vec<Vec<Item>> {
    let items = fitting(app, width);
    let lengths: Vec<usize> = wrap(items.iter(), width).iter().map(Vec::len).collect();
    let mut items = items.into_iter();
    let rows = lengths.into_iter().take(HEIGHT_MAX);
    rows.map(|length| items.by_ref().take(length).collect())
        .collect()
}

fn wrap<'a>(items: impl Iterator<Item = &'a Item>, width: u16) -> Vec<Vec<&'a Item>> {
    let mut rows: Vec<Vec<&Item>> = Vec::new();
    let mut used = usize::MAX;
    for item in items {
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
