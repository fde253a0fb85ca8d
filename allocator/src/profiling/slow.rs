//! What happens to a sampled block: allocated, freed, moved. Entered once in an interval of bytes,
//! and at frees of blocks that may be sampled.
//!
//! How a block was made decides how it is freed:
//!
//! | block | made by | freed by |
//! |---|---|---|
//! | not sampled | tikv-jemallocator's calls | `sdallocx` with the layout |
//! | sampled, ≤ [`SMALL_MAX`] | `mallocx` in the sampled arena, at least 16 bytes | `dallocx`, no tcache |
//! | sampled, larger | `mallocx` with alignment ≥ a page | `dallocx`, no tcache; `sdallocx` with the layout would do, as the size class is the same |
//! | sampled, where alignment marks | as larger ones, whatever the size | `dallocx`, no tcache |
//!
//! In the range, recorded or not, it is `dallocx`, which needs no size. A page-aligned block where
//! alignment marks is freed by `dallocx` too.
#![expect(
    unsafe_code,
    reason = "allocates, frees and moves blocks through jemalloc's C functions"
)]

use core::{
    alloc::{GlobalAlloc, Layout},
    ffi::{c_int, c_void},
    ptr,
};

use riptide_region::{
    counters::Counter,
    event::{Event, EventKind},
    live_table::LiveBlock,
    ring::Publish,
    stack_table::{Interned, StackId, Weight},
};
use tikv_jemalloc_sys::{
    MALLOCX_TCACHE_NONE, MALLOCX_ZERO, dallocx, mallocx, nallocx, rallocx, sdallocx, xallocx,
};
use tikv_jemallocator::Jemalloc;

use super::{
    arena::{GRAIN, SMALL_MAX},
    config, countdown,
    global_alloc::{flags_of, mark},
    profiler::{self, Access, Profiler},
    record::{Taken, Unrecorded},
    sampler::{self, Decision},
    sys::{self, ErrnoGuard},
    thread_state::{self, ThreadState},
    unwind::{Registers, Stack, stack_bounds},
};

const PAGE: usize = 4096;
/// Stack that setting up and ticking need: 36 KiB were measured, without optimisation 137.
const STACK_ROOM: usize = if cfg!(debug_assertions) { 192 } else { 64 } << 10;

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

/// Allocates when the thread's countdown has run out.
///
/// # Safety
/// The layout's size must not be zero.
#[cold]
#[inline(never)]
pub(crate) unsafe fn alloc(layout: Layout, contents: Contents, on_by_default: bool) -> *mut u8 {
    let registers = Registers::capture();
    thread_state::with(|state| {
        if let Some((profiler, interval)) = sample_due(state, layout.size(), on_by_default) {
            let start = sys::cycles();
            let _errno = ErrnoGuard::new();
            let _busy = Busy::enter(state);
            let sample = Sample {
                registers: &registers,
                interval,
                birth_ns: None,
            };
            // SAFETY: passed on.
            let address = unsafe { alloc_sampled(profiler, state, layout, contents, &sample) };
            finish(profiler, state, start);
            address
        } else {
            // SAFETY: passed on.
            unsafe { alloc_plain(layout, contents) }
        }
    })
}

/// Decides on an allocation that made the countdown negative; `None` when it is not to be sampled.
fn sample_due(
    state: &ThreadState,
    size: usize,
    on_by_default: bool,
) -> Option<(&'static Profiler, u64)> {
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
    let _errno = ErrnoGuard::new();
    let _busy = Busy::enter(state);
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
            Some((profiler, interval))
        }
        Access::NotYet => None,
        Access::Never => {
            sampler::stop(state);
            None
        }
    }
}

/// Leaves the slow path: the cost, and what is due.
fn finish(profiler: &Profiler, state: &ThreadState, start: u64) {
    profiler.costs.add(start);
    let now_ns = sys::now_coarse_ns();
    if profiler.ticker.is_due(now_ns) && stack_bounds::has_room(state, STACK_ROOM) {
        profiler.ticker.run(profiler, now_ns);
    }
}

