//! The table of keys.

use super::{Action, Key, Scope};

const PICKER: u32 = Scope::Picker.bit();
const OVERVIEW: u32 = Scope::Overview.bit();
const SITES: u32 = Scope::Sites.bit();
const FLAME: u32 = Scope::Flame.bit();
const LEAKS: u32 = Scope::Leaks.bit();
const THREADS: u32 = Scope::Threads.bit();
const SHAPES: u32 = Scope::Shapes.bit();
const JEMALLOC: u32 = Scope::Jemalloc.bit();
const ALERTS: u32 = Scope::Alerts.bit();
const DETAIL: u32 = Scope::Detail.bit();
const HELP: u32 = Scope::Help.bit();
const SORT: u32 = Scope::SortMenu.bit();
const MENUS: u32 = SORT | Scope::ColumnMenu.bit() | Scope::ExportMenu.bit();
/// The screens of a target.
const TABS: u32 = OVERVIEW | SITES | FLAME | LEAKS | THREADS | SHAPES | JEMALLOC | ALERTS | DETAIL;
/// Where a row can be opened.
const OPENS: u32 =
    PICKER | OVERVIEW | SITES | FLAME | LEAKS | THREADS | SHAPES | ALERTS | DETAIL | MENUS;
const ALL: u32 = PICKER | TABS | HELP | MENUS;
/// Where there is a chart over time.
const CHARTS: u32 = OVERVIEW | DETAIL;
/// Where something can be copied.
const COPIES: u32 = TABS;

/// One row of the table.
#[derive(Debug)]
pub struct Binding {
    /// The keys, unless the settings say otherwise.
    pub keys: &'static [Key],
    /// How many of them are written.
    pub shown: usize,
    /// Name in the settings.
    pub name: &'static str,
    /// What they do.
    pub action: Action,
    scopes: u32,
    /// Word in the footer; empty keeps the row out of it.
    pub footer: &'static str,
    /// Whether it is in the footer only where there is room.
    pub is_filler: bool,
    /// Sentence in the help.
    pub help: &'static str,
}

impl Binding {
    /// Whether the row holds in a scope.
    #[must_use]
    pub fn holds_in(&self, scope: Scope) -> bool {
        self.scopes & scope.bit() != 0
    }

    /// Whether it holds wherever there is a target.
    #[must_use]
    pub fn holds_in_all_tabs(&self) -> bool {
        self.scopes & TABS == TABS
    }

    pub(super) fn shares_a_scope_with(&self, other: &Self) -> bool {
        self.scopes & other.scopes != 0
    }
}

const fn bind(
    keys: &'static [Key],
    name: &'static str,
    action: Action,
    scopes: u32,
    footer: &'static str,
    help: &'static str,
) -> Binding {
    let shown = if keys.len() > 2 { 2 } else { keys.len() };
    Binding {
        keys,
        shown,
        name,
        action,
        scopes,
        footer,
        is_filler: false,
        help,
    }
}

/// A row that is in the footer where there is room for its word.
const fn with_room(mut binding: Binding, word: &'static str) -> Binding {
    binding.footer = word;
    binding.is_filler = true;
    binding
}

/// A row of which only the first key is written in the footer.
const fn first(mut binding: Binding) -> Binding {
    binding.shown = 1;
    binding
}

use Key::{Char, Ctrl};

