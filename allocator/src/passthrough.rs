//! The allocator where there is no profiling: plain jemalloc, or the system's allocator.
#![expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use core::alloc::{GlobalAlloc, Layout};

#[cfg(target_env = "msvc")]
static INNER: std::alloc::System = std::alloc::System;
#[cfg(not(target_env = "msvc"))]
static INNER: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The global allocator. Here it does not profile.
#[derive(Clone, Copy, Debug, Default)]
pub struct Riptide(());

impl Riptide {
    /// An allocator for a `#[global_allocator]` static.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }

    /// An allocator that profiles only when `RIPTIDE=on`.
    #[must_use]
    pub const fn off_by_default() -> Self {
        Self(())
    }
}

// SAFETY: every method is the inner allocator's own, with the caller's arguments.
unsafe impl GlobalAlloc for Riptide {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's obligations are those of the inner allocator.
        unsafe { INNER.alloc(layout) }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { INNER.alloc_zeroed(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { INNER.dealloc(ptr, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as above.
        unsafe { INNER.realloc(ptr, layout, new_size) }
    }
}
