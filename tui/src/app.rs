//! State of the dashboard: what is shown, what is selected, and how input and snapshots change it.
//!
//! It knows no terminal, no clock and no process: time comes in with each call, snapshots come from
//! the [`feed`](crate::feed), and what the app wants done stands in its outbox. Views read it.

use std::{path::PathBuf, sync::Arc};

use ratatui::layout::{Position, Size};
use riptide_reader::profile::{Site, Snapshot, TargetState};

use crate::{
    feed::{Command, Target, Trouble, TroubleKind, Update},
    input::Input,
    keys::{self, Action, Key, Scope},
    theme::Theme,
    units::{self, Trend},
    view::{self, layout},
};

mod history;
mod list;
mod mode;
mod order;
mod sites;

pub use history::{History, Point, SiteKey};
pub use list::ListCursor;
pub use mode::Mode;
pub use order::{SortBy, growing};
pub use sites::{Prompt, SitesState};

/// Rows of growing sites that the Overview keeps at most.
pub const GROWING_MAX: usize = 8;

/// What fills the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// The list of targets, or the search for one.
    Picker,
    /// The Overview.
    Overview,
    /// The table of sites.
    Sites,
    /// One site.
    Detail,
}

/// What lies over the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Popup {
    /// The help, scrolled by so many lines.
    Help {
        /// First line shown.
        scroll: usize,
    },
    /// The sort menu.
    Sort {
        /// Selected row.
        selected: usize,
    },
}

/// How the dashboard ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// The terminal is put back as it was.
    Clean,
    /// The last picture is printed into it.
    KeepFrame,
}

/// What the loop around the app has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Pass it on to the feed.
    Feed(Command),
    /// Suspend to the shell.
    Suspend,
    /// Clear the terminal and draw everything.
    Redraw,
}

/// A snapshot with the past that belongs to it.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The target at one moment.
    pub snapshot: Arc<Snapshot>,
    /// What went before.
    pub history: History,
}

/// The dashboard.
#[derive(Debug)]
pub struct App {
    /// Colours.
    pub theme: Theme,
    /// Size of the terminal.
    pub size: Size,
    /// What fills the body.
    pub screen: Screen,
    /// What lies over it.
    pub popup: Option<Popup>,
    /// The targets there are.
    pub targets: Vec<Target>,
    /// Selection in the list of targets.
    pub picker: ListCursor,
    /// Selection among the growing sites of the Overview.
    pub overview: ListCursor,
    /// The Sites screen.
    pub sites: SitesState,
    /// First line shown of a site.
    pub detail_scroll: usize,
    /// Why the target cannot be read, if so.
    pub trouble: Option<Trouble>,
    /// Set when the dashboard is to end.
    pub exit: Option<Exit>,
    live: Option<Picture>,
    /// The picture held by a pause.
    held: Option<Picture>,
    mode: mode::Tracker,
    requests: Vec<Request>,
    /// The region followed.
    following: Option<PathBuf>,
    /// One target was enough to go straight to it; later ones do not take the screen away.
    picked: bool,
}

impl App {
    /// A dashboard that searches for targets, or follows the one given.
    #[must_use]
    pub fn new(theme: Theme, size: Size, region: Option<PathBuf>) -> Self {
        Self {
            theme,
            size,
            screen: if region.is_some() {
                Screen::Overview
            } else {
                Screen::Picker
            },
            popup: None,
            targets: Vec::new(),
            picker: ListCursor::default(),
            overview: ListCursor::default(),
            sites: SitesState::default(),
            detail_scroll: 0,
            trouble: None,
            exit: None,
            live: None,
            held: None,
            mode: mode::Tracker::default(),
            requests: Vec::new(),
            picked: region.is_some(),
            following: region,
        }
    }

    /// The picture to show.
    #[must_use]
    pub fn picture(&self) -> Option<&Picture> {
        self.held.as_ref().or(self.live.as_ref())
    }

    /// The region followed.
    #[must_use]
    pub fn region(&self) -> Option<&std::path::Path> {
        self.following.as_deref()
    }

