//! The model: observations in, snapshots out.
//!
//! **Invariants.** No process, file or clock is seen here: time, figures and names come in from
//! outside, so a recording replays through the same code. All that is kept is bounded by the number
//! of stacks. A snapshot never waits for symbols.

use std::{collections::HashMap, sync::Arc, time::Duration};

use riptide_region::{counters::Unwinder, event::Event};

use super::{
    Estimate, Frame, Live, Loss, Memory, Rates, SCHEMA_VERSION, Sampling, Site, Snapshot,
    StackProfile, TargetInfo, UnwinderKind,
    aggregate::{LiveFigures, median_births},
    findings::Held,
    history::{Histories, History},
    naming::{Naming, Resolver},
    watch::{Flow, Watch, allocated},
};
use crate::{
    attach::CgroupMemory,
    estimate::{Sum, Totals},
    ingest::{Counts, Observation, StackBook},
    leak::evidence::{Evidence, Tracker},
    waterfall::Moment,
};

/// Time that a snapshot spends on names that are new; the rest comes with the next one.
const NAMING_BUDGET: Duration = Duration::from_millis(80);
/// Group of a stack that no site shows.
pub(super) const NO_SITE: u32 = u32::MAX;

/// Memory figures that the target's own status does not have, or has only older.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FreshMemory {
    /// Resident set size, in bytes.
    pub rss: Option<u64>,
    /// Virtual size, in bytes, reserved range included.
    pub virtual_size: Option<u64>,
    /// Resident pages of the C library's own heap, in bytes.
    pub c_heap: Option<u64>,
    /// Resident pages of files and shared memory, in bytes.
    pub files_and_shared: Option<u64>,
    /// The most that was ever resident, in bytes.
    pub peak_rss: Option<u64>,
    /// The memory cgroup.
    pub cgroup: Option<CgroupMemory>,
}

/// What is known about one target, over time.
#[derive(Debug, Default)]
pub struct Model {
    pub(super) live: LiveFigures,
    pub(super) allocated: Vec<Totals>,
    watch: Watch,
    pub(super) tracker: Tracker,
    /// Evidence of each stack; a buffer between two verdicts.
    pub(super) evidence: Vec<Evidence>,
    pub(super) held: Held,
    histories: Histories,
    keeps_no_history: bool,
    pub(super) naming: Naming,
    /// Places of the stacks that have samples, heaviest first.
    pub(super) order: Vec<u32>,
    pub(super) sites: Sites,
    /// Generation of the observation that the sums are of, and the interval then in force.
    summed: Option<(u64, u64)>,
    /// Median birth of each site's live blocks, and what it was found from.
    births: Arc<[Option<u64>]>,
    births_key: Option<(u64, Option<SitesKey>)>,
}

/// Naming generation and number of stacks.
type SitesKey = (u64, usize);

/// Stacks by site.
#[derive(Debug, Default)]
pub(super) struct Sites {
    /// For which this is right.
    key: Option<SitesKey>,
    /// Site of each stack.
    pub(super) of_stack: Vec<u32>,
    /// A stack of each site, whose leaf names it.
    pub(super) named_by: Vec<u32>,
}

/// What a site is.
type SiteKey<'a> = (&'a str, Option<&'a str>, Option<u32>);

impl Model {
    /// Takes in what a region held at one moment.
    pub fn observe(&mut self, observation: &Observation) {
        let key = (observation.generation, observation.counts.interval_bytes);
        if self.summed != Some(key) {
            self.sum_up(observation);
            self.sort();
            self.summed = Some(key);
        }
        if !self.watch.has_begun() {
            self.watch
                .begin(observation.time_ns, &observation.live, &self.live.by_stack);
            self.live.born.fill(Sum::default());
        }
        self.watch.look(observation.time_ns, &self.allocated);
        self.tracker.observe(
            observation,
            &self.live.by_stack,
            &self.live.squares,
            &self.live.continued,
            &self.live.newest,
        );
        if !self.keeps_no_history {
            self.histories.note(
                observation.time_ns,
                &self.order,
                &self.live.by_stack,
                &self.allocated,
            );
        }
        // What `realloc` continued is told once.
        self.live.continued.fill(0.0);
    }

