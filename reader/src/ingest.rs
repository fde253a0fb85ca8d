//! Reads everything out of a region, checked, into plain data.
//!
//! | module | does |
//! |---|---|
//! | `stacks` | interned stacks, merged by content |
//! | `recent` | what came and went since jemalloc's figures were taken |
//!
//! Two speeds: [`Ingest::drain`] follows the journal and is cheap enough for ten times a second;
//! [`Ingest::read_tables`] looks at every live record and every stack's totals.
//!
//! **Invariants.** All memory is bounded by the region's own size. The model sees only an
//! [`Observation`]: no region, no file, no clock. A loss of events never touches live figures: those
//! come from the tables.

use riptide_region::{
    bins::Bins,
    counters::{Counter, Gauge, Marking, Unwinder},
    event::Event,
    live_table::Slot,
    module_table::Module,
    ring::{Account, Cursor},
    stack_table::{LIFETIME_BUCKETS, StackId, StackTotals},
    status::Status,
    view::View,
};

mod recent;
mod stacks;

pub use recent::{RecentEvent, RecentEvents, is_after_epoch};
pub use stacks::{Stack, StackBook, StackIndex};

/// One live sampled block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSample {
    /// Requested bytes.
    pub size: u64,
    /// Sampling interval in force when the block was drawn, in bytes.
    pub interval: u64,
    /// Nanoseconds of the region's clock at birth; a reallocation keeps it.
    pub birth_ns: u64,
    /// Number of the sample (shard in the upper 16 bits, ticket in the lower 48); a reallocation has
    /// a number of its own.
    pub number: u64,
    /// Stack that allocated (or last reallocated) the block.
    pub stack: StackIndex,
    /// Thread that did so (kernel thread id).
    pub thread: u32,
    /// Base-2 logarithm of the requested alignment.
    pub align_log2: u8,
}

/// Counters and gauges of a region.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Counts {
    /// Sampled allocations.
    pub samples: u64,
    /// Frees of sampled blocks.
    pub frees: u64,
    /// Sampled blocks without a record because the live table was full.
    pub unrecorded_live_table_full: u64,
    /// Sampled blocks without a record because the reserved range was used up.
    pub unrecorded_range_exhausted: u64,
    /// Sampled blocks without a record because the table of large blocks was full there.
    pub unrecorded_large_table_full: u64,
    /// Requested bytes of all unrecorded blocks.
    pub unrecorded_bytes: u64,
    /// Sampling decisions skipped inside re-entrant code.
    pub skipped_reentrant: u64,
    /// Samples skipped while the target made its region.
    pub skipped_set_up: u64,
    /// Stacks that were cut.
    pub truncated_stacks: u64,
    /// Samples whose stack found no room.
    pub stack_table_full: u64,
    /// Samples for which no unwinder gave a frame.
    pub failed_unwinds: u64,
    /// Entries into the slow path.
    pub slow_path_calls: u64,
    /// Nanoseconds spent there.
    pub slow_path_ns: u64,
    /// Entries that took so long that the thread must have been preempted.
    pub slow_path_preempted: u64,
    /// Executable mappings that found no room.
    pub module_table_full: u64,
    /// Stacks walked both ways to choose an unwinder.
    pub unwinds_checked: u64,
    /// Of those, stacks on which both agreed.
    pub unwinds_agreed: u64,
    /// Frees of blocks inside the reserved range without a record.
    pub frees_unrecorded: u64,
    /// Maintenance ticks.
    pub ticks: u64,
    /// Failed attempts to read `/proc` or the statistics.
    pub tick_errors: u64,
    /// Sampling interval in force, in bytes, at least 1.
    pub interval_bytes: u64,
    /// Unwinder in force.
    pub unwinder: Unwinder,
    /// Share of the process's CPU time spent in the slow path, 0–1.
    pub cost_fraction: f64,
    /// How sampled blocks are told apart.
    pub marking: Marking,
    /// Budget as a share of the process's CPU time; `None` when the interval is fixed.
    pub budget_fraction: Option<f64>,
    /// Live slots in use.
    pub live_slots_used: u64,
    /// Live slots of the table.
    pub live_slots: u64,
}

impl Counts {
    /// Sampled blocks without a record.
    #[must_use]
    pub fn unrecorded_blocks(&self) -> u64 {
        self.unrecorded_live_table_full
            .saturating_add(self.unrecorded_range_exhausted)
            .saturating_add(self.unrecorded_large_table_full)
    }