/// # Safety
/// The layout's size must not be zero.
unsafe fn alloc_plain(layout: Layout, contents: Contents) -> *mut u8 {
    match contents {
        // SAFETY: passed on.
        Contents::Any => unsafe { Jemalloc.alloc(layout) },
        // SAFETY: passed on.
        Contents::Zero => unsafe { Jemalloc.alloc_zeroed(layout) },
    }
}

/// Allocates a block that `dealloc` will recognise, and records it. What cannot be marked or
/// recorded is counted and is then an ordinary block.
///
/// # Safety
/// The layout's size must not be zero.
unsafe fn alloc_sampled(
    profiler: &Profiler,
    state: &ThreadState,
    layout: Layout,
    contents: Contents,
    sample: &Sample<'_>,
) -> *mut u8 {
    let (size, flags) = marked_request(profiler, layout);
    let zero = if contents == Contents::Zero {
        MALLOCX_ZERO
    } else {
        0
    };
    // SAFETY: the size is not zero; the flags are an alignment, an arena of ours, and "zero".
    let address: *mut u8 = unsafe { mallocx(size, flags | zero) }.cast();
    if address.is_null() {
        if layout.size() <= SMALL_MAX && profiler.arena.is_some() {
            count_unrecorded(profiler, Counter::UnrecordedRangeExhausted, layout.size());
        }
        // SAFETY: passed on.
        return unsafe { alloc_plain(layout, contents) };
    }
    if !record(profiler, state, address, layout, sample) && profiler.arena.is_none() {
        // Unrecorded it could not be told from an ordinary block of its size.
        // SAFETY: just allocated, and nobody else has it.
        unsafe { dallocx(address.cast(), MALLOCX_TCACHE_NONE) };
        // SAFETY: passed on.
        return unsafe { alloc_plain(layout, contents) };
    }
    address
}

/// Size and flags with which a layout is allocated so that it is marked.
fn marked_request(profiler: &Profiler, layout: Layout) -> (usize, c_int) {
    match &profiler.arena {
        Some(arena) if layout.size() <= SMALL_MAX => {
            // Raised to the grain: two smaller blocks would share a shadow entry.
            let size = layout.size().max(GRAIN);
            (size, flags_of(layout.align(), size) | arena.flags)
        }
        _ => {
            let align = layout.align().max(PAGE);
            (layout.size(), align.trailing_zeros().cast_signed())
        }
    }
}

/// Records a block; false when there was no room, which is counted.
fn record(
    profiler: &Profiler,
    state: &ThreadState,
    address: *mut u8,
    layout: Layout,
    sample: &Sample<'_>,
) -> bool {
    let counters = profiler.counters();
    let now_ns = sys::now_coarse_ns();
    if state.thread_id.get() == 0 {
        state.thread_id.set(sys::thread_id());
    }
    let thread = state.thread_id.get();
    let stack = walk(profiler, state, sample.registers, now_ns);
    let size = layout.size() as u64;
    counters.add(Counter::Samples, 1);
    profiler.view.stacks.add_allocation(
        stack,
        Weight {
            size,
            probability: probability(size, sample.interval),
        },
        now_ns,
    );
    let address = address as u64;
    let number = publish(
        profiler,
        &Event {
            kind: EventKind::Allocation,
            address,
            size,
            stack,
            thread,
            time_ns: now_ns,
            number: 0,
            interval: sample.interval,
        },
    );
    let recorded = profiler.records.insert(
        profiler.arena.as_ref(),
        &LiveBlock {
            address,
            size,
            align_log2: layout.align().trailing_zeros() as u8,
            stack,
            thread,
            interval: sample.interval,
            birth_ns: sample.birth_ns.unwrap_or(now_ns),
            number,
        },
    );
    match recorded {
        Ok(()) => true,
        Err(Unrecorded::LiveTableFull) => {
            count_unrecorded(profiler, Counter::UnrecordedLiveTableFull, layout.size());
            false
        }
        Err(Unrecorded::LargeTableFull) => {
            count_unrecorded(profiler, Counter::UnrecordedLargeTableFull, layout.size());
            false
        }
    }
}

