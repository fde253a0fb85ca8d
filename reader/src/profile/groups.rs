//! The profile by site, function, crate or thread, and the sizes and lifetimes of one group.

use std::{collections::HashMap, sync::Arc};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{Estimate, Frame, Model, aggregate::median_births, watch::Flow};
use crate::{
    estimate::{Totals, weigh},
    ingest::{LiveSample, Observation},
};

/// Largest size or lifetime that a distribution tells apart, in bytes or milliseconds.
const LARGEST: u64 = 1 << 40;

/// What stacks, or blocks, are put together by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupBy {
    /// Function, file and line of the leaf.
    Site,
    /// Function of the leaf.
    Function,
    /// Crate of the leaf.
    Crate,
    /// Thread that allocated.
    Thread,
}

/// A group with its figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Name: `function file:line`, function, crate, or the kernel's thread id.
    pub name: String,
    /// Live requested bytes.
    pub live_bytes: Estimate,
    /// Live blocks.
    pub live_objects: Estimate,
    /// Bytes allocated since the process started; unknown for threads.
    pub allocated_bytes_total: Option<Estimate>,
    /// Seconds since the first sample.
    pub first_seen_seconds_ago: Option<f64>,
    /// Seconds since the last sample.
    pub last_seen_seconds_ago: Option<f64>,
    /// Samples that were freed, as a share of all.
    pub freed_share: Option<f64>,
    /// Of the freed, those that lived for less than a millisecond.
    pub temporary_share: Option<f64>,
    /// Growth of the live bytes, from births and deaths in the time watched; unknown for threads.
    pub growth_bytes_per_second: Option<Estimate>,
    /// Allocations a second over the last seconds; unknown for threads.
    pub allocations_per_second: Option<f64>,
    /// Median age of the live blocks; unknown for threads.
    pub median_age_seconds: Option<f64>,
    /// Live samples behind the estimates.
    pub live_samples: u64,
    /// The heaviest stack, leaf first; empty for threads.
    pub stack: Arc<[Frame]>,
}

/// A distribution at 1 % resolution.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// Weighted number of blocks.
    pub count: u64,
    /// Least value.
    pub min: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest value.
    pub max: u64,
}

/// Sizes and lifetimes of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shapes {
    /// Requested bytes of the live blocks, each record counted for the blocks that it stands for.
    pub sizes_bytes: Distribution,
    /// Lifetimes of the freed samples in milliseconds, known to within a doubling.
    pub lifetimes_ms: Distribution,
}

/// A group on its way.
#[derive(Debug, Default)]
struct Building {
    live: Totals,
    allocated: Totals,
    first_ns: u64,
    last_ns: u64,
    samples: u64,
    freed: u64,
    temporary: u64,
    flow: Flow,
    rate: Option<f64>,
    heaviest: Option<usize>,
}

/// Blocks that one record stands for, at most: the sums over all records of the largest region stay below
/// 2^64, whatever is written in it, and the histogram neither wraps nor panics.
const COUNT_MAX: u64 = 1 << 40;
/// Group of a stack that has no name yet.
const NO_GROUP: u32 = u32::MAX;

impl Model {
    /// All groups, the heaviest first.
    #[must_use]
    pub fn groups(&self, observation: &Observation, by: GroupBy) -> Vec<Group> {
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut building: Vec<(String, Building)> = Vec::new();
        let mut of_stack = vec![NO_GROUP; observation.stacks.len()];
        if by == GroupBy::Thread {
            let mut threads: HashMap<u32, Building> = HashMap::new();
            for record in &observation.live {
                let weight = weigh(record.size, record.interval);
                let thread = threads.entry(record.thread).or_default();
                thread.live.record(record.size, &weight);
            }
            building.extend(threads.into_iter().map(|(id, of)| (id.to_string(), of)));
        } else {
            for place in &self.order {
                let place = *place as usize;
                let Some(name) = self.group_name(place, by) else {
                    continue;
                };
                let index = *places.entry(name).or_insert_with_key(|name| {
                    building.push((name.clone(), Building::default()));
                    building.len() - 1
                });
                if let Some(of) = of_stack.get_mut(place) {
                    *of = u32::try_from(index).unwrap_or(NO_GROUP);
                }
                if let Some((_, group)) = building.get_mut(index) {
                    self.add_stack(observation, place, group);
                }
            }
        }
        let births = median_births(&observation.live, &of_stack, building.len());
        let now_ns = observation.time_ns;
        let watched = self.watched_seconds(now_ns);
        let ago = |time_ns: u64| (time_ns > 0).then(|| now_ns.saturating_sub(time_ns) as f64 / 1e9);
        let share = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let is_thread = by == GroupBy::Thread;
        let mut groups: Vec<Group> = building
            .into_iter()
            .zip(births)
            .map(|((name, of), birth)| Group {
                name,
                live_bytes: of.live.bytes.interval(),
                live_objects: of.live.objects.interval(),
                allocated_bytes_total: (!is_thread).then(|| of.allocated.bytes.interval()),
                first_seen_seconds_ago: ago(of.first_ns),
                last_seen_seconds_ago: ago(of.last_ns),
                freed_share: share(of.freed, of.samples),
                temporary_share: share(of.temporary, of.freed),
                growth_bytes_per_second: (!is_thread).then(|| of.flow.growth(watched)).flatten(),
                allocations_per_second: of.rate,
                median_age_seconds: birth.and_then(ago),
                live_samples: of.live.samples,
                stack: of.heaviest.map_or_else(
                    || Arc::new([]) as Arc<[Frame]>,
                    |place| self.outward(place, observation),
                ),
            })
            .collect();
        groups.sort_by(|a, b| {
            let heavier = b.live_bytes.estimate.total_cmp(&a.live_bytes.estimate);
            heavier.then_with(|| a.name.cmp(&b.name))
        });
        groups
    }

