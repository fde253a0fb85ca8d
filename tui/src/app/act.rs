//! Keys to actions, actions to changes.

use ratatui::layout::{Position, Size};
use riptide_reader::{export::Format, symbolize::display_name};

use super::{App, Base, Column, Exit, Popup, Prompt, PromptKind, Request, Screen, SiteKey, SortBy};
use crate::{
    feed::Command,
    input::Input,
    keys::{Action, Key},
    look::Grouping,
    view::overview,
};

impl App {
    /// Takes input in; true when the screen has to be drawn.
    pub fn input(&mut self, input: Input) -> bool {
        let had_notice = self.notice.is_some()
            && matches!(input, Input::Key(_) | Input::Click { .. })
            && self.notice.take().is_some();
        let drawn = match input {
            Input::Resize { width, height } => {
                self.size = Size { width, height };
                true
            }
            Input::Paste(text) => self.prompt.as_mut().is_some_and(|prompt| {
                text.chars()
                    .filter(|letter| !letter.is_control())
                    .for_each(|letter| prompt.insert(letter));
                true
            }),
            Input::Key(key) => self.key(key),
            Input::Click { column, row } => self.click(Position { x: column, y: row }),
            Input::Drag { column, row } => self.drag_to(Position { x: column, y: row }),
            Input::Release { column, row } => self.drop_at(Position { x: column, y: row }),
            Input::WheelUp => self.step_by(-3),
            Input::WheelDown => self.step_by(3),
        };
        self.settle();
        drawn || had_notice
    }

    fn key(&mut self, key: Key) -> bool {
        if self.prompting() {
            return self.prompt_key(key);
        }
        match self.keymap.action(self.scope(), key) {
            Some(action) => self.act(action),
            None => false,
        }
    }

    /// Whether keys go into a line.
    #[must_use]
    pub fn prompting(&self) -> bool {
        self.popup.is_none() && self.prompt.is_some()
    }

    fn prompt_key(&mut self, key: Key) -> bool {
        let Some(prompt) = &mut self.prompt else {
            return false;
        };
        match key {
            Key::Esc => {
                self.prompt = None;
                self.flame.search_as_typed(None);
            }
            Key::Enter if prompt.error.is_none() => {
                if let Some(prompt) = self.prompt.take() {
                    self.accept(prompt);
                }
            }
            Key::Enter => {}
            Key::Ctrl('c') => self.exit = Some(Exit::Clean),
            Key::Ctrl('z') => self.requests.push(Request::Suspend),
            Key::Ctrl('l') => self.requests.push(Request::Redraw),
            // An emptied line goes away, as in other programs.
            Key::Backspace if prompt.text.is_empty() => self.prompt = None,
            _ => {
                let changed = prompt.edit(key);
                if prompt.kind == PromptKind::Search {
                    let text = prompt.text.clone();
                    self.flame.search_as_typed(Some(text));
                }
                return changed;
            }
        }
        true
    }

    fn accept(&mut self, prompt: Prompt) {
        match prompt.kind {
            PromptKind::Filter => {
                self.sites.filter = prompt.filter;
                self.sites.filter_text = prompt.text.trim().to_owned();
            }
            PromptKind::Search => {
                self.flame.search = prompt.text.trim().to_owned();
                self.flame.search_as_typed(None);
                if !self.flame.search.is_empty() {
                    self.select_hit(true);
                }
            }
            PromptKind::Command => self.command(&prompt.text),
        }
    }