    /// Bytes kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.live.kept_bytes()
            + self.allocated.capacity() * size_of::<Totals>()
            + self.tracker.kept_bytes()
            + self.evidence.capacity() * size_of::<Evidence>()
            + self.histories.kept_bytes()
            + self.naming.kept_bytes()
            + self.watch.kept_bytes()
    }

    /// Keeps no history from now on: for a reader of many targets whose past is kept elsewhere.
    pub fn forget_history(&mut self) {
        self.histories = Histories::default();
        self.keeps_no_history = true;
    }

    /// The past of the whole target.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.histories.total
    }

    /// The past of a stack, by its place in the stack book; only the heaviest ones have one.
    #[must_use]
    pub fn stack_history(&self, place: usize) -> Option<&History> {
        self.histories.of_stack(place)
    }

    /// Takes in journal records, whose stacks are known to `stacks`.
    pub fn follow(&mut self, events: &[Event], stacks: &StackBook) {
        self.tracker.follow(events, stacks);
    }

    fn sum_up(&mut self, observation: &Observation) {
        let stacks = observation.stacks.len();
        let interval = observation.counts.interval_bytes;
        let since = self.watch.has_begun().then(|| self.watch.newest());
        let now_ns = observation.time_ns;
        self.live.sum_up(&observation.live, stacks, since, now_ns);
        self.allocated.clear();
        let totals = observation.totals.iter();
        self.allocated
            .extend(totals.map(|totals| allocated(totals, interval)));
        self.allocated.resize(stacks, Totals::default());
        for (live, allocated) in self.live.by_stack.iter_mut().zip(&self.allocated) {
            // Blocks that were missed are of the interval now in force, and of the stack's sizes.
            live.bytes.unseen = live.bytes.unseen.max(allocated.bytes.unseen);
            live.objects.unseen = live.objects.unseen.max(allocated.objects.unseen);
        }
    }

    /// Begins the time watched anew.
    pub fn restart_watch(&mut self) {
        self.watch.restart();
    }

    /// Seconds that growth figures cover at `now_ns`.
    #[must_use]
    pub fn watched_seconds(&self, now_ns: u64) -> f64 {
        self.watch.seconds(now_ns)
    }

    /// Births and deaths of a stack since the watch began.
    pub(super) fn flow_of(&self, place: usize) -> Option<Flow> {
        let live = self.live.by_stack.get(place)?;
        let born = self.live.born.get(place)?;
        Some(self.watch.flow(place, live, born))
    }

    /// Allocations a second of a stack over the last seconds.
    pub(super) fn objects_rate(&self, place: usize, now_ns: u64, objects: f64) -> Option<f64> {
        self.watch.objects_rate(place, now_ns, objects)
    }

    /// Asks for the names of all stacks, the heaviest first; within a bounded time if `hurry`.
    /// Returns how many stacks' names may still change.
    pub fn name(
        &mut self,
        observation: &Observation,
        resolver: &mut impl Resolver,
        hurry: bool,
    ) -> usize {
        self.naming.update(
            &observation.stacks,
            &self.order,
            &observation.modules,
            resolver,
            hurry.then_some(NAMING_BUDGET),
        );
        self.naming.unsettled(&self.order)
    }

    /// The profile as of the last observation.
    pub fn snapshot(
        &mut self,
        observation: &Observation,
        target: TargetInfo,
        fresh: FreshMemory,
        pending_symbols: usize,
    ) -> Snapshot {
        self.group();
        let seconds = self.watch.seconds(observation.time_ns);
        let (sites, flow) = self.sites(observation, seconds);
        Snapshot {
            sites,
            pending_symbols,
            ..self.whole(observation, target, fresh, &flow)
        }
    }

    /// The profile as of the last observation without its sites, for which no names are needed.
    pub fn figures(
        &self,
        observation: &Observation,
        target: TargetInfo,
        fresh: FreshMemory,
    ) -> Snapshot {
        let mut flow = Flow::default();
        for place in &self.order {
            let place = *place as usize;
            let live = self.live.by_stack.get(place).zip(self.live.born.get(place));
            if let Some((live, born)) = live {
                flow.add(&self.watch.flow(place, live, born));
            }
        }
        self.whole(observation, target, fresh, &flow)
    }

    /// The figures of the target as a whole.
    fn whole(
        &self,
        observation: &Observation,
        target: TargetInfo,
        fresh: FreshMemory,
        flow: &Flow,
    ) -> Snapshot {
        let counts = &observation.counts;
        let now_ns = observation.time_ns;
        let seconds = self.watch.seconds(now_ns);
        let mut total = self.live.total();
        if counts.interval_bytes > 1 {
            total.bytes.unseen = total.bytes.unseen.max(counts.interval_bytes as f64);
        }
        let (bytes, objects) = self
            .allocated
            .iter()
            .fold((0.0, 0.0), |(bytes, objects), of| {
                (bytes + of.bytes.estimate, objects + of.objects.estimate)
            });
        let rates = self.watch.total_rates(now_ns, bytes, objects);
        Snapshot {
            schema_version: SCHEMA_VERSION,
            target,
            sampling: sampling(counts),
            loss: loss(observation),
            live: Live {
                bytes: total.bytes.interval(),
                objects: total.objects.interval(),
            },
            memory: self.memory(observation, fresh),
            rates: Rates {
                allocated_bytes_per_second: rates.map(|(bytes, _)| bytes),
                allocations_per_second: rates.map(|(_, objects)| objects),
                growth_bytes_per_second: flow.growth(seconds),
            },
            sites: Vec::new(),
            pending_symbols: 0,
        }
    }

    /// Every distinct stack with samples, heaviest live bytes first.
    pub fn stacks(&self, observation: &Observation) -> Vec<StackProfile> {
        let profile = |place: &u32| {
            let place = *place as usize;
            let (frames, leaf) =
                self.naming
                    .whole(place, &observation.stacks, &observation.modules);
            let live = self.live.by_stack.get(place)?;
            let allocated = self.allocated.get(place)?;
            Some(StackProfile {
                frames,
                leaf,
                addresses: Arc::clone(&observation.stacks.all().get(place)?.addresses),
                live_bytes: live.bytes.estimate,
                live_objects: live.objects.estimate,
                allocated_bytes: allocated.bytes.estimate,
                allocated_objects: allocated.objects.estimate,
            })
        };
        self.order.iter().filter_map(profile).collect()
    }

    /// The frame that a stack's site is named for.
    #[must_use]
    pub fn leaf_of(&self, place: usize) -> Option<&Frame> {
        self.naming.leaf_frame(place)
    }

    /// The whole symbolised stack at a place, innermost frame first, and the index of its leaf.
    #[must_use]
    pub fn whole_stack(&self, place: usize, observation: &Observation) -> (Arc<[Frame]>, usize) {
        self.naming
            .whole(place, &observation.stacks, &observation.modules)
    }

    /// Orders the stacks that have samples by live, then by allocated bytes.
    fn sort(&mut self) {
        let figures = |place: u32| {
            let live = self.live.by_stack.get(place as usize);
            let allocated = self.allocated.get(place as usize);
            (
                live.map_or(0.0, |totals| totals.bytes.estimate),
                allocated.map_or(0.0, |totals| totals.bytes.estimate),
            )
        };
        let has_samples = |place: &u32| {
            let some = |totals: Option<&Totals>| totals.is_some_and(|totals| totals.samples > 0);
            some(self.live.by_stack.get(*place as usize))
                || some(self.allocated.get(*place as usize))
        };
        let stacks = u32::try_from(self.live.by_stack.len()).unwrap_or(u32::MAX);
        let mut keyed: Vec<_> = (0..stacks)
            .filter(has_samples)
            .map(|place| (figures(place), place))
            .collect();
        keyed.sort_by(|(a, _), (b, _)| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)));
        self.order.clear();
        self.order.extend(keyed.into_iter().map(|(_, place)| place));
    }

    /// Puts stacks with the same leaf together, unless nothing changed since the last time.
    pub(super) fn group(&mut self) {
        let key = (self.naming.generation(), self.order.len());
        if self.sites.key == Some(key) {
            return;
        }
        let mut by_key: HashMap<SiteKey<'_>, u32> = HashMap::new();
        let Sites {
            of_stack, named_by, ..
        } = &mut self.sites;
        named_by.clear();
        of_stack.clear();
        of_stack.resize(self.live.by_stack.len(), NO_SITE);
        for place in &self.order {
            let Some(leaf) = self.naming.leaf_frame(*place as usize) else {
                continue;
            };
            let key = (leaf.function.as_str(), leaf.file.as_deref(), leaf.line);
            let next = u32::try_from(named_by.len()).unwrap_or(NO_SITE);
            let site = *by_key.entry(key).or_insert_with(|| {
                named_by.push(*place);
                next
            });
            if let Some(of) = of_stack.get_mut(*place as usize) {
                *of = site;
            }
        }
        self.sites.key = Some(key);
    }

    /// The sites, sorted by live bytes, and the flow of all of them.
    fn sites(&mut self, observation: &Observation, seconds: f64) -> (Vec<Site>, Flow) {
        let now_ns = observation.time_ns;
        let mut building: Vec<Building> = vec![Building::default(); self.sites.named_by.len()];
        let mut all = Flow::default();
        // Heaviest first: the first stack of a site is its heaviest.
        for place in &self.order {
            let place = *place as usize;
            let (Some(live), Some(born), Some(allocated)) = (
                self.live.by_stack.get(place),
                self.live.born.get(place),
                self.allocated.get(place),
            ) else {
                continue;
            };
            let flow = self.watch.flow(place, live, born);
            all.add(&flow);
            let site = self.sites.of_stack.get(place).copied().unwrap_or(NO_SITE);
            let Some(site) = building.get_mut(site as usize) else {
                continue;
            };
            site.heaviest.get_or_insert(place);
            site.live.add(live);
            site.allocated.add(allocated);
            site.flow.add(&flow);
            let rate = self
                .watch
                .objects_rate(place, now_ns, allocated.objects.estimate);
            if let Some(rate) = rate {
                *site.rate.get_or_insert(0.0) += rate;
            }
        }
        let births = self.median_births(observation, building.len());
        let age = |birth_ns: u64| now_ns.saturating_sub(birth_ns) as f64 / 1e9;
        let mut sites: Vec<Site> = building
            .into_iter()
            .zip(births.iter())
            .filter_map(|(site, birth)| self.site(observation, &site, birth.map(age), seconds))
            .collect();
        sites.sort_by(|a, b| {
            b.live_bytes
                .estimate
                .total_cmp(&a.live_bytes.estimate)
                .then_with(|| {
                    let total = |site: &Site| site.allocated_bytes_total.estimate;
                    total(b).total_cmp(&total(a))
                })
                .then_with(|| a.function.cmp(&b.function))
                .then_with(|| a.line.cmp(&b.line))
        });
        (sites, all)
    }

    /// Median birth of each site's live blocks, found anew only when records or sites changed.
    fn median_births(&mut self, observation: &Observation, sites: usize) -> Arc<[Option<u64>]> {
        let key = (observation.generation, self.sites.key);
        if self.births_key != Some(key) {
            self.births = median_births(&observation.live, &self.sites.of_stack, sites).into();
            self.births_key = Some(key);
        }
        Arc::clone(&self.births)
    }

    fn site(
        &mut self,
        observation: &Observation,
        site: &Building,
        median_age_seconds: Option<f64>,
        seconds: f64,
    ) -> Option<Site> {
        let place = site.heaviest?;
        let Frame {
            function,
            file,
            line,
            ..
        } = self.naming.leaf_frame(place)?.clone();
        Some(Site {
            function,
            file,
            line,
            live_bytes: site.live.bytes.interval(),
            live_objects: site.live.objects.interval(),
            allocated_bytes_total: site.allocated.bytes.interval(),
            growth_bytes_per_second: site.flow.growth(seconds),
            allocations_per_second: site.rate,
            median_age_seconds,
            live_samples: site.live.samples,
            stack: self
                .naming
                .leaf_outward(place, &observation.stacks, &observation.modules),
        })
    }

    pub(super) fn memory(&self, observation: &Observation, fresh: FreshMemory) -> Memory {
        let status = &observation.status;
        let interval = observation.counts.interval_bytes;
        let with_unseen = |mut sum: Sum, share: f64| {
            if interval > 1 {
                sum.unseen = sum.unseen.max(interval as f64 * share);
            }
            sum.interval()
        };
        let mut usable = self.live.usable;
        if interval > 1 {
            usable.unseen = usable.unseen.max(interval as f64);
        }
        let moment = Moment::of(observation, &usable).within(status.allocated);
        let cached = status.thread_caches.unwrap_or(0) as f64;
        let share = self.live.rounding.estimate / self.live.usable.estimate.max(1.0);
        let rounding = with_unseen(self.live.rounding, share.clamp(0.0, 1.0));
        let reserved = status.reserved_range.unwrap_or(0);
        Memory {
            allocated: status.allocated,
            active: status.active,
            resident: status.resident,
            retained: status.retained,
            metadata: status.metadata,
            dirty: status.dirty,
            muzzy: status.muzzy,
            rss: fresh.rss.or(status.rss),
            r#virtual: fresh
                .virtual_size
                .or(status.virtual_size)
                .map(|bytes| bytes.saturating_sub(reserved)),
            cgroup_limit: fresh
                .cgroup
                .map_or(status.cgroup_limit, |cgroup| cgroup.limit),
            cgroup_usage: fresh
                .cgroup
                .map_or(status.cgroup_usage, |cgroup| cgroup.usage),
            cgroup_reclaimable: fresh.cgroup.and_then(|cgroup| cgroup.reclaimable),
            cgroup_version: fresh
                .cgroup
                .map(|cgroup| cgroup.version)
                .or(status.cgroup_version),
            peak_rss: fresh.peak_rss,
            thread_caches: status.thread_caches,
            not_seen_by_shim: status.allocated.map(|bytes| {
                let allocated = bytes as f64;
                Estimate {
                    estimate: allocated - moment.then.estimate,
                    low: allocated - moment.then.high - cached,
                    high: allocated - moment.then.low,
                }
            }),
            net_since: moment.net_since,
            peak_since: moment.peak_since,
            peak_since_high: moment.peak_since_high,
            rounding: Some(rounding),
            c_heap: fresh.c_heap,
            files_and_shared: fresh.files_and_shared.or(status.rss_shared),
            age_seconds: status
                .epoch_time_ns
                .or(status.time_ns)
                .map(|time_ns| observation.time_ns.saturating_sub(time_ns) as f64 / 1e9),
        }
    }
}