#[inline(never)]
fn walk(profiler: &Profiler, state: &ThreadState, registers: &Registers, now_ns: u64) -> StackId {
    let counters = profiler.counters();
    let mut stack = Stack::new();
    profiler.walker.walk(registers, state, counters, &mut stack);
    if stack.frames().is_empty() {
        counters.add(Counter::FailedUnwind, 1);
        return StackId::UNKNOWN;
    }
    if stack.truncated() {
        counters.add(Counter::TruncatedStack, 1);
    }
    match profiler
        .view
        .stacks
        .intern(stack.frames(), stack.truncated(), now_ns)
    {
        Interned::Id(id) => id,
        Interned::Full => {
            counters.add(Counter::StackTableFull, 1);
            StackId::UNKNOWN
        }
    }
}

/// Puts an event into the journal; its number: shard above, ticket below.
fn publish(profiler: &Profiler, event: &Event) -> u64 {
    let Some((shard, ring)) = profiler.view.ring_of(event.thread) else {
        return 0;
    };
    let (Publish::Published(ticket) | Publish::Dropped(ticket)) = ring.publish(&event.encode());
    u64::from(shard) << 48 | ticket & ((1 << 48) - 1)
}

fn count_unrecorded(profiler: &Profiler, cause: Counter, size: usize) {
    let counters = profiler.counters();
    counters.add(cause, 1);
    counters.add(Counter::UnrecordedBytes, size as u64);
}

/// `1 - e^(-size/interval)`; an interval of 1 means every allocation.
fn probability(size: u64, interval: u64) -> f64 {
    if interval <= 1 {
        return 1.0;
    }
    -(-(size as f64) / interval as f64).exp_m1()
}

/// Frees a block that may be sampled; takes the arguments of `sdallocx`.
///
/// # Safety
/// The block must be live and of the size and alignment given.
#[cold]
pub(crate) unsafe extern "C" fn free(address: *mut c_void, size: usize, flags: c_int) {
    let Some(profiler) = profiler::current() else {
        // Nothing was sampled yet, or a followed child has no profiler of its own (yet) and still
        // holds its parent's sampled blocks.
        return if mark::is_marked(address.addr()) {
            // SAFETY: needs no size, which may not be that of the layout.
            unsafe { dallocx(address, MALLOCX_TCACHE_NONE) }
        } else {
            // SAFETY: not sampled, or of the same size class as if it were not.
            unsafe { sdallocx(address, size, flags) }
        };
    };
    if !may_be_sampled(profiler, address.addr()) {
        // SAFETY: not sampled, so made as the layout says.
        return unsafe { sdallocx(address, size, flags) };
    }
    // SAFETY: passed on.
    unsafe { free_marked(profiler, address, size, flags) };
}

/// Whether a block may be sampled: exactly, where the hot path is generous.
fn may_be_sampled(profiler: &Profiler, address: usize) -> bool {
    address.is_multiple_of(PAGE)
        || profiler
            .arena
            .as_ref()
            .is_some_and(|arena| arena.contains(address))
}

