//! What threads in the slow path would otherwise share line by line: a stash of free slots, a thread
//! cache of the sampled arena, the counts of what sampling costs.
//!
//! A *lane* has one user at a time, by a try-lock. A thread keeps to its lane and moves on to another
//! one when it finds its own taken, so lanes settle with their threads and an entry into the slow
//! path costs one exchange on a line that nobody else has. A thread that ends has nothing to give
//! back, and one that finds no lane free does without.
//!
//! **Invariants.** Only the user of a lane changes its figures, so they need no read-modify-write;
//! the tick reads them without the lock. A lane's thread cache holds blocks of the sampled arena and
//! no others: blocks go into it by [`Lane::block_flags`] alone, and only those in the range.
#![expect(unsafe_code, reason = "lanes begin as zeroed memory")]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tikv_jemalloc_sys::MALLOCX_TCACHE_NONE;

use super::{
    arena,
    free_slots::{FreeSlots, Stash},
    sys::{self, ZeroIsValid},
    thread_state::ThreadState,
    try_lock::{Guard, TryLock},
    unwind::Stack,
};

/// Lanes: as many threads are in the slow path at once, and more do without.
const LANES: usize = 64;
/// Lanes tried before a thread does without.
const TRIES: usize = 4;
/// Share of the slots that may lie in all stashes together: one in this many.
const STASHED_SHARE: usize = 16;
/// Samples in a lane, at [`CACHED_INTERVAL_MAX`] or below, that are worth a thread cache: it takes
/// 28 KiB.
const CACHED_SAMPLES_MIN: u32 = 256;
/// Largest interval at which blocks are cached.
const CACHED_INTERVAL_MAX: u64 = 64 << 10;
/// A pass through the slow path that takes longer was preempted.
pub(crate) const PREEMPTED_NS: u64 = 20_000;

/// How long a lane goes by what the clock last showed, in [`PREEMPTED_NS`].
const CLOCK_KEPT: u64 = 10;
/// Where samples are dense one pass in this many is timed, and stands for all of them.
const TIMED_SHARE: u64 = 8;

/// All lanes of a profiler.
pub(crate) struct Lanes {
    slots: &'static [Slot],
    /// Figures of those who found no lane.
    shared: Figures,
    /// [`PREEMPTED_NS`] in cycles.
    preempted_cycles: AtomicU64,
    /// Lanes that threads have chosen.
    chosen: AtomicU32,
    stash_limit: usize,
}

/// A lane on lines of its own.
#[repr(align(128))]
#[repr(C)]
struct Slot {
    figures: Figures,
    lane: TryLock<LaneState>,
}

// SAFETY: zero is an open lock, an empty stash, no cache, an empty stack, and figures of nothing.
unsafe impl ZeroIsValid for Slot {}

struct LaneState {
    stash: Stash,
    /// Flags of the thread cache in use, 0 while there is none.
    cache_flags: i32,
    /// Samples that would have used a thread cache, up to [`CACHED_SAMPLES_MIN`].
    dense_samples: u32,
    /// What the clock showed, in nanoseconds, when the time counter stood at `clock_cycles`.
    clock_ns: u64,
    clock_cycles: u64,
    /// For the walk: a kilobyte that need not be cleared for each.
    stack: Stack,
}

/// What the tick reads.
#[derive(Default)]
struct Figures {
    /// Cost of the slow path in ticks of the processor's time counter.
    cycles: AtomicU64,
    calls: AtomicU64,
    preempted: AtomicU64,
    stashed: AtomicU32,
}

/// The cost of the slow path so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// In ticks of the processor's time counter; without preempted passes.
    pub(crate) cycles: u64,
    pub(crate) calls: u64,
    pub(crate) preempted: u64,
}

impl Lanes {
    /// Lanes for a live table of `capacity` slots.
    pub(crate) fn new(capacity: usize) -> Option<Self> {
        Some(Self {
            slots: sys::map_slice(LANES)?,
            shared: Figures::default(),
            // Until the counter is measured: 3 GHz.
            preempted_cycles: AtomicU64::new(PREEMPTED_NS * 3),
            chosen: AtomicU32::new(0),
            stash_limit: capacity / (LANES * STASHED_SHARE),
        })
    }

