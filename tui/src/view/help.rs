//! The help, from the key table.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{layout, lines, popup, text};
use crate::{
    app::{App, COMMANDS},
    keys::Scope,
};

const NOTES: [&str; 4] = [
    "Figures are estimates from samples; ± is the half width of the 95 % interval. >= stands before \
     figures from which blocks are missing.",
    "▲ grows and ▼ shrinks beyond its own error, from blocks born and freed while watched.",
    "Bytes are what the program asked for; allocated, active, resident and retained are jemalloc's \
     own figures, rss is the kernel's.",
    "A site is the first frame outside std, alloc and the allocator: function, file and line.",
];

/// Places that are named; menus are told by their own footers.
const SCOPES: [Scope; 10] = [
    Scope::Picker,
    Scope::Overview,
    Scope::Sites,
    Scope::Flame,
    Scope::Leaks,
    Scope::Threads,
    Scope::Shapes,
    Scope::Jemalloc,
    Scope::Alerts,
    Scope::Detail,
];

fn area(body: Rect) -> Rect {
    let width = 96.min(body.width);
    Rect {
        x: body.x + (body.width - width) / 2,
        width,
        ..body
    }
}

fn content(app: &App, width: usize) -> Vec<Line<'static>> {
    let theme = app.theme;
    let rows = app.keymap.rows();
    let label_width = rows
        .iter()
        .map(|row| text::width(&row.label))
        .max()
        .unwrap_or_default();
    let mut out = Vec::new();
    for row in rows.iter().filter(|row| !row.keys.is_empty()) {
        let binding = row.binding;
        let places: Vec<&str> = SCOPES
            .into_iter()
            .filter(|scope| binding.holds_in(*scope))
            .map(Scope::name)
            .collect();
        let place = if places.len() == SCOPES.len() || places.is_empty() {
            String::new()
        } else if binding.holds_in_all_tabs() {
            " (all tabs)".to_owned()
        } else {
            format!(" ({})", places.join(", "))
        };
        let sentence = format!("{}{place}", binding.help);
        let room = width.saturating_sub(label_width + 2);
        for (index, part) in text::wrap(&sentence, room).into_iter().enumerate() {
            let label = if index == 0 { row.label.as_str() } else { "" };
            out.push(Line::from(vec![
                Span::styled(text::left(label, label_width), theme.key()),
                Span::raw("  "),
                Span::raw(part),
            ]));
        }
    }
    out.push(Line::raw(""));
    let mouse = "mouse: click a tab, a title, a frame or a row, again to open it; wheel; on the chart a \
                 click goes to that moment, dragging looks closer at a range";
    out.extend(text::wrap(mouse, width).into_iter().map(Line::raw));
    out.push(Line::raw(""));
    out.push(Line::styled("commands, behind :", theme.strong()));
    for (form, sentence) in COMMANDS {
        let whole = format!(":{form}  {sentence}");
        for (index, part) in text::wrap(&whole, width.saturating_sub(2))
            .into_iter()
            .enumerate()
        {
            let indent = if index == 0 { "" } else { "  " };
            out.push(Line::raw(format!("{indent}{part}")));
        }
    }
    for note in NOTES {
        out.push(Line::raw(""));
        out.extend(text::wrap(note, width).into_iter().map(Line::raw));
    }
    out
}

fn inner_size(body: Rect) -> (usize, usize) {
    let area = area(body);
    (
        usize::from(area.width.saturating_sub(4)),
        usize::from(area.height.saturating_sub(2)),
    )
}

/// How far the help can be scrolled.
#[must_use]
pub fn scroll_max(app: &App) -> usize {
    let (width, height) = inner_size(layout::areas(app).body);
    content(app, width).len().saturating_sub(height)
}

pub(super) fn render(frame: &mut Frame, body: Rect, app: &App, scroll: usize) {
    let area = area(body);
    let (width, height) = inner_size(body);
    let content = content(app, width);
    let total = content.len();
    let last = (scroll + height).min(total);
    let title = if total > height {
        format!("help, lines {}–{last} of {total}", scroll + 1)
    } else {
        "help".to_owned()
    };
    let inner = popup(frame, area, &title, app);
    lines(
        frame,
        inner,
        content.into_iter().skip(scroll).take(height).collect(),
    );
}