/// # Safety
/// As for [`free`].
unsafe fn free_marked(profiler: &Profiler, address: *mut c_void, size: usize, flags: c_int) {
    let in_range = profiler
        .arena
        .as_ref()
        .is_some_and(|arena| arena.contains(address.addr()));
    if !profiler.is_ours() {
        // A forked child knows nothing of its parent's blocks but that jemalloc made them.
        // SAFETY: needs no size; blocks in the range must not enter a tcache.
        return unsafe { dallocx(address, MALLOCX_TCACHE_NONE) };
    }
    let start = sys::cycles();
    // The record goes first: a block that another thread gets at once must not be found here.
    let taken = profiler
        .records
        .take(profiler.arena.as_ref(), address.addr());
    match taken {
        Some(taken) => {
            note_free(profiler, &taken);
            // SAFETY: a sampled block: any of its ways to be made allows this.
            unsafe { dallocx(address, MALLOCX_TCACHE_NONE) };
            profiler.costs.add(start);
        }
        None if in_range => {
            profiler.counters().add(Counter::FreesUnrecorded, 1);
            // SAFETY: as above.
            unsafe { dallocx(address, MALLOCX_TCACHE_NONE) };
        }
        // SAFETY: needs no size, which may not be that of the layout.
        None if profiler.arena.is_none() => unsafe { dallocx(address, 0) },
        // SAFETY: not sampled, or of the same size class as if it were not.
        None => unsafe { sdallocx(address, size, flags) },
    }
}

/// Counts the end of a recorded block and gives its slot back.
fn note_free(profiler: &Profiler, taken: &Taken) {
    profiler.counters().add(Counter::Frees, 1);
    if let Some(block) = &taken.block {
        let now_ns = sys::now_coarse_ns();
        let lifetime_ns = now_ns.saturating_sub(block.birth_ns);
        profiler
            .view
            .stacks
            .add_free(block.stack, block.size, lifetime_ns);
        publish(
            profiler,
            &Event {
                kind: EventKind::Free {
                    lifetime_ms: u32::try_from(lifetime_ns / 1_000_000).unwrap_or(u32::MAX),
                },
                address: block.address,
                size: block.size,
                stack: block.stack,
                thread: block.thread,
                time_ns: now_ns,
                number: block.number,
                interval: block.interval,
            },
        );
    }
    profiler.records.release(taken);
}

/// Reallocates when the countdown has run out or the block may be sampled.
///
/// # Safety
/// As for `GlobalAlloc::realloc`; `due` says that the countdown has run out.
#[cold]
#[inline(never)]
pub(crate) unsafe fn realloc(
    address: *mut u8,
    layout: Layout,
    new_size: usize,
    due: bool,
    on_by_default: bool,
) -> *mut u8 {
    let registers = Registers::capture();
    thread_state::with(|state| {
        let sample = if due {
            sample_due(state, new_size, on_by_default)
        } else {
            None
        };
        let may_be_sampled =
            || profiler::current().filter(|profiler| may_be_sampled(profiler, address.addr()));
        let Some(profiler) = sample.map(|(profiler, _)| profiler).or_else(may_be_sampled) else {
            // SAFETY: not sampled before nor after, or a parent's; needs no size.
            return unsafe { Jemalloc.realloc(address, layout, new_size) };
        };
        let start = sys::cycles();
        let _errno = ErrnoGuard::new();
        let was_busy = state.busy.replace(true);
        let sample = sample.map(|(_, interval)| Sample {
            registers: &registers,
            interval,
            birth_ns: None,
        });
        let is_sample = sample.is_some();
        // SAFETY: passed on.
        let moved = unsafe { realloc_marked(profiler, state, address, layout, new_size, sample) };
        if is_sample {
            finish(profiler, state, start);
        }
        state.busy.set(was_busy);
        moved
    })
}

/// # Safety
/// As for `GlobalAlloc::realloc`. `sample` is there when the new block is to be sampled.
unsafe fn realloc_marked(
    profiler: &Profiler,
    state: &ThreadState,
    address: *mut u8,
    layout: Layout,
    new_size: usize,
    mut sample: Option<Sample<'_>>,
) -> *mut u8 {
    // SAFETY: the caller's alignment is valid, and the size is below isize::MAX when rounded up to
    // it, as the caller has promised.
    let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
    let arena = profiler.arena.as_ref();
    let in_range = arena.is_some_and(|arena| arena.contains(address.addr()));
    if !profiler.is_ours() {
        return if in_range {
            // SAFETY: passed on.
            unsafe { move_out(address, layout, new_layout) }
        } else {
            // SAFETY: passed on.
            unsafe { Jemalloc.realloc(address, layout, new_size) }
        };
    }
    let taken = profiler.records.take(arena, address.addr());
    if let Some(sample) = &mut sample {
        let block = taken.as_ref().and_then(|taken| taken.block.as_ref());
        sample.birth_ns = block.map(|block| block.birth_ns);
    }
    let sample = sample.as_ref();
    // SAFETY: passed on; the record has been taken out.
    let moved = unsafe {
        move_block(
            profiler, state, address, layout, new_layout, sample, in_range,
        )
    };
    match (taken, moved.is_null()) {
        (Some(taken), true) => profiler.records.put_back(arena, taken),
        (Some(taken), false) => note_free(profiler, &taken),
        (None, _) => {}
    }
    moved
}

