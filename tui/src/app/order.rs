//! The orders of the Sites screen.

use std::cmp::Ordering;

use riptide_reader::{leak::Verdict, profile::Site};

use crate::units::{self, Trend};

/// What is known of a site beside its own figures.
pub trait Beside {
    /// Its verdict.
    fn verdict(&self, site: &Site) -> Option<Verdict>;
    /// Its live bytes less those of the base.
    fn change(&self, site: &Site) -> Option<f64>;
}

/// Nothing is known.
pub(super) struct Nothing;

impl Beside for Nothing {
    fn verdict(&self, _: &Site) -> Option<Verdict> {
        None
    }

    fn change(&self, _: &Site) -> Option<f64> {
        None
    }
}

/// What sites are sorted by; each is also a column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum SortBy {
    /// Live bytes.
    #[default]
    Live,
    /// Live bytes less those of the base; the dashboard's alone.
    #[value(skip)]
    Change,
    /// Growth of the live bytes.
    Growth,
    /// Verdict, the worst first; the dashboard's alone.
    #[value(skip)]
    Verdict,
    /// Live blocks.
    Objects,
    /// Allocations a second.
    Alloc,
    /// Median age of the live blocks.
    Age,
    /// Name of the function.
    Function,
}

impl SortBy {
    /// All, in the order of the columns.
    pub const ALL: [Self; 8] = [
        Self::Live,
        Self::Change,
        Self::Growth,
        Self::Verdict,
        Self::Objects,
        Self::Alloc,
        Self::Age,
        Self::Function,
    ];

    /// Its name in the menu.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Live => "live bytes",
            Self::Change => "change since the base",
            Self::Growth => "growth",
            Self::Verdict => "verdict",
            Self::Objects => "objects",
            Self::Alloc => "allocations a second",
            Self::Age => "median age",
            Self::Function => "function",
        }
    }

    fn position(self) -> usize {
        Self::ALL
            .iter()
            .position(|order| *order == self)
            .unwrap_or_default()
    }

    /// The order so many columns further on, around the end.
    #[must_use]
    pub fn step(self, forward: bool) -> Self {
        let count = Self::ALL.len();
        let next = (self.position() + if forward { 1 } else { count - 1 }) % count;
        Self::ALL.get(next).copied().unwrap_or_default()
    }

    /// The figure that the order goes by, the largest first.
    #[must_use]
    pub fn figure(self, site: &Site, beside: &impl Beside) -> f64 {
        match self {
            Self::Live | Self::Function => site.live_bytes.estimate,
            Self::Change => beside.change(site).unwrap_or(f64::NEG_INFINITY),
            // They are declared from the worst on.
            Self::Verdict => beside
                .verdict(site)
                .map_or(f64::NEG_INFINITY, |verdict| -f64::from(verdict as u8)),
            Self::Growth => site
                .growth_bytes_per_second
                .map_or(f64::NEG_INFINITY, |growth| growth.estimate),
            Self::Objects => site.live_objects.estimate,
            Self::Alloc => site.allocations_per_second.unwrap_or(f64::NEG_INFINITY),
            Self::Age => site.median_age_seconds.unwrap_or(f64::NEG_INFINITY),
        }
    }

    /// The natural order by figures of the sites alone.
    #[must_use]
    pub fn compare(self, left: &Site, right: &Site) -> Ordering {
        let of = |site: &Site| self.figure(site, &Nothing);
        self.compare_by((of(left), left), (of(right), right))
    }

    /// The natural order of sites with their figures: largest first, names from A to Z. Ties go by live
    /// bytes, then by name, so that rows do not jump.
    #[must_use]
    pub fn compare_by(
        self,
        (of_left, left): (f64, &Site),
        (of_right, right): (f64, &Site),
    ) -> Ordering {
        let by_name = || {
            left.function
                .cmp(&right.function)
                .then(left.file.cmp(&right.file))
                .then(left.line.cmp(&right.line))
        };
        let by_live = || {
            right
                .live_bytes
                .estimate
                .total_cmp(&left.live_bytes.estimate)
        };
        if self == Self::Function {
            return by_name();
        }
        of_right
            .total_cmp(&of_left)
            .then_with(by_live)
            .then_with(by_name)
    }
}

/// Whether a site's growth exceeds its own error.
fn grows(site: &Site) -> bool {
    units::trend(site.growth_bytes_per_second.as_ref()) == Trend::Grows
}

/// The sites whose growth exceeds its own error, the fastest first.
#[must_use]
pub fn growing(sites: &[Site]) -> Vec<&Site> {
    fastest(sites.iter().filter(|site| grows(site)), usize::MAX)
}

/// So many sites that grow, the fastest first; when fewer grow beyond their error, then those that come
/// nearest.
#[must_use]
pub fn most_growing(sites: &[Site], most: usize) -> Vec<&Site> {
    let mut rows = fastest(sites.iter().filter(|site| grows(site)), most);
    let left = most - rows.len();
    if left > 0 {
        rows.extend(fastest(sites.iter().filter(|site| !grows(site)), left));
    }
    rows
}

/// So many of some sites by their growth. Of thousands only these few are sorted.
fn fastest<'a>(sites: impl Iterator<Item = &'a Site>, most: usize) -> Vec<&'a Site> {
    let compare = |left: &&Site, right: &&Site| SortBy::Growth.compare(left, right);
    let mut sites: Vec<&Site> = sites.collect();
    if most < sites.len() {
        sites.select_nth_unstable_by(most, compare);
        sites.truncate(most);
    }
    sites.sort_by(compare);
    sites
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::snapshot;

    #[test]
    fn growing_sites_are_those_beyond_their_error() {
        let snapshot = snapshot();
        let growing = growing(&snapshot.sites);
        assert_eq!(growing.len(), 1);
        assert_eq!(growing[0].function, "service::sessions::remember_session");
    }

    #[test]
    fn a_few_are_those_that_sorting_all_would_put_first() {
        let snapshot = snapshot();
        let mut all: Vec<&Site> = snapshot.sites.iter().collect();
        all.sort_by(|left, right| SortBy::Growth.compare(left, right));
        // The one that grows comes first in either order.
        for most in [0, 1, 3, 8, 25, 100] {
            let few = most_growing(&snapshot.sites, most);
            let names = |sites: &[&Site]| -> Vec<String> {
                sites.iter().map(|site| site.function.clone()).collect()
            };
            assert_eq!(names(&few), names(&all[..most.min(all.len())]));
        }
    }

    #[test]
    fn columns_go_round() {
        assert_eq!(SortBy::Live.step(false), SortBy::Function);
        assert_eq!(SortBy::Function.step(true), SortBy::Live);
        for order in SortBy::ALL {
            assert_eq!(order.step(true).step(false), order);
        }
    }

    #[test]
    fn unknown_figures_go_last() {
        let mut snapshot = snapshot();
        snapshot.sites[0].growth_bytes_per_second = None;
        snapshot.sites.sort_by(|a, b| SortBy::Growth.compare(a, b));
        assert_eq!(
            snapshot.sites[0].function,
            "service::sessions::remember_session"
        );
        assert!(
            snapshot
                .sites
                .last()
                .unwrap()
                .growth_bytes_per_second
                .is_none()
        );
    }
}
