//! Telling a forked child from the process that made the region.
//!
//! A child inherits the shared mapping and would write into its parent's profile. A page that the
//! kernel wipes on fork holds a token; a child reads 0. Where the kernel cannot do that, the
//! process id is asked instead.

use core::sync::atomic::{AtomicU64, Ordering};

use super::sys;

const OURS: u64 = 0x6f75_7273;

/// The mark of the process that made the region.
pub(crate) struct Owner {
    token: &'static AtomicU64,
    /// Process id to compare where no page is wiped on fork.
    process: Option<u32>,
}

impl Owner {
    /// Marks the calling process. `None` when no memory can be mapped.
    pub(crate) fn mark() -> Option<Self> {
        let page: &'static [AtomicU64] = sys::map_slice(4096 / size_of::<AtomicU64>())?;
        let token = page.first()?;
        // Relaxed: read by this process only, after the profiler was published.
        token.store(OURS, Ordering::Relaxed);
        let wiped = sys::advise(page.as_ptr().cast_mut().cast(), 4096, libc::MADV_WIPEONFORK);
        Some(Self {
            token,
            process: (!wiped).then(sys::process_id),
        })
    }

    /// Whether the caller is the process that made the region (or shares its memory, as after
    /// `vfork`).
    #[inline]
    pub(crate) fn is_us(&self) -> bool {
        // Relaxed: as above.
        self.token.load(Ordering::Relaxed) == OURS
            && self
                .process
                .is_none_or(|process| process == sys::process_id())
    }
}
