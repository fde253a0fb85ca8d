//! The process-wide state of a profiled process: made at the first sample, never taken down.
//!
//! **Invariants.** There is at most one profiler at a time; a forked child forgets its parent's
//! before it makes its own. A profiler that was published stays valid for ever. Whoever uses one
//! asks [`Profiler::is_ours`] before touching a lock or a table.
#![expect(
    unsafe_code,
    reason = "publishes the profiler by pointer and runs at process exit"
)]

extern crate alloc;

use alloc::boxed::Box;
use core::{
    ptr,
    sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering},
};

use riptide_region::{
    counters::{Counters, Gauge, Marking},
    view::View,
};

use super::{
    arena::{self, SampledArena},
    config::Config,
    fork::Owner,
    lanes::Lanes,
    map::{MappedRegion, Refusal},
    mark,
    record::Records,
    sampler,
    slow::STACK_ROOM,
    sys, thread_state,
    tick::Ticker,
    unwind::{StackWalker, stack_bounds},
};

/// Smallest interval where sampled blocks are told by their alignment: each takes a page.
pub(crate) const PAGE_ALIGNED_INTERVAL_MIN: u64 = 64 << 10;

pub(crate) struct Profiler {
    pub(crate) config: &'static Config,
    pub(crate) view: View<'static>,
    pub(crate) records: Records,
    /// `None` where sampled blocks are told by their alignment.
    pub(crate) arena: Option<SampledArena>,
    pub(crate) walker: StackWalker,
    pub(crate) ticker: Ticker,
    pub(crate) lanes: Lanes,
    pub(crate) region: MappedRegion,
    owner: &'static Owner,
}

static PROFILER: AtomicPtr<Profiler> = AtomicPtr::new(ptr::null_mut());

const NONE: u8 = 0;
const DONE: u8 = 1;
const REFUSED: u8 = 2;
static SETUP: AtomicU8 = AtomicU8::new(NONE);

/// The process that makes the profiler or has made it; a child finds its parent here.
static MAKER: AtomicPtr<Owner> = AtomicPtr::new(ptr::null_mut());

/// Whether the exit handler is registered.
static AT_EXIT: AtomicBool = AtomicBool::new(false);

/// Samples that found the profiler still being made.
static MISSED: AtomicU64 = AtomicU64::new(0);

/// Counts a sample that could not be taken because there is no profiler yet.
pub(crate) fn miss() {
    // Relaxed: a statistic.
    MISSED.fetch_add(1, Ordering::Relaxed);
}

/// Samples missed since the last call.
pub(crate) fn take_missed() -> u64 {
    // Relaxed: a statistic.
    MISSED.swap(0, Ordering::Relaxed)
}

/// What a thread with a sample finds.
pub(crate) enum Access {
    /// The profiler of this process.
    Ready(&'static Profiler),
    /// Being made by another thread.
    NotYet,
    /// This process is not profiled.
    Never,
}

/// The profiler, of this process or of the one that it was forked from.
#[inline]
pub(crate) fn current() -> Option<&'static Profiler> {
    // SYNC(profiler-published): Acquire; pairs with the Release in `set_up`.
    let profiler = PROFILER.load(Ordering::Acquire);
    // SAFETY: null, or a profiler that was leaked when it was published.
    unsafe { profiler.as_ref() }
}

/// The profiler of this process, made now if this is the first sample.
pub(crate) fn get_or_set_up(config: &'static Config) -> Access {
    if let Some(profiler) = current() {
        if profiler.is_ours() {
            return Access::Ready(profiler);
        }
        if !config.follow_fork {
            return Access::Never;
        }
        forget(profiler);
    }
    // SYNC(setup-done): Acquire; pairs with the Release stores in `set_up`.
    match SETUP.load(Ordering::Acquire) {
        REFUSED => Access::Never,
        DONE => current().map_or(Access::NotYet, Access::Ready),
        _ => match become_maker() {
            Some(owner) => set_up(config, owner),
            None => {
                miss();
                Access::NotYet
            }
        },
    }
}

/// Makes the caller the one that makes the profiler; `None` when another thread of this process is. One
/// that was at it when this process was forked is not here.
fn become_maker() -> Option<&'static Owner> {
    // SYNC(maker-known): Acquire; pairs with the Release below; makes the owner visible.
    let before = MAKER.load(Ordering::Acquire);
    // SAFETY: null, or an owner that was leaked when it was published.
    if unsafe { before.as_ref() }.is_some_and(Owner::is_us) {
        return None;
    }
    // Marked before it is published: there is no moment at which a fork would leave a maker behind that
    // is nobody's.
    let owner: &'static Owner = Box::leak(Box::new(Owner::mark()?));
    let own = ptr::from_ref(owner).cast_mut();
    // SYNC(maker-known): Release on success; pairs with the Acquire above.
    MAKER
        .compare_exchange(before, own, Ordering::Release, Ordering::Relaxed)
        .is_ok()
        .then_some(owner)
}

