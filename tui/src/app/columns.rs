//! The columns of the Sites screen behind the name.

use super::SortBy;

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Live bytes.
    Live,
    /// Share of the heap.
    Share,
    /// Live bytes less those of the base.
    Change,
    /// Growth.
    Growth,
    /// Verdict.
    Verdict,
    /// Live blocks.
    Objects,
    /// Allocations a second.
    Alloc,
    /// Median age.
    Age,
}

impl Column {
    /// Those that can be scrolled through and switched off; live bytes are always shown.
    pub const OPTIONAL: [Self; 7] = [
        Self::Share,
        Self::Change,
        Self::Growth,
        Self::Verdict,
        Self::Objects,
        Self::Alloc,
        Self::Age,
    ];

    /// Its title.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Share => "%",
            Self::Change => "since base",
            Self::Growth => "growth",
            Self::Verdict => "verdict",
            Self::Objects => "objects",
            Self::Alloc => "allocs/s",
            Self::Age => "age",
        }
    }

    /// What it shows, in the menu.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Live => "live bytes",
            Self::Share => "share of the heap",
            Self::Change => "live bytes less those of the base (d)",
            Self::Growth => "growth from births and deaths",
            Self::Verdict => "leak, growing, cache-like …",
            Self::Objects => "live blocks",
            Self::Alloc => "allocations a second",
            Self::Age => "median age of the live blocks",
        }
    }

    /// The order that it shows.
    #[must_use]
    pub fn order(self) -> Option<SortBy> {
        match self {
            Self::Live => Some(SortBy::Live),
            Self::Change => Some(SortBy::Change),
            Self::Growth => Some(SortBy::Growth),
            Self::Verdict => Some(SortBy::Verdict),
            Self::Objects => Some(SortBy::Objects),
            Self::Alloc => Some(SortBy::Alloc),
            Self::Age => Some(SortBy::Age),
            // That of the live bytes, whose mark it does not carry twice.
            Self::Share => None,
        }
    }
}
