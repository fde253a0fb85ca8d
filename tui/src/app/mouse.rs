//! Clicks and drags.

use ratatui::layout::Position;

use super::{App, Screen};
use crate::{
    keys::Action,
    view::{self, layout},
};

impl App {
    pub(super) fn click(&mut self, at: Position) -> bool {
        let areas = layout::areas(self);
        self.drag = None;
        if self.popup.is_some() {
            // A click on or beside a popup closes it.
            self.popup = None;
            return true;
        }
        if let Some(tab) = layout::tab_at(self, &areas, at)
            && self.screen != Screen::Picker
        {
            return self.act(Action::Tab(tab));
        }
        match self.screen {
            Screen::Sites => {
                if let Some(order) = view::sites::order_at(self, areas.body, at) {
                    if self.sites.sort == order {
                        self.sites.reversed = !self.sites.reversed;
                    } else {
                        self.sites.sort_by(order);
                    }
                    return true;
                }
            }
            Screen::Flame => return self.click_flame(at),
            Screen::Overview if view::overview::moment_at(self, areas.body, at).is_some() => {
                self.drag = Some(at.x);
                return false;
            }
            _ => {}
        }
        let Some(row) = layout::row_at(self, &areas, at) else {
            return false;
        };
        let count = match self.screen {
            Screen::Picker => self.targets.len(),
            Screen::Overview => view::overview::site_rows(self),
            Screen::Sites => self.sites.rows.len(),
            Screen::Leaks => self.findings().len(),
            Screen::Threads => self.thread_list().len(),
            Screen::Shapes => {
                let shape = self.parts().and_then(|parts| parts.shape.as_deref());
                shape.map_or(0, |shape| shape.temporary.len())
            }
            Screen::Alerts => self.alert_rows().len(),
            Screen::Detail | Screen::Flame | Screen::Jemalloc => 0,
        };
        if row >= count {
            return false;
        }
        let moved = match self.screen {
            Screen::Picker => self.picker.select(row),
            Screen::Overview => self.overview.select(row),
            Screen::Sites => self.select_site_row(row),
            Screen::Leaks => self.select_finding(row),
            Screen::Threads => self.select_thread(row),
            Screen::Shapes => self.shapes.select(row),
            Screen::Alerts => self.alerts.select(row),
            Screen::Detail | Screen::Flame | Screen::Jemalloc => true,
        };
        // A second click on the selected row opens it.
        if moved { true } else { self.open() }
    }

    /// The button is held and the mouse moved: over the chart that marks a range.
    pub(super) fn drag_to(&mut self, at: Position) -> bool {
        let Some(from) = self.drag else {
            return false;
        };
        self.travel_marked = Some((from.min(at.x), from.max(at.x)));
        true
    }

    /// The button is let go: a range is looked at closer, a single moment is gone to.
    pub(super) fn drop_at(&mut self, at: Position) -> bool {
        self.travel_marked = None;
        let Some(from) = self.drag.take() else {
            return false;
        };
        let body = layout::areas(self).body;
        let moment = |x: u16| view::overview::moment_at_column(self, body, x);
        let (Some(start), Some(end)) = (moment(from), moment(at.x)) else {
            return true;
        };
        if from == at.x {
            self.travel_to(start)
        } else {
            self.show_range(start, end);
            true
        }
    }
}
