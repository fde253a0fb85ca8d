//! Freeing a block that may be sampled.
#![expect(unsafe_code, reason = "frees blocks through jemalloc's C functions")]

use core::ffi::{c_int, c_void};

use riptide_region::counters::Counter;
use tikv_jemalloc_sys::{MALLOCX_TCACHE_NONE, dallocx, sdallocx};

use super::{
    super::{
        mark,
        profiler::{self, Profiler},
        sys, thread_state,
    },
    Pass,
    books::{self, End},
    may_be_sampled,
};

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

/// # Safety
/// As for [`free`].
unsafe fn free_marked(
    profiler: &'static Profiler,
    address: *mut c_void,
    size: usize,
    flags: c_int,
) {
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
        Some(taken) => thread_state::with(|state| {
            let mut pass = Pass::enter(profiler, state, start);
            books::note_end(&mut pass, &taken, End::Freed);
            let flags = if in_range {
                pass.lane.block_flags()
            } else {
                MALLOCX_TCACHE_NONE
            };
            // SAFETY: a sampled block: any of its ways to be made allows this. The lane's thread
            // cache, which only takes blocks of the range, is ours alone until the pass ends.
            unsafe { dallocx(address, flags) };
            pass.leave();
        }),
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
