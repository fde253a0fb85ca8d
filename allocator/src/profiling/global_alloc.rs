//! The hot path: what every allocation and free of the program pays.
//!
//! `alloc` is one subtraction and one branch; `dealloc` chooses its callee by comparing the
//! address with two private words and the size with a constant, without a branch of its own: it is
//! inlined into every drop glue, and an extra block there disturbs what the compiler inlines
//! around it. `realloc` and `alloc_zeroed` are out of line.
#![expect(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait over jemalloc's C functions"
)]

use core::{
    alloc::{GlobalAlloc, Layout},
    ffi::{c_int, c_void},
};

use tikv_jemalloc_sys::sdallocx;
use tikv_jemallocator::Jemalloc;

use super::{arena::SMALL_MAX, countdown, slow};

/// The global allocator: jemalloc, sampled.
///
/// Profiles unless the environment has `RIPTIDE=off`; see the crate's documentation.
#[derive(Clone, Copy, Debug)]
pub struct Riptide {
    pub(crate) on_by_default: bool,
}

impl Riptide {
    /// An allocator for a `#[global_allocator]` static.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            on_by_default: true,
        }
    }

    /// An allocator that profiles only when the environment has `RIPTIDE=on`.
    #[must_use]
    pub const fn off_by_default() -> Self {
        Self {
            on_by_default: false,
        }
    }
}

impl Default for Riptide {
    fn default() -> Self {
        Self::new()
    }
}

/// Which addresses may be sampled blocks.
pub(crate) mod mark {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use crossbeam_utils::CachePadded;

    struct Mark {
        mask: AtomicUsize,
        value: AtomicUsize,
    }

    /// Nothing is marked at first: no address ANDed with 0 is 1.
    static MARK: CachePadded<Mark> = CachePadded::new(Mark {
        mask: AtomicUsize::new(0),
        value: AtomicUsize::new(1),
    });

    /// Whether a block may be sampled: it lies in the reserved range, or is page-aligned.
    #[inline(always)]
    pub(crate) fn is_marked(address: usize) -> bool {
        // Relaxed: the words are set before the first sampled block is handed out, and whoever
        // frees a block has been handed it. Seen half-set they mark too much or nothing, and the
        // slow path knows better.
        address & MARK.mask.load(Ordering::Relaxed) == MARK.value.load(Ordering::Relaxed)
    }

    /// Marks the addresses of a range whose length is a power of two and divides its base.
    pub(crate) fn range(base: usize, bytes: usize) {
        MARK.mask.store(!(bytes - 1), Ordering::Relaxed);
        MARK.value.store(base, Ordering::Relaxed);
    }

    /// Marks all page-aligned addresses.
    pub(crate) fn page_aligned() {
        MARK.mask.store(4095, Ordering::Relaxed);
        MARK.value.store(0, Ordering::Relaxed);
    }
}

/// Flags with which jemalloc gets a layout, as in tikv-jemallocator: none where its natural
/// alignment suffices.
#[inline(always)]
pub(crate) fn flags_of(align: usize, size: usize) -> c_int {
    if align <= 16 && align <= size {
        0
    } else {
        align.trailing_zeros().cast_signed()
    }
}

// SAFETY: blocks come from jemalloc with the size and alignment of the layout, by the calls of
// tikv-jemallocator or by `slow`, which documents its own; each is freed in the way that fits how
// it was made.
unsafe impl GlobalAlloc for Riptide {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if countdown::charge(layout.size()) {
            // SAFETY: the layout's size is not zero, as the caller has promised.
            return unsafe { slow::alloc(layout, slow::Contents::Any, self.on_by_default) };
        }
        // SAFETY: the caller's obligations are those of the inner allocator.
        unsafe { Jemalloc.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        let size = layout.size();
        let free: unsafe extern "C" fn(*mut c_void, usize, c_int) =
            if mark::is_marked(ptr.addr()) | (size > SMALL_MAX) {
                slow::free
            } else {
                sdallocx
            };
        // SAFETY: the block is live and was allocated with this layout, as the caller has promised;
        // the flags are those with which it was allocated.
        unsafe { free(ptr.cast(), size, flags_of(layout.align(), size)) };
    }

    #[inline(never)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if countdown::charge(layout.size()) {
            // SAFETY: the layout's size is not zero, as the caller has promised.
            return unsafe { slow::alloc(layout, slow::Contents::Zero, self.on_by_default) };
        }
        // SAFETY: the caller's obligations are those of the inner allocator.
        unsafe { Jemalloc.alloc_zeroed(layout) }
    }

    #[inline(never)]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let due = countdown::charge(new_size);
        if due | mark::is_marked(ptr.addr()) | (layout.size() > SMALL_MAX) {
            // SAFETY: the caller's obligations are passed on.
            return unsafe { slow::realloc(ptr, layout, new_size, due, self.on_by_default) };
        }
        // SAFETY: the block is not sampled, so it is as the inner allocator made it.
        unsafe { Jemalloc.realloc(ptr, layout, new_size) }
    }
}
