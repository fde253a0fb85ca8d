//! What is kept of each stack so that a verdict can be given at any moment.
//!
//! | kept | from | bound |
//! |---|---|---|
//! | ages of the freed | events; the tables' lifetimes where events are missing | 32 ages a stack |
//! | levels of the last minutes | live records, every 5 s | 40 levels a stack |
//! | growth of blocks that live on through `realloc` | live records | 8 figures a stack |
//! | ages of the survivors | live records, only when a verdict is asked for | nothing is kept |
//!
//! **Invariants.** No clock, process or file: time comes with the observations. A lost event costs
//! accuracy of one age, never a death: what the events do not explain is taken from the totals.

use std::collections::VecDeque;

use riptide_region::{
    event::{Event, EventKind},
    stack_table::{LIFETIME_BUCKETS, lifetime_bucket},
};

use crate::{
    estimate::{Totals, weigh},
    ingest::{LiveSample, Observation, StackBook},
    profile::Newest,
};

/// Spans, in seconds, over which the births of the survivors are looked at.
pub(crate) const WINDOWS: [f64; 6] = [50.0, 112.0, 286.0, 870.0, 3_600.0, 14_400.0];
/// Equal parts of a window.
pub(crate) const PARTS: usize = 8;
/// Youngest parts that may be left out as transient.
pub(crate) const HORIZONS: usize = 5;
/// Spans, in seconds, over which births are held against deaths.
pub(crate) const RECENT: [f64; 3] = [20.0, 50.0, 170.0];

/// Ages, in seconds, from which deaths are counted: 1 s, and each window's horizons.
const AGES: usize = 1 + WINDOWS.len() * (HORIZONS - 1);
const CHECKPOINT_SECONDS: f64 = 5.0;
const CHECKPOINTS_MAX: usize = 40;
/// Deaths are forgotten with this half-life, so that a program may change its ways.
const HALF_LIFE_SECONDS: f64 = 3_600.0;
/// A rest after which buffers that grow again begin a new account.
const BUFFERS_QUIET_SECONDS: f64 = 120.0;
/// Stacks of which events may tell more than the tables do.
const STACKS_MAX: usize = 1 << 20;

/// The youngest age that a window keeps when `horizon` of its parts are left out.
pub(crate) fn horizon_seconds(window: usize, horizon: usize) -> f64 {
    if horizon == 0 {
        1.0
    } else {
        WINDOWS.get(window).copied().unwrap_or(0.0) * horizon as f64 / PARTS as f64
    }
}

/// Place of an age among the ages that deaths are counted from.
fn age_place(window: usize, horizon: usize) -> usize {
    if horizon == 0 {
        0
    } else {
        1 + window * (HORIZONS - 1) + horizon - 1
    }
}

/// Deaths by the age that they happened at: for each of [`AGES`] ages, how many were older.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Deaths {
    older: [f32; AGES],
}

impl Deaths {
    fn add(&mut self, lifetime_seconds: f64, count: f32) {
        if lifetime_seconds < 1.0 {
            return;
        }
        for window in 0..WINDOWS.len() {
            for horizon in usize::from(window > 0)..HORIZONS {
                if lifetime_seconds < horizon_seconds(window, horizon) {
                    break;
                }
                if let Some(older) = self.older.get_mut(age_place(window, horizon)) {
                    *older += count;
                }
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (to, from) in self.older.iter_mut().zip(other.older) {
            *to += from;
        }
    }

    /// Deaths past the age that `horizon` of a window stands for.
    pub(crate) fn past(&self, window: usize, horizon: usize) -> f64 {
        let place = age_place(window, horizon);
        self.older.get(place).copied().map_or(0.0, f64::from)
    }

    fn fade(&mut self, factor: f32) {
        for older in &mut self.older {
            *older *= factor;
        }
    }
}

/// Samples with their bytes, and the squares that tell how many equal ones they are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Weighted {
    /// Samples.
    pub(crate) count: f64,
    /// Estimated bytes.
    pub(crate) bytes: f64,
    /// Sum of the squared estimates.
    pub(crate) squares: f64,
}

impl Weighted {
    fn add(&mut self, bytes: f64) {
        self.count += 1.0;
        self.bytes += bytes;
        self.squares += bytes * bytes;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.squares += other.squares;
    }

