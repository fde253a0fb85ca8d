//! What would make a program use less memory or allocate less, computed from what was measured.
//!
//! | module | finds |
//! |---|---|
//! | `allocator` | unused memory that jemalloc keeps: dirty pages, thread caches, slabs, bursts |
//! | `sites` | sites with blocks just above a size class, growing buffers, short-lived blocks |
//!
//! Each advice says what was seen, what following it would gain, and what to do. The gain is in
//! bytes of RSS or of its peak, or in bytes or allocations a second, whichever the advice changes.
//! What is below the thresholds is not worth anybody's time: then there is nothing to advise.
//!
//! **Invariant.** No advice without a figure behind it. What a sample cannot show (how full a `Vec`
//! is, who still reads a block) is not claimed.

use std::sync::Arc;

use riptide_region::stack_table::StackTotals;
use serde::Serialize;

use crate::{
    ingest::Observation,
    profile::{Estimate, Frame, Memory, Snapshot, TargetState},
    waterfall::Fragmentation,
};

mod allocator;
mod sites;

/// What an advice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdviceKind {
    /// Unused pages that jemalloc has not given back.
    DirtyPages,
    /// Free blocks in the caches of threads.
    ThreadCaches,
    /// Slabs with few blocks.
    Fragmentation,
    /// A peak far above what is used now.
    Burst,
    /// Blocks just above a size class.
    SizeClass,
    /// Buffers that grow step by step.
    GrowingBuffers,
    /// Blocks that are freed at once.
    ShortLived,
}

/// What a gain is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GainUnit {
    /// Bytes of the resident set.
    RssBytes,
    /// Bytes of the largest resident set.
    PeakRssBytes,
    /// Allocated bytes a second.
    AllocatedBytesPerSecond,
    /// Allocations a second.
    AllocationsPerSecond,
}

/// What following an advice is expected to save.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Gain {
    /// What it is measured in.
    pub unit: GainUnit,
    /// How much.
    #[serde(flatten)]
    pub amount: Estimate,
    /// As a share of all of it in this program, 0–1.
    pub share: f64,
}

/// One advice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Advice {
    /// What it is about.
    pub kind: AdviceKind,
    /// What to do.
    pub action: String,
    /// What was seen, one fact a sentence.
    pub evidence: Vec<String>,
    /// What it is expected to save.
    pub gain: Gain,
    /// Function of the site, for advice about one.
    pub function: Option<String>,
    /// Source file of the site.
    pub file: Option<String>,
    /// Line of the site.
    pub line: Option<u32>,
}

/// A symbolised stack, innermost frame first, and the index of its leaf.
type NamedStack = (Arc<[Frame]>, usize);

/// Looks at a target for some time, and then says what there is to gain.
#[derive(Debug, Default)]
pub struct Advisor {
    looks: Vec<Memory>,
    /// Totals of each stack at the first look, and its time.
    first: Option<(u64, Vec<StackTotals>)>,
    uptime_seconds: Option<f64>,
    is_live: bool,
    interval: u64,
    live_bytes: f64,
}

/// Looks kept; more say nothing new.
const LOOKS_MAX: usize = 3_600;

/// What happened between two moments.
struct Window<'a> {
    seconds: f64,
    before: &'a [StackTotals],
    interval: u64,
}

impl Advisor {
    /// Takes note of one moment.
    pub(crate) fn look(&mut self, observation: &Observation, snapshot: &Snapshot) {
        if self.first.is_none() {
            self.first = Some((observation.time_ns, observation.totals.clone()));
        }
        if self.looks.len() < LOOKS_MAX {
            self.looks.push(snapshot.memory);
        }
        self.uptime_seconds = snapshot.target.uptime_seconds;
        self.is_live = snapshot.target.state == TargetState::Live;
        self.interval = observation.counts.interval_bytes;
        self.live_bytes = snapshot.live.bytes.estimate;
    }

    /// What there is to gain, most first within each unit.
    pub(crate) fn advise(
        &self,
        observation: &Observation,
        fragmentation: &Fragmentation,
        whole_stack: impl Fn(usize) -> NamedStack,
    ) -> Vec<Advice> {
        let mut advice: Vec<Advice> = Vec::new();
        advice.extend(allocator::dirty_pages(&self.looks));
        advice.extend(allocator::thread_caches(&self.looks));
        advice.extend(allocator::fragmentation(&self.looks, fragmentation));
        advice.extend(allocator::burst(&self.looks));
        advice.extend(sites::size_classes(
            observation,
            self.live_bytes,
            &whole_stack,
        ));
        if let Some(window) = self.window(observation.time_ns) {
            advice.extend(sites::turnover(observation, &window, &whole_stack));
        }
        advice.sort_by(|a, b| {
            (a.gain.unit as u8)
                .cmp(&(b.gain.unit as u8))
                .then_with(|| b.gain.amount.estimate.total_cmp(&a.gain.amount.estimate))
        });
        advice
    }

    /// The time between the first look and now; of a dead target its whole life.
    fn window(&self, now_ns: u64) -> Option<Window<'_>> {
        const SECONDS_MIN: f64 = 0.5;
        let (since_ns, before) = self.first.as_ref()?;
        let seconds = now_ns.saturating_sub(*since_ns) as f64 / 1e9;
        let (seconds, before) = if self.is_live {
            (seconds, before.as_slice())
        } else {
            (self.uptime_seconds?, &[][..])
        };
        (seconds >= SECONDS_MIN).then_some(Window {
            seconds,
            before,
            interval: self.interval,
        })
    }
}

/// Bytes in words.
fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut scaled = value;
    let mut name = "B";
    for unit in UNITS {
        name = unit;
        if scaled.abs() < 1_024.0 {
            break;
        }
        if unit != "TiB" {
            scaled /= 1_024.0;
        }
    }
    if name == "B" || scaled >= 100.0 {
        format!("{scaled:.0} {name}")
    } else {
        format!("{scaled:.1} {name}")
    }
}

/// A figure without an error of sampling, with the ends that are known.
fn between(low: f64, estimate: f64, high: f64) -> Estimate {
    Estimate {
        estimate,
        low: low.min(estimate),
        high: high.max(estimate),
    }
}

#[cfg(test)]
mod tests;
