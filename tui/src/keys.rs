//! The one key table: dispatch, footer and help are all made from it.

/// A key as the table knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character without control.
    Char(char),
    /// A character with control.
    Ctrl(char),
    /// Return.
    Enter,
    /// Escape.
    Esc,
    /// Tabulator.
    Tab,
    /// Shift and tabulator.
    BackTab,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
}

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Leave.
    Quit,
    /// Leave, and keep the last picture in the terminal.
    QuitKeepingFrame,
    /// Open or close the help.
    Help,
    /// Go to a tab, counted from 0.
    Tab(usize),
    /// Go to the next tab.
    NextTab,
    /// Go to the previous tab.
    PreviousTab,
    /// One level up.
    Back,
    /// One row up.
    Up,
    /// One row down.
    Down,
    /// One column to the left.
    Left,
    /// One column to the right.
    Right,
    /// First row.
    Top,
    /// Last row.
    Bottom,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// Half a page up.
    HalfPageUp,
    /// Half a page down.
    HalfPageDown,
    /// Open what is selected.
    Open,
    /// Enter a filter.
    Filter,
    /// Open the sort menu.
    SortMenu,
    /// Sort by the next column.
    SortNext,
    /// Sort by the previous column.
    SortPrevious,
    /// Turn the order round.
    Reverse,
    /// Hold the picture, or let it go on.
    Pause,
    /// Show or fold the frames of the runtime.
    RuntimeFrames,
    /// Suspend to the shell.
    Suspend,
    /// Draw everything anew.
    Redraw,
}

/// What is in front and takes the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The list of targets, or the search for one.
    Picker,
    /// The Overview.
    Overview,
    /// The table of sites.
    Sites,
    /// One site over the whole screen.
    Detail,
    /// The help.
    Help,
    /// The sort menu.
    SortMenu,
}

impl Scope {
    const fn bit(self) -> u8 {
        1 << self as u8
    }

    /// Its name in the help.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Picker => "Targets",
            Self::Overview => "Overview",
            Self::Sites => "Sites",
            Self::Detail => "Site",
            Self::Help => "Help",
            Self::SortMenu => "Sort menu",
        }
    }
}

const PICKER: u8 = Scope::Picker.bit();
const OVERVIEW: u8 = Scope::Overview.bit();
const SITES: u8 = Scope::Sites.bit();
const DETAIL: u8 = Scope::Detail.bit();
const HELP: u8 = Scope::Help.bit();
const SORT: u8 = Scope::SortMenu.bit();
const TABS: u8 = OVERVIEW | SITES | DETAIL;
const LISTS: u8 = PICKER | OVERVIEW | SITES | SORT;
const SCROLLS: u8 = LISTS | DETAIL | HELP;
const ALL: u8 = SCROLLS;

/// One row of the table.
#[derive(Debug)]
pub struct Binding {
    keys: &'static [Key],
    /// How the keys are written.
    pub label: &'static str,
    /// What they do.
    pub action: Action,
    scopes: u8,
    /// Word in the footer; empty keeps the row out of it.
    pub footer: &'static str,
    /// Sentence in the help.
    pub help: &'static str,
}

const fn bind(
    keys: &'static [Key],
    label: &'static str,
    action: Action,
    scopes: u8,
    footer: &'static str,
    help: &'static str,
) -> Binding {
    Binding {
        keys,
        label,
        action,
        scopes,
        footer,
        help,
    }
}

use Key::{Char, Ctrl};