    fn read(view: &View<'_>, initial_interval: u64) -> Self {
        let count = |counter| view.counters.get(counter);
        let gauge = |gauge| view.counters.gauge(gauge);
        let interval = match gauge(Gauge::IntervalBytes) {
            0 => initial_interval,
            interval => interval,
        };
        let budget = gauge(Gauge::BudgetPpm);
        Self {
            samples: count(Counter::Samples),
            frees: count(Counter::Frees),
            unrecorded_live_table_full: count(Counter::UnrecordedLiveTableFull),
            unrecorded_range_exhausted: count(Counter::UnrecordedRangeExhausted),
            unrecorded_large_table_full: count(Counter::UnrecordedLargeTableFull),
            unrecorded_bytes: count(Counter::UnrecordedBytes),
            skipped_reentrant: count(Counter::SkippedReentrant),
            skipped_set_up: count(Counter::SkippedSetUp),
            truncated_stacks: count(Counter::TruncatedStack),
            stack_table_full: count(Counter::StackTableFull),
            failed_unwinds: count(Counter::FailedUnwind),
            slow_path_calls: count(Counter::SlowPathCalls),
            slow_path_ns: count(Counter::SlowPathNs),
            slow_path_preempted: count(Counter::SlowPathPreempted),
            module_table_full: count(Counter::ModuleTableFull),
            unwinds_checked: count(Counter::UnwindChecked),
            unwinds_agreed: count(Counter::UnwindAgreed),
            frees_unrecorded: count(Counter::FreesUnrecorded),
            ticks: count(Counter::Ticks),
            tick_errors: count(Counter::TickErrors),
            interval_bytes: interval.max(1),
            unwinder: Unwinder::from_word(gauge(Gauge::Unwinder)),
            cost_fraction: (gauge(Gauge::CostPpb) as f64 / 1e9).min(1.0),
            marking: Marking::from_word(gauge(Gauge::Marking)),
            budget_fraction: (budget > 0).then_some(budget as f64 / 1e6),
            live_slots_used: gauge(Gauge::LiveSlotsUsed),
            live_slots: view.live.capacity() as u64,
        }
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            samples: 0,
            frees: 0,
            unrecorded_live_table_full: 0,
            unrecorded_range_exhausted: 0,
            unrecorded_large_table_full: 0,
            unrecorded_bytes: 0,
            skipped_reentrant: 0,
            skipped_set_up: 0,
            truncated_stacks: 0,
            stack_table_full: 0,
            failed_unwinds: 0,
            slow_path_calls: 0,
            slow_path_ns: 0,
            slow_path_preempted: 0,
            module_table_full: 0,
            unwinds_checked: 0,
            unwinds_agreed: 0,
            frees_unrecorded: 0,
            ticks: 0,
            tick_errors: 0,
            interval_bytes: 1,
            unwinder: Unwinder::Undecided,
            cost_fraction: 0.0,
            marking: Marking::None,
            budget_fraction: None,
            live_slots_used: 0,
            live_slots: 0,
        }
    }
}

/// Everything that a region held at one moment, as plain data. Buffers are reused.
#[derive(Debug, Default)]
pub struct Observation {
    /// Nanoseconds of the region's clock: now for a live target, else its last sign of life.
    pub time_ns: u64,
    /// Grows when live records and totals were read anew.
    pub generation: u64,
    /// Live sampled blocks.
    pub live: Vec<LiveSample>,
    /// Live records that were torn when they were looked at.
    pub torn_live_records: u64,
    /// All stacks seen so far.
    pub stacks: StackBook,
    /// Totals of each stack since the process started, by [`StackIndex`].
    pub totals: Vec<StackTotals>,
    /// Counters and gauges.
    pub counts: Counts,
    /// The target's last status.
    pub status: Status,
    /// How full jemalloc's size classes were when the target last looked.
    pub bins: Bins,
    /// Events since jemalloc's figures were taken.
    pub recent: RecentEvents,
    /// Executable mappings.
    pub modules: Vec<Module>,
    /// Ring records by what became of them, since this reader attached.
    pub account: Account,
}

/// The reading half of a session: its place in each ring, and what it need not read again.
#[derive(Debug)]
pub struct Ingest {
    cursors: Vec<Cursor>,
    /// What the cursors had counted when the reader attached: history is not held against it.
    before: Account,
    events: Vec<Event>,
    recent: RecentEvents,
    unknown_events: u64,
    /// Counters at the last look at the tables, and whether a second look found them unchanged.
    settled: Option<(u64, u64, bool)>,
}

