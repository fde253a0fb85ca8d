//! What was seen over time: the live heap, and the live bytes of each site.

use std::collections::{HashMap, VecDeque};

use riptide_reader::profile::{Estimate, Site, Snapshot};

/// Seconds between two points.
const STEP_SECONDS: f64 = 1.0;
/// Points kept of the live heap: 15 minutes.
const POINTS: usize = 900;
/// Points kept of a site.
const SITE_POINTS: usize = 60;
/// Sites whose trend is kept; a snapshot with more keeps the trend of its largest.
const SITES: usize = 1_000;

/// One look at the live heap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Seconds on the dashboard's clock.
    pub at_seconds: f64,
    /// Live bytes.
    pub live_bytes: Estimate,
}

/// Names a site across snapshots: function, file and line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SiteKey {
    function: String,
    file: Option<String>,
    line: Option<u32>,
}

impl SiteKey {
    /// The key of a site.
    #[must_use]
    pub fn of(site: &Site) -> Self {
        Self {
            function: site.function.clone(),
            file: site.file.clone(),
            line: site.line,
        }
    }

    /// Whether it names this site.
    #[must_use]
    pub fn names(&self, site: &Site) -> bool {
        self.function == site.function && self.line == site.line && self.file == site.file
    }
}

/// A bounded record of the past.
#[derive(Clone, Debug, Default)]
pub struct History {
    points: VecDeque<Point>,
    sites: HashMap<SiteKey, VecDeque<f64>>,
}

impl History {
    /// Takes a snapshot in, at most one a step.
    pub fn record(&mut self, now_seconds: f64, snapshot: &Snapshot) {
        let point = Point {
            at_seconds: now_seconds,
            live_bytes: snapshot.live.bytes,
        };
        if let Some(last) = self.points.back_mut()
            && now_seconds - last.at_seconds < STEP_SECONDS * 0.75
        {
            // The first snapshots come in quick succession while symbols arrive.
            last.live_bytes = point.live_bytes;
            self.record_sites(snapshot, true);
            return;
        }
        self.points.push_back(point);
        if self.points.len() > POINTS {
            self.points.pop_front();
        }
        self.record_sites(snapshot, false);
    }

    fn record_sites(&mut self, snapshot: &Snapshot, replace: bool) {
        let mut kept = HashMap::with_capacity(snapshot.sites.len().min(SITES));
        for site in snapshot.sites.iter().take(SITES) {
            let key = SiteKey::of(site);
            let mut trend = self.sites.remove(&key).unwrap_or_default();
            if replace {
                trend.pop_back();
            }
            trend.push_back(site.live_bytes.estimate);
            if trend.len() > SITE_POINTS {
                trend.pop_front();
            }
            kept.insert(key, trend);
        }
        self.sites = kept;
    }

    /// The looks at the live heap, oldest first.
    pub fn points(&self) -> impl ExactSizeIterator<Item = &Point> + Clone {
        self.points.iter()
    }

    /// Live bytes of a site, oldest first.
    pub fn trend(&self, site: &Site) -> impl Iterator<Item = f64> {
        self.sites
            .get(&SiteKey::of(site))
            .into_iter()
            .flatten()
            .copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::snapshot;

    #[test]
    fn snapshots_in_quick_succession_make_one_point() {
        let mut history = History::default();
        let snapshot = snapshot();
        history.record(0.0, &snapshot);
        history.record(0.2, &snapshot);
        history.record(1.0, &snapshot);
        assert_eq!(history.points().len(), 2);
        assert_eq!(history.trend(&snapshot.sites[0]).count(), 2);
    }

    #[test]
    fn the_past_is_bounded_and_forgets_sites_that_are_gone() {
        let mut history = History::default();
        let mut snapshot = snapshot();
        for second in 0..2_000 {
            history.record(f64::from(second), &snapshot);
        }
        assert_eq!(history.points().len(), POINTS);
        let gone = snapshot.sites.remove(0);
        history.record(2_000.0, &snapshot);
        assert_eq!(history.trend(&gone).count(), 0);
        assert_eq!(history.trend(&snapshot.sites[0]).count(), SITE_POINTS);
    }
}
