//! Where keys hold.

/// What is in front and takes the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
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
    /// One site over the whole screen.
    Detail,
    /// The help.
    Help,
    /// The sort menu.
    SortMenu,
    /// The menu of columns.
    ColumnMenu,
    /// The menu of export formats.
    ExportMenu,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Picker,
        Self::Overview,
        Self::Sites,
        Self::Flame,
        Self::Leaks,
        Self::Threads,
        Self::Shapes,
        Self::Jemalloc,
        Self::Alerts,
        Self::Detail,
        Self::Help,
        Self::SortMenu,
        Self::ColumnMenu,
        Self::ExportMenu,
    ];

    pub(super) const fn bit(self) -> u32 {
        1 << self as u32
    }

    /// Whether it is the list of targets or lies over a screen.
    #[must_use]
    pub fn is_menu_or_picker(self) -> bool {
        matches!(
            self,
            Self::Picker | Self::Help | Self::SortMenu | Self::ColumnMenu | Self::ExportMenu
        )
    }

    /// Its name in the help.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Picker => "Targets",
            Self::Overview => "Overview",
            Self::Sites => "Sites",
            Self::Flame => "Flame",
            Self::Leaks => "Leaks",
            Self::Threads => "Threads",
            Self::Shapes => "Shapes",
            Self::Jemalloc => "jemalloc",
            Self::Alerts => "Alerts",
            Self::Detail => "Site",
            Self::Help => "Help",
            Self::SortMenu => "Sort menu",
            Self::ColumnMenu => "Columns menu",
            Self::ExportMenu => "Export menu",
        }
    }
}
