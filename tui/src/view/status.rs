//! The line above the keys: what is typed, or what was said.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{lines, text};
use crate::app::{App, Prompt, PromptKind};

/// Lines that it takes.
#[must_use]
pub(super) fn height(app: &App) -> u16 {
    let is_typed = app
        .prompt
        .as_ref()
        .is_some_and(|prompt| prompt.kind != PromptKind::Filter);
    u16::from(is_typed || app.notice.is_some())
}

/// A line that is typed, with its cursor; `tail` stands behind it.
pub(super) fn typed(
    app: &App,
    prompt: &Prompt,
    label: &'static str,
    tail: Span<'static>,
    width: u16,
) -> Line<'static> {
    let theme = app.theme;
    let letters: Vec<char> = prompt.text.chars().collect();
    let at = prompt.cursor.min(letters.len());
    let (before, rest) = letters.split_at(at);
    let before: String = before.iter().collect();
    let room = usize::from(width).saturating_sub(text::width(label) + 1);
    let mut rest = rest.iter();
    let under = rest.next().copied().unwrap_or(' ').to_string();
    Line::from(vec![
        Span::styled(label, theme.key()),
        Span::raw(text::keep_end(&before, room)),
        Span::styled(under, theme.selected()),
        Span::raw(rest.collect::<String>()),
        tail,
    ])
}

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    if let Some(prompt) = &app.prompt
        && prompt.kind != PromptKind::Filter
    {
        let label = match prompt.kind {
            PromptKind::Search => "find: ",
            _ => ":",
        };
        let line = typed(app, prompt, label, Span::raw(""), area.width);
        lines(frame, area, vec![line]);
        return;
    }
    if let Some(notice) = &app.notice {
        let style = if notice.is_bad {
            app.theme.bad()
        } else {
            app.theme.strong()
        };
        let tag = if notice.is_bad { "! " } else { "" };
        let text = text::keep_start(&format!(" {tag}{}", notice.text), usize::from(area.width));
        lines(frame, area, vec![Line::styled(text, style)]);
    }
}
