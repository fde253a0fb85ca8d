//! Moving a block that may be sampled, or is to be.
#![expect(unsafe_code, reason = "moves blocks through jemalloc's C functions")]

use core::{
    alloc::{GlobalAlloc, Layout},
    ptr,
};

use tikv_jemalloc_sys::{MALLOCX_TCACHE_NONE, dallocx, nallocx, rallocx, xallocx};
use tikv_jemallocator::Jemalloc;

use super::{
    super::{
        arena::SMALL_MAX,
        profiler::{self, Profiler},
        sys::{self, ErrnoGuard},
        thread_state::{self, ThreadState},
        unwind::Registers,
    },
    Contents, Pass, Sample, allocate,
    books::{self, End},
    marked_request, may_be_sampled, sample_due,
};

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
        let start = sys::cycles();
        let due = due
            .then(|| sample_due(state, new_size, on_by_default))
            .flatten();
        let may_be_sampled =
            || profiler::current().filter(|profiler| may_be_sampled(profiler, address.addr()));
        let profiler = due.as_ref().map(|due| due.profiler);
        let Some(profiler) = profiler.or_else(may_be_sampled) else {
            // SAFETY: not sampled before nor after, or a parent's; needs no size.
            return unsafe { Jemalloc.realloc(address, layout, new_size) };
        };
        let _errno = ErrnoGuard::new();
        let was_busy = state.busy.replace(true);
        let sample = due.as_ref().map(|due| Sample {
            registers: &registers,
            interval: due.interval,
            birth_ns: None,
        });
        // SAFETY: passed on.
        let moved =
            unsafe { realloc_marked(profiler, state, start, address, layout, new_size, sample) };
        state.busy.set(was_busy);
        moved
    })
}

/// # Safety
/// As for `GlobalAlloc::realloc`. `sample` is there when the new block is to be sampled.
unsafe fn realloc_marked(
    profiler: &'static Profiler,
    state: &ThreadState,
    start: u64,
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
    if taken.is_none() && sample.is_none() && !in_range {
        // SAFETY: passed on; not sampled before nor after.
        return unsafe { Jemalloc.realloc(address, layout, new_size) };
    }
    let mut pass = Pass::enter(profiler, state, start);
    if let Some(sample) = &mut sample {
        let block = taken.as_ref().and_then(|taken| taken.block.as_ref());
        sample.birth_ns = block.map(|block| block.birth_ns);
    }
    let sample = sample.as_ref();
    // SAFETY: passed on; the record has been taken out.
    let moved = unsafe { move_block(&mut pass, address, layout, new_layout, sample, in_range) };
    match (taken, moved.is_null()) {
        (Some(taken), true) => profiler.records.put_back(arena, &mut pass.lane, taken),
        (Some(taken), false) => books::note_end(&mut pass, &taken, End::Moved),
        (None, _) => {}
    }
    if sample.is_some() {
        pass.leave_and_tick();
    } else {
        pass.leave();
    }
    moved
}

/// Moves a block whose record has been taken out; null when there is no memory, and then the block
/// is as it was.
///
/// # Safety
/// As for `GlobalAlloc::realloc`.
unsafe fn move_block(
    pass: &mut Pass<'_>,
    address: *mut u8,
    layout: Layout,
    new_layout: Layout,
    sample: Option<&Sample<'_>>,
    in_range: bool,
) -> *mut u8 {
    let new_is_small = new_layout.size() <= SMALL_MAX;
    let profiler = pass.profiler;
    let (size, flags) = marked_request(profiler, &pass.lane, new_layout);
    if in_range {
        // In place where the size class is the same: recorded anew, or unrecorded in the range.
        if new_is_small {
            // SAFETY: the size is not zero and the flags hold a valid alignment.
            let class = unsafe { nallocx(size, flags) };
            // SAFETY: the block is live; its alignment is that of the layout.
            if unsafe { xallocx(address.cast(), size, 0, flags) } == class {
                if let Some(sample) = sample {
                    books::record(pass, address, new_layout, sample);
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
            books::record(pass, moved, new_layout, sample);
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
    let moved = unsafe { allocate::alloc_sampled(pass, new_layout, Contents::Any, sample) };
    if !moved.is_null() {
        // SAFETY: both blocks are live and at least this long, and they do not overlap.
        unsafe {
            ptr::copy_nonoverlapping(address, moved, layout.size().min(new_layout.size()));
        }
        let flags = if in_range { pass.lane.block_flags() } else { 0 };
        // SAFETY: the old block is live; its record has been taken out. The lane's thread cache,
        // which only takes blocks of the range, is ours alone until the pass ends.
        unsafe { dallocx(address.cast(), flags) };
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
