//! What was seen over time, in short: figures of the whole and of the heaviest sites, 1 s for
//! 15 minutes, 10 s for 4 hours, 60 s for 48 hours.
//!
//! **Bound.** 5,220 moments of at most [`SITES_OF_A_MOMENT`] sites, 3.2 kB each: 17 MB; beside them
//! [`NAMES_MAX`] names, each with a stack that it mostly shares with the reader.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use riptide_reader::profile::{Estimate, Frame, Live, Memory, Rates, Site, Snapshot};

/// Seconds a step, and moments, of each tier.
const TIERS: [(f64, usize); 3] = [(1.0, 900), (10.0, 1_440), (60.0, 2_880)];
/// Sites kept of a moment, the heaviest.
const SITES_OF_A_MOMENT: usize = 48;
/// Different sites that moments can name: more than there are moments.
const NAMES_MAX: usize = 8_192;
/// Least time between two looks for names that no moment has any more.
const LOOK_SECONDS: f64 = 60.0;
/// Points of a site's trend.
const TREND_POINTS: usize = 60;
/// Sites whose trend is kept; a snapshot with more keeps the trend of its largest.
const TRENDS: usize = 1_000;

/// One look at the live heap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Seconds on the dashboard's clock, or from the beginning of a recording.
    pub at_seconds: f64,
    /// Live bytes.
    pub live_bytes: Estimate,
}

/// Names a site across snapshots: function, file and line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SiteKey {
    /// Function of the leaf.
    pub function: String,
    /// Source file.
    pub file: Option<String>,
    /// Line.
    pub line: Option<u32>,
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

/// An estimate in half the room.
#[derive(Clone, Copy, Debug)]
struct Short {
    estimate: f32,
    low: f32,
    high: f32,
}

impl Short {
    fn of(value: &Estimate) -> Self {
        Self {
            estimate: value.estimate as f32,
            low: value.low as f32,
            high: value.high as f32,
        }
    }

