//! Where things lie, as pure functions of the app.

use ratatui::layout::{Position, Rect};

use super::{MIN_HEIGHT, MIN_WIDTH, WIDE, footer, header, overview, shapes, status};
use crate::app::{App, PromptKind, Screen};

/// No text is scrolled further than this many lines.
pub const SCROLL_MAX: usize = 10_000;

/// The parts of the screen.
#[derive(Clone, Copy, Debug)]
pub struct Areas {
    /// All of it.
    pub whole: Rect,
    /// Line 1: identity and mode.
    pub header: Rect,
    /// Line 2: tabs.
    pub tabs: Rect,
    /// What the screen shows.
    pub body: Rect,
    /// A line that is typed, or something said; without height when there is neither.
    pub status: Rect,
    /// Last lines: keys.
    pub footer: Rect,
}

/// The parts of the screen at its present size.
#[must_use]
pub fn areas(app: &App) -> Areas {
    let whole = Rect::new(0, 0, app.size.width, app.size.height);
    let keys = footer::height(app, whole.width);
    let head = whole.height.min(2);
    let footer_height = keys.min(whole.height - head);
    let status_height = status::height(app).min(whole.height - head - footer_height);
    let line = |y: u16| Rect {
        y,
        height: whole.height.saturating_sub(y).min(1),
        ..whole
    };
    Areas {
        whole,
        header: line(0),
        tabs: line(1),
        body: Rect {
            y: head,
            height: whole.height - head - footer_height - status_height,
            ..whole
        },
        status: Rect {
            y: whole.height - footer_height - status_height,
            height: status_height,
            ..whole
        },
        footer: Rect {
            y: whole.height - footer_height,
            height: footer_height,
            ..whole
        },
    }
}

/// Whether details stand to the right.
#[must_use]
pub fn is_wide(app: &App) -> bool {
    app.size.width >= WIDE
}

/// The parts of the Sites screen.
#[derive(Clone, Copy, Debug)]
pub struct SitesAreas {
    /// The filter; without height when there is none.
    pub filter: Rect,
    /// Names of the columns.
    pub columns: Rect,
    /// The rows.
    pub rows: Rect,
    /// The selected site; without width when the screen is narrow.
    pub detail: Rect,
}

/// The parts of the Sites screen.
#[must_use]
pub fn sites(app: &App, body: Rect) -> SitesAreas {
    let is_typed = app
        .prompt
        .as_ref()
        .is_some_and(|prompt| prompt.kind == PromptKind::Filter);
    let has_filter = is_typed || !app.sites.filter.is_empty();
    let filter_height = u16::from(has_filter).min(body.height);
    let table_width = if is_wide(app) {
        // A third for the stack; its paths are wrapped.
        body.width - (body.width / 3).max(44)
    } else {
        body.width
    };
    let table_top = body.y + filter_height;
    let table_height = body.height - filter_height;
    let columns_height = table_height.min(1);
    let gap = u16::from(is_wide(app)) * 2;
    SitesAreas {
        filter: Rect {
            height: filter_height,
            ..body
        },
        columns: Rect {
            y: table_top,
            height: columns_height,
            width: table_width,
            ..body
        },
        rows: Rect {
            y: table_top + columns_height,
            height: table_height - columns_height,
            width: table_width,
            ..body
        },
        detail: if is_wide(app) {
            Rect {
                x: body.x + table_width + gap,
                y: table_top,
                width: body.width - table_width - gap,
                height: table_height,
            }
        } else {
            Rect::default()
        },
    }
}

/// The parts of a screen with a list and a pane about what is selected in it.
#[derive(Clone, Copy, Debug)]
pub struct ListAreas {
    /// Names of the columns.
    pub columns: Rect,
    /// The rows.
    pub rows: Rect,
    /// What is selected: to the right on a wide screen, below on a narrow one.
    pub pane: Rect,
}

/// The parts of a screen with a list and a pane.
#[must_use]
pub fn list(app: &App, body: Rect) -> ListAreas {
    let columns_height = body.height.min(1);
    let rest = body.height - columns_height;
    let columns = |width: u16| Rect {
        height: columns_height,
        width,
        ..body
    };
    let top = body.y + columns_height;
    if is_wide(app) {
        let pane_width = (body.width * 9 / 20).max(54).min(body.width);
        let gap = 2.min(pane_width);
        let width = body.width - pane_width;
        return ListAreas {
            columns: columns(width),
            rows: Rect {
                y: top,
                height: rest,
                width,
                ..body
            },
            pane: Rect {
                x: body.x + width + gap,
                width: pane_width - gap,
                ..body
            },
        };
    }
    let rows_height = (rest * 2 / 5).max(2).min(rest);
    ListAreas {
        columns: columns(body.width),
        rows: Rect {
            y: top,
            height: rows_height,
            ..body
        },
        pane: Rect {
            y: top + rows_height,
            height: rest - rows_height,
            ..body
        },
    }
}

/// Rows of such a list on a page.
#[must_use]
pub fn list_rows(app: &App) -> usize {
    usize::from(list(app, areas(app).body).rows.height)
}

/// Rows of sites on a page.
#[must_use]
pub fn site_rows(app: &App) -> usize {
    usize::from(sites(app, areas(app).body).rows.height)
}

/// Rows on a page of what takes the keys.
#[must_use]
pub fn page_rows(app: &App) -> usize {
    let body = areas(app).body;
    match app.screen {
        _ if app.popup.is_some() => usize::from(body.height.saturating_sub(2)),
        // Its heading, and the path of the selected region.
        Screen::Picker => usize::from(body.height.saturating_sub(3)),
        Screen::Sites => site_rows(app),
        Screen::Leaks | Screen::Threads | Screen::Alerts => list_rows(app),
        Screen::Shapes => shapes::rows(app),
        Screen::Overview | Screen::Detail | Screen::Flame | Screen::Jemalloc => {
            usize::from(body.height)
        }
    }
}

/// The tab under the mouse, counted from 0.
#[must_use]
pub fn tab_at(app: &App, areas: &Areas, at: Position) -> Option<usize> {
    if !areas.tabs.contains(at) {
        return None;
    }
    header::tab_columns(app)
        .iter()
        .position(|columns| columns.contains(&at.x))
}

/// The row of the list under the mouse, counted from the first of the list.
#[must_use]
pub fn row_at(app: &App, areas: &Areas, at: Position) -> Option<usize> {
    if areas.whole.width < MIN_WIDTH || areas.whole.height < MIN_HEIGHT {
        return None;
    }
    let (rows, offset) = match app.screen {
        Screen::Picker => {
            let top = 1.min(areas.body.height);
            (
                Rect {
                    y: areas.body.y + top,
                    height: areas.body.height - top,
                    ..areas.body
                },
                app.picker.offset,
            )
        }
        Screen::Overview => (overview::plan(app, areas.body).site_rows, 0),
        Screen::Sites => (sites(app, areas.body).rows, app.sites.cursor.offset),
        Screen::Leaks => (list(app, areas.body).rows, app.leaks.offset),
        Screen::Threads => (list(app, areas.body).rows, app.threads.offset),
        Screen::Alerts => (list(app, areas.body).rows, app.alerts.offset),
        Screen::Shapes => (shapes::plan(app, areas.body).rows, app.shapes.offset),
        Screen::Detail | Screen::Flame | Screen::Jemalloc => return None,
    };
    rows.contains(at)
        .then(|| offset + usize::from(at.y - rows.y))
}