    pub(super) fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Quit => self.exit = Some(Exit::Clean),
            Action::QuitKeepingFrame => self.exit = Some(Exit::KeepFrame),
            Action::Help => {
                self.popup = match self.popup {
                    Some(Popup::Help { .. }) => None,
                    _ => Some(Popup::Help { scroll: 0 }),
                };
            }
            Action::Tab(number) => return self.go_to_tab(number),
            Action::NextTab => return self.step_tab(1),
            Action::PreviousTab => return self.step_tab(Screen::TABS.len() - 1),
            Action::Back => return self.back(),
            Action::Open => return self.open(),
            Action::Filter => self.open_filter(),
            Action::NextHit => return self.hit(true),
            Action::PreviousHit => return self.hit(false),
            Action::SortMenu => {
                let selected = SortBy::ALL
                    .iter()
                    .position(|order| *order == self.sites.sort)
                    .unwrap_or_default();
                self.popup = Some(Popup::Sort { selected });
            }
            Action::SortNext => self.step_order(true),
            Action::SortPrevious => self.step_order(false),
            Action::Reverse => self.sites.reversed = !self.sites.reversed,
            Action::Columns => self.popup = Some(Popup::Columns { selected: 0 }),
            Action::Group => self.group_by(self.sites.grouping.next()),
            Action::SameFunction => return self.same_function(),
            Action::Metric => self.flame.metric = self.flame.metric.next(),
            Action::Pause => return self.pause(),
            Action::Base => return self.toggle_base(),
            Action::Export => {
                let selected = 0;
                self.popup = Some(Popup::Export { selected });
            }
            Action::Copy => return self.copy(),
            Action::RuntimeFrames => self.sites.runtime_frames = !self.sites.runtime_frames,
            Action::Ignore => return self.ignore(),
            Action::ShowIgnored => return self.show_ignored(),
            Action::Acknowledge => return self.acknowledge(),
            Action::Restarted => return self.follow_successor(),
            Action::Command => {
                self.prompt = Some(Prompt::new(PromptKind::Command, String::new()));
            }
            Action::Suspend => self.requests.push(Request::Suspend),
            Action::Redraw => self.requests.push(Request::Redraw),
            Action::Left => return self.sideways(false),
            Action::Right => return self.sideways(true),
            Action::Earlier => return self.travel_by(-1.0),
            Action::Later => return self.travel_by(1.0),
            Action::Now => {
                if !self.travel_to_now() {
                    self.say("this is the present");
                }
            }
            Action::ZoomIn if self.screen == Screen::Flame => return self.zoom_flame(),
            Action::ZoomOut if self.screen == Screen::Flame => return self.flame.zoom_out(),
            Action::ZoomIn => return self.zoom_chart(true),
            Action::ZoomOut => return self.zoom_chart(false),
            Action::Up => return self.step_by(-1),
            Action::Down => return self.step_by(1),
            Action::Top => return self.step_by(isize::MIN),
            Action::Bottom => return self.step_by(isize::MAX),
            Action::PageUp => return self.step_by(-self.page()),
            Action::PageDown => return self.step_by(self.page()),
            Action::HalfPageUp => return self.step_by(-(self.page() / 2).max(1)),
            Action::HalfPageDown => return self.step_by((self.page() / 2).max(1)),
        }
        true
    }

    fn open_filter(&mut self) {
        self.prompt = Some(if self.screen == Screen::Flame {
            Prompt::new(PromptKind::Search, String::new())
        } else {
            Prompt::new(PromptKind::Filter, self.sites.filter_text.clone())
        });
    }

    /// Whether the rows of the Sites screen can be told apart by an order now.
    fn has_order(&self, order: SortBy) -> Result<(), &'static str> {
        match order {
            SortBy::Change if self.base.is_none() => {
                Err("there is no base to compare with: d makes this moment one")
            }
            SortBy::Verdict if self.sites.grouping != crate::look::Grouping::Site => {
                Err("verdicts are on sites: # groups by them")
            }
            _ => Ok(()),
        }
    }

    /// Sorts the sites, or says why not.
    pub(super) fn sort_by(&mut self, order: SortBy) {
        match self.has_order(order) {
            Ok(()) => self.sites.sort_by(order),
            Err(why) => self.complain(why),
        }
    }

    /// Sorts by the next column that there is.
    fn step_order(&mut self, forward: bool) {
        let mut order = self.sites.sort.step(forward);
        while self.has_order(order).is_err() {
            order = order.step(forward);
        }
        self.sites.sort_by(order);
    }

    fn hit(&mut self, forward: bool) -> bool {
        if self.screen == Screen::Flame {
            return self.select_hit(forward);
        }
        // The rows that are left are the hits.
        let count = self.sites.rows.len();
        if count == 0 {
            return false;
        }
        let step = if forward { 1 } else { count - 1 };
        let next = (self.sites.cursor.selected + step) % count;
        self.select_site_row(next)
    }

    pub(super) fn group_by(&mut self, grouping: Grouping) {
        self.sites.grouping = grouping;
        if self.has_order(self.sites.sort).is_err() {
            self.sites.sort_by(SortBy::default());
        }
        self.sites.key = None;
        self.sites.cursor = super::ListCursor::default();
    }

    /// Function of what is selected.
    fn selected_function(&self) -> Option<String> {
        let of = |site: Option<&riptide_reader::profile::Site>| site.map(|s| s.function.clone());
        match self.screen {
            Screen::Picker | Screen::Jemalloc | Screen::Alerts => None,
            Screen::Overview => of(self.overview_sites().get(self.overview.selected).copied()),
            Screen::Sites => of(self.selected_site()),
            Screen::Detail => of(self.detail_site()),
            Screen::Flame => self.flame.selected_name(),
            Screen::Leaks => self.selected_finding().map(|found| found.function.clone()),
            Screen::Threads => {
                let thread = self.thread_list().get(self.threads.selected)?;
                thread
                    .profile
                    .sites
                    .first()
                    .map(|site| site.function.clone())
            }
            Screen::Shapes => {
                let shape = self.parts()?.shape.as_deref()?;
                let row = shape.temporary.get(self.shapes.selected)?;
                Some(row.function.clone())
            }
        }
    }

    fn same_function(&mut self) -> bool {
        let Some(function) = self.selected_function() else {
            self.complain("nothing is selected");
            return true;
        };
        self.show_function(&function);
        true
    }

    /// All sites of a function.
    pub(super) fn show_function(&mut self, function: &str) {
        self.group_by(Grouping::Site);
        self.set_filter(&format!("fn:={}", function.replace(' ', "·")));
        self.screen = Screen::Sites;
    }

    pub(super) fn set_filter(&mut self, text: &str) {
        match crate::filter::Filter::parse(text) {
            Ok(filter) => {
                self.sites.filter = filter;
                self.sites.filter_text = text.to_owned();
            }
            Err(error) => self.complain(error),
        }
    }

    fn pause(&mut self) -> bool {
        if self.recording.is_some() {
            self.complain("a recording stands still; ← and → on the Overview go through it");
            return true;
        }
        self.held = match self.held.take() {
            Some(_) => None,
            None => self.live.clone(),
        };
        true
    }

    /// Makes what is shown the base, or stops comparing.
    pub(super) fn toggle_base(&mut self) -> bool {
        if self.base.take().is_some() {
            if self.sites.sort == SortBy::Change {
                self.sites.sort_by(SortBy::default());
            }
            self.say("no longer compared");
            return true;
        }
        let Some(picture) = self.picture() else {
            return false;
        };
        let is_partial = self.travel.picture().is_some() && self.recording.is_none();
        let base = Base::of(
            &picture.snapshot,
            &picture.parts,
            picture.at_seconds,
            is_partial,
        );
        self.base = Some(base);
        self.say("compared with this moment from now on; again stops it");
        true
    }

    fn copy(&mut self) -> bool {
        let Some((text, what)) = self.selected_text() else {
            self.complain("nothing is selected");
            return true;
        };
        self.requests.push(Request::Copy(text));
        self.say(format!(
            "{what} is on the clipboard, if the terminal allows it"
        ));
        true
    }

    /// What is selected as text, and what it is.
    fn selected_text(&self) -> Option<(String, &'static str)> {
        let with_stack =
            |place: Option<String>, function: &str, stack: &[riptide_reader::profile::Frame]| {
                let mut text = display_name(function).into_owned();
                if let Some(place) = place {
                    text.push_str(&format!("\n{place}"));
                }
                for frame in stack {
                    text.push_str(&format!("\n  at {}", display_name(&frame.function)));
                    if let (Some(file), Some(line)) = (&frame.file, frame.line) {
                        text.push_str(&format!(" ({file}:{line})"));
                    }
                }
                text.push('\n');
                (text, "the site with its stack")
            };
        let of_site = |site: &riptide_reader::profile::Site| {
            with_stack(overview::place(site), &site.function, &site.stack)
        };
        match self.screen {
            Screen::Picker => None,
            Screen::Overview => self
                .overview_sites()
                .get(self.overview.selected)
                .map(|site| of_site(site)),
            Screen::Sites => self.selected_site().map(of_site),
            Screen::Detail => self.detail_site().map(of_site),
            Screen::Leaks => self.selected_finding().map(|found| {
                let place = found.file.as_ref().map(|file| match found.line {
                    Some(line) => format!("{file}:{line}"),
                    None => file.clone(),
                });
                let (mut text, _) = with_stack(place, &found.function, &found.stack);
                for sentence in &found.evidence {
                    text.push_str(&format!("- {sentence}\n"));
                }
                (text, "the finding with its evidence")
            }),
            Screen::Flame => {
                let path = self.flame.selected_path();
                let text: Vec<&str> = path.iter().map(|name| &**name).collect();
                (!text.is_empty()).then(|| (text.join(";"), "the path to the frame"))
            }
            Screen::Threads => {
                let thread = self.thread_list().get(self.threads.selected)?;
                let mut text = thread.title();
                for site in &thread.profile.sites {
                    text.push_str(&format!("\n  {}", display_name(&site.function)));
                }
                Some((text, "the thread with its sites"))
            }
            Screen::Shapes => self.selected_function().map(|text| (text, "the function")),
            Screen::Alerts => {
                let rows = self.alert_rows();
                let alert = rows.get(self.alerts.selected)?.alert;
                let mut text = format!("{}\n", alert.summary);
                for line in alert
                    .recommendations
                    .iter()
                    .chain(&alert.evidence.statements)
                {
                    text.push_str(&format!("- {line}\n"));
                }
                Some((text, "the alert with its evidence"))
            }
            Screen::Jemalloc => {
                let found = self.parts()?.jemalloc.as_deref()?;
                let advice: Vec<&str> = found.advice.iter().map(|of| of.action.as_str()).collect();
                (!advice.is_empty()).then(|| (advice.join("\n"), "the advice"))
            }
        }
    }

    /// Ignores the finding selected, or takes that back.
    fn ignore(&mut self) -> bool {
        let Some(found) = self.selected_finding() else {
            self.complain("there is no finding to ignore");
            return true;
        };
        let function = found.function.clone();
        let command = if self.is_ignored(found) {
            Command::TakeBack(function)
        } else {
            Command::Ignore(function)
        };
        self.requests.push(Request::Feed(command));
        true
    }

    fn show_ignored(&mut self) -> bool {
        if self.ignored_count() == 0 {
            self.complain("no finding is ignored");
            return true;
        }
        self.leaks_with_ignored = !self.leaks_with_ignored;
        true
    }

    /// Marks an alert as seen, or takes the mark back.
    fn acknowledge(&mut self) -> bool {
        let rows = self.alert_rows();
        let selected = rows.get(self.alerts.selected);
        let active = selected.filter(|row| row.alert.resolved.is_none());
        let Some(id) = active.map(|row| row.alert.id.clone()) else {
            self.complain("no active alert is selected");
            return true;
        };
        if !self.acknowledged.remove(&id) {
            self.acknowledged.insert(id);
        }
        true
    }

    fn follow_successor(&mut self) -> bool {
        let Some(successor) = self.successor.take() else {
            self.complain("no process has taken the place of this one");
            return true;
        };
        self.follow(successor.region);
        true
    }

    /// Exports in the format of the menu's row.
    pub(super) fn export_selected(&mut self, selected: usize) {
        if let Some(format) = Format::ALL.get(selected) {
            self.export(*format, None);
        }
    }

    pub(super) fn export(&mut self, format: Format, path: Option<std::path::PathBuf>) {
        use riptide_reader::export::Metric;
        let metric = match self.flame.metric {
            crate::flame::Metric::Alloc => Metric::AllocatedBytes,
            crate::flame::Metric::Objects => Metric::LiveObjects,
            crate::flame::Metric::Live | crate::flame::Metric::Growth => Metric::LiveBytes,
        };
        self.requests.push(Request::Feed(Command::Export {
            format,
            metric,
            path,
        }));
    }

    /// Shows or hides the column of the menu's row.
    pub(super) fn toggle_column(&mut self, selected: usize) {
        if let Some(column) = Column::OPTIONAL.get(selected) {
            self.sites.toggle(*column);
        }
    }

    /// Opens one site over the whole screen.
    pub(super) fn show_site(&mut self, key: SiteKey) {
        self.detail.open(key, self.screen);
        self.screen = Screen::Detail;
    }
}
