//! What happens to a sampled block: allocated, freed, moved. Entered once in an interval of bytes,
//! and at frees of blocks that may be sampled.
//!
//! How a block was made decides how it is freed:
//!
//! | block | made by | freed by |
//! |---|---|---|
//! | not sampled | tikv-jemallocator's calls | `sdallocx` with the layout |
//! | sampled, ≤ [`SMALL_MAX`] | `mallocx` in the sampled arena, at least 16 bytes | `dallocx`, a lane's thread cache or none |
//! | sampled, larger | `mallocx` with alignment ≥ a page | `dallocx`, no tcache; `sdallocx` with the layout would do, as the size class is the same |
//! | sampled, where alignment marks | as larger ones, whatever the size | `dallocx`, no tcache |
//!
//! In the range, recorded or not, it is `dallocx`, which needs no size. A page-aligned block where
//! alignment marks is freed by `dallocx` too.
//!
//! | module | does |
//! |---|---|
//! | `allocate`, `free`, `reallocate` | the three entries |
//! | `books` | what a sample and its end change in the region |

mod allocate;
mod books;
mod free;
mod reallocate;

use core::ffi::c_int;

use riptide_region::counters::Counter;

pub(crate) use self::{allocate::alloc, free::free, reallocate::realloc};
use super::{
    arena::{GRAIN, SMALL_MAX},
    config, countdown,
    global_alloc::flags_of,
    lanes::Lane,
    profiler::{self, Access, Profiler},
    sampler::{self, Decision},
    sys::ErrnoGuard,
    thread_state::ThreadState,
    unwind::{Registers, stack_bounds},
};
use core::alloc::Layout;

const PAGE: usize = 4096;
/// Stack that setting up and ticking need: 36 KiB were measured, without optimisation 137.
pub(super) const STACK_ROOM: usize = if cfg!(debug_assertions) { 192 } else { 64 } << 10;

/// What a new block has to hold.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Contents {
    Any,
    Zero,
}

/// A sample that is due.
struct Sample<'a> {
    /// Of the entry into the slow path, so that the stack begins with its caller.
    registers: &'a Registers,
    interval: u64,
    /// Birth of the block that this one continues.
    birth_ns: Option<u64>,
}

/// Marks the thread as inside the shim.
struct Busy<'a>(&'a ThreadState);

impl<'a> Busy<'a> {
    fn enter(state: &'a ThreadState) -> Self {
        state.busy.set(true);
        Self(state)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
    }
}

/// A sample that is due, on a thread that is marked as busy until this is dropped.
struct Due<'a> {
    profiler: &'static Profiler,
    interval: u64,
    _busy: Busy<'a>,
    _errno: ErrnoGuard,
}

/// Decides on an allocation that made the countdown negative; `None` when it is not to be sampled.
fn sample_due(state: &ThreadState, size: usize, on_by_default: bool) -> Option<Due<'_>> {
    if state.busy.get() {
        // Inside the shim, by a signal or by our own use of the heap.
        if state.interval.get() == 0 {
            countdown::set(0);
            return None;
        }
        if let Decision::Sample(_) = sampler::decide(state, size, on_by_default)
            && !state.own_heap.get()
            && let Some(profiler) = profiler::current()
            && profiler.is_ours()
        {
            profiler.counters().add(Counter::SkippedReentrant, 1);
        }
        return None;
    }
    let errno = ErrnoGuard::new();
    let busy = Busy::enter(state);
    let Decision::Sample(interval) = sampler::decide(state, size, on_by_default) else {
        return None;
    };
    if profiler::current().is_none() && !stack_bounds::has_room(state, STACK_ROOM) {
        profiler::miss();
        return None;
    }
    match profiler::get_or_set_up(config::get(on_by_default)?) {
        Access::Ready(profiler) => {
            if profiler.config.follow_fork {
                // A child's threads have other ids than its parent's.
                state.thread_id.set(0);
            }
            Some(Due {
                profiler,
                interval,
                _busy: busy,
                _errno: errno,
            })
        }
        Access::NotYet => None,
        Access::Never => {
            sampler::stop(state);
            None
        }
    }
}

/// A pass through the slow path of the process that made the profiler.
struct Pass<'a> {
    profiler: &'static Profiler,
    state: &'a ThreadState,
    lane: Lane<'a>,
    now_ns: u64,
    /// The processor's time counter at the beginning.
    start: u64,
}

impl<'a> Pass<'a> {
    /// Enters; the caller has asked whether the profiler is ours.
    fn enter(profiler: &'static Profiler, state: &'a ThreadState, start: u64) -> Self {
        let mut lane = profiler.lanes.enter(state);
        let now_ns = lane.now_ns(start);
        Self {
            profiler,
            state,
            lane,
            now_ns,
            start,
        }
    }

    /// Leaves: counts the cost.
    fn leave(self) {
        self.lane.leave(self.start);
    }

    /// Leaves, and does what is due now and then.
    fn leave_and_tick(self) {
        let Self {
            profiler,
            state,
            now_ns,
            ..
        } = self;
        self.leave();
        if profiler.ticker.is_due(now_ns) && stack_bounds::has_room(state, STACK_ROOM) {
            profiler.ticker.run(profiler, now_ns);
        }
    }
}

/// Size and flags with which a layout is allocated so that it is marked.
fn marked_request(profiler: &Profiler, lane: &Lane<'_>, layout: Layout) -> (usize, c_int) {
    match &profiler.arena {
        Some(arena) if layout.size() <= SMALL_MAX => {
            // Raised to the grain: two smaller blocks would share a shadow entry.
            let size = layout.size().max(GRAIN);
            let flags = flags_of(layout.align(), size) | arena.flags | lane.block_flags();
            (size, flags)
        }
        _ => {
            let align = layout.align().max(PAGE);
            (layout.size(), align.trailing_zeros().cast_signed())
        }
    }
}

/// Whether a block may be sampled: exactly, where the hot path is generous.
fn may_be_sampled(profiler: &Profiler, address: usize) -> bool {
    address.is_multiple_of(PAGE)
        || profiler
            .arena
            .as_ref()
            .is_some_and(|arena| arena.contains(address))
}