/// The table. A key of a scope stands in one row only; a test checks it.
pub const BINDINGS: &[Binding] = &[
    bind(
        &[Key::Enter],
        "open",
        Action::Open,
        OPENS,
        "open",
        "open what is selected: a target, a site, a frame (zooms in), a function's sites, a menu's row; \
         on one site the frame's source",
    ),
    first(bind(
        &[Key::Esc, Key::Backspace],
        "back",
        Action::Back,
        ALL & !PICKER,
        "back",
        "one level up: menu, zoom, site, filter, list of targets; never quits",
    )),
    bind(
        &[Char('/')],
        "filter",
        Action::Filter,
        SITES | FLAME,
        "find",
        "filter the sites: cache  fn:~^my::  crate:serde  live>1M  age>10m  verdict:growing  !file:tests; \
         or find functions in the flame graph",
    ),
    with_room(
        bind(
            &[Char('n')],
            "next-hit",
            Action::NextHit,
            SITES | FLAME,
            "",
            "next hit of the filter or the search",
        ),
        "next hit",
    ),
    with_room(
        bind(
            &[Char('N')],
            "previous-hit",
            Action::PreviousHit,
            SITES | FLAME,
            "",
            "previous hit",
        ),
        "previous",
    ),
    bind(
        &[Char('s')],
        "sort",
        Action::SortMenu,
        SITES,
        "sort",
        "choose the order",
    ),
    with_room(
        first(bind(
            &[Char('>'), Char('.')],
            "sort-next",
            Action::SortNext,
            SITES,
            "",
            "sort by the next column",
        )),
        "next column",
    ),
    with_room(
        first(bind(
            &[Char('<'), Char(',')],
            "sort-previous",
            Action::SortPrevious,
            SITES,
            "",
            "sort by the previous column",
        )),
        "previous",
    ),
    bind(
        &[Char('r')],
        "reverse",
        Action::Reverse,
        SITES | SORT,
        "reverse",
        "turn the order round",
    ),
    bind(
        &[Char('c')],
        "columns",
        Action::Columns,
        SITES,
        "columns",
        "choose the columns",
    ),
    bind(
        &[Char('#')],
        "group",
        Action::Group,
        SITES,
        "group",
        "group by site, function, crate, thread",
    ),
    with_room(
        bind(
            &[Char('#')],
            "same-function",
            Action::SameFunction,
            OVERVIEW | FLAME | LEAKS | DETAIL | THREADS | SHAPES,
            "",
            "all sites of the same function",
        ),
        "same function",
    ),
    bind(
        &[Char('m')],
        "metric",
        Action::Metric,
        FLAME,
        "metric",
        "widths are live bytes, allocated bytes, live objects, growth",
    ),
    bind(
        &[Char('x')],
        "runtime-frames",
        Action::RuntimeFrames,
        SITES | FLAME | LEAKS | DETAIL,
        "runtime",
        "show or fold the frames of std, the runtime and the allocator",
    ),
    bind(
        &[Char('i')],
        "ignore",
        Action::Ignore,
        LEAKS,
        "ignore",
        "leave this finding out from now on: writes a suppression, which `riptide leaks --suppressions` reads too; \
         on one that is ignored takes it back",
    ),
    bind(
        &[Char('I')],
        "show-ignored",
        Action::ShowIgnored,
        LEAKS,
        "show ignored",
        "list the findings that are ignored, too; again leaves them out",
    ),
    bind(
        &[Char('a')],
        "acknowledge",
        Action::Acknowledge,
        ALERTS,
        "acknowledge",
        "mark an alert as seen; again takes the mark back",
    ),
    bind(
        &[Char('d')],
        "base",
        Action::Base,
        TABS,
        "diff",
        "compare with this moment from now on; again stops comparing",
    ),
    bind(
        &[Char('e')],
        "export",
        Action::Export,
        TABS,
        "export",
        "write a file for pprof, speedscope, a flame graph …",
    ),
    bind(
        &[Char('y')],
        "copy",
        Action::Copy,
        COPIES,
        "copy",
        "copy what is selected to the clipboard, through the terminal (OSC 52)",
    ),
    first(bind(
        &[Key::Left, Char('h')],
        "earlier",
        Action::Earlier,
        CHARTS,
        "back in time",
        "back in time on the chart; dragging the mouse over it looks closer at a range",
    )),
    with_room(
        first(bind(
            &[Key::Right, Char('l')],
            "later",
            Action::Later,
            CHARTS,
            "",
            "on in time",
        )),
        "on",
    ),
    bind(
        &[Char('`')],
        "now",
        Action::Now,
        TABS,
        "now",
        "back to the present",
    ),
    with_room(
        first(bind(
            &[Char('+'), Char('=')],
            "zoom-in",
            Action::ZoomIn,
            OVERVIEW | FLAME,
            "",
            "look closer: a shorter time on the chart, the selected frame in the flame graph",
        )),
        "closer",
    ),
    with_room(
        first(bind(
            &[Char('-'), Char('_')],
            "zoom-out",
            Action::ZoomOut,
            OVERVIEW | FLAME,
            "",
            "look from further away",
        )),
        "wider",
    ),
    bind(
        &[Char(' ')],
        "pause",
        Action::Pause,
        TABS,
        "pause",
        "hold the picture; recording goes on, and so does the target",
    ),
    bind(
        &[Char('R')],
        "follow-restarted",
        Action::Restarted,
        TABS,
        "follow the new process",
        "follow the process that took the place of the one that ended",
    ),
    bind(
        &[Char(':')],
        "command",
        Action::Command,
        TABS,
        "command",
        "enter a command; `:help` lists them",
    ),
    with_room(
        bind(
            &[Key::Tab],
            "next-tab",
            Action::NextTab,
            TABS,
            "",
            "next tab",
        ),
        "next tab",
    ),
    bind(
        &[Key::BackTab],
        "previous-tab",
        Action::PreviousTab,
        TABS,
        "",
        "previous tab",
    ),
    bind(
        &[Char('1')],
        "overview",
        Action::Tab(0),
        TABS,
        "",
        "go to the Overview",
    ),
    bind(
        &[Char('2')],
        "sites",
        Action::Tab(1),
        TABS,
        "",
        "go to the Sites",
    ),
    bind(
        &[Char('3')],
        "flame",
        Action::Tab(2),
        TABS,
        "",
        "go to the flame graph",
    ),
    bind(
        &[Char('4')],
        "leaks",
        Action::Tab(3),
        TABS,
        "",
        "go to the verdicts",
    ),
    bind(
        &[Char('5')],
        "threads",
        Action::Tab(4),
        TABS,
        "",
        "go to the threads",
    ),
    bind(
        &[Char('6')],
        "shapes",
        Action::Tab(5),
        TABS,
        "",
        "go to sizes, lifetimes and short-lived blocks",
    ),
    bind(
        &[Char('7')],
        "jemalloc",
        Action::Tab(6),
        TABS,
        "",
        "go to jemalloc",
    ),
    bind(
        &[Char('8')],
        "alerts",
        Action::Tab(7),
        TABS,
        "",
        "go to the alerts",
    ),
    bind(
        &[Key::Up, Char('k')],
        "up",
        Action::Up,
        ALL,
        "",
        "one row up",
    ),
    bind(
        &[Key::Down, Char('j')],
        "down",
        Action::Down,
        ALL,
        "",
        "one row down",
    ),
    bind(
        &[Key::Left, Char('h')],
        "left",
        Action::Left,
        SITES | FLAME,
        "",
        "columns, or frames, to the left",
    ),
    bind(
        &[Key::Right, Char('l')],
        "right",
        Action::Right,
        SITES | FLAME,
        "",
        "columns, or frames, to the right",
    ),
    bind(
        &[Char('g'), Key::Home],
        "top",
        Action::Top,
        ALL,
        "",
        "first row",
    ),
    bind(
        &[Char('G'), Key::End],
        "bottom",
        Action::Bottom,
        ALL,
        "",
        "last row",
    ),
    bind(
        &[Key::PageUp, Ctrl('b')],
        "page-up",
        Action::PageUp,
        ALL,
        "",
        "a page up",
    ),
    bind(
        &[Key::PageDown, Ctrl('f')],
        "page-down",
        Action::PageDown,
        ALL,
        "",
        "a page down",
    ),
    bind(
        &[Ctrl('u')],
        "half-page-up",
        Action::HalfPageUp,
        ALL,
        "",
        "half a page up",
    ),
    bind(
        &[Ctrl('d')],
        "half-page-down",
        Action::HalfPageDown,
        ALL,
        "",
        "half a page down",
    ),
    bind(
        &[Char('?')],
        "help",
        Action::Help,
        ALL,
        "help",
        "this help; again closes it",
    ),
    bind(
        &[Ctrl('z')],
        "suspend",
        Action::Suspend,
        ALL,
        "",
        "suspend to the shell",
    ),
    bind(
        &[Ctrl('l')],
        "redraw",
        Action::Redraw,
        ALL,
        "",
        "draw everything anew",
    ),
    with_room(
        bind(
            &[Char('Q')],
            "quit-keeping-the-picture",
            Action::QuitKeepingFrame,
            ALL,
            "",
            "quit, keeping the last picture in the terminal",
        ),
        "quit, keeping this",
    ),
    first(bind(
        &[Char('q'), Ctrl('c')],
        "quit",
        Action::Quit,
        ALL,
        "quit",
        "quit (ctrl-c too)",
    )),
];
