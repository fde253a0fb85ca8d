//! Views of a model that are made when somebody looks: one site closely, the threads with what they
//! hold, the sizes and lifetimes of the whole heap, growth by stack.

use std::{collections::HashMap, sync::Arc};

use serde::Serialize;

use super::{
    Estimate, Frame, Model, NO_SITE, Shapes, aggregate::weighted_median, groups::shapes_of,
};
use crate::{
    estimate::{Totals, scale, weigh},
    ingest::Observation,
    size_class::usable_size_aligned,
};

/// Sites listed of each thread.
const THREAD_SITES_MAX: usize = 12;
/// Sites of short-lived blocks listed.
const TEMPORARY_MAX: usize = 200;
/// Blocks born in the last so many seconds count as kept lately.
const KEPT_SECONDS: f64 = 60.0;

/// One site closely.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Inspection {
    /// Sizes and lifetimes.
    pub shapes: Shapes,
    /// Seconds since the first sample.
    pub first_seen_seconds_ago: Option<f64>,
    /// Seconds since the last sample.
    pub last_seen_seconds_ago: Option<f64>,
    /// Samples that were freed, as a share of all.
    pub freed_share: Option<f64>,
    /// Of the freed, those that lived for less than a millisecond.
    pub temporary_share: Option<f64>,
    /// Distinct stacks.
    pub stacks: usize,
}

/// A site of one thread.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ThreadSite {
    /// Function of the leaf.
    pub function: String,
    /// Source file of the leaf.
    pub file: Option<String>,
    /// Line of the leaf.
    pub line: Option<u32>,
    /// Live requested bytes that the thread allocated there.
    pub live_bytes: Estimate,
}

/// What one thread allocated and is still live.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ThreadProfile {
    /// The kernel's thread id.
    pub id: u32,
    /// Live requested bytes.
    pub live_bytes: Estimate,
    /// Live blocks.
    pub live_objects: Estimate,
    /// Median age of the live blocks.
    pub median_age_seconds: Option<f64>,
    /// Bytes a second that were born in the last minute and still live.
    pub kept_bytes_per_second: Estimate,
    /// Live samples behind the estimates.
    pub live_samples: u64,
    /// Its heaviest sites.
    pub sites: Vec<ThreadSite>,
    /// Its heaviest stack, leaf first.
    pub stack: Arc<[Frame]>,
}

/// Live blocks of one size class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SizeClass {
    /// Usable bytes of a block.
    pub usable_bytes: u64,
    /// Live requested bytes.
    pub live_bytes: Estimate,
    /// Live blocks.
    pub live_objects: Estimate,
}

/// Freed samples that lived for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LifetimeBucket {
    /// Least lifetime, in milliseconds.
    pub from_ms: u64,
    /// Lifetimes are shorter; none for the last bucket.
    pub to_ms: Option<u64>,
    /// Freed samples.
    pub samples: u64,
}

/// A site with blocks that are freed within a millisecond.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Temporary {
    /// Function of the leaf.
    pub function: String,
    /// Source file of the leaf.
    pub file: Option<String>,
    /// Line of the leaf.
    pub line: Option<u32>,
    /// Blocks that were freed within a millisecond, since the process started.
    pub objects: Estimate,
    /// Of all that were freed.
    pub share: f64,
    /// Allocations a second of the site, short-lived or not.
    pub allocations_per_second: Option<f64>,
    /// Mean requested bytes.
    pub mean_bytes: f64,
}

/// Sizes and lifetimes of the whole heap.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HeapShape {
    /// Size classes with live blocks, smallest first.
    pub sizes: Vec<SizeClass>,
    /// Lifetimes of what was freed, shortest first, without empty ones at the end.
    pub lifetimes: Vec<LifetimeBucket>,
    /// Both as quantiles.
    pub shapes: Shapes,
    /// Sites with the most short-lived blocks.
    pub temporary: Vec<Temporary>,
}

