//! The hot path: what every allocation and free of the program pays.
//!
//! `alloc` is one subtraction and one branch; `dealloc` chooses its callee by the address and the size,
//! without a branch of its own: it is inlined into every drop glue, and an extra block there disturbs
//! what the compiler inlines around it. `realloc` and `alloc_zeroed` are reached by way of functions of the
//! program's own crate, which hold them.
#![expect(
    unsafe_code,
    reason = "GlobalAlloc is an unsafe trait over jemalloc's C functions"
)]

use core::{
    alloc::{GlobalAlloc, Layout},
    ffi::c_int,
};

use tikv_jemallocator::Jemalloc;

use super::{arena::SMALL_MAX, countdown, mark, slow};

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
        let by_address = mark::callee(ptr.addr());
        let free = if size > SMALL_MAX {
            slow::free
        } else {
            by_address
        };
        // SAFETY: the block is live and was allocated with this layout, as the caller has promised;
        // the flags are those with which it was allocated.
        unsafe { free(ptr.cast(), size, flags_of(layout.align(), size)) };
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if countdown::charge(layout.size()) {
            // SAFETY: the layout's size is not zero, as the caller has promised.
            return unsafe { slow::alloc(layout, slow::Contents::Zero, self.on_by_default) };
        }
        // SAFETY: the caller's obligations are those of the inner allocator.
        unsafe { Jemalloc.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if countdown::charge(new_size) {
            // SAFETY: the caller's obligations are passed on.
            return unsafe { slow::realloc(ptr, layout, new_size, true, self.on_by_default) };
        }
        if (layout.size() > SMALL_MAX) || mark::is_marked(ptr.addr()) {
            // SAFETY: the caller's obligations are passed on.
            return unsafe { slow::realloc(ptr, layout, new_size, false, self.on_by_default) };
        }
        // SAFETY: the block is not sampled, so it is as the inner allocator made it.
        unsafe { Jemalloc.realloc(ptr, layout, new_size) }
    }
}
