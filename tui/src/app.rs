//! State of the dashboard: what is shown, what is selected, and how input and snapshots change it.
//!
//! | module | does |
//! |---|---|
//! | `act` | keys to actions, actions to changes |
//! | `navigate` | up, down, into and out of things |
//! | `mouse` | clicks and drags |
//! | `take` | news from the feed |
//! | `settle` | puts selections in order after anything has changed |
//! | `command` | the command line |
//! | `sites`, `flame`, `detail` | state of these screens |
//! | `history`, `travel`, `base` | the past, the moment shown, the moment compared with |
//! | `list`, `mode`, `order`, `columns`, `prompt` | small parts |
//!
//! It knows no terminal, no clock and no process: time comes in with each call, snapshots come from
//! the [`feed`](crate::feed), and what the app wants done stands in its outbox. Views read it.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use ratatui::layout::Size;
use riptide_reader::{
    leak::Finding,
    profile::{Site, Snapshot, TargetInfo, TargetState},
};

use crate::{
    feed::{Command, Part, Target, Trouble, TroubleKind},
    keys::{Keymap, Scope},
    look::{Excerpt, Grouping, Parts, Thread, is_listed},
    theme::Theme,
    view::{AlertRow, alert_rows},
};

mod act;
mod base;
mod columns;
mod command;
mod detail;
mod flame;
mod history;
mod list;
mod mode;
mod mouse;
mod navigate;
mod order;
mod prompt;
mod settle;
mod sites;
mod take;
mod travel;

pub use base::Base;
pub use columns::Column;
pub use command::COMMANDS;
pub use detail::DetailState;
pub use flame::FlameState;
pub use history::{History, Point, SiteKey};
pub use list::ListCursor;
pub use mode::Mode;
pub use order::{Beside, SortBy, growing, most_growing};
pub use prompt::{Prompt, PromptKind};
pub use sites::SitesState;
pub use travel::Travel;

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
    /// The flame graph.
    Flame,
    /// The verdicts.
    Leaks,
    /// The threads.
    Threads,
    /// Sizes and lifetimes.
    Shapes,
    /// jemalloc.
    Jemalloc,
    /// Alerts.
    Alerts,
    /// One site.
    Detail,
}

impl Screen {
    /// Those with a tab, in their order.
    pub const TABS: [Self; 8] = [
        Self::Overview,
        Self::Sites,
        Self::Flame,
        Self::Leaks,
        Self::Threads,
        Self::Shapes,
        Self::Jemalloc,
        Self::Alerts,
    ];
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
    /// The menu of columns.
    Columns {
        /// Selected row.
        selected: usize,
    },
    /// The menu of export formats.
    Export {
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
    /// The reader's thread has died, and said why.
    Failed,
}

/// What the loop around the app has to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Pass it on to the feed.
    Feed(Command),
    /// Suspend to the shell.
    Suspend,
    /// Clear the terminal and draw everything.
    Redraw,
    /// Put a text on the clipboard.
    Copy(String),
}

/// Something said until the next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The words.
    pub text: String,
    /// Whether something failed.
    pub is_bad: bool,
}

/// A target at one moment.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Figures and sites.
    pub snapshot: Arc<Snapshot>,
    /// What is shown beside them.
    pub parts: Parts,
    /// When it was taken, on the dashboard's clock or in the recording.
    pub at_seconds: f64,
}

/// The dashboard.
#[derive(Debug)]
pub struct App {
    /// Colours.
    pub theme: Theme,
    /// Keys.
    pub keymap: Keymap,
    /// Size of the terminal.
    pub size: Size,
    /// What fills the body.
    pub screen: Screen,
    /// What lies over it.
    pub popup: Option<Popup>,
    /// A line that is being typed.
    pub prompt: Option<Prompt>,
    /// Something said until the next key.
    pub notice: Option<Notice>,
    /// The targets there are.
    pub targets: Vec<Target>,
    /// Selection in the list of targets.
    pub picker: ListCursor,
    /// Selection among the growing sites of the Overview.
    pub overview: ListCursor,
    /// The Sites screen.
    pub sites: SitesState,
    /// The Flame screen.
    pub flame: FlameState,
    /// Selection among the findings.
    pub leaks: ListCursor,
    /// Whether those that are ignored are listed, too.
    pub leaks_with_ignored: bool,
    /// Selection among the threads.
    pub threads: ListCursor,
    /// Selection among the sites of short-lived blocks.
    pub shapes: ListCursor,
    /// Selection among the alerts.
    pub alerts: ListCursor,
    /// Alerts that the user has seen, by id.
    pub acknowledged: HashSet<String>,
    /// First line shown of jemalloc.
    pub jemalloc_scroll: usize,
    /// One site.
    pub detail: DetailState,
    /// The source text last asked for.
    pub excerpt: Option<Excerpt>,
    /// Why the target cannot be read, if so.
    pub trouble: Option<Trouble>,
    /// A process that took the place of the target.
    pub successor: Option<TargetInfo>,
    /// The moment compared with.
    pub base: Option<Base>,
    /// What was seen.
    pub history: History,
    /// Where in the past the picture is, and how much of it charts show.
    pub travel: Travel,
    /// Length of the recording, in seconds, if the target is one.
    pub recording: Option<f64>,
    /// Set when the dashboard is to end.
    pub exit: Option<Exit>,
    live: Option<Picture>,
    /// The picture held by a pause.
    held: Option<Picture>,
    mode: mode::Tracker,
    requests: Vec<Request>,
    /// The region or recording followed.
    following: Option<PathBuf>,
    /// One target was enough to go straight to it; later ones do not take the screen away.
    picked: bool,
    /// What the feed was last asked for.
    asked: settle::Asked,
    /// Findings and threads selected, so that the selection stays with them.
    leak_key: Option<SiteKey>,
    thread_key: Option<u32>,
    drag: Option<u16>,
    /// Columns between which the mouse is dragged.
    pub travel_marked: Option<(u16, u16)>,
}

