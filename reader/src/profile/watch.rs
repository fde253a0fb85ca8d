//! What changed over time: growth since the watch began, and rates over the last seconds.
//!
//! Growth uses births and deaths only. *Births* are the live records whose number is newer than
//! all that were there when the watch began. *Deaths* follow: `live then + births - live now`, and as
//! each record adds its own weight and its own variance to the sums, this difference of sums *is* the
//! sum over the records that died. Records that lived through the watch cancel, and those that were
//! born and died in it never enter, however many: neither widens the interval. (The difference of two
//! independent estimates of the level would carry the variance of both levels.)

use std::collections::VecDeque;

use riptide_region::stack_table::StackTotals;

use crate::{
    estimate::{Sum, Totals, difference, scale},
    ingest::LiveSample,
    profile::Estimate,
};

/// No growth before the target was watched this long.
pub(crate) const WATCH_MIN_SECONDS: f64 = 2.0;
const CHECKPOINT_SECONDS: f64 = 1.0;
const CHECKPOINTS_MAX: usize = 6;
const SHARD_SHIFT: u32 = 48;
/// Shards whose records are told apart; no target has more.
const SHARDS_MAX: usize = 64;
/// No rate over less than this.
const RATE_MIN_SECONDS: f64 = 0.2;

/// All that was allocated by a stack, as sums with intervals.
pub(crate) fn allocated(totals: &StackTotals, interval_bytes: u64) -> Totals {
    let samples = totals.samples as f64;
    let sampled_bytes = totals.sampled_bytes as f64;
    let mean_size = (sampled_bytes / samples.max(1.0)).max(1.0);
    // With an interval of 1 in force, what was sampled before still has its variance.
    let past = if totals.bytes > sampled_bytes {
        totals.bytes_variance / (totals.bytes - sampled_bytes)
    } else {
        0.0
    };
    let unseen_bytes = if interval_bytes > 1 {
        interval_bytes as f64
    } else {
        past
    };
    Totals {
        samples: totals.samples,
        objects: Sum {
            estimate: totals.objects,
            variance: totals.objects_variance,
            observed: samples,
            unseen: unseen_bytes / mean_size,
        },
        bytes: Sum {
            estimate: totals.bytes,
            variance: totals.bytes_variance,
            observed: sampled_bytes,
            unseen: unseen_bytes,
        },
    }
}

/// Births and deaths of some stacks, in bytes, summed up for one figure.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flow {
    born: Sum,
    died: Sum,
    net: f64,
}

impl Flow {
    pub(crate) fn add(&mut self, other: &Self) {
        self.born.add(&other.born);
        self.died.add(&other.died);
        self.net += other.net;
    }

    /// Growth in bytes a second.
    pub(crate) fn growth(&self, seconds: f64) -> Option<Estimate> {
        if seconds < WATCH_MIN_SECONDS {
            return None;
        }
        let spread = difference(&self.born.interval(), &self.died.interval());
        let net = Estimate {
            estimate: self.net,
            low: spread.low.min(self.net),
            high: spread.high.max(self.net),
        };
        Some(scale(&net, 1.0 / seconds))
    }
}

/// Allocations up to one moment, to take rates from.
#[derive(Debug)]
struct Checkpoint {
    time_ns: u64,
    objects: Vec<f64>,
    total_objects: f64,
    total_bytes: f64,
}

/// The newest record of each shard at one moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Newest {
    by_shard: Vec<(u64, u64)>,
}

impl Newest {
    fn of(live: &[LiveSample]) -> Self {
        let mut newest = Self::default();
        for record in live {
            newest.note(record);
        }
        newest
    }

    /// Takes note of one more record.
    pub(crate) fn note(&mut self, record: &LiveSample) {
        let shard = record.number >> SHARD_SHIFT;
        if let Some((_, newest)) = self.by_shard.iter_mut().find(|(of, _)| *of == shard) {
            *newest = (*newest).max(record.number);
        } else if self.by_shard.len() < SHARDS_MAX {
            self.by_shard.push((shard, record.number));
        }
    }

