//! Allocating a block that is to be sampled.
#![expect(
    unsafe_code,
    reason = "allocates blocks through jemalloc's C functions"
)]

use core::{
    alloc::{GlobalAlloc, Layout},
    ffi::c_int,
};

use riptide_region::counters::Counter;
use tikv_jemalloc_sys::{MALLOCX_TCACHE_NONE, MALLOCX_ZERO, dallocx, mallocx};
use tikv_jemallocator::Jemalloc;

use super::{
    super::{arena::SMALL_MAX, sys, thread_state, unwind::Registers},
    Contents, Due, Pass, Sample, books, marked_request, sample_due,
};

/// Allocates when the thread's countdown has run out.
///
/// # Safety
/// The layout's size must not be zero.
#[cold]
#[inline(never)]
pub(crate) unsafe fn alloc(layout: Layout, contents: Contents, on_by_default: bool) -> *mut u8 {
    let registers = Registers::capture();
    thread_state::with(|state| {
        let start = sys::cycles();
        let Some(due) = sample_due(state, layout.size(), on_by_default) else {
            // SAFETY: passed on.
            return unsafe { alloc_plain(layout, contents) };
        };
        let Due {
            profiler, interval, ..
        } = due;
        let mut pass = Pass::enter(profiler, state, start);
        let sample = Sample {
            registers: &registers,
            interval,
            birth_ns: None,
        };
        // SAFETY: passed on.
        let address = unsafe { alloc_sampled(&mut pass, layout, contents, &sample) };
        pass.leave_and_tick();
        address
    })
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
pub(super) unsafe fn alloc_sampled(
    pass: &mut Pass<'_>,
    layout: Layout,
    contents: Contents,
    sample: &Sample<'_>,
) -> *mut u8 {
    let profiler = pass.profiler;
    if layout.size() <= SMALL_MAX && profiler.arena.is_some() {
        pass.lane.note_small_sample(sample.interval);
    }
    let (size, flags) = marked_request(profiler, &pass.lane, layout);
    let zero: c_int = if contents == Contents::Zero {
        MALLOCX_ZERO
    } else {
        0
    };
    // SAFETY: the size is not zero; the flags are an alignment, an arena of ours with a thread cache
    // that the lane gives us alone, and "zero".
    let address: *mut u8 = unsafe { mallocx(size, flags | zero) }.cast();
    if address.is_null() {
        if layout.size() <= SMALL_MAX && profiler.arena.is_some() {
            books::count_unrecorded(profiler, Counter::UnrecordedRangeExhausted, layout.size());
        }
        // SAFETY: passed on.
        return unsafe { alloc_plain(layout, contents) };
    }
    if layout.size() <= SMALL_MAX
        && let Some(arena) = &profiler.arena
        && !arena.contains(address.addr())
    {
        // In destructors that run after its own, jemalloc takes no orders of arenas. Freed by its layout, the block
        // would have to be what it is without sampling.
        books::count_unrecorded(profiler, Counter::UnrecordedRangeExhausted, layout.size());
        // SAFETY: just allocated, and nobody else has it.
        unsafe { dallocx(address.cast(), MALLOCX_TCACHE_NONE) };
        // SAFETY: passed on.
        return unsafe { alloc_plain(layout, contents) };
    }
    if !books::record(pass, address, layout, sample) && profiler.arena.is_none() {
        // Unrecorded it could not be told from an ordinary block of its size.
        // SAFETY: just allocated, and nobody else has it.
        unsafe { dallocx(address.cast(), MALLOCX_TCACHE_NONE) };
        // SAFETY: passed on.
        return unsafe { alloc_plain(layout, contents) };
    }
    address
}