impl App {
    /// A dashboard that searches for targets, or follows the one given.
    #[must_use]
    pub fn new(theme: Theme, size: Size, region: Option<PathBuf>) -> Self {
        Self {
            theme,
            keymap: Keymap::default(),
            size,
            screen: if region.is_some() {
                Screen::Overview
            } else {
                Screen::Picker
            },
            popup: None,
            prompt: None,
            notice: None,
            targets: Vec::new(),
            picker: ListCursor::default(),
            overview: ListCursor::default(),
            sites: SitesState::default(),
            flame: FlameState::default(),
            leaks: ListCursor::default(),
            leaks_with_ignored: false,
            threads: ListCursor::default(),
            shapes: ListCursor::default(),
            alerts: ListCursor::default(),
            acknowledged: HashSet::new(),
            jemalloc_scroll: 0,
            detail: DetailState::default(),
            excerpt: None,
            trouble: None,
            successor: None,
            base: None,
            history: History::default(),
            travel: Travel::default(),
            recording: None,
            exit: None,
            live: None,
            held: None,
            mode: mode::Tracker::default(),
            requests: Vec::new(),
            picked: region.is_some(),
            following: region,
            asked: settle::Asked::default(),
            leak_key: None,
            thread_key: None,
            drag: None,
            travel_marked: None,
        }
    }

    /// The picture to show.
    #[must_use]
    pub fn picture(&self) -> Option<&Picture> {
        self.travel
            .picture()
            .or(self.held.as_ref())
            .or(self.live.as_ref())
    }

    /// The region or recording followed.
    #[must_use]
    pub fn region(&self) -> Option<&std::path::Path> {
        self.following.as_deref()
    }

    /// The snapshot to show.
    #[must_use]
    pub fn snapshot(&self) -> Option<&Snapshot> {
        self.picture().map(|picture| &*picture.snapshot)
    }

    /// What is shown beside it.
    #[must_use]
    pub fn parts(&self) -> Option<&Parts> {
        self.picture().map(|picture| &picture.parts)
    }

    /// When the picture was taken, unless it is the present one.
    #[must_use]
    pub fn shown_until(&self) -> Option<f64> {
        let held = self.held.as_ref().map(|held| held.at_seconds);
        self.travel.at_seconds().or(held)
    }