/// Samples since the start, freed, and freed within a millisecond.
#[derive(Clone, Copy, Debug, Default)]
struct Freed {
    samples: u64,
    freed: u64,
    temporary: u64,
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Model {
    /// One site closely, by function, file and line of its leaf.
    #[must_use]
    pub fn inspect(
        &self,
        observation: &Observation,
        function: &str,
        file: Option<&str>,
        line: Option<u32>,
    ) -> Inspection {
        let is_leaf = |place: usize| {
            self.naming.leaf_frame(place).is_some_and(|leaf| {
                leaf.function == function && leaf.file.as_deref() == file && leaf.line == line
            })
        };
        let member: Vec<bool> = (0..observation.stacks.len()).map(is_leaf).collect();
        let mut freed = Freed::default();
        let (mut first_ns, mut last_ns, mut stacks) = (u64::MAX, 0, 0);
        for (totals, _) in observation.totals.iter().zip(&member).filter(|of| *of.1) {
            freed.add(totals);
            stacks += usize::from(totals.samples > 0);
            if totals.first_seen_ns > 0 {
                first_ns = first_ns.min(totals.first_seen_ns);
            }
            last_ns = last_ns.max(totals.last_seen_ns);
        }
        let ago = |time_ns: u64| observation.time_ns.saturating_sub(time_ns) as f64 / 1e9;
        Inspection {
            shapes: shapes_of(observation, &member, |record| {
                member.get(record.stack.place()).copied().unwrap_or(false)
            }),
            first_seen_seconds_ago: (first_ns < u64::MAX).then(|| ago(first_ns)),
            last_seen_seconds_ago: (last_ns > 0).then(|| ago(last_ns)),
            freed_share: share(freed.freed, freed.samples),
            temporary_share: share(freed.temporary, freed.freed),
            stacks,
        }
    }

    /// The threads that allocated what lives, the heaviest first. Those that ended are among them.
    #[must_use]
    pub fn threads(&self, observation: &Observation) -> Vec<ThreadProfile> {
        #[derive(Default)]
        struct Thread {
            live: Totals,
            kept: Totals,
            births: Vec<(u64, f32)>,
            by_stack: HashMap<usize, Totals>,
        }
        let mut threads: HashMap<u32, Thread> = HashMap::new();
        let recent_ns = (KEPT_SECONDS * 1e9) as u64;
        for record in &observation.live {
            let weight = weigh(record.size, record.interval);
            let thread = threads.entry(record.thread).or_default();
            thread.live.record(record.size, &weight);
            if observation.time_ns.saturating_sub(record.birth_ns) <= recent_ns {
                thread.kept.record(record.size, &weight);
            }
            thread.births.push((record.birth_ns, weight.objects as f32));
            let stack = thread.by_stack.entry(record.stack.place()).or_default();
            stack.record(record.size, &weight);
        }
        let mut profiles: Vec<ThreadProfile> = threads
            .into_iter()
            .map(|(id, mut of)| {
                let birth = weighted_median(&mut of.births);
                let heaviest = of.by_stack.iter().max_by(|a, b| {
                    let bytes = |of: &Totals| of.bytes.estimate;
                    bytes(a.1).total_cmp(&bytes(b.1)).then(b.0.cmp(a.0))
                });
                ThreadProfile {
                    id,
                    live_bytes: of.live.bytes.interval(),
                    live_objects: of.live.objects.interval(),
                    median_age_seconds: birth
                        .map(|birth| observation.time_ns.saturating_sub(birth) as f64 / 1e9),
                    kept_bytes_per_second: scale(&of.kept.bytes.interval(), 1.0 / KEPT_SECONDS),
                    live_samples: of.live.samples,
                    stack: heaviest.map_or_else(
                        || Arc::new([]) as Arc<[Frame]>,
                        |(place, _)| self.outward(*place, observation),
                    ),
                    sites: self.sites_of(&of.by_stack),
                }
            })
            .collect();
        profiles.sort_by(|a, b| {
            let heavier = b.live_bytes.estimate.total_cmp(&a.live_bytes.estimate);
            heavier.then_with(|| a.id.cmp(&b.id))
        });
        profiles
    }

    fn sites_of(&self, by_stack: &HashMap<usize, Totals>) -> Vec<ThreadSite> {
        let mut by_site: HashMap<u32, Totals> = HashMap::new();
        for (place, totals) in by_stack {
            let site = self.sites.of_stack.get(*place).copied().unwrap_or(NO_SITE);
            by_site.entry(site).or_default().add(totals);
        }
        let mut sites: Vec<ThreadSite> = by_site
            .into_iter()
            .filter_map(|(site, totals)| {
                let place = *self.sites.named_by.get(site as usize)?;
                let leaf = self.naming.leaf_frame(place as usize)?;
                Some(ThreadSite {
                    function: leaf.function.clone(),
                    file: leaf.file.clone(),
                    line: leaf.line,
                    live_bytes: totals.bytes.interval(),
                })
            })
            .collect();
        sites.sort_by(|a, b| {
            let heavier = b.live_bytes.estimate.total_cmp(&a.live_bytes.estimate);
            heavier.then_with(|| (&a.function, a.line).cmp(&(&b.function, b.line)))
        });
        sites.truncate(THREAD_SITES_MAX);
        sites
    }

    /// Sizes and lifetimes of the whole heap.
    #[must_use]
    pub fn heap_shape(&self, observation: &Observation) -> HeapShape {
        let mut classes: HashMap<u64, Totals> = HashMap::new();
        for record in &observation.live {
            let class = usable_size_aligned(record.size, record.align_log2);
            let weight = weigh(record.size, record.interval);
            classes
                .entry(class)
                .or_default()
                .record(record.size, &weight);
        }
        let mut sizes: Vec<SizeClass> = classes
            .into_iter()
            .map(|(usable_bytes, totals)| SizeClass {
                usable_bytes,
                live_bytes: totals.bytes.interval(),
                live_objects: totals.objects.interval(),
            })
            .collect();
        sizes.sort_by_key(|class| class.usable_bytes);
        let all = vec![true; observation.stacks.len()];
        HeapShape {
            sizes,
            lifetimes: lifetimes(observation),
            shapes: shapes_of(observation, &all, |_| true),
            temporary: self.temporary(observation),
        }
    }

    fn temporary(&self, observation: &Observation) -> Vec<Temporary> {
        #[derive(Clone, Default)]
        struct Building {
            freed: Freed,
            allocated: Totals,
            rate: Option<f64>,
        }
        let mut building = vec![Building::default(); self.sites.named_by.len()];
        for place in &self.order {
            let place = *place as usize;
            let site = self.sites.of_stack.get(place).copied().unwrap_or(NO_SITE);
            let (Some(site), Some(totals), Some(allocated)) = (
                building.get_mut(site as usize),
                observation.totals.get(place),
                self.allocated.get(place),
            ) else {
                continue;
            };
            site.freed.add(totals);
            site.allocated.add(allocated);
            let objects = allocated.objects.estimate;
            if let Some(rate) = self.objects_rate(place, observation.time_ns, objects) {
                *site.rate.get_or_insert(0.0) += rate;
            }
        }
        let sites = building.iter().zip(&self.sites.named_by);
        let mut found: Vec<Temporary> = sites
            .filter(|(site, _)| site.freed.temporary > 0)
            .filter_map(|(site, place)| {
                let leaf = self.naming.leaf_frame(*place as usize)?;
                let Freed {
                    samples,
                    freed,
                    temporary,
                } = site.freed;
                let all = site.allocated.objects.interval();
                let objects = all.estimate * share(temporary, samples)?;
                // A share of so many samples; exact where every allocation is recorded.
                let error = if all.high > all.low {
                    1.96 * objects / (temporary as f64).sqrt()
                } else {
                    0.0
                };
                Some(Temporary {
                    function: leaf.function.clone(),
                    file: leaf.file.clone(),
                    line: leaf.line,
                    objects: Estimate {
                        estimate: objects,
                        low: (objects - error).max(0.0),
                        high: objects + error,
                    },
                    share: share(temporary, freed)?,
                    allocations_per_second: site.rate,
                    mean_bytes: site.allocated.bytes.estimate / all.estimate.max(1.0),
                })
            })
            .collect();
        found.sort_by(|a, b| {
            let more = b.objects.estimate.total_cmp(&a.objects.estimate);
            more.then_with(|| (&a.function, a.line).cmp(&(&b.function, b.line)))
        });
        found.truncate(TEMPORARY_MAX);
        found
    }

    /// Growth in bytes a second of each stack, in the order of [`Model::stacks`]; empty before it is
    /// known.
    #[must_use]
    pub fn stack_growth(&self, observation: &Observation) -> Vec<f64> {
        let seconds = self.watched_seconds(observation.time_ns);
        let growth = |place: &u32| {
            let flow = self.flow_of(*place as usize)?;
            flow.growth(seconds).map(|growth| growth.estimate)
        };
        self.order.iter().filter_map(growth).collect()
    }
}

impl Freed {
    fn add(&mut self, totals: &riptide_region::stack_table::StackTotals) {
        let [temporary, ..] = totals.lifetimes;
        self.samples = self.samples.saturating_add(totals.samples);
        self.freed = self.freed.saturating_add(totals.freed_samples);
        self.temporary = self.temporary.saturating_add(temporary);
    }
}

fn lifetimes(observation: &Observation) -> Vec<LifetimeBucket> {
    let mut buckets: Vec<LifetimeBucket> = Vec::new();
    for totals in &observation.totals {
        for (bucket, count) in totals.lifetimes.iter().enumerate() {
            if buckets.len() <= bucket {
                // Bucket b holds floor(log2(ms + 1)) = b.
                buckets.push(LifetimeBucket {
                    from_ms: (1 << bucket) - 1,
                    to_ms: Some((2 << bucket) - 1),
                    samples: 0,
                });
            }
            if let Some(of) = buckets.get_mut(bucket) {
                of.samples = of.samples.saturating_add(*count);
            }
        }
    }
    if let Some(last) = buckets.last_mut() {
        last.to_ms = None;
    }
    while buckets.last().is_some_and(|bucket| bucket.samples == 0) {
        buckets.pop();
    }
    buckets
}