    fn minus(&self, other: &Self) -> Self {
        Self {
            count: (self.count - other.count).max(0.0),
            bytes: (self.bytes - other.bytes).max(0.0),
            squares: (self.squares - other.squares).max(0.0),
        }
    }

    /// How many samples of equal weight would be as uncertain: `(Σw)² / Σw²` (Kish).
    pub(crate) fn effective(&self) -> f64 {
        if self.squares > 0.0 {
            (self.bytes * self.bytes / self.squares).min(self.count.max(1.0))
        } else {
            0.0
        }
    }
}

/// Survivors that were born within one window, by age.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Survivors {
    /// All of them.
    pub(crate) all: Weighted,
    /// Bytes in each part, youngest first.
    pub(crate) bytes: [f32; PARTS],
    /// Samples in each part, youngest first.
    pub(crate) counts: [f32; PARTS],
}

/// Births and deaths over one recent span.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Flux {
    /// Seconds really covered; 0 when nothing was seen so long ago.
    pub(crate) seconds: f64,
    /// Born in the span and still live.
    pub(crate) born: Weighted,
    /// Live at its beginning and dead now.
    pub(crate) died: Weighted,
}

/// Growth through `realloc`: rises of a stack's level above all that it ever was, as far as blocks
/// that are older than the rise carried it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Buffers {
    /// Highest level so far.
    pub(crate) highest: f64,
    /// When its growth began to be watched.
    pub(crate) began_ns: u64,
    /// When the last one was.
    pub(crate) last_ns: u64,
    /// Rises.
    pub(crate) rises: f64,
    /// Their bytes.
    pub(crate) bytes: f64,
    /// Sum of bytes times seconds since the watch began.
    pub(crate) moment: f64,
    /// Sum of squared bytes.
    pub(crate) squares: f64,
    /// Whether the last look found less than half of the highest level.
    low: bool,
    /// Bytes that `realloc` continued since the last rise.
    pending: f64,
}

/// All that a verdict on a group of stacks is given from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Evidence {
    /// Live blocks.
    pub(crate) live: Weighted,
    /// Survivors by window.
    pub(crate) survivors: [Survivors; WINDOWS.len()],
    /// Births and deaths by recent span.
    pub(crate) fluxes: [Flux; RECENT.len()],
    /// Deaths by age.
    pub(crate) deaths: Deaths,
    /// Growth through `realloc`.
    pub(crate) buffers: Buffers,
    /// Samples since the process started, and those of them that were freed.
    pub(crate) sampled: u64,
    pub(crate) freed: u64,
    /// First sample.
    pub(crate) first_seen_ns: u64,
}

impl Evidence {
    /// Adds the evidence of another stack.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.live.merge(&other.live);
        for (to, from) in self.survivors.iter_mut().zip(&other.survivors) {
            to.all.merge(&from.all);
            for (to, from) in to.bytes.iter_mut().zip(from.bytes) {
                *to += from;
            }
            for (to, from) in to.counts.iter_mut().zip(from.counts) {
                *to += from;
            }
        }
        for (to, from) in self.fluxes.iter_mut().zip(&other.fluxes) {
            to.seconds = to.seconds.max(from.seconds);
            to.born.merge(&from.born);
            to.died.merge(&from.died);
        }
        self.deaths.merge(&other.deaths);
        self.sampled = self.sampled.saturating_add(other.sampled);
        self.freed = self.freed.saturating_add(other.freed);
        self.first_seen_ns = match (self.first_seen_ns, other.first_seen_ns) {
            (0, first) | (first, 0) => first,
            (a, b) => a.min(b),
        };
        let (to, from) = (&mut self.buffers, &other.buffers);
        to.began_ns = match (to.began_ns, from.began_ns) {
            (0, began) | (began, 0) => began,
            (a, b) => a.min(b),
        };
        to.last_ns = to.last_ns.max(from.last_ns);
        to.highest += from.highest;
        to.rises += from.rises;
        to.bytes += from.bytes;
        to.moment += from.moment;
        to.squares += from.squares;
    }
}

