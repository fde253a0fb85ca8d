//! Buffers for reading `/proc`, so that the shim needs none on the host's stacks.
#![expect(unsafe_code, reason = "hands out buffers under a try-lock")]

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, Ordering},
};

use super::super::sys;

const BUFFERS: usize = 4;
const BUFFER_BYTES: usize = 8 << 10;

/// A few buffers, each for one user at a time.
pub(crate) struct ScratchPool {
    buffers: [Buffer; BUFFERS],
}

struct Buffer {
    taken: AtomicBool,
    bytes: UnsafeCell<&'static mut [u8]>,
}

// SAFETY: the bytes are only reached by whoever moved `taken` from false to true.
unsafe impl Sync for Buffer {}
// SAFETY: the buffer is plain memory that no thread owns.
unsafe impl Send for Buffer {}

impl ScratchPool {
    pub(crate) fn new() -> Option<Self> {
        let memory = sys::map_private(BUFFERS * BUFFER_BYTES, libc::PROT_READ | libc::PROT_WRITE)?;
        let buffer = |index: usize| {
            let start = memory.wrapping_add(index * BUFFER_BYTES);
            Buffer {
                taken: AtomicBool::new(false),
                bytes: UnsafeCell::new(
                    // SAFETY: a part of a fresh, zeroed mapping that is never unmapped; the parts
                    // do not overlap.
                    unsafe { core::slice::from_raw_parts_mut(start, BUFFER_BYTES) },
                ),
            }
        };
        Some(Self {
            buffers: core::array::from_fn(buffer),
        })
    }

    /// Runs `body` with a buffer; `None` when all are taken.
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        let buffer = self.buffers.iter().find(|buffer| {
            // SYNC(scratch-taken): Acquire; pairs with the Release store below.
            !buffer.taken.swap(true, Ordering::Acquire)
        })?;
        // SAFETY: `taken` was false and is now ours.
        let bytes = unsafe { &mut *buffer.bytes.get() };
        let result = body(bytes);
        // SYNC(scratch-taken): Release; pairs with the Acquire swap above.
        buffer.taken.store(false, Ordering::Release);
        Some(result)
    }
}