    /// Enters the slow path: the thread's lane, or another that is free.
    #[inline]
    pub(crate) fn enter(&self, state: &ThreadState) -> Lane<'_> {
        let first = match state.lane.get().checked_sub(1) {
            Some(own) => own,
            // Relaxed: only spreads the threads.
            None => self.chosen.fetch_add(1, Ordering::Relaxed) % LANES as u32,
        };
        for step in 0..TRIES as u32 {
            let index = first.wrapping_add(step) % LANES as u32;
            if let Some(slot) = self.slots.get(index as usize)
                && let Some(guard) = slot.lane.try_lock()
            {
                state.lane.set(index + 1);
                return Lane {
                    lanes: self,
                    taken: Some((slot, guard)),
                };
            }
        }
        Lane {
            lanes: self,
            taken: None,
        }
    }

    /// What the slow path has cost so far.
    pub(crate) fn cost(&self) -> Cost {
        let mut cost = Cost::default();
        for figures in self.figures() {
            // Relaxed: statistics.
            cost.cycles = cost
                .cycles
                .wrapping_add(figures.cycles.load(Ordering::Relaxed));
            cost.calls += figures.calls.load(Ordering::Relaxed);
            cost.preempted += figures.preempted.load(Ordering::Relaxed);
        }
        cost
    }

    /// Slots that lie in stashes.
    pub(crate) fn stashed(&self) -> u32 {
        // Relaxed: a statistic.
        self.figures()
            .map(|figures| figures.stashed.load(Ordering::Relaxed))
            .sum()
    }

    /// Says how many cycles [`PREEMPTED_NS`] are.
    pub(crate) fn set_preempted_cycles(&self, cycles: u64) {
        // Relaxed: a threshold.
        self.preempted_cycles.store(cycles, Ordering::Relaxed);
    }

    fn figures(&self) -> impl Iterator<Item = &Figures> {
        self.slots
            .iter()
            .map(|slot| &slot.figures)
            .chain([&self.shared])
    }
}

/// A pass through the slow path, with a lane or without.
pub(crate) struct Lane<'a> {
    lanes: &'a Lanes,
    taken: Option<(&'a Slot, Guard<'a, LaneState>)>,
}

impl Lane<'_> {
    /// The coarse clock, in nanoseconds, for a pass that began when the time counter stood at `start`.
    /// It is asked anew after [`CLOCK_KEPT`] at the latest, which is less than one of its steps.
    #[inline]
    pub(crate) fn now_ns(&mut self, start: u64) -> u64 {
        let Some((_, lane)) = &mut self.taken else {
            return sys::now_coarse_ns();
        };
        // Relaxed: a threshold. A counter that stands behind the one before, on another core, wraps to
        // a long time.
        let kept = CLOCK_KEPT * self.lanes.preempted_cycles.load(Ordering::Relaxed);
        if start.wrapping_sub(lane.clock_cycles) >= kept {
            lane.clock_cycles = start;
            lane.clock_ns = sys::now_coarse_ns();
        }
        lane.clock_ns
    }

    /// Takes a free slot of the live table.
    #[inline]
    pub(crate) fn take_slot(&mut self, free: &FreeSlots<'_>) -> Option<u32> {
        let Some((slot, lane)) = &mut self.taken else {
            return free.take_one();
        };
        let taken = lane.stash.take(free, self.lanes.stash_limit);
        slot.figures.show_stashed(&lane.stash);
        taken
    }

    /// The slot that is taken next, if that is known.
    #[inline]
    pub(crate) fn next_slot(&self) -> Option<u32> {
        self.taken.as_ref()?.1.stash.next()
    }

    /// Gives a slot of the live table back.
    #[inline]
    pub(crate) fn give_slot(&mut self, free: &FreeSlots<'_>, number: u32) {
        let Some((slot, lane)) = &mut self.taken else {
            return free.give_one(number);
        };
        lane.stash.give(free, self.lanes.stash_limit, number);
        slot.figures.show_stashed(&lane.stash);
    }

    /// Runs `body` with an empty call stack.
    #[inline]
    pub(crate) fn with_stack<R>(&mut self, body: impl FnOnce(&mut Stack) -> R) -> R {
        match &mut self.taken {
            Some((_, lane)) => {
                lane.stack.clear();
                body(&mut lane.stack)
            }
            None => body(&mut Stack::new()),
        }
    }

    /// Counts a sample of the sampled arena; with enough of them the lane gets its thread cache.
    #[inline]
    pub(crate) fn note_small_sample(&mut self, interval: u64) {
        if let Some((_, lane)) = &mut self.taken
            && lane.dense_samples < CACHED_SAMPLES_MIN
            && interval <= CACHED_INTERVAL_MAX
        {
            lane.dense_samples += 1;
            if lane.dense_samples == CACHED_SAMPLES_MIN {
                lane.cache_flags = arena::create_thread_cache().unwrap_or(0);
            }
        }
    }

    /// jemalloc's flags for allocating a block in the sampled arena, or freeing one: the lane's
    /// thread cache, or none. Never the thread's ordinary one, which would hand out marked blocks.
    #[inline]
    pub(crate) fn block_flags(&self) -> i32 {
        match &self.taken {
            Some((_, lane)) if lane.cache_flags != 0 => lane.cache_flags,
            _ => MALLOCX_TCACHE_NONE,
        }
    }

    /// Leaves the slow path, entered when the time counter stood at `start`.
    #[inline]
    pub(crate) fn leave(self, start: u64) {
        match &self.taken {
            Some((slot, lane)) => {
                let add = |word: &AtomicU64, amount: u64| {
                    // Relaxed: statistics, and nobody else changes them.
                    let sum = word.load(Ordering::Relaxed).wrapping_add(amount);
                    word.store(sum, Ordering::Relaxed);
                };
                let figures = &slot.figures;
                add(&figures.calls, 1);
                if lane.dense_samples < CACHED_SAMPLES_MIN {
                    figures.count(self.took(start), 1, add);
                } else if figures
                    .calls
                    .load(Ordering::Relaxed)
                    .is_multiple_of(TIMED_SHARE)
                {
                    figures.count(self.took(start), TIMED_SHARE, add);
                }
            }
            None => {
                let add = |word: &AtomicU64, amount: u64| {
                    // Relaxed: a statistic.
                    word.fetch_add(amount, Ordering::Relaxed);
                };
                add(&self.lanes.shared.calls, 1);
                self.lanes.shared.count(self.took(start), 1, add);
            }
        }
    }

    /// Cycles since `start`; `None` when the thread must have been preempted.
    #[inline]
    fn took(&self, start: u64) -> Option<u64> {
        let took = sys::cycles().wrapping_sub(start);
        // Relaxed: a threshold.
        (took < self.lanes.preempted_cycles.load(Ordering::Relaxed)).then_some(took)
    }
}