/// Levels of all stacks at one moment.
#[derive(Debug, Default)]
struct Checkpoint {
    time_ns: u64,
    newest: Newest,
    levels: Vec<Level>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Level {
    count: f32,
    bytes: f32,
    squares: f64,
}

impl From<Level> for Weighted {
    fn from(level: Level) -> Self {
        Self {
            count: f64::from(level.count),
            bytes: f64::from(level.bytes),
            squares: level.squares,
        }
    }
}

/// The evidence of one target, over time.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    began_ns: u64,
    last_ns: u64,
    faded_ns: u64,
    deaths: Vec<Deaths>,
    /// Of the tables' lifetimes, those that are in `deaths` already.
    counted: Vec<[u64; LIFETIME_BUCKETS]>,
    buffers: Vec<Buffers>,
    checkpoints: VecDeque<Checkpoint>,
    /// Ring records that were lost when the totals were last held against the events.
    lost: u64,
    reconciled: bool,
    earliest_ns: u64,
}

impl Tracker {
    /// Bytes kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        let levels: usize = self
            .checkpoints
            .iter()
            .map(|checkpoint| checkpoint.levels.capacity())
            .sum();
        self.deaths.capacity() * size_of::<Deaths>()
            + self.counted.capacity() * size_of::<[u64; LIFETIME_BUCKETS]>()
            + self.buffers.capacity() * size_of::<Buffers>()
            + levels * size_of::<Level>()
    }

    /// Takes in events, whose stacks are known to `stacks`.
    pub(crate) fn follow(&mut self, events: &[Event], stacks: &StackBook) {
        for event in events {
            let EventKind::Free { lifetime_ms } = event.kind else {
                continue;
            };
            let place = stacks.index_of(event.stack).place();
            if !self.reconciled || place >= STACKS_MAX {
                continue;
            }
            self.reach(place + 1);
            if let Some(deaths) = self.deaths.get_mut(place) {
                deaths.add(f64::from(lifetime_ms) / 1e3, 1.0);
            }
            let bucket = lifetime_bucket(u64::from(lifetime_ms) * 1_000_000);
            if let Some(counted) = self
                .counted
                .get_mut(place)
                .and_then(|of| of.get_mut(bucket))
            {
                *counted = counted.saturating_add(1);
            }
        }
    }

    fn reach(&mut self, stacks: usize) {
        if self.deaths.len() < stacks {
            self.deaths.resize(stacks, Deaths::default());
            self.counted.resize(stacks, [0; LIFETIME_BUCKETS]);
            self.buffers.resize(stacks, Buffers::default());
        }
    }

    /// Takes in one look at the tables. `live` and `continued` are, for each stack, the sums of its
    /// live records and the bytes of those that are new and yet older than the last look.
    pub(crate) fn observe(
        &mut self,
        observation: &Observation,
        live: &[Totals],
        squares: &[f64],
        continued: &[f32],
        newest: &Newest,
    ) {
        let now_ns = observation.time_ns;
        if self.began_ns == 0 {
            self.began_ns = now_ns.max(1);
            self.faded_ns = now_ns;
        }
        self.reach(live.len());
        self.reconcile(observation);
        self.fade(now_ns);
        self.watch_buffers(now_ns, live, continued);
        let due = self
            .checkpoints
            .back()
            .is_none_or(|last| seconds_between(last.time_ns, now_ns) >= CHECKPOINT_SECONDS - 1e-3);
        if due {
            let mut checkpoint = if self.checkpoints.len() >= CHECKPOINTS_MAX {
                self.checkpoints.pop_front().unwrap_or_default()
            } else {
                Checkpoint::default()
            };
            checkpoint.time_ns = now_ns;
            checkpoint.newest.clone_from(newest);
            checkpoint.levels.clear();
            let levels = live.iter().zip(squares).map(|(totals, squares)| Level {
                count: totals.samples as f32,
                bytes: totals.bytes.estimate as f32,
                squares: *squares,
            });
            checkpoint.levels.extend(levels);
            self.checkpoints.push_back(checkpoint);
        }
        self.last_ns = now_ns;
    }

    /// Counts deaths that no event told of: those before this reader attached, and lost ones.
    fn reconcile(&mut self, observation: &Observation) {
        let account = observation.account;
        let lost = account
            .overwritten
            .saturating_add(account.dropped)
            .saturating_add(account.torn);
        if self.reconciled && lost == self.lost {
            return;
        }
        for ((deaths, counted), totals) in self
            .deaths
            .iter_mut()
            .zip(&mut self.counted)
            .zip(&observation.totals)
        {
            if totals.first_seen_ns > 0
                && (self.earliest_ns == 0 || totals.first_seen_ns < self.earliest_ns)
            {
                self.earliest_ns = totals.first_seen_ns;
            }
            for (bucket, (counted, total)) in counted.iter_mut().zip(totals.lifetimes).enumerate() {
                let missing = total.saturating_sub(*counted);
                if missing == 0 {
                    continue;
                }
                *counted = total;
                // A bucket is one doubling wide: its deaths are spread over eight ages in it.
                let (from, to) = ((1_u64 << bucket) - 1, (2_u64 << bucket) - 1);
                for part in 0..8_u32 {
                    let share = (f64::from(part) + 0.5) / 8.0;
                    let lifetime = (from as f64 + (to - from) as f64 * share) / 1e3;
                    deaths.add(lifetime, missing as f32 / 8.0);
                }
            }
        }
        self.lost = lost;
        self.reconciled = true;
    }

    fn fade(&mut self, now_ns: u64) {
        let seconds = seconds_between(self.faded_ns, now_ns);
        if seconds < 60.0 {
            return;
        }
        self.faded_ns = now_ns;
        let factor = (-seconds / HALF_LIFE_SECONDS).exp2() as f32;
        for deaths in &mut self.deaths {
            deaths.fade(factor);
        }
    }

    fn watch_buffers(&mut self, now_ns: u64, live: &[Totals], continued: &[f32]) {
        let since = seconds_between(self.began_ns, now_ns);
        for ((buffers, totals), continued) in self.buffers.iter_mut().zip(live).zip(continued) {
            if totals.samples == 0 {
                continue;
            }
            let level = totals.bytes.estimate;
            if buffers.began_ns == 0 {
                (buffers.began_ns, buffers.last_ns) = (now_ns, now_ns);
                buffers.highest = level;
            }
            // At two looks, as one may come in the middle of a move.
            let fallen = level < 0.5 * buffers.highest;
            if fallen && buffers.low {
                (buffers.rises, buffers.bytes) = (0.0, 0.0);
                (buffers.moment, buffers.squares) = (0.0, 0.0);
                (buffers.began_ns, buffers.last_ns) = (now_ns, now_ns);
            }
            buffers.low = fallen;
            buffers.pending += f64::from(*continued);
            let rise = level - buffers.highest;
            let grown = rise.min(buffers.pending);
            // Rises below the error of the level are the sampler's, not the program's.
            if grown <= 2.0 * totals.bytes.variance.sqrt() {
                continue;
            }
            let busy = seconds_between(buffers.began_ns, buffers.last_ns);
            if seconds_between(buffers.last_ns, now_ns) > 2.0 * busy + BUFFERS_QUIET_SECONDS {
                // What grows again after a long rest is judged from here on.
                *buffers = Buffers {
                    highest: level,
                    began_ns: now_ns,
                    last_ns: now_ns,
                    ..Buffers::default()
                };
                continue;
            }
            buffers.highest = level;
            buffers.pending = 0.0;
            buffers.last_ns = now_ns;
            buffers.rises += 1.0;
            buffers.bytes += grown;
            buffers.moment += grown * since;
            buffers.squares += grown * grown;
        }
    }

    /// When this reader's watch began.
    pub(crate) fn began_ns(&self) -> u64 {
        self.began_ns
    }

    /// Seconds since the first sample of the process, or since the watch began if that is not known.
    pub(crate) fn covered_seconds(&self, observation: &Observation) -> f64 {
        let totals = observation.totals.iter();
        let first = totals
            .map(|totals| totals.first_seen_ns)
            .filter(|first| *first > 0)
            .min()
            .unwrap_or(self.began_ns)
            .min(self.began_ns);
        seconds_between(first, observation.time_ns)
    }

    /// The level of a set of stacks over the last minutes: (seconds since the watch began, bytes).
    pub(crate) fn levels(&self, places: &[u32]) -> Vec<(f64, f64)> {
        let point = |checkpoint: &Checkpoint| {
            let of = |place: &u32| checkpoint.levels.get(*place as usize);
            let bytes = places
                .iter()
                .filter_map(of)
                .map(|at| f64::from(at.bytes))
                .sum();
            (seconds_between(self.began_ns, checkpoint.time_ns), bytes)
        };
        self.checkpoints.iter().map(point).collect()
    }

    /// The evidence of each stack as of the last look, by place.
    pub(crate) fn gather(&self, observation: &Observation, into: &mut Vec<Evidence>) {
        let now_ns = observation.time_ns;
        let stacks = observation.stacks.len();
        into.clear();
        into.resize(stacks, Evidence::default());
        let starts = RECENT.map(|span| self.start_of(span, now_ns));
        let mut last = (0, 0, 0.0);
        for record in &observation.live {
            let Some(evidence) = into.get_mut(record.stack.place()) else {
                continue;
            };
            if (last.0, last.1) != (record.size, record.interval) {
                let bytes = weigh(record.size, record.interval).bytes;
                last = (record.size, record.interval, bytes);
            }
            note_record(evidence, record, last.2, now_ns, &starts);
        }
        for (place, evidence) in into.iter_mut().enumerate() {
            self.finish(place, evidence, observation, &starts);
        }
    }

    /// The checkpoint with which a recent span begins: the newest one that is old enough, else the
    /// oldest.
    fn start_of(&self, span: f64, now_ns: u64) -> Option<&Checkpoint> {
        let old_enough = |at: &&Checkpoint| seconds_between(at.time_ns, now_ns) >= span - 1e-3;
        let checkpoints = &self.checkpoints;
        checkpoints.iter().rfind(old_enough).or(checkpoints.front())
    }

    fn finish(
        &self,
        place: usize,
        evidence: &mut Evidence,
        observation: &Observation,
        starts: &[Option<&Checkpoint>; RECENT.len()],
    ) {
        if let Some(totals) = observation.totals.get(place) {
            evidence.sampled = totals.samples;
            evidence.freed = totals.freed_samples;
            evidence.first_seen_ns = totals.first_seen_ns;
        }
        if let Some(deaths) = self.deaths.get(place) {
            evidence.deaths = *deaths;
        }
        if let Some(buffers) = self.buffers.get(place) {
            evidence.buffers = *buffers;
        }
        for (flux, start) in evidence.fluxes.iter_mut().zip(starts) {
            let Some(start) = start else { continue };
            flux.seconds = seconds_between(start.time_ns, observation.time_ns);
            let level = start.levels.get(place).copied().unwrap_or_default();
            let mut before = Weighted::from(level);
            before.merge(&flux.born);
            flux.died = before.minus(&evidence.live);
            if flux.died.count < 0.5 {
                // The level is kept in single precision.
                flux.died = Weighted::default();
            }
        }
    }
}

fn note_record(
    evidence: &mut Evidence,
    record: &LiveSample,
    bytes: f64,
    now_ns: u64,
    starts: &[Option<&Checkpoint>; RECENT.len()],
) {
    evidence.live.add(bytes);
    let age = seconds_between(record.birth_ns, now_ns);
    for (survivors, window) in evidence.survivors.iter_mut().zip(WINDOWS) {
        if age >= window {
            continue;
        }
        survivors.all.add(bytes);
        let part = ((age / window * PARTS as f64) as usize).min(PARTS - 1);
        if let (Some(sum), Some(count)) = (
            survivors.bytes.get_mut(part),
            survivors.counts.get_mut(part),
        ) {
            *sum += bytes as f32;
            *count += 1.0;
        }
    }
    for (flux, start) in evidence.fluxes.iter_mut().zip(starts) {
        if start.is_some_and(|start| start.newest.precedes(record)) {
            flux.born.add(bytes);
        }
    }
}

pub(crate) fn seconds_between(from_ns: u64, to_ns: u64) -> f64 {
    to_ns.saturating_sub(from_ns) as f64 / 1e9
}
