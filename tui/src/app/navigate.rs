//! Up, down, into and out of things.

use riptide_reader::export::Format;

use super::{App, Column, Popup, Request, Screen, SiteKey, SortBy};
use crate::{
    feed::Command,
    look::Grouping,
    view::{self, layout},
};

impl App {
    pub(super) fn go_to_tab(&mut self, number: usize) -> bool {
        let Some(screen) = Screen::TABS.get(number) else {
            return false;
        };
        if self.screen == *screen {
            // There already: to its beginning.
            self.step_by(isize::MIN);
        }
        self.screen = *screen;
        true
    }

    pub(super) fn step_tab(&mut self, by: usize) -> bool {
        let shown = self.tab().unwrap_or_default();
        self.go_to_tab((shown + by) % Screen::TABS.len())
    }

    /// The tab that is lit.
    #[must_use]
    pub fn tab(&self) -> Option<usize> {
        let screen = match self.screen {
            Screen::Detail => self.detail.from,
            screen => screen,
        };
        Screen::TABS.iter().position(|of| *of == screen)
    }

    pub(super) fn back(&mut self) -> bool {
        if self.popup.take().is_some() {
            return true;
        }
        match self.screen {
            Screen::Picker => return false,
            Screen::Detail => self.screen = self.detail.from,
            Screen::Sites if !self.sites.filter.is_empty() => self.sites.clear_filter(),
            Screen::Sites if self.sites.grouping != Grouping::Site => {
                self.group_by(Grouping::Site);
            }
            Screen::Flame if self.flame.zoom_out() => {}
            Screen::Flame if !self.flame.search.is_empty() => self.flame.search.clear(),
            _ => {
                self.screen = Screen::Picker;
                self.picked = true;
                self.requests.push(Request::Feed(Command::Search));
            }
        }
        true
    }

    pub(super) fn open(&mut self) -> bool {
        match self.popup {
            Some(Popup::Sort { selected }) => {
                self.popup = None;
                if let Some(order) = SortBy::ALL.get(selected) {
                    self.sort_by(*order);
                }
                return true;
            }
            Some(Popup::Columns { selected }) => {
                self.toggle_column(selected);
                return true;
            }
            Some(Popup::Export { selected }) => {
                self.export_selected(selected);
                self.popup = None;
                return true;
            }
            Some(Popup::Help { .. }) => return false,
            None => {}
        }
        match self.screen {
            Screen::Picker => {
                let Some(target) = self.targets.get(self.picker.selected) else {
                    return false;
                };
                let region = target.info.region.clone();
                self.follow(region);
                true
            }
            Screen::Overview => {
                let sites = self.overview_sites();
                let Some(site) = sites.get(self.overview.selected) else {
                    return false;
                };
                let key = SiteKey::of(site);
                // For the table to stand on it when one comes back.
                self.sites.key = Some(key.clone());
                self.show_site(key);
                true
            }
            Screen::Sites => self.open_row(),
            Screen::Leaks => self.open_finding(),
            Screen::Threads => {
                let thread = self.thread_list().get(self.threads.selected);
                let site = thread.and_then(|thread| thread.profile.sites.first());
                let Some(key) = site.map(|site| SiteKey {
                    function: site.function.clone(),
                    file: site.file.clone(),
                    line: site.line,
                }) else {
                    return false;
                };
                self.show_site(key);
                true
            }
            Screen::Shapes => {
                let shape = self.parts().and_then(|parts| parts.shape.as_deref());
                let row = shape.and_then(|shape| shape.temporary.get(self.shapes.selected));
                let Some(key) = row.map(|row| SiteKey {
                    function: row.function.clone(),
                    file: row.file.clone(),
                    line: row.line,
                }) else {
                    return false;
                };
                self.show_site(key);
                true
            }
            Screen::Flame => self.zoom_flame(),
            Screen::Detail => self.detail.toggle_source(),
            Screen::Alerts => self.open_alert(),
            Screen::Jemalloc => false,
        }
    }

    fn open_row(&mut self) -> bool {
        let Some(site) = self.selected_site() else {
            return false;
        };
        let key = SiteKey::of(site);
        match self.sites.grouping {
            Grouping::Site => {
                self.sites.key = Some(key.clone());
                self.show_site(key);
            }
            Grouping::Function => self.show_function(&key.function),
            Grouping::Crate => {
                self.group_by(Grouping::Site);
                self.set_filter(&format!("crate:{}", key.function));
            }
            Grouping::Thread => {
                self.thread_key = self
                    .thread_list()
                    .iter()
                    .find(|thread| thread.title() == key.function)
                    .map(|thread| thread.profile.id);
                self.screen = Screen::Threads;
            }
        }
        true
    }