    fn long(self) -> Estimate {
        Estimate {
            estimate: f64::from(self.estimate),
            low: f64::from(self.low),
            high: f64::from(self.high),
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct SiteMoment {
    name: u32,
    samples: u32,
    live_bytes: Short,
    live_objects: Short,
    growth: Option<Short>,
    allocations_per_second: Option<f32>,
    median_age_seconds: Option<f32>,
}

/// One moment in short.
#[derive(Debug)]
pub struct Moment {
    /// Seconds on the dashboard's clock, or from the beginning of a recording.
    pub at_seconds: f64,
    /// Seconds that the target had lived.
    pub uptime_seconds: Option<f64>,
    live: Live,
    memory: Memory,
    rates: Rates,
    samples: u64,
    sites: Box<[SiteMoment]>,
}

#[derive(Clone, Debug)]
struct Named {
    key: SiteKey,
    stack: Arc<[Frame]>,
    allocated: Estimate,
}

/// A bounded record of the past.
#[derive(Clone, Debug, Default)]
pub struct History {
    tiers: [VecDeque<Arc<Moment>>; TIERS.len()],
    numbers: HashMap<SiteKey, u32>,
    named: Vec<Named>,
    /// Places in `named` that no moment names any more.
    free: Vec<u32>,
    /// When such places were last looked for.
    looked_seconds: Option<f64>,
    trends: HashMap<SiteKey, VecDeque<f64>>,
}

impl History {
    /// Takes a snapshot in. Of several within one step of a tier the last stays.
    pub fn record(&mut self, now_seconds: f64, snapshot: &Snapshot) {
        self.make_room_for_names(now_seconds);
        let sites = snapshot.sites.iter().take(SITES_OF_A_MOMENT);
        let sites = sites.filter_map(|site| self.site_moment(site)).collect();
        let moment = Arc::new(Moment {
            at_seconds: now_seconds,
            uptime_seconds: snapshot.target.uptime_seconds,
            live: snapshot.live,
            memory: snapshot.memory,
            rates: snapshot.rates,
            samples: snapshot.sampling.samples,
            sites,
        });
        let mut replaced = false;
        for (number, (moments, (seconds, most))) in self.tiers.iter_mut().zip(TIERS).enumerate() {
            let step = |at: f64| (at / seconds).floor();
            match moments.back_mut() {
                Some(last) if step(last.at_seconds) == step(now_seconds) => {
                    *last = Arc::clone(&moment);
                    replaced |= number == 0;
                }
                _ => {
                    if moments.len() >= most {
                        moments.pop_front();
                    }
                    moments.push_back(Arc::clone(&moment));
                }
            }
        }
        self.record_trends(snapshot, replaced);
    }

    /// Gives the places of names away that no moment has any more, once all are taken.
    fn make_room_for_names(&mut self, now_seconds: f64) {
        let is_early = |last: f64| now_seconds - last < LOOK_SECONDS;
        if self.named.len() < NAMES_MAX
            || self.free.len() >= SITES_OF_A_MOMENT
            || self.looked_seconds.is_some_and(is_early)
        {
            return;
        }
        self.looked_seconds = Some(now_seconds);
        let mut used = vec![false; self.named.len()];
        for moment in self.tiers.iter().flatten() {
            for site in &moment.sites {
                if let Some(used) = used.get_mut(site.name as usize) {
                    *used = true;
                }
            }
        }
        self.numbers
            .retain(|_, number| used.get(*number as usize) == Some(&true));
        let unused = used.iter().enumerate().filter(|(_, used)| !**used);
        self.free = unused
            .filter_map(|(number, _)| u32::try_from(number).ok())
            .collect();
    }

    fn site_moment(&mut self, site: &Site) -> Option<SiteMoment> {
        let key = SiteKey::of(site);
        let name = match self.numbers.get(&key) {
            Some(number) => {
                if let Some(named) = self.named.get_mut(*number as usize) {
                    named.stack = Arc::clone(&site.stack);
                    named.allocated = site.allocated_bytes_total;
                }
                *number
            }
            None => {
                let named = Named {
                    key: key.clone(),
                    stack: Arc::clone(&site.stack),
                    allocated: site.allocated_bytes_total,
                };
                let number = if self.named.len() < NAMES_MAX {
                    self.named.push(named);
                    u32::try_from(self.named.len() - 1).ok()?
                } else {
                    let number = self.free.pop()?;
                    *self.named.get_mut(number as usize)? = named;
                    number
                };
                self.numbers.insert(key, number);
                number
            }
        };
        Some(SiteMoment {
            name,
            samples: u32::try_from(site.live_samples).unwrap_or(u32::MAX),
            live_bytes: Short::of(&site.live_bytes),
            live_objects: Short::of(&site.live_objects),
            growth: site.growth_bytes_per_second.as_ref().map(Short::of),
            allocations_per_second: site.allocations_per_second.map(|rate| rate as f32),
            median_age_seconds: site.median_age_seconds.map(|age| age as f32),
        })
    }

    fn record_trends(&mut self, snapshot: &Snapshot, replace: bool) {
        let mut kept = HashMap::with_capacity(snapshot.sites.len().min(TRENDS));
        for site in snapshot.sites.iter().take(TRENDS) {
            let key = SiteKey::of(site);
            let mut trend = self.trends.remove(&key).unwrap_or_default();
            if replace {
                trend.pop_back();
            }
            trend.push_back(site.live_bytes.estimate);
            if trend.len() > TREND_POINTS {
                trend.pop_front();
            }
            kept.insert(key, trend);
        }
        self.trends = kept;
    }

    /// Moments of the finest tier that reaches back to `from`, or of the one that reaches back
    /// furthest; up to `until`, oldest first.
    fn moments(&self, from: f64, until: f64) -> impl Iterator<Item = &Arc<Moment>> {
        let reach = |tier: &VecDeque<Arc<Moment>>| {
            tier.front()
                .map_or(f64::INFINITY, |moment| moment.at_seconds)
        };
        let furthest = self.tiers.iter().map(reach).fold(f64::INFINITY, f64::min);
        let wanted = from.max(furthest);
        let tier = self.tiers.iter().find(|tier| reach(tier) <= wanted);
        tier.into_iter()
            .flatten()
            .filter(move |moment| moment.at_seconds >= from && moment.at_seconds <= until)
    }

    /// Looks at the live heap between two times, oldest first.
    #[must_use]
    pub fn points(&self, from: f64, until: f64) -> Vec<Point> {
        self.moments(from, until)
            .map(|moment| Point {
                at_seconds: moment.at_seconds,
                live_bytes: moment.live.bytes,
            })
            .collect()
    }

    /// Time of the first and of the last moment.
    #[must_use]
    pub fn span(&self) -> Option<(f64, f64)> {
        let first = self.tiers.iter().filter_map(VecDeque::front);
        let first = first.map(|moment| moment.at_seconds);
        let last = self.tiers.first()?.back()?.at_seconds;
        Some((first.fold(last, f64::min), last))
    }

    /// The moment nearest to a time.
    #[must_use]
    pub fn nearest(&self, at_seconds: f64) -> Option<&Arc<Moment>> {
        let distance = |moment: &Moment| (moment.at_seconds - at_seconds).abs();
        self.tiers
            .iter()
            .filter_map(|tier| {
                let after = tier.partition_point(|moment| moment.at_seconds < at_seconds);
                let around = [after.checked_sub(1), Some(after)];
                let around = around.into_iter().flatten();
                around
                    .filter_map(|index| tier.get(index))
                    .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            })
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }

    /// The snapshot of a moment, as far as it was kept: figures of the whole, and its heaviest sites.
    #[must_use]
    pub fn snapshot(&self, moment: &Moment, like: &Snapshot) -> Snapshot {
        let mut target = like.target.clone();
        target.uptime_seconds = moment.uptime_seconds;
        let mut sampling = like.sampling.clone();
        sampling.samples = moment.samples;
        let site = |site: &SiteMoment| {
            let named = self.named.get(site.name as usize)?;
            Some(Site {
                function: named.key.function.clone(),
                file: named.key.file.clone(),
                line: named.key.line,
                live_bytes: site.live_bytes.long(),
                live_objects: site.live_objects.long(),
                allocated_bytes_total: named.allocated,
                growth_bytes_per_second: site.growth.map(Short::long),
                allocations_per_second: site.allocations_per_second.map(f64::from),
                median_age_seconds: site.median_age_seconds.map(f64::from),
                live_samples: u64::from(site.samples),
                stack: Arc::clone(&named.stack),
            })
        };
        Snapshot {
            schema_version: like.schema_version,
            target,
            sampling,
            loss: like.loss,
            live: moment.live,
            memory: moment.memory,
            rates: moment.rates,
            sites: moment.sites.iter().filter_map(site).collect(),
            pending_symbols: 0,
        }
    }

    /// Live bytes of a site, oldest first: the last ones, or the last ones before a moment.
    #[must_use]
    pub fn trend(&self, site: &Site, until: Option<f64>) -> Vec<f64> {
        let key = SiteKey::of(site);
        let Some(until) = until else {
            return self
                .trends
                .get(&key)
                .into_iter()
                .flatten()
                .copied()
                .collect();
        };
        let Some(number) = self.numbers.get(&key) else {
            return Vec::new();
        };
        let of = |moment: &Arc<Moment>| {
            let site = moment.sites.iter().find(|site| site.name == *number)?;
            Some(f64::from(site.live_bytes.estimate))
        };
        let from = until - TREND_POINTS as f64;
        self.moments(from, until).filter_map(of).collect()
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
        assert_eq!(history.points(0.0, 9.0).len(), 2);
        assert_eq!(history.trend(&snapshot.sites[0], None).len(), 2);
    }

    #[test]
    fn three_days_stay_within_the_bound() {
        let mut history = History::default();
        let mut snapshot = snapshot();
        snapshot.sites.truncate(2);
        for second in 0..3 * 86_400 {
            history.record(f64::from(second), &snapshot);
        }
        let lengths: Vec<usize> = history.tiers.iter().map(VecDeque::len).collect();
        assert_eq!(lengths, [900, 1_440, 2_880]);
        let now = f64::from(3 * 86_400 - 1);
        assert_eq!(history.points(now - 600.0, now).len(), 601);
        assert_eq!(history.points(now - 3_600.0, now).len(), 361);
        assert_eq!(history.points(now - 172_000.0, now).len(), 2_867);
        // A time that was never seen gives all that there is.
        assert_eq!(history.points(-9.0, now).len(), 2_880);
        assert!(size_of::<SiteMoment>() <= 72, "{}", size_of::<SiteMoment>());
        let gone = snapshot.sites.remove(0);
        history.record(now + 1.0, &snapshot);
        assert_eq!(history.trend(&gone, None).len(), 0);
        assert_eq!(history.trend(&snapshot.sites[0], None).len(), TREND_POINTS);
    }

    #[test]
    fn sites_that_come_late_are_remembered_and_names_stay_within_the_bound() {
        let mut history = History::default();
        let mut snapshot = snapshot();
        snapshot.sites.truncate(2);
        // A new site each time, for three days.
        for second in (0..3 * 86_400).step_by(7) {
            snapshot.sites[1].function = format!("service::handler_{second}");
            history.record(f64::from(second), &snapshot);
        }
        assert_eq!(history.named.len(), NAMES_MAX);
        assert!(history.numbers.len() <= NAMES_MAX);
        let last = f64::from(3 * 86_400);
        for ago in [0.0, 500.0, 10_000.0, 100_000.0] {
            let moment = history.nearest(last - ago).unwrap();
            let then = history.snapshot(moment, &snapshot);
            let name = format!("service::handler_{:.0}", moment.at_seconds);
            assert_eq!(then.sites.len(), 2, "{ago} s ago");
            assert_eq!(then.sites[1].function, name);
        }
    }

    #[test]
    fn a_moment_comes_back_as_it_was() {
        let mut history = History::default();
        let mut snapshot = snapshot();
        for second in 0..30 {
            snapshot.target.uptime_seconds = Some(f64::from(second));
            snapshot.sites[1].live_bytes.estimate = f64::from(second) * 1_000.0;
            history.record(f64::from(second), &snapshot);
        }
        let moment = history.nearest(7.3).unwrap();
        let then = history.snapshot(moment, &snapshot);
        assert_eq!(then.target.uptime_seconds, Some(7.0));
        assert_eq!(then.sites.len(), snapshot.sites.len());
        assert_eq!(then.sites[1].live_bytes.estimate, 7_000.0);
        assert_eq!(then.sites[1].stack, snapshot.sites[1].stack);
        assert_eq!(history.trend(&then.sites[1], Some(7.0)).len(), 8);
        assert_eq!(history.span(), Some((0.0, 29.0)));
    }
}