    /// Whether a record was made after that moment.
    pub(crate) fn precedes(&self, record: &LiveSample) -> bool {
        let shard = record.number >> SHARD_SHIFT;
        let newest = self.by_shard.iter().find(|(of, _)| *of == shard);
        newest.is_none_or(|(_, newest)| record.number > *newest)
    }
}

/// What was seen before.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    began_ns: Option<u64>,
    newest: Newest,
    /// Live bytes of each stack when the watch began.
    starts: Vec<Sum>,
    checkpoints: VecDeque<Checkpoint>,
}

impl Watch {
    /// Bytes kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        let objects: usize = self
            .checkpoints
            .iter()
            .map(|at| at.objects.capacity())
            .sum();
        self.starts.capacity() * size_of::<Sum>() + objects * size_of::<f64>()
    }

    /// Begins anew at the next [`Watch::begin`].
    pub(crate) fn restart(&mut self) {
        self.began_ns = None;
    }

    /// Whether the watch has begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.began_ns.is_some()
    }

    /// Begins with these records and what they sum up to.
    pub(crate) fn begin(&mut self, time_ns: u64, live: &[LiveSample], by_stack: &[Totals]) {
        self.began_ns = Some(time_ns);
        self.newest = Newest::of(live);
        self.starts.clear();
        self.starts
            .extend(by_stack.iter().map(|totals| totals.bytes));
    }

    /// The newest records when the watch began.
    pub(crate) fn newest(&self) -> &Newest {
        &self.newest
    }

    /// Takes note of what was allocated up to one moment.
    pub(crate) fn look(&mut self, time_ns: u64, allocated: &[Totals]) {
        let due = self
            .checkpoints
            .back()
            .is_none_or(|last| seconds_between(last.time_ns, time_ns) >= CHECKPOINT_SECONDS);
        if due {
            let mut objects = Vec::new();
            if self.checkpoints.len() >= CHECKPOINTS_MAX
                && let Some(oldest) = self.checkpoints.pop_front()
            {
                objects = oldest.objects;
                objects.clear();
            }
            objects.extend(allocated.iter().map(|totals| totals.objects.estimate));
            self.checkpoints.push_back(Checkpoint {
                time_ns,
                total_objects: objects.iter().sum(),
                total_bytes: allocated.iter().map(|totals| totals.bytes.estimate).sum(),
                objects,
            });
        }
    }

    /// Seconds since the watch began.
    pub(crate) fn seconds(&self, now_ns: u64) -> f64 {
        self.began_ns
            .map_or(0.0, |began_ns| seconds_between(began_ns, now_ns))
    }

    /// Births and deaths of a stack since the watch began. `born` are its live records that are
    /// newer than the watch.
    pub(crate) fn flow(&self, place: usize, live: &Totals, born: &Sum) -> Flow {
        let start = self.starts.get(place).copied().unwrap_or_default();
        let live = &live.bytes;
        let born = Sum {
            unseen: born.unseen.max(live.unseen),
            ..*born
        };
        let mut before = start;
        before.add(&born);
        Flow {
            born,
            died: minus(&before, live, live.unseen),
            net: live.estimate - start.estimate,
        }
    }

    /// Allocations a second of a stack over the last seconds.
    pub(crate) fn objects_rate(&self, place: usize, now_ns: u64, objects: f64) -> Option<f64> {
        let (since, seconds) = self.rate_base(now_ns)?;
        let before = since.objects.get(place).copied().unwrap_or(0.0);
        Some((objects - before).max(0.0) / seconds)
    }

    /// Bytes and allocations a second of all stacks over the last seconds.
    pub(crate) fn total_rates(&self, now_ns: u64, bytes: f64, objects: f64) -> Option<(f64, f64)> {
        let (since, seconds) = self.rate_base(now_ns)?;
        Some((
            (bytes - since.total_bytes).max(0.0) / seconds,
            (objects - since.total_objects).max(0.0) / seconds,
        ))
    }

    fn rate_base(&self, now_ns: u64) -> Option<(&Checkpoint, f64)> {
        let since = self.checkpoints.front()?;
        let seconds = seconds_between(since.time_ns, now_ns);
        (seconds >= RATE_MIN_SECONDS).then_some((since, seconds))
    }
}