/// A site on its way.
#[derive(Clone, Debug, Default)]
struct Building {
    heaviest: Option<usize>,
    live: Totals,
    allocated: Totals,
    flow: Flow,
    rate: Option<f64>,
}

fn sampling(counts: &Counts) -> Sampling {
    Sampling {
        interval_bytes: counts.interval_bytes,
        unwinder: match counts.unwinder {
            Unwinder::Undecided => UnwinderKind::Undecided,
            Unwinder::FramePointers => UnwinderKind::FramePointers,
            Unwinder::Dwarf => UnwinderKind::Dwarf,
        },
        samples: counts.samples,
        cost_fraction: counts.cost_fraction,
    }
}

fn loss(observation: &Observation) -> Loss {
    let counts = &observation.counts;
    let account = observation.account;
    Loss {
        overwritten: account.overwritten,
        dropped: account.dropped,
        torn: account.torn,
        unrecorded_blocks: counts.unrecorded_blocks(),
        unrecorded_bytes: counts.unrecorded_bytes,
        skipped_reentrant: counts.skipped_reentrant,
        skipped_set_up: counts.skipped_set_up,
        truncated_stacks: counts.truncated_stacks,
        stack_table_full: counts.stack_table_full,
        torn_live_records: observation.torn_live_records,
    }
}