/// Lets go of the parent's profiler in a child that is to be profiled itself.
fn forget(parents: &'static Profiler) {
    let parents = ptr::from_ref(parents).cast_mut();
    let won = PROFILER
        .compare_exchange(
            parents,
            ptr::null_mut(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        )
        .is_ok();
    if won {
        // Relaxed: a child begins with one thread; later ones see what it did.
        SETUP.store(NONE, Ordering::Relaxed);
    }
}

#[cold]
fn set_up(config: &'static Config, owner: &'static Owner) -> Access {
    if config.process != sys::process_id() && !config.follow_fork {
        // Forked before the parent had its first sample.
        // SYNC(setup-done): Release; pairs with the Acquire in `get_or_set_up`.
        SETUP.store(REFUSED, Ordering::Release);
        return Access::Never;
    }
    match Profiler::new(config, owner) {
        Ok(profiler) => {
            let profiler: &'static Profiler = Box::leak(Box::new(profiler));
            profiler.ticker.find_modules(profiler);
            // SYNC(profiler-published): Release; pairs with the Acquire in `current`.
            PROFILER.store(ptr::from_ref(profiler).cast_mut(), Ordering::Release);
            // SYNC(setup-done): as above.
            SETUP.store(DONE, Ordering::Release);
            // What other threads need not wait for: until now their samples were missed.
            profiler.ticker.run(profiler, sys::now_coarse_ns());
            // A child inherits its parent's handlers.
            // Relaxed: one caller at a time.
            if !AT_EXIT.swap(true, Ordering::Relaxed) {
                // SAFETY: the handler takes no arguments, does not unwind and stays valid.
                unsafe { libc::atexit(at_exit) };
            }
            Access::Ready(profiler)
        }
        Err(refusal) => {
            refusal.leave_mark();
            // SYNC(setup-done): as above.
            SETUP.store(REFUSED, Ordering::Release);
            Access::Never
        }
    }
}

impl Profiler {
    fn new(config: &'static Config, owner: &'static Owner) -> Result<Self, Refusal> {
        if !arena::pages_are_4_kib() {
            return Err(Refusal::Pages);
        }
        if !mark::claim() {
            return Err(Refusal::OtherCopy);
        }
        let nonce = sys::cycles() ^ sys::clock_ns(libc::CLOCK_REALTIME).rotate_left(32);
        let region = MappedRegion::create(config, nonce)?;
        let view = region.view;
        let parts = (
            Records::new(view.live),
            Lanes::new(view.live.capacity()),
            StackWalker::new(config.unwind),
        );
        let (Some(records), Some(lanes), Some(walker)) = parts else {
            region.unlink();
            return Err(Refusal::Memory);
        };
        let arena = SampledArena::get_or_create(view.live.capacity());
        if let Some(arena) = &arena {
            mark::range(arena.base, arena.bytes);
            view.counters
                .set(Gauge::Marking, Marking::ReservedRange as u64);
        } else {
            mark::page_aligned();
            view.counters
                .set(Gauge::Marking, Marking::PageAligned as u64);
            sampler::set_interval(sampler::interval().max(PAGE_ALIGNED_INTERVAL_MIN));
        }
        view.counters.set(Gauge::IntervalBytes, sampler::interval());
        walker.show(&view.counters);
        Ok(Self {
            config,
            view,
            records,
            arena,
            walker,
            ticker: Ticker::new(config),
            lanes,
            region,
            owner,
        })
    }

    /// Whether this is the process that the profiler was made in.
    #[inline]
    pub(crate) fn is_ours(&self) -> bool {
        self.owner.is_us()
    }

    pub(crate) fn counters(&self) -> &Counters<'static> {
        &self.view.counters
    }
}

/// Marks the region as that of a process that ended cleanly, and takes the file away unless it is
/// to be kept. Other threads may still be running: the mapping stays.
extern "C" fn at_exit() {
    let Some(profiler) = current() else { return };
    // A child that was forked runs its parent's handlers as well.
    if !profiler.is_ours() {
        return;
    }
    thread_state::with(|state| {
        let was_busy = state.busy.replace(true);
        if stack_bounds::has_room(state, STACK_ROOM) {
            profiler.ticker.run_all(profiler);
        }
        state.busy.set(was_busy);
    });
    profiler.view.mark_exited();
    if !profiler.config.keep {
        profiler.region.unlink();
    }
}