    /// A stack from its leaf outward.
    pub(super) fn outward(&self, place: usize, observation: &Observation) -> Arc<[Frame]> {
        let (frames, leaf) = self.whole_stack(place, observation);
        frames.get(leaf..).unwrap_or_default().into()
    }

    /// Sizes and lifetimes of one group, by its name.
    #[must_use]
    pub fn shapes(&self, observation: &Observation, by: GroupBy, name: &str) -> Shapes {
        let stacks = observation.stacks.len();
        let member: Vec<bool> = (0..stacks)
            .map(|place| self.group_name(place, by).is_some_and(|of| of == name))
            .collect();
        let is_member = |record: &LiveSample| match by {
            GroupBy::Thread => name.parse() == Ok(record.thread),
            _ => member.get(record.stack.place()).copied().unwrap_or(false),
        };
        shapes_of(observation, &member, is_member)
    }

    fn group_name(&self, place: usize, by: GroupBy) -> Option<String> {
        let leaf = self.naming.leaf_frame(place)?;
        Some(match by {
            GroupBy::Function => leaf.function.clone(),
            GroupBy::Crate => crate_of(&leaf.function).to_owned(),
            GroupBy::Site | GroupBy::Thread => match (&leaf.file, leaf.line) {
                (Some(file), Some(line)) => format!("{} {file}:{line}", leaf.function),
                (Some(file), None) => format!("{} {file}", leaf.function),
                _ => leaf.function.clone(),
            },
        })
    }

    fn add_stack(&self, observation: &Observation, place: usize, to: &mut Building) {
        if let Some(live) = self.live.by_stack.get(place) {
            to.live.add(live);
        }
        to.heaviest.get_or_insert(place);
        if let Some(flow) = self.flow_of(place) {
            to.flow.add(&flow);
        }
        if let Some(allocated) = self.allocated.get(place) {
            to.allocated.add(allocated);
            let objects = allocated.objects.estimate;
            if let Some(rate) = self.objects_rate(place, observation.time_ns, objects) {
                *to.rate.get_or_insert(0.0) += rate;
            }
        }
        let Some(totals) = observation.totals.get(place) else {
            return;
        };
        to.first_ns = match (to.first_ns, totals.first_seen_ns) {
            (0, first) | (first, 0) => first,
            (a, b) => a.min(b),
        };
        to.last_ns = to.last_ns.max(totals.last_seen_ns);
        to.samples = to.samples.saturating_add(totals.samples);
        to.freed = to.freed.saturating_add(totals.freed_samples);
        let [temporary, ..] = totals.lifetimes;
        to.temporary = to.temporary.saturating_add(temporary);
    }
}

/// Sizes of the live blocks that `is_member` names, and lifetimes of the freed samples of the stacks
/// that `member` marks by place.
pub(super) fn shapes_of(
    observation: &Observation,
    member: &[bool],
    is_member: impl Fn(&LiveSample) -> bool,
) -> Shapes {
    let (Ok(mut sizes), Ok(mut lifetimes)) = (
        Histogram::<u64>::new_with_bounds(1, LARGEST, 2),
        Histogram::<u64>::new_with_bounds(1, LARGEST, 2),
    ) else {
        return Shapes::default();
    };
    for record in observation.live.iter().filter(|record| is_member(record)) {
        let blocks = weigh(record.size, record.interval).objects.round();
        sizes.saturating_record_n(record.size.max(1), (blocks as u64).clamp(1, COUNT_MAX));
    }
    for (totals, _) in observation.totals.iter().zip(member).filter(|of| *of.1) {
        for (bucket, count) in totals.lifetimes.iter().enumerate() {
            if *count > 0 {
                // The middle of the bucket's logarithm.
                let middle = 2_f64.powf(bucket as f64 + 0.5) - 1.0;
                let count = (*count).min(COUNT_MAX);
                lifetimes.saturating_record_n((middle.round() as u64).max(1), count);
            }
        }
    }
    Shapes {
        sizes_bytes: distribution(&sizes),
        lifetimes_ms: distribution(&lifetimes),
    }
}

/// Crate of a function's path: `<serde_json::Value as Clone>::clone` is of `serde_json`.
fn crate_of(function: &str) -> &str {
    let path = function.trim_start_matches(['<', '&', '*', '(', '[']);
    let path = path.strip_prefix("mut ").unwrap_or(path);
    let path = path.strip_prefix("dyn ").unwrap_or(path);
    path.split("::").next().unwrap_or(path)
}

fn distribution(of: &Histogram<u64>) -> Distribution {
    if of.is_empty() {
        return Distribution::default();
    }
    Distribution {
        count: of.len(),
        min: of.min(),
        p50: of.value_at_quantile(0.5),
        p90: of.value_at_quantile(0.9),
        p99: of.value_at_quantile(0.99),
        max: of.max(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_the_first_part_of_the_path() {
        assert_eq!(crate_of("serde_json::de::from_str"), "serde_json");
        assert_eq!(crate_of("<app::Node as core::ops::Drop>::drop"), "app");
        assert_eq!(crate_of("<&mut app::Node as Iterator>::next"), "app");
        assert_eq!(crate_of("main"), "main");
    }
}