    /// Whether the picture is held.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.held.is_some()
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
        let Some(snapshot) = self.snapshot() else {
            return Mode::Searching;
        };
        if self.recording.is_some() || self.travel.picture().is_some() {
            return Mode::Replay(snapshot.target.uptime_seconds);
        }
        if let Some(held) = &self.held {
            return Mode::Paused(held.snapshot.target.uptime_seconds);
        }
        match (snapshot.target.state, &self.successor) {
            (TargetState::Live, _) => self.mode.of_live(),
            (_, Some(_)) => Mode::Restarted,
            (TargetState::Exited, None) => Mode::Exited,
            (TargetState::Killed, None) => Mode::Killed,
            (TargetState::Unknown, None) => Mode::Unknown,
        }
    }

    /// What is in front and takes the keys.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match (self.popup, self.screen) {
            (Some(Popup::Help { .. }), _) => Scope::Help,
            (Some(Popup::Sort { .. }), _) => Scope::SortMenu,
            (Some(Popup::Columns { .. }), _) => Scope::ColumnMenu,
            (Some(Popup::Export { .. }), _) => Scope::ExportMenu,
            (None, Screen::Picker) => Scope::Picker,
            (None, Screen::Overview) => Scope::Overview,
            (None, Screen::Sites) => Scope::Sites,
            (None, Screen::Flame) => Scope::Flame,
            (None, Screen::Leaks) => Scope::Leaks,
            (None, Screen::Threads) => Scope::Threads,
            (None, Screen::Shapes) => Scope::Shapes,
            (None, Screen::Jemalloc) => Scope::Jemalloc,
            (None, Screen::Alerts) => Scope::Alerts,
            (None, Screen::Detail) => Scope::Detail,
        }
    }

    /// What the screen in front shows beside the snapshot.
    #[must_use]
    pub fn wanted_part(&self) -> Option<Part> {
        match self.screen {
            Screen::Picker => None,
            Screen::Overview | Screen::Leaks => Some(Part::Findings),
            Screen::Sites => match self.sites.grouping {
                Grouping::Site => Some(Part::Findings),
                Grouping::Function => Some(Part::Functions),
                Grouping::Crate => Some(Part::Crates),
                Grouping::Thread => Some(Part::Threads),
            },
            Screen::Flame => Some(Part::Flame),
            Screen::Threads => Some(Part::Threads),
            Screen::Shapes => Some(Part::Shape),
            Screen::Jemalloc => Some(Part::Jemalloc),
            Screen::Alerts => Some(Part::Alerts),
            Screen::Detail => Some(Part::Inspected),
        }
    }

    /// The rows that the Sites screen is made from, in its grouping.
    #[must_use]
    pub fn grouped(&self) -> &[Site] {
        self.grouped_by(self.sites.grouping)
    }

    fn grouped_by(&self, grouping: Grouping) -> &[Site] {
        let Some(picture) = self.picture() else {
            return &[];
        };
        let parts = &picture.parts;
        match grouping {
            Grouping::Site => picture.snapshot.sites.as_slice(),
            other => parts.rows(other).map(|rows| &**rows).unwrap_or_default(),
        }
    }

    /// The findings that the Leaks screen lists: all but the healthy ones; those that are ignored last.
    #[must_use]
    pub fn findings(&self) -> Vec<&Finding> {
        let Some(findings) = self.parts().and_then(|parts| parts.findings.as_deref()) else {
            return Vec::new();
        };
        // The worst come first.
        let listed = findings.list.iter().take_while(|of| is_listed(of));
        let ignored = findings.ignored.iter();
        listed
            .chain(ignored.filter(|_| self.leaks_with_ignored))
            .collect()
    }

    /// How many findings are ignored.
    #[must_use]
    pub fn ignored_count(&self) -> usize {
        let findings = self.parts().and_then(|parts| parts.findings.as_deref());
        findings.map_or(0, |findings| findings.ignored.len())
    }

    /// Whether a finding of [`App::findings`] is one that is ignored.
    #[must_use]
    pub fn is_ignored(&self, finding: &Finding) -> bool {
        let findings = self.parts().and_then(|parts| parts.findings.as_deref());
        let ignored = findings.map(|findings| findings.ignored.as_slice());
        let mut ignored = ignored.unwrap_or_default().iter();
        ignored.any(|of| std::ptr::eq(of, finding))
    }

    /// The finding on a site.
    #[must_use]
    pub fn finding_of(&self, site: &Site) -> Option<&Finding> {
        self.parts()?.findings.as_deref()?.of_site(site)
    }

    /// The finding selected.
    #[must_use]
    pub fn selected_finding(&self) -> Option<&Finding> {
        self.findings().get(self.leaks.selected).copied()
    }

    /// Alerts, active and ended.
    #[must_use]
    pub fn alert_rows(&self) -> Vec<AlertRow<'_>> {
        let alerts = self.parts().and_then(|parts| parts.alerts.as_deref());
        alerts.map(alert_rows).unwrap_or_default()
    }

    /// The threads.
    #[must_use]
    pub fn thread_list(&self) -> &[Thread] {
        self.parts()
            .and_then(|parts| parts.threads.as_deref())
            .unwrap_or_default()
    }

    /// The sites that the Overview shows as growing; when none grows beyond its error, those that
    /// come nearest.
    #[must_use]
    pub fn overview_sites(&self) -> Vec<&Site> {
        let Some(snapshot) = self.snapshot() else {
            return Vec::new();
        };
        most_growing(&snapshot.sites, GROWING_MAX)
    }

    /// The row selected on the Sites screen.
    #[must_use]
    pub fn selected_site(&self) -> Option<&Site> {
        let index = self.sites.rows.get(self.sites.cursor.selected)?;
        self.grouped().get(*index)
    }

    /// The site that the detail shows.
    #[must_use]
    pub fn detail_site(&self) -> Option<&Site> {
        let key = self.detail.key.as_ref()?;
        self.snapshot()?.sites.iter().find(|site| key.names(site))
    }

    /// Takes what has to be done outside.
    pub fn take_requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    fn say(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice {
            text: text.into(),
            is_bad: false,
        });
    }

    fn complain(&mut self, text: impl Into<String>) {
        self.notice = Some(Notice {
            text: text.into(),
            is_bad: true,
        });
    }
}