impl Observation {
    /// Bytes kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.live.capacity() * size_of::<LiveSample>()
            + self.totals.capacity() * size_of::<StackTotals>()
            + self.modules.capacity() * size_of::<Module>()
            + self.stacks.kept_bytes()
            + self.recent.kept_bytes()
    }
}

impl Ingest {
    /// Bytes kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.events.capacity() * size_of::<Event>() + self.recent.kept_bytes()
    }

    /// Begins at the next event of each ring, or at the oldest one that is still there.
    #[must_use]
    pub fn new(view: &View<'_>, history: bool) -> Self {
        // The journal is read back in any case: for what came and went since jemalloc's figures.
        let cursors: Vec<_> = view.rings().map(|ring| Cursor::oldest(&ring)).collect();
        let mut recent = RecentEvents::default();
        recent.begin(cursors.iter().map(Cursor::start).collect());
        let mut ingest = Self {
            cursors,
            before: Account::default(),
            events: Vec::new(),
            recent,
            unknown_events: 0,
            settled: None,
        };
        ingest.drain(view, false);
        if history {
            ingest.before = Account {
                in_flight: 0,
                ..ingest.sum()
            };
        } else {
            ingest.begin_here();
        }
        ingest
    }

    /// Forgets what was read so far, but for what came and went since jemalloc's figures.
    fn begin_here(&mut self) {
        for (shard, cursor) in self.cursors.iter_mut().enumerate() {
            let account = cursor.account();
            let read = [
                account.delivered,
                account.overwritten,
                account.dropped,
                account.torn,
                account.in_flight,
            ];
            let next = read
                .iter()
                .fold(cursor.start(), |sum, count| sum.saturating_add(*count));
            if account.in_flight > 0 {
                self.recent.lost(shard, next);
            }
            *cursor = Cursor::at(next);
        }
        self.events.clear();
        self.unknown_events = 0;
    }

    /// Reads what the rings have got since the last time. `writers_gone` says that nobody writes any
    /// more, so that what is unfinished is torn.
    pub fn drain(&mut self, view: &View<'_>, writers_gone: bool) {
        self.events.clear();
        let mut unknown = 0;
        for (shard, (cursor, ring)) in self.cursors.iter_mut().zip(view.rings()).enumerate() {
            let lost = |cursor: &Cursor| {
                let account = cursor.account();
                (account.overwritten, account.dropped, account.torn)
            };
            let before = lost(cursor);
            cursor.poll(&ring, writers_gone, |ticket, payload| {
                match Event::decode(payload) {
                    Some(event) => {
                        self.recent.note(shard, ticket, &event);
                        self.events.push(event);
                    }
                    None => unknown += 1,
                }
            });
            if lost(cursor) != before {
                self.recent.lost(shard, ring.head());
            }
        }
        self.unknown_events += unknown;
    }

    /// Reads the stacks that the events of the last [`Ingest::drain`] name and that are not known yet.
    pub fn learn_stacks(&self, view: &View<'_>, observation: &mut Observation) {
        let newest = self.events.iter().map(|event| event.stack.0).max();
        if newest.is_some_and(|newest| newest > observation.stacks.ids()) {
            observation.stacks.update(&view.stacks);
        }
    }

    /// Events of the last [`Ingest::drain`], in the order of each ring.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Events of kinds that this version does not know, since attaching.
    #[must_use]
    pub fn unknown_events(&self) -> u64 {
        self.unknown_events
    }

    /// What became of ring records since this reader attached.
    #[must_use]
    pub fn account(&self) -> Account {
        let now = self.sum();
        let before = self.before;
        Account {
            delivered: now.delivered.saturating_sub(before.delivered),
            overwritten: now.overwritten.saturating_sub(before.overwritten),
            dropped: now.dropped.saturating_sub(before.dropped),
            torn: now.torn.saturating_sub(before.torn),
            in_flight: now.in_flight,
        }
    }

    fn sum(&self) -> Account {
        let accounts = self.cursors.iter().map(Cursor::account);
        accounts.fold(Account::default(), |sum, account| Account {
            delivered: sum.delivered.saturating_add(account.delivered),
            overwritten: sum.overwritten.saturating_add(account.overwritten),
            dropped: sum.dropped.saturating_add(account.dropped),
            torn: sum.torn.saturating_add(account.torn),
            in_flight: sum.in_flight.saturating_add(account.in_flight),
        })
    }

    /// Reads all tables into `observation`; its `time_ns` is the caller's.
    ///
    /// When nothing was sampled or freed since the last two looks, live records and totals are left
    /// as they are (two, as a writer counts first and writes then) and `generation` does not grow:
    /// an idle target costs next to nothing.
    pub fn read_tables(
        &mut self,
        view: &View<'_>,
        initial_interval: u64,
        observation: &mut Observation,
    ) {
        observation.counts = Counts::read(view, initial_interval);
        observation.status = view.status();
        observation.bins = view.bins();
        self.recent.prune(&observation.status);
        observation.recent.clone_from(&self.recent);
        observation.account = self.account();
        read_modules(view, &mut observation.modules);
        let (samples, frees) = (observation.counts.samples, observation.counts.frees);
        match self.settled {
            Some((s, f, true)) if (s, f) == (samples, frees) => return,
            Some((s, f, false)) if (s, f) == (samples, frees) => {
                self.settled = Some((samples, frees, true));
            }
            _ => self.settled = Some((samples, frees, false)),
        }
        observation.stacks.update(&view.stacks);
        read_live(view, observation);
        read_totals(view, observation);
        observation.generation += 1;
    }
}

