//! Figures as rows of numbers: one order for writing and reading.

use riptide_region::{
    bins::{Bin, Bins},
    counters::{Marking, Unwinder},
    ring::Account,
    stack_table::{LIFETIME_BUCKETS, StackTotals, TOTAL_MAX},
    status::Status,
};

use super::{Numbers, wire};
use crate::{
    attach::CgroupMemory,
    ingest::{Counts, LiveSample, Observation},
    profile::{FreshMemory, TargetState},
};

/// Either end of a row: each figure passes through here once, in the same order.
pub(super) enum Row<'a> {
    Write(&'a mut Vec<u64>),
    Read(&'a mut dyn Iterator<Item = u64>),
}

impl Row<'_> {
    fn number(&mut self, figure: &mut u64) {
        match self {
            Row::Write(row) => row.push(*figure),
            Row::Read(row) => *figure = row.next().unwrap_or(0),
        }
    }

    fn optional(&mut self, figure: &mut Option<u64>) {
        // One more than the figure; 0 is none.
        let mut number = figure.map_or(0, |figure| figure.wrapping_add(1));
        self.number(&mut number);
        *figure = number.checked_sub(1);
    }

    /// A figure that is not negative: whatever else stands in a file reads as 0, as in a region.
    fn real(&mut self, figure: &mut f64) {
        let mut bits = figure.to_bits();
        self.number(&mut bits);
        let read = f64::from_bits(bits);
        *figure = if read.is_finite() && read > 0.0 {
            read.min(TOTAL_MAX)
        } else {
            0.0
        };
    }

    fn optional_real(&mut self, figure: &mut Option<f64>) {
        let mut is_there = u64::from(figure.is_some());
        self.number(&mut is_there);
        let mut real = figure.unwrap_or(0.0);
        self.real(&mut real);
        *figure = (is_there == 1).then_some(real);
    }
}

/// What a look holds beside blocks and totals.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) time_ns: u64,
    pub(super) generation: u64,
    pub(super) torn_live_records: u64,
    pub(super) counts: Counts,
    pub(super) status: Status,
    pub(super) bins: Bins,
    pub(super) account: Account,
    pub(super) fresh: FreshMemory,
    pub(super) state: TargetState,
    pub(super) uptime_seconds: Option<f64>,
    pub(super) heartbeat_age_seconds: Option<f64>,
}

impl Figures {
    pub(super) fn pass(&mut self, row: &mut Row<'_>) {
        row.number(&mut self.time_ns);
        row.number(&mut self.generation);
        row.number(&mut self.torn_live_records);
        counts(&mut self.counts, row);
        status(&mut self.status, row);
        bins(&mut self.bins, row);
        let account = &mut self.account;
        for figure in [
            &mut account.delivered,
            &mut account.overwritten,
            &mut account.dropped,
            &mut account.torn,
            &mut account.in_flight,
        ] {
            row.number(figure);
        }
        fresh(&mut self.fresh, row);
        let mut state = match self.state {
            TargetState::Unknown => 0,
            TargetState::Live => 1,
            TargetState::Exited => 2,
            TargetState::Killed => 3,
        };
        row.number(&mut state);
        self.state = match state {
            1 => TargetState::Live,
            2 => TargetState::Exited,
            3 => TargetState::Killed,
            _ => TargetState::Unknown,
        };
        row.optional_real(&mut self.uptime_seconds);
        row.optional_real(&mut self.heartbeat_age_seconds);
    }

    pub(super) fn apply(self, observation: &mut Observation) {
        observation.time_ns = self.time_ns;
        observation.generation = self.generation;
        observation.torn_live_records = self.torn_live_records;
        observation.counts = self.counts;
        observation.status = self.status;
        observation.bins = self.bins;
        observation.account = self.account;
    }
}

fn counts(counts: &mut Counts, row: &mut Row<'_>) {
    for figure in [
        &mut counts.samples,
        &mut counts.frees,
        &mut counts.unrecorded_live_table_full,
        &mut counts.unrecorded_range_exhausted,
        &mut counts.unrecorded_large_table_full,
        &mut counts.unrecorded_bytes,
        &mut counts.skipped_reentrant,
        &mut counts.skipped_set_up,
        &mut counts.truncated_stacks,
        &mut counts.stack_table_full,
        &mut counts.failed_unwinds,
        &mut counts.slow_path_calls,
        &mut counts.slow_path_ns,
        &mut counts.slow_path_preempted,
        &mut counts.module_table_full,
        &mut counts.unwinds_checked,
        &mut counts.unwinds_agreed,
        &mut counts.frees_unrecorded,
        &mut counts.ticks,
        &mut counts.tick_errors,
        &mut counts.interval_bytes,
        &mut counts.live_slots_used,
        &mut counts.live_slots,
    ] {
        row.number(figure);
    }
    counts.interval_bytes = counts.interval_bytes.max(1);
    let mut unwinder = counts.unwinder as u64;
    row.number(&mut unwinder);
    counts.unwinder = Unwinder::from_word(unwinder);
    let mut marking = counts.marking as u64;
    row.number(&mut marking);
    counts.marking = Marking::from_word(marking);
    row.real(&mut counts.cost_fraction);
    row.optional_real(&mut counts.budget_fraction);
}

