//! A piece of source text with the line that is meant.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{lines, rule, text};
use crate::app::App;

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    if area.height == 0 {
        return;
    }
    let width = usize::from(area.width);
    let Some(excerpt) = &app.excerpt else {
        let line = rule("source", area.width, theme.strong(), theme.dim());
        lines(frame, area, vec![line]);
        return;
    };
    let place = match &excerpt.place {
        Ok(path) => path.clone(),
        Err(_) => excerpt.file.clone(),
    };
    let title = text::keep_end(
        &format!("{place}:{}", excerpt.line),
        width.saturating_sub(1),
    );
    let mut out = vec![rule(&title, area.width, theme.strong(), theme.dim())];
    if let Err(problem) = &excerpt.place {
        out.push(Line::styled(problem.clone(), theme.dim()));
        lines(frame, area, out);
        return;
    }
    let room = usize::from(area.height.saturating_sub(1));
    let meant = (excerpt.line - excerpt.first.min(excerpt.line)) as usize;
    // A third above, the rest below: what follows says more.
    let from = meant.saturating_sub(room / 3);
    let from = from.min(excerpt.lines.len().saturating_sub(room));
    let digits = (excerpt.first as usize + excerpt.lines.len())
        .to_string()
        .len();
    for (index, line) in excerpt.lines.iter().enumerate().skip(from).take(room) {
        let number = excerpt.first as usize + index;
        let (mark, style) = if index == meant {
            ("▶", theme.strong())
        } else {
            (" ", theme.text())
        };
        let head = format!("{mark}{number:>digits$} ");
        let shown = text::keep_start(line, width.saturating_sub(text::width(&head)));
        let head_style = if index == meant {
            theme.bad()
        } else {
            theme.dim()
        };
        out.push(Line::from(vec![
            Span::styled(head, head_style),
            Span::styled(shown, style),
        ]));
    }
    lines(frame, area, out);
}
