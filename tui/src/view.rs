//! What the dashboard looks like: free functions from the app to the frame, one file per screen.
//!
//! Nothing here changes the app. Where things lie is decided in [`layout`], which the app asks too:
//! for the length of a page and for what is under the mouse.

use ratatui::{
    Frame,
    layout::{Alignment, Rect},
    style::Style,
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};

use crate::app::{App, Popup, Screen};

mod alerts;
mod ascii;
mod chart;
pub mod detail;
mod figures;
pub mod flame;
pub mod footer;
mod header;
pub mod help;
pub mod jemalloc;
pub mod layout;
mod leaks;
mod menus;
pub mod overview;
mod picker;
pub mod shapes;
pub mod sites;
mod source;
mod stack;
mod status;
mod text;
mod threads;

pub use alerts::{Row as AlertRow, rows as alert_rows};
pub use header::tab_names;

/// Smallest width that is drawn.
pub const MIN_WIDTH: u16 = 60;
/// Smallest height that is drawn.
pub const MIN_HEIGHT: u16 = 16;
/// From this width on details stand to the right.
pub const WIDE: u16 = 120;

/// Draws the dashboard.
pub fn render(frame: &mut Frame, app: &App) {
    let size = frame.area();
    if size.width < MIN_WIDTH || size.height < MIN_HEIGHT {
        too_small(frame, size);
        return;
    }
    let areas = layout::areas(app);
    // The terminal may have changed since the app heard of its size.
    if areas.whole.as_size() != size.as_size() {
        return;
    }
    header::render(frame, areas.header, app);
    header::render_tabs(frame, areas.tabs, app);
    match app.screen {
        Screen::Picker => picker::render(frame, areas.body, app),
        Screen::Overview => overview::render(frame, areas.body, app),
        Screen::Sites => sites::render(frame, areas.body, app),
        Screen::Detail => detail::render(frame, areas.body, app),
        Screen::Flame => flame::render(frame, areas.body, app),
        Screen::Leaks => leaks::render(frame, areas.body, app),
        Screen::Threads => threads::render(frame, areas.body, app),
        Screen::Shapes => shapes::render(frame, areas.body, app),
        Screen::Jemalloc => jemalloc::render(frame, areas.body, app),
        Screen::Alerts => alerts::render(frame, areas.body, app),
    }
    status::render(frame, areas.status, app);
    footer::render(frame, areas.footer, app);
    match app.popup {
        Some(Popup::Help { scroll }) => help::render(frame, areas.body, app, scroll),
        Some(Popup::Sort { selected }) => menus::sort(frame, areas.body, app, selected),
        Some(Popup::Columns { selected }) => menus::columns(frame, areas.body, app, selected),
        Some(Popup::Export { selected }) => menus::export(frame, areas.body, app, selected),
        None => {}
    }
    if app.theme.is_ascii {
        ascii::translate(frame.buffer_mut());
    }
}

/// What is said where a part is not made yet, or the target cannot be read.
fn waiting(frame: &mut Frame, area: Rect, app: &App) {
    let message = app
        .trouble
        .as_ref()
        .map_or("reading the target", |trouble| trouble.message.as_str());
    let line = Line::styled(message.to_owned(), app.theme.dim());
    centered(frame, area, vec![line]);
}

fn too_small(frame: &mut Frame, area: Rect) {
    let text = format!(
        "riptide needs {MIN_WIDTH}×{MIN_HEIGHT}, this is {}×{}",
        area.width, area.height
    );
    frame.render_widget(Paragraph::new(text), area);
}

/// Lines at the top of an area.
fn lines(frame: &mut Frame, area: Rect, lines: Vec<Line<'_>>) {
    frame.render_widget(Paragraph::new(lines), area);
}

/// Lines in the middle of an area.
fn centered(frame: &mut Frame, area: Rect, text: Vec<Line<'_>>) {
    let height = u16::try_from(text.len())
        .unwrap_or(u16::MAX)
        .min(area.height);
    let top = area.y + (area.height - height) / 2;
    let area = Rect {
        y: top,
        height,
        ..area
    };
    frame.render_widget(Paragraph::new(text).alignment(Alignment::Center), area);
}

/// A box over the body, with what lies under it wiped out.
fn popup(frame: &mut Frame, area: Rect, title: &str, app: &App) -> Rect {
    use ratatui::widgets::{Block, Padding};
    let block = Block::bordered()
        .title(Line::from(Span::styled(
            format!(" {title} "),
            app.theme.strong(),
        )))
        .padding(Padding::horizontal(1));
    let inner = block.inner(area);
    frame.render_widget(Clear, area);
    frame.render_widget(block, area);
    inner
}

/// A title that is drawn out to the width by a rule.
fn rule(title: &str, width: u16, style: Style, rule_style: Style) -> Line<'static> {
    let title = format!("{title} ");
    let used = Span::raw(&title).width();
    let rest = usize::from(width).saturating_sub(used);
    Line::from(vec![
        Span::styled(title, style),
        Span::styled("─".repeat(rest), rule_style),
    ])
}

#[cfg(test)]
mod tests;