/// The table. A key of a scope stands in one row only; the test below checks it.
pub const BINDINGS: &[Binding] = &[
    bind(
        &[Key::Enter],
        "enter",
        Action::Open,
        LISTS,
        "open",
        "open what is selected: a target, a site, an order",
    ),
    bind(
        &[Key::Esc],
        "esc",
        Action::Back,
        ALL,
        "back",
        "one level up: menu, site, filter, list of targets; never quits",
    ),
    bind(
        &[Char('/')],
        "/",
        Action::Filter,
        SITES,
        "filter",
        "filter the sites, for example: cache  fn:~^my::  crate:serde  live>1M  age>10m  !file:tests",
    ),
    bind(
        &[Char('s')],
        "s",
        Action::SortMenu,
        SITES,
        "sort",
        "choose the order",
    ),
    bind(
        &[Char('>'), Char('.')],
        ">",
        Action::SortNext,
        SITES,
        "",
        "sort by the next column",
    ),
    bind(
        &[Char('<'), Char(',')],
        "<",
        Action::SortPrevious,
        SITES,
        "",
        "sort by the previous column",
    ),
    bind(
        &[Char('r')],
        "r",
        Action::Reverse,
        SITES | SORT,
        "reverse",
        "turn the order round",
    ),
    bind(
        &[Char('x')],
        "x",
        Action::RuntimeFrames,
        SITES | DETAIL,
        "runtime frames",
        "show or fold the frames of std, the runtime and the allocator",
    ),
    bind(
        &[Char(' ')],
        "space",
        Action::Pause,
        TABS,
        "pause",
        "hold the picture; recording goes on, and so does the target",
    ),
    bind(&[Key::Tab], "tab", Action::NextTab, TABS, "", "next tab"),
    bind(
        &[Key::BackTab],
        "shift-tab",
        Action::PreviousTab,
        TABS,
        "",
        "previous tab",
    ),
    bind(
        &[Char('1')],
        "1",
        Action::Tab(0),
        TABS,
        "overview",
        "go to the Overview",
    ),
    bind(
        &[Char('2')],
        "2",
        Action::Tab(1),
        TABS,
        "sites",
        "go to the Sites",
    ),
    bind(
        &[Key::Up, Char('k')],
        "↑ k",
        Action::Up,
        SCROLLS,
        "",
        "one row up",
    ),
    bind(
        &[Key::Down, Char('j')],
        "↓ j",
        Action::Down,
        SCROLLS,
        "",
        "one row down",
    ),
    bind(
        &[Key::Left, Char('h')],
        "← h",
        Action::Left,
        SITES | DETAIL,
        "",
        "columns to the left",
    ),
    bind(
        &[Key::Right, Char('l')],
        "→ l",
        Action::Right,
        SITES | DETAIL,
        "",
        "columns to the right",
    ),
    bind(
        &[Key::Home, Char('g')],
        "g home",
        Action::Top,
        SCROLLS,
        "",
        "first row",
    ),
    bind(
        &[Key::End, Char('G')],
        "G end",
        Action::Bottom,
        SCROLLS,
        "",
        "last row",
    ),
    bind(
        &[Key::PageUp, Ctrl('b')],
        "PgUp ctrl-b",
        Action::PageUp,
        SCROLLS,
        "",
        "a page up",
    ),
    bind(
        &[Key::PageDown, Ctrl('f')],
        "PgDn ctrl-f",
        Action::PageDown,
        SCROLLS,
        "",
        "a page down",
    ),
    bind(
        &[Ctrl('u')],
        "ctrl-u",
        Action::HalfPageUp,
        SCROLLS,
        "",
        "half a page up",
    ),
    bind(
        &[Ctrl('d')],
        "ctrl-d",
        Action::HalfPageDown,
        SCROLLS,
        "",
        "half a page down",
    ),
    bind(
        &[Char('?')],
        "?",
        Action::Help,
        ALL,
        "help",
        "this help; again closes it",
    ),
    bind(
        &[Ctrl('z')],
        "ctrl-z",
        Action::Suspend,
        ALL,
        "",
        "suspend to the shell",
    ),
    bind(
        &[Ctrl('l')],
        "ctrl-l",
        Action::Redraw,
        ALL,
        "",
        "draw everything anew",
    ),
    bind(
        &[Char('Q')],
        "Q",
        Action::QuitKeepingFrame,
        ALL,
        "",
        "quit, keeping the last picture in the terminal",
    ),
    bind(
        &[Char('q'), Ctrl('c')],
        "q",
        Action::Quit,
        ALL,
        "quit",
        "quit (ctrl-c too)",
    ),
];

impl Binding {
    /// Whether the row holds in a scope.
    #[must_use]
    pub fn holds_in(&self, scope: Scope) -> bool {
        self.scopes & scope.bit() != 0
    }
}

/// What a key does in a scope.
#[must_use]
pub fn action(scope: Scope, key: Key) -> Option<Action> {
    BINDINGS
        .iter()
        .find(|binding| binding.holds_in(scope) && binding.keys.contains(&key))
        .map(|binding| binding.action)
}

/// The rows that the footer of a scope shows.
pub fn footer(scope: Scope) -> impl Iterator<Item = &'static Binding> {
    BINDINGS
        .iter()
        .filter(move |binding| binding.holds_in(scope) && !binding.footer.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPES: [Scope; 6] = [
        Scope::Picker,
        Scope::Overview,
        Scope::Sites,
        Scope::Detail,
        Scope::Help,
        Scope::SortMenu,
    ];

    #[test]
    fn a_key_means_one_thing_in_a_scope() {
        for scope in SCOPES {
            let mut seen = Vec::new();
            for binding in BINDINGS.iter().filter(|binding| binding.holds_in(scope)) {
                for key in binding.keys {
                    assert!(!seen.contains(key), "{key:?} twice in {scope:?}");
                    seen.push(*key);
                }
            }
        }
    }

    #[test]
    fn every_scope_can_be_left_and_explained() {
        for scope in SCOPES {
            assert_eq!(action(scope, Char('q')), Some(Action::Quit));
            assert_eq!(action(scope, Ctrl('c')), Some(Action::Quit));
            assert_eq!(action(scope, Key::Esc), Some(Action::Back));
            assert!(footer(scope).any(|binding| binding.action == Action::Help));
        }
    }
}