impl Figures {
    /// Counts a pass that was timed and stands for `passes`.
    #[inline]
    fn count(&self, took: Option<u64>, passes: u64, add: impl Fn(&AtomicU64, u64)) {
        match took {
            Some(took) => add(&self.cycles, took * passes),
            None => add(&self.preempted, passes),
        }
    }

    #[inline]
    fn show_stashed(&self, stash: &Stash) {
        // Relaxed: a statistic.
        self.stashed.store(stash.len() as u32, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profiling::thread_state;

    #[test]
    fn threads_keep_to_their_lanes_and_figures_add_up() {
        let lanes = Lanes::new(1 << 16).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    thread_state::with(|state| {
                        lanes.enter(state).leave(sys::cycles());
                        let own = state.lane.get();
                        for _ in 0..999 {
                            lanes.enter(state).leave(sys::cycles());
                        }
                        assert_eq!(state.lane.get(), own, "four threads, four lanes");
                    });
                });
            }
        });
        assert_eq!(lanes.cost().calls, 4_000);
    }

    #[test]
    fn a_taken_lane_is_left_alone_and_who_finds_none_does_without() {
        let lanes = Lanes::new(1 << 16).unwrap();
        thread_state::with(|state| {
            state.lane.set(1);
            let held: Vec<_> = (0..TRIES).map(|_| lanes.enter(state)).collect();
            assert!(held.iter().all(|lane| lane.taken.is_some()));
            state.lane.set(1);
            let mut none = lanes.enter(state);
            assert!(none.taken.is_none());
            assert_eq!(none.block_flags(), MALLOCX_TCACHE_NONE);
            let next: Vec<AtomicU32> = (0..8).map(|_| AtomicU32::new(0)).collect();
            let free = FreeSlots::new(&next).unwrap();
            let slot = none.take_slot(&free).unwrap();
            assert_eq!((free.out(), lanes.stashed()), (1, 0));
            none.give_slot(&free, slot);
            assert_eq!(free.out(), 0);
            none.leave(sys::cycles());
            assert_eq!(lanes.cost().calls, 1);
        });
    }

    #[test]
    fn a_lane_gets_its_thread_cache_when_samples_are_dense() {
        let lanes = Lanes::new(1 << 16).unwrap();
        thread_state::with(|state| {
            state.lane.set(1);
            let mut lane = lanes.enter(state);
            for _ in 0..CACHED_SAMPLES_MIN {
                lane.note_small_sample(CACHED_INTERVAL_MAX + 1);
            }
            assert_eq!(lane.block_flags(), MALLOCX_TCACHE_NONE);
            for _ in 0..CACHED_SAMPLES_MIN {
                lane.note_small_sample(1);
            }
            assert_ne!(lane.block_flags(), MALLOCX_TCACHE_NONE);
            assert_ne!(lane.block_flags(), 0, "the ordinary tcache");
        });
    }
}