fn status(status: &mut Status, row: &mut Row<'_>) {
    for figure in [
        &mut status.time_ns,
        &mut status.rss,
        &mut status.virtual_size,
        &mut status.cpu_ns,
        &mut status.cgroup_version,
        &mut status.cgroup_limit,
        &mut status.cgroup_usage,
        &mut status.cgroup_oom_kills,
        &mut status.allocated,
        &mut status.active,
        &mut status.metadata,
        &mut status.resident,
        &mut status.mapped,
        &mut status.retained,
        &mut status.dirty,
        &mut status.muzzy,
        &mut status.epoch_ns,
        &mut status.epoch_time_ns,
        &mut status.arenas,
        &mut status.reserved_range,
        &mut status.committed_range,
        &mut status.rss_shared,
        &mut status.thread_caches,
    ] {
        row.optional(figure);
    }
    for head in &mut status.ring_heads {
        row.optional(head);
    }
}

fn bins(bins: &mut Bins, row: &mut Row<'_>) {
    let mut all = bins.all().to_vec();
    let (mut time_ns, mut took_ns, mut len) = (bins.time_ns, bins.took_ns, all.len() as u64);
    for figure in [&mut time_ns, &mut took_ns, &mut len] {
        row.number(figure);
    }
    // One too many is left out where it is added.
    let len = usize::try_from(len)
        .unwrap_or(0)
        .min(riptide_region::bins::BINS_MAX);
    all.resize(len, Bin::default());
    *bins = Bins::at(time_ns);
    bins.took_ns = took_ns;
    for mut bin in all {
        for figure in [
            &mut bin.size,
            &mut bin.slab_bytes,
            &mut bin.slab_blocks,
            &mut bin.blocks,
            &mut bin.slabs,
            &mut bin.nonfull_slabs,
        ] {
            row.number(figure);
        }
        bins.push(bin);
    }
}

fn fresh(fresh: &mut FreshMemory, row: &mut Row<'_>) {
    let (mut version, mut limit, mut usage) = fresh.cgroup.map_or((None, None, None), |cgroup| {
        (Some(cgroup.version), cgroup.limit, cgroup.usage)
    });
    for figure in [
        &mut fresh.rss,
        &mut fresh.virtual_size,
        &mut fresh.c_heap,
        &mut fresh.files_and_shared,
        &mut fresh.peak_rss,
        &mut version,
        &mut limit,
        &mut usage,
    ] {
        row.optional(figure);
    }
    fresh.cgroup = version.map(|version| CgroupMemory {
        version,
        limit,
        usage,
        reclaimable: None,
    });
}

/// Numbers of [`Figures`], with room for those of later versions.
pub(super) const FIGURES_MAX: usize = 4_096;

/// The words of one stack's totals.
pub(super) const TOTALS_WORDS: usize = 10 + LIFETIME_BUCKETS;

pub(super) fn totals(totals: &mut StackTotals, row: &mut Row<'_>) {
    for figure in [
        &mut totals.first_seen_ns,
        &mut totals.last_seen_ns,
        &mut totals.samples,
        &mut totals.sampled_bytes,
        &mut totals.freed_samples,
        &mut totals.freed_sampled_bytes,
    ] {
        row.number(figure);
    }
    for figure in [
        &mut totals.objects,
        &mut totals.bytes,
        &mut totals.objects_variance,
        &mut totals.bytes_variance,
    ] {
        row.real(figure);
    }
    for figure in &mut totals.lifetimes {
        row.number(figure);
    }
}

/// Order of live blocks in a recording: by number, then by all else.
pub(super) type SampleKey = (u64, u64, u64, u64, u32, u32, u8);

pub(super) fn key_of(sample: &LiveSample) -> SampleKey {
    (
        sample.number,
        sample.birth_ns,
        sample.size,
        sample.interval,
        sample.stack.number(),
        sample.thread,
        sample.align_log2,
    )
}

/// Appends a block, as its difference from the one before.
pub(super) fn put_sample(out: &mut Vec<u8>, before: &SampleKey, sample: &SampleKey) {
    wire::put_difference(out, before.0, sample.0);
    wire::put_difference(out, before.1, sample.1);
    wire::put(out, sample.2);
    wire::put_difference(out, before.3, sample.3);
    wire::put(out, u64::from(sample.4));
    wire::put_difference(out, u64::from(before.5), u64::from(sample.5));
    wire::put(out, u64::from(sample.6));
}

pub(super) fn get_sample(numbers: &mut Numbers<'_>, before: &SampleKey) -> Option<SampleKey> {
    Some((
        numbers.difference(before.0)?,
        numbers.difference(before.1)?,
        numbers.get()?,
        numbers.difference(before.3)?,
        u32::try_from(numbers.get()?).ok()?,
        u32::try_from(numbers.difference(u64::from(before.5))?).ok()?,
        u8::try_from(numbers.get()?).ok()?,
    ))
}

/// Appends a row of numbers, as its difference from the row before.
pub(super) fn put_row(out: &mut Vec<u8>, before: &[u64], row: &[u64]) {
    wire::put(out, row.len() as u64);
    let before = before.iter().copied().chain(std::iter::repeat(0));
    for (from, to) in before.zip(row) {
        wire::put_difference(out, from, *to);
    }
}

/// At most `most` numbers, so that a file cannot ask for more memory than a recorder would have.
pub(super) fn get_row(numbers: &mut Numbers<'_>, before: &[u64], most: usize) -> Option<Vec<u64>> {
    let count = numbers.count().filter(|count| *count <= most)?;
    let before = before.iter().copied().chain(std::iter::repeat(0));
    before
        .take(count)
        .map(|from| numbers.difference(from))
        .collect()
}
