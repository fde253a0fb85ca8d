//! Single words that only ever count, and gauges that are set.
//!
//! Each is independent of every other: all accesses are Relaxed, nothing is reached through them.

use crate::primitive::{AtomicU64, Ordering};

/// Words of the section.
pub const COUNTER_WORDS: usize = 128;

/// A word that only grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Counter {
    /// Sampled allocations (reallocations included).
    Samples = 0,
    /// Frees of sampled blocks.
    Frees = 1,
    /// Sampled blocks without a record because the live table was full.
    UnrecordedLiveTableFull = 2,
    /// Sampled blocks without a record because the reserved range was used up.
    UnrecordedRangeExhausted = 3,
    /// Sampled blocks without a record because the table of large blocks was full there.
    UnrecordedLargeTableFull = 4,
    /// Requested bytes of all unrecorded blocks.
    UnrecordedBytes = 5,
    /// Sampling decisions skipped because the thread was already inside the shim.
    SkippedReentrant = 6,
    /// Stacks that were cut.
    TruncatedStack = 7,
    /// Samples whose stack found no room in the stack table.
    StackTableFull = 8,
    /// Samples for which no unwinder gave a frame.
    FailedUnwind = 9,
    /// Entries into the slow path.
    SlowPathCalls = 10,
    /// Nanoseconds spent in the slow path, preempted entries left out.
    SlowPathNs = 11,
    /// Entries into the slow path that took so long that the thread must have been preempted.
    SlowPathPreempted = 12,
    /// Executable mappings that found no room in the module table.
    ModuleTableFull = 13,
    /// Stacks walked both ways to choose an unwinder.
    UnwindChecked = 14,
    /// Of those, stacks on which frame pointers and unwind tables agreed.
    UnwindAgreed = 15,
    /// Frees of blocks inside the reserved range that had no record.
    FreesUnrecorded = 16,
    /// Maintenance ticks.
    Ticks = 17,
    /// Failed attempts to read `/proc` or the statistics during a tick.
    TickErrors = 18,
    /// Samples that found the profiler still being made, or no room on their stack to make it.
    SkippedSetUp = 19,
}

/// A word that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Gauge {
    /// Sampling interval in force, in bytes.
    IntervalBytes = 64,
    /// [`Unwinder`] in force.
    Unwinder = 65,
    /// Nanoseconds of the region's clock at the last sign of life.
    HeartbeatNs = 66,
    /// Share of the process's CPU time spent in the slow path, in parts per billion.
    CostPpb = 67,
    /// How sampled blocks are told apart: see [`Marking`].
    Marking = 68,
    /// Budget in parts per million of the process's CPU time, 0 when the interval is fixed.
    BudgetPpm = 69,
    /// Live slots in use.
    LiveSlotsUsed = 70,
}

/// How stacks are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Unwinder {
    /// Still comparing both.
    Undecided = 0,
    /// Frame pointers.
    FramePointers = 1,
    /// Unwind tables (`.eh_frame`).
    Dwarf = 2,
}

impl Unwinder {
    /// The unwinder behind a gauge's value.
    #[must_use]
    pub fn from_word(word: u64) -> Self {
        match word {
            1 => Self::FramePointers,
            2 => Self::Dwarf,
            _ => Self::Undecided,
        }
    }
}

/// How `dealloc` recognises a sampled block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Marking {
    /// Not chosen yet.
    None = 0,
    /// Small blocks lie in one reserved address range.
    ReservedRange = 1,
    /// Sampled blocks are page-aligned; a page-aligned block is looked up.
    PageAligned = 2,
}

impl Marking {
    /// The marking behind a gauge's value.
    #[must_use]
    pub fn from_word(word: u64) -> Self {
        match word {
            1 => Self::ReservedRange,
            2 => Self::PageAligned,
            _ => Self::None,
        }
    }
}

/// Both ends of the counters.
#[derive(Clone, Copy, Debug)]
pub struct Counters<'a> {
    words: &'a [AtomicU64],
}

impl<'a> Counters<'a> {
    /// Counters over `words`; what is not there reads as 0.
    #[must_use]
    pub fn new(words: &'a [AtomicU64]) -> Self {
        Self { words }
    }

    /// Adds to a counter; returns what it was.
    #[inline]
    pub fn add(&self, counter: Counter, value: u64) -> u64 {
        self.words
            .get(counter as usize)
            .map_or(0, |word| word.fetch_add(value, Ordering::Relaxed))
    }

    /// A counter's value.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.words
            .get(counter as usize)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    /// Sets a gauge.
    pub fn set(&self, gauge: Gauge, value: u64) {
        if let Some(word) = self.words.get(gauge as usize) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// A gauge's value.
    #[must_use]
    pub fn gauge(&self, gauge: Gauge) -> u64 {
        self.words
            .get(gauge as usize)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }
}