    fn open_finding(&mut self) -> bool {
        let Some(found) = self.selected_finding() else {
            return false;
        };
        // A function as a whole has no place: its sites are shown.
        if found.file.is_none() && found.line.is_none() {
            let function = found.function.clone();
            let is_site = self.snapshot().is_some_and(|snapshot| {
                let named = |site: &riptide_reader::profile::Site| {
                    site.function == function && site.file.is_none()
                };
                snapshot.sites.iter().any(named)
            });
            if !is_site {
                self.show_function(&function);
                return true;
            }
        }
        let key = SiteKey {
            function: found.function.clone(),
            file: found.file.clone(),
            line: found.line,
        };
        self.show_site(key);
        true
    }

    /// The first site that the alert points at.
    fn open_alert(&mut self) -> bool {
        let rows = self.alert_rows();
        let row = rows.get(self.alerts.selected);
        let site = row.and_then(|row| row.alert.evidence.sites.first());
        let Some(key) = site.map(|site| SiteKey {
            function: site.function.clone(),
            file: site.file.clone(),
            line: site.line,
        }) else {
            return false;
        };
        self.show_site(key);
        true
    }

    pub(super) fn sideways(&mut self, right: bool) -> bool {
        if self.screen == Screen::Flame {
            return self.select_beside(right);
        }
        let before = self.sites.first_column;
        self.sites.first_column = if right {
            (before + 1).min(Column::OPTIONAL.len() - 1)
        } else {
            before.saturating_sub(1)
        };
        before != self.sites.first_column
    }

    pub(super) fn page(&self) -> isize {
        let rows = layout::page_rows(self);
        isize::try_from(rows.max(1)).unwrap_or(1)
    }

    pub(super) fn select_site_row(&mut self, row: usize) -> bool {
        let changed = self.sites.cursor.select(row);
        self.sites.key = self.selected_site().map(SiteKey::of);
        changed
    }

    pub(super) fn select_finding(&mut self, row: usize) -> bool {
        let changed = self.leaks.select(row);
        self.leak_key = self.selected_finding().map(|found| SiteKey {
            function: found.function.clone(),
            file: found.file.clone(),
            line: found.line,
        });
        changed
    }

    pub(super) fn select_thread(&mut self, row: usize) -> bool {
        let changed = self.threads.select(row);
        let thread = self.thread_list().get(row);
        self.thread_key = thread.map(|thread| thread.profile.id);
        changed
    }

    /// Moves the selection, or scrolls what has none.
    pub(super) fn step_by(&mut self, rows: isize) -> bool {
        let moved =
            |at: usize, count: usize| at.saturating_add_signed(rows).min(count.saturating_sub(1));
        if let Some(popup) = &mut self.popup {
            let (at, count) = match popup {
                Popup::Help { scroll } => (scroll, layout::SCROLL_MAX),
                Popup::Sort { selected } => (selected, SortBy::ALL.len()),
                Popup::Columns { selected } => (selected, Column::OPTIONAL.len()),
                Popup::Export { selected } => (selected, Format::ALL.len()),
            };
            let before = *at;
            *at = moved(before, count);
            return before != *at || rows == isize::MAX;
        }
        match self.screen {
            Screen::Picker => {
                let count = self.targets.len();
                self.picker.select(moved(self.picker.selected, count))
            }
            Screen::Overview => {
                let count = view::overview::site_rows(self);
                self.overview.select(moved(self.overview.selected, count))
            }
            Screen::Sites => {
                let count = self.sites.rows.len();
                self.select_site_row(moved(self.sites.cursor.selected, count))
            }
            Screen::Leaks => {
                let count = self.findings().len();
                self.select_finding(moved(self.leaks.selected, count))
            }
            Screen::Threads => {
                let count = self.thread_list().len();
                self.select_thread(moved(self.threads.selected, count))
            }
            Screen::Shapes => {
                let shape = self.parts().and_then(|parts| parts.shape.as_deref());
                let count = shape.map_or(0, |shape| shape.temporary.len());
                self.shapes.select(moved(self.shapes.selected, count))
            }
            Screen::Alerts => {
                let count = self.alert_rows().len();
                self.alerts.select(moved(self.alerts.selected, count))
            }
            Screen::Jemalloc => {
                let before = self.jemalloc_scroll;
                let most = view::jemalloc::scroll_max(self);
                self.jemalloc_scroll = moved(before, most + 1);
                before != self.jemalloc_scroll
            }
            Screen::Flame => self.select_depth(rows),
            Screen::Detail => {
                let count = self.detail_frames().len();
                self.detail.select(moved(self.detail.selected, count), rows)
            }
        }
    }
}