/// Moves a block whose record has been taken out; null when there is no memory, and then the block
/// is as it was.
///
/// # Safety
/// As for `GlobalAlloc::realloc`.
unsafe fn move_block(
    profiler: &Profiler,
    state: &ThreadState,
    address: *mut u8,
    layout: Layout,
    new_layout: Layout,
    sample: Option<&Sample<'_>>,
    in_range: bool,
) -> *mut u8 {
    let new_is_small = new_layout.size() <= SMALL_MAX;
    let (size, flags) = marked_request(profiler, new_layout);
    if in_range {
        // In place where the size class is the same: recorded anew, or unrecorded in the range.
        if new_is_small {
            // SAFETY: the size is not zero and the flags hold a valid alignment.
            let class = unsafe { nallocx(size, flags) };
            // SAFETY: the block is live; its alignment is that of the layout.
            if unsafe { xallocx(address.cast(), size, 0, flags) } == class {
                if let Some(sample) = sample {
                    record(profiler, state, address, new_layout, sample);
                }
                return address;
            }
        }
    } else if let Some(sample) = sample
        && !new_is_small
        && profiler.arena.is_some()
    {
        // A large block: jemalloc grows it in place where it can.
        // SAFETY: the block is live and lies outside the range; size and alignment are valid.
        let moved: *mut u8 = unsafe { rallocx(address.cast(), size, flags) }.cast();
        if !moved.is_null() {
            record(profiler, state, moved, new_layout, sample);
        }
        return moved;
    } else if sample.is_none() {
        // SAFETY: outside the range, where jemalloc may do as it likes.
        return unsafe { Jemalloc.realloc(address, layout, new_layout.size()) };
    }
    let Some(sample) = sample else {
        // SAFETY: passed on.
        return unsafe { move_out(address, layout, new_layout) };
    };
    // SAFETY: the size is not zero.
    let moved = unsafe { alloc_sampled(profiler, state, new_layout, Contents::Any, sample) };
    if !moved.is_null() {
        // SAFETY: both blocks are live and at least this long, and they do not overlap.
        unsafe {
            ptr::copy_nonoverlapping(address, moved, layout.size().min(new_layout.size()));
        }
        // SAFETY: the old block is live; its record has been taken out.
        unsafe {
            dallocx(
                address.cast(),
                if in_range { MALLOCX_TCACHE_NONE } else { 0 },
            )
        };
    }
    moved
}

/// Moves a block out of the range; null when there is no memory, and then it is as it was.
///
/// # Safety
/// As for `GlobalAlloc::realloc`; the block lies in the range.
unsafe fn move_out(address: *mut u8, layout: Layout, new_layout: Layout) -> *mut u8 {
    // SAFETY: the size is not zero.
    let moved = unsafe { Jemalloc.alloc(new_layout) };
    if !moved.is_null() {
        // SAFETY: both blocks are live and at least this long, and they do not overlap.
        unsafe {
            ptr::copy_nonoverlapping(address, moved, layout.size().min(new_layout.size()));
        }
        // SAFETY: the old block is live; needs no size.
        unsafe { dallocx(address.cast(), MALLOCX_TCACHE_NONE) };
    }
    moved
}