fn read_modules(view: &View<'_>, modules: &mut Vec<Module>) {
    modules.clear();
    let entries = (0..view.modules.len()).filter_map(|index| view.modules.read(index));
    modules.extend(entries);
}

/// How often the stacks are read again because a block's stack is newer than the last look.
const STACK_UPDATES_MAX: u32 = 8;

fn read_live(view: &View<'_>, observation: &mut Observation) {
    let Observation { live, stacks, .. } = observation;
    live.clear();
    let mut torn = 0;
    let mut updates = 0;
    for slot in 0..view.live.capacity() {
        match view.live.read(slot) {
            Slot::Free => {}
            Slot::Torn => torn += 1,
            Slot::Live(block) => {
                if block.stack.0 > stacks.ids() && updates < STACK_UPDATES_MAX {
                    updates += 1;
                    stacks.update(&view.stacks);
                }
                live.push(LiveSample {
                    size: block.size,
                    interval: block.interval,
                    birth_ns: block.birth_ns,
                    number: block.number,
                    stack: stacks.index_of(block.stack),
                    thread: block.thread,
                    align_log2: block.align_log2,
                });
            }
        }
    }
    observation.torn_live_records = torn;
}

fn read_totals(view: &View<'_>, observation: &mut Observation) {
    let Observation { totals, stacks, .. } = observation;
    totals.clear();
    totals.resize(stacks.len(), StackTotals::default());
    for id in (1..=stacks.ids()).map(StackId) {
        let sum = stacks
            .ready_index(id)
            .and_then(|index| totals.get_mut(index.place()));
        if let (Some(sum), Some(entry)) = (sum, view.stacks.totals(id)) {
            merge(sum, &entry);
        }
    }
}

/// Adds the totals of one entry to those of its stack.
fn merge(sum: &mut StackTotals, entry: &StackTotals) {
    let first = |a: u64, b: u64| match (a, b) {
        (0, other) | (other, 0) => other,
        (a, b) => a.min(b),
    };
    let mut lifetimes = [0; LIFETIME_BUCKETS];
    for ((to, a), b) in lifetimes.iter_mut().zip(sum.lifetimes).zip(entry.lifetimes) {
        *to = a.saturating_add(b);
    }
    *sum = StackTotals {
        first_seen_ns: first(sum.first_seen_ns, entry.first_seen_ns),
        last_seen_ns: sum.last_seen_ns.max(entry.last_seen_ns),
        samples: sum.samples.saturating_add(entry.samples),
        sampled_bytes: sum.sampled_bytes.saturating_add(entry.sampled_bytes),
        freed_samples: sum.freed_samples.saturating_add(entry.freed_samples),
        freed_sampled_bytes: sum
            .freed_sampled_bytes
            .saturating_add(entry.freed_sampled_bytes),
        objects: sum.objects + entry.objects,
        bytes: sum.bytes + entry.bytes,
        objects_variance: sum.objects_variance + entry.objects_variance,
        bytes_variance: sum.bytes_variance + entry.bytes_variance,
        lifetimes,
    };
}
