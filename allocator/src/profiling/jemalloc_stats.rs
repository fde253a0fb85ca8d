//! jemalloc's own figures, read on a tick.
//!
//! Refreshing them (`epoch`) takes jemalloc's locks for microseconds and more with every arena, so
//! it is spaced by a hundred times its own measured duration.
#![expect(unsafe_code, reason = "reads statistics by name")]

use riptide_region::status::Status;
use tikv_jemalloc_ctl::{arenas, epoch, raw, stats};

use super::sys;

const SPACING_FACTOR: u64 = 100;
const PAGE_BYTES: u64 = 4096;

#[derive(Default)]
pub(crate) struct JemallocStats {
    due_ns: u64,
}

impl JemallocStats {
    /// Refreshes the figures in `status` when they are due.
    pub(crate) fn update(&mut self, status: &mut Status, now_ns: u64) {
        if now_ns < self.due_ns {
            return;
        }
        let start = sys::clock_ns(libc::CLOCK_MONOTONIC);
        let refreshed = epoch::advance().is_ok();
        let took = sys::clock_ns(libc::CLOCK_MONOTONIC).saturating_sub(start);
        self.due_ns = now_ns.saturating_add(took * SPACING_FACTOR);
        if !refreshed {
            return;
        }
        let bytes =
            |figure: tikv_jemalloc_ctl::Result<usize>| figure.ok().map(|bytes| bytes as u64);
        status.epoch_ns = Some(took);
        status.epoch_time_ns = Some(now_ns);
        status.allocated = bytes(stats::allocated::read());
        status.active = bytes(stats::active::read());
        status.metadata = bytes(stats::metadata::read());
        status.resident = bytes(stats::resident::read());
        status.mapped = bytes(stats::mapped::read());
        status.retained = bytes(stats::retained::read());
        status.arenas = arenas::narenas::read().ok().map(u64::from);
        status.dirty = pages(b"stats.arenas.4096.pdirty\0");
        status.muzzy = pages(b"stats.arenas.4096.pmuzzy\0");
    }
}

/// Bytes behind a figure in pages; 4096 as an arena's number is all of them (`MALLCTL_ARENAS_ALL`).
fn pages(name: &[u8]) -> Option<u64> {
    // SAFETY: both figures are sizes.
    let pages: usize = unsafe { raw::read(name) }.ok()?;
    (pages as u64).checked_mul(PAGE_BYTES)
}
