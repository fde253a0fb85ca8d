//! Buffers for reading `/proc`, so that the shim needs none on the host's stacks.
#![expect(unsafe_code, reason = "makes buffers of a mapping")]

use super::super::{sys, try_lock::TryLock};

const BUFFERS: usize = 4;
const BUFFER_BYTES: usize = 8 << 10;

/// A few buffers, each for one user at a time.
pub(crate) struct ScratchPool {
    buffers: [TryLock<&'static mut [u8]>; BUFFERS],
}

impl ScratchPool {
    pub(crate) fn new() -> Option<Self> {
        let memory = sys::map_private(BUFFERS * BUFFER_BYTES, libc::PROT_READ | libc::PROT_WRITE)?;
        let buffer = |index: usize| {
            let start = memory.wrapping_add(index * BUFFER_BYTES);
            // SAFETY: a part of a fresh, zeroed mapping that is never unmapped; the parts do not
            // overlap.
            TryLock::new(unsafe { core::slice::from_raw_parts_mut(start, BUFFER_BYTES) })
        };
        Some(Self {
            buffers: core::array::from_fn(buffer),
        })
    }

    /// Runs `body` with a buffer; `None` when all are taken.
    pub(crate) fn with<R>(&self, body: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        let mut buffer = self.buffers.iter().find_map(TryLock::try_lock)?;
        Some(body(&mut buffer))
    }
}