fn seconds_between(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e9
}

/// Sum over the records that are in `a` and not in `b`. What comes out negative is the error of two
/// looks that were not at the same moment.
fn minus(a: &Sum, b: &Sum, unseen: f64) -> Sum {
    Sum {
        estimate: (a.estimate - b.estimate).max(0.0),
        variance: (a.variance - b.variance).max(0.0),
        observed: (a.observed - b.observed).max(0.0),
        unseen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::weigh;

    const SECOND: u64 = 1_000_000_000;

    fn of(sizes: &[u64], interval: u64) -> Totals {
        let mut totals = Totals::default();
        for size in sizes {
            totals.record(*size, &weigh(*size, interval));
        }
        totals
    }

    #[test]
    fn growth_is_births_less_deaths() {
        let mut watch = Watch::default();
        watch.begin(0, &[], &[of(&[100, 200], 1)]);
        let flow = watch.flow(0, &of(&[200, 1_000], 1), &of(&[1_000], 1).bytes);
        assert_eq!(flow.growth(1.0), None);
        let growth = flow.growth(10.0).unwrap();
        // Born 1,000, died 100; exact, so without width.
        assert_eq!(
            (growth.low, growth.estimate, growth.high),
            (90.0, 90.0, 90.0)
        );
    }

    #[test]
    fn blocks_that_stay_do_not_widen_the_growth() {
        let mut watch = Watch::default();
        let level = of(&vec![1_000; 100_000], 65_536);
        watch.begin(0, &[], &[level]);
        let growth = watch.flow(0, &level, &Sum::default()).growth(10.0).unwrap();
        assert_eq!(growth.estimate, 0.0);
        let widest = 3.7 * 65_536.0 / 10.0 * 2_f64.sqrt();
        assert!(growth.high < widest && growth.low > -widest, "{growth:?}");
    }

    #[test]
    fn a_stack_that_appears_later_grew_from_nothing() {
        let mut watch = Watch::default();
        watch.begin(0, &[], &[]);
        let new = of(&[500], 1);
        assert_eq!(
            watch.flow(3, &new, &new.bytes).growth(5.0).unwrap().low,
            100.0
        );
    }

    #[test]
    fn records_are_new_by_their_number_in_their_shard() {
        let record = |shard: u64, ticket: u64| LiveSample {
            size: 1,
            interval: 1,
            birth_ns: 0,
            number: shard << SHARD_SHIFT | ticket,
            stack: crate::ingest::StackIndex::UNKNOWN,
            thread: 0,
            align_log2: 0,
        };
        let newest = Newest::of(&[record(0, 5), record(0, 9), record(3, 1)]);
        assert!(!newest.precedes(&record(0, 9)));
        assert!(newest.precedes(&record(0, 10)));
        assert!(newest.precedes(&record(3, 2)));
        assert!(newest.precedes(&record(7, 0)));
    }

    #[test]
    fn rates_cover_the_last_seconds() {
        let mut watch = Watch::default();
        assert_eq!(watch.objects_rate(0, 0, 1.0), None);
        for second in 0..20_u64 {
            let sizes = vec![10; 100 * second as usize];
            watch.look(second * SECOND, &[of(&sizes, 1)]);
        }
        let rate = watch.objects_rate(0, 20 * SECOND, 2_000.0).unwrap();
        assert_eq!(rate, 100.0);
        let (bytes, objects) = watch.total_rates(20 * SECOND, 20_000.0, 2_000.0).unwrap();
        assert_eq!((bytes, objects), (1_000.0, 100.0));
    }
}