    /// The snapshot to show.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.picture().map(|picture| &*picture.snapshot)
    }

    /// Where the target and the picture are in their lives.
    #[must_use]
    pub fn mode(&self) -> Mode {
        if let Some(trouble) = &self.trouble {
            return match trouble.kind {
                TroubleKind::Incompatible => Mode::Incompatible,
                TroubleKind::Denied => Mode::Denied,
                TroubleKind::Unreadable => Mode::Unreadable,
            };
        }
        if let Some(held) = &self.held {
            return Mode::Paused(held.snapshot.target.uptime_seconds);
        }
        let Some(snapshot) = self.snapshot() else {
            return Mode::Searching;
        };
        match snapshot.target.state {
            TargetState::Exited => Mode::Exited,
            TargetState::Killed => Mode::Killed,
            TargetState::Unknown => Mode::Unknown,
            TargetState::Live => self.mode.of_live(),
        }
    }

    /// What is in front and takes the keys.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match (self.popup, self.screen) {
            (Some(Popup::Help { .. }), _) => Scope::Help,
            (Some(Popup::Sort { .. }), _) => Scope::SortMenu,
            (None, Screen::Picker) => Scope::Picker,
            (None, Screen::Overview) => Scope::Overview,
            (None, Screen::Sites) => Scope::Sites,
            (None, Screen::Detail) => Scope::Detail,
        }
    }

    /// The sites that the Overview shows as growing; when none grows beyond its error, those that
    /// come nearest.
    #[must_use]
    pub fn overview_sites(&self) -> Vec<&Site> {
        let Some(snapshot) = self.snapshot() else {
            return Vec::new();
        };
        let mut rows = growing(&snapshot.sites);
        if rows.len() < GROWING_MAX {
            let mut others: Vec<&Site> = snapshot
                .sites
                .iter()
                .filter(|site| units::trend(site.growth_bytes_per_second.as_ref()) != Trend::Grows)
                .collect();
            others.sort_by(|left, right| SortBy::Growth.compare(left, right));
            rows.extend(others);
        }
        rows.truncate(GROWING_MAX);
        rows
    }

    /// The site selected on the Sites screen.
    #[must_use]
    pub fn selected_site(&self) -> Option<&Site> {
        let snapshot = self.snapshot()?;
        let index = self.sites.rows.get(self.sites.cursor.selected)?;
        snapshot.sites.get(*index)
    }

    /// The site that the detail shows.
    #[must_use]
    pub fn detail_site(&self) -> Option<&Site> {
        let key = self.sites.key.as_ref()?;
        self.snapshot()?.sites.iter().find(|site| key.names(site))
    }

    /// Takes what has to be done outside.
    pub fn take_requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// Takes news from the feed in; true when the screen has to be drawn.
    pub fn update(&mut self, update: Update, now_seconds: f64) -> bool {
        let drawn = match update {
            Update::Targets(targets) => self.take_targets(targets),
            Update::Snapshot(snapshot) => self.take_snapshot(snapshot, now_seconds),
            Update::Trouble(trouble) => {
                let new = self.trouble.as_ref() != Some(&trouble);
                self.trouble = Some(trouble);
                new
            }
        };
        self.settle();
        drawn
    }

    fn take_targets(&mut self, targets: Vec<Target>) -> bool {
        if self.screen != Screen::Picker {
            return false;
        }
        let selected = self
            .targets
            .get(self.picker.selected)
            .map(|target| target.info.region.clone());
        let changed = !same_targets(&self.targets, &targets);
        self.targets = targets;
        // The selection stays with its target when others come and go.
        if let Some(at) = self
            .targets
            .iter()
            .position(|target| Some(&target.info.region) == selected.as_ref())
        {
            self.picker.selected = at;
        }
        if !self.picked
            && let [only] = self.targets.as_slice()
        {
            let region = only.info.region.clone();
            self.follow(region);
            return true;
        }
        changed
    }

    fn take_snapshot(&mut self, snapshot: Arc<Snapshot>, now_seconds: f64) -> bool {
        if self.following.as_ref() != Some(&snapshot.target.region) {
            // From a target that was left in the meantime.
            return false;
        }
        let before = self.mode();
        let changed = self.mode.observe(&snapshot, now_seconds);
        let mut history = self
            .live
            .take()
            .map(|picture| picture.history)
            .unwrap_or_default();
        history.record(now_seconds, &snapshot);
        self.live = Some(Picture { snapshot, history });
        if self.held.is_some() || self.screen == Screen::Picker {
            return false;
        }
        changed || before != self.mode()
    }

    fn follow(&mut self, region: PathBuf) {
        if self.following.as_ref() != Some(&region) || self.trouble.is_some() {
            self.live = None;
            self.held = None;
            self.mode = mode::Tracker::default();
            self.sites = SitesState::default();
            self.overview = ListCursor::default();
        }
        self.trouble = None;
        self.picked = true;
        self.following = Some(region.clone());
        self.screen = Screen::Overview;
        self.requests.push(Request::Feed(Command::Attach(region)));
    }

    /// Takes input in; true when the screen has to be drawn.
    pub fn input(&mut self, input: Input) -> bool {
        let drawn = match input {
            Input::Resize { width, height } => {
                self.size = Size { width, height };
                true
            }
            Input::Paste(text) => self.sites.prompt.as_mut().is_some_and(|prompt| {
                text.chars()
                    .filter(|letter| !letter.is_control())
                    .for_each(|letter| prompt.insert(letter));
                true
            }),
            Input::Key(key) => self.key(key),
            Input::Click { column, row } => self.click(Position { x: column, y: row }),
            Input::WheelUp => self.step_by(-3),
            Input::WheelDown => self.step_by(3),
        };
        self.settle();
        drawn
    }

    fn key(&mut self, key: Key) -> bool {
        if self.prompting() {
            return self.prompt_key(key);
        }
        match keys::action(self.scope(), key) {
            Some(action) => self.act(action),
            None => false,
        }
    }

    /// Whether keys go into the filter.
    #[must_use]
    pub fn prompting(&self) -> bool {
        self.popup.is_none() && self.screen == Screen::Sites && self.sites.prompt.is_some()
    }

    fn prompt_key(&mut self, key: Key) -> bool {
        let Some(prompt) = &mut self.sites.prompt else {
            return false;
        };
        match key {
            Key::Esc => self.sites.prompt = None,
            Key::Enter => {
                if prompt.error.is_none() {
                    self.sites.accept_prompt();
                }
            }
            Key::Ctrl('c') => self.exit = Some(Exit::Clean),
            Key::Ctrl('z') => self.requests.push(Request::Suspend),
            Key::Ctrl('l') => self.requests.push(Request::Redraw),
            _ => return prompt.edit(key),
        }
        true
    }

    fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Quit => self.exit = Some(Exit::Clean),
            Action::QuitKeepingFrame => self.exit = Some(Exit::KeepFrame),
            Action::Help => {
                self.popup = match self.popup {
                    Some(Popup::Help { .. }) => None,
                    _ => Some(Popup::Help { scroll: 0 }),
                };
            }
            Action::Tab(0) => self.screen = Screen::Overview,
            Action::Tab(_) => self.screen = Screen::Sites,
            Action::NextTab | Action::PreviousTab => {
                self.screen = match self.screen {
                    Screen::Overview => Screen::Sites,
                    _ => Screen::Overview,
                };
            }
            Action::Back => return self.back(),
            Action::Open => return self.open(),
            Action::Filter => self.sites.open_prompt(),
            Action::SortMenu => {
                let selected = SortBy::ALL
                    .iter()
                    .position(|order| *order == self.sites.sort)
                    .unwrap_or_default();
                self.popup = Some(Popup::Sort { selected });
            }
            Action::SortNext => self.sites.sort_by(self.sites.sort.step(true)),
            Action::SortPrevious => self.sites.sort_by(self.sites.sort.step(false)),
            Action::Reverse => self.sites.reversed = !self.sites.reversed,
            Action::Pause => self.pause(),
            Action::RuntimeFrames => self.sites.runtime_frames = !self.sites.runtime_frames,
            Action::Suspend => self.requests.push(Request::Suspend),
            Action::Redraw => self.requests.push(Request::Redraw),
            Action::Left if self.screen == Screen::Sites => {
                self.sites.first_column = self.sites.first_column.saturating_sub(1);
            }
            Action::Right if self.screen == Screen::Sites => self.sites.first_column += 1,
            Action::Left | Action::Right => return false,
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

    fn back(&mut self) -> bool {
        if self.popup.take().is_some() {
            return true;
        }
        match self.screen {
            Screen::Picker => return false,
            Screen::Detail => self.screen = Screen::Sites,
            Screen::Sites if !self.sites.filter.is_empty() => self.sites.clear_filter(),
            Screen::Sites | Screen::Overview => {
                self.screen = Screen::Picker;
                self.picked = true;
                self.requests.push(Request::Feed(Command::Search));
            }
        }
        true
    }

    fn open(&mut self) -> bool {
        if let Some(Popup::Sort { selected }) = self.popup {
            if let Some(order) = SortBy::ALL.get(selected) {
                self.sites.sort_by(*order);
            }
            self.popup = None;
            return true;
        }
        match self.screen {
            Screen::Picker => {
                let Some(target) = self.targets.get(self.picker.selected) else {
                    return false;
                };
                let region = target.info.region.clone();
                self.follow(region);
            }
            Screen::Overview => {
                let sites = self.overview_sites();
                let Some(site) = sites.get(self.overview.selected) else {
                    return false;
                };
                self.sites.key = Some(SiteKey::of(site));
                // A filter would hide what was asked for.
                self.sites.clear_filter();
                self.screen = Screen::Sites;
            }
            Screen::Sites => {
                let Some(site) = self.selected_site() else {
                    return false;
                };
                self.sites.key = Some(SiteKey::of(site));
                self.detail_scroll = 0;
                self.screen = Screen::Detail;
            }
            Screen::Detail => return false,
        }
        true
    }

    fn pause(&mut self) {
        self.held = match self.held.take() {
            Some(_) => None,
            None => self.live.clone(),
        };
    }

    fn page(&self) -> isize {
        let rows = layout::page_rows(self);
        isize::try_from(rows.max(1)).unwrap_or(1)
    }

    /// Moves the selection, or scrolls what has none.
    fn step_by(&mut self, rows: isize) -> bool {
        let moved =
            |at: usize, count: usize| at.saturating_add_signed(rows).min(count.saturating_sub(1));
        match (&mut self.popup, self.screen) {
            (Some(Popup::Help { scroll }), _) => {
                let before = *scroll;
                *scroll = moved(before, layout::SCROLL_MAX);
                before != *scroll || rows == isize::MAX
            }
            (Some(Popup::Sort { selected }), _) => {
                let before = *selected;
                *selected = moved(before, SortBy::ALL.len());
                before != *selected
            }
            (None, Screen::Picker) => {
                let count = self.targets.len();
                self.picker.select(moved(self.picker.selected, count))
            }
            (None, Screen::Overview) => {
                let count = view::overview::site_rows(self);
                self.overview.select(moved(self.overview.selected, count))
            }
            (None, Screen::Sites) => {
                let count = self.sites.rows.len();
                let changed = self
                    .sites
                    .cursor
                    .select(moved(self.sites.cursor.selected, count));
                self.sites.key = self.selected_site().map(SiteKey::of);
                self.detail_scroll = 0;
                changed
            }
            (None, Screen::Detail) => {
                let before = self.detail_scroll;
                self.detail_scroll = moved(before, layout::SCROLL_MAX);
                before != self.detail_scroll
            }
        }
    }

    fn click(&mut self, at: Position) -> bool {
        let areas = layout::areas(self);
        if self.popup.is_some() {
            // A click beside a popup closes it.
            self.popup = None;
            return true;
        }
        if let Some(tab) = layout::tab_at(&areas, at)
            && self.screen != Screen::Picker
        {
            return self.act(Action::Tab(tab));
        }
        let Some(row) = layout::row_at(self, &areas, at) else {
            return false;
        };
        let again = match self.screen {
            Screen::Picker => {
                if row >= self.targets.len() {
                    return false;
                }
                !self.picker.select(row)
            }
            Screen::Overview => {
                if row >= view::overview::site_rows(self) {
                    return false;
                }
                !self.overview.select(row)
            }
            Screen::Sites => {
                if row >= self.sites.rows.len() {
                    return false;
                }
                let again = !self.sites.cursor.select(row);
                self.sites.key = self.selected_site().map(SiteKey::of);
                again
            }
            Screen::Detail => return false,
        };
        // A second click on the selected row opens it.
        if again { self.open() } else { true }
    }

    /// Puts rows, selections and offsets in order after anything has changed.
    fn settle(&mut self) {
        let snapshot = self
            .held
            .as_ref()
            .or(self.live.as_ref())
            .map(|picture| Arc::clone(&picture.snapshot));
        if let Some(snapshot) = &snapshot {
            self.sites.arrange(snapshot);
        }
        let targets = self.targets.len();
        let growing = view::overview::site_rows(self);
        let sites = self.sites.rows.len();
        let page = layout::page_rows(self);
        self.picker.settle(targets, page);
        self.overview.settle(growing, growing);
        self.sites.cursor.settle(sites, layout::site_rows(self));
        self.sites.first_column = self
            .sites
            .first_column
            .min(view::sites::optional_columns().saturating_sub(1));
        if let Some(Popup::Help { scroll }) = &self.popup {
            let scroll = (*scroll).min(view::help::scroll_max(self));
            self.popup = Some(Popup::Help { scroll });
        }
        if self.screen == Screen::Detail {
            self.detail_scroll = self.detail_scroll.min(view::detail::scroll_max(self));
        }
    }
}

/// Whether two lists look the same, ages aside.
fn same_targets(left: &[Target], right: &[Target]) -> bool {
    let look = |target: &Target| {
        (
            target.info.region.clone(),
            target.info.state,
            target.trouble.clone(),
            target.info.uptime_seconds.map(|seconds| seconds as u64),
        )
    };
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| look(left) == look(right))
}
