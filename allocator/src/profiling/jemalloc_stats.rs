//! jemalloc's own figures, read on a tick.
//!
//! Refreshing them (`epoch`) takes jemalloc's locks for microseconds and more with every arena, so
//! it is spaced by a hundred times its own measured duration; so are the figures of each size
//! class, which are rarer still.
#![expect(unsafe_code, reason = "reads statistics by name")]

use riptide_region::{
    bins::{Bin, Bins},
    ring::Ring,
    status::Status,
    view::View,
};
use tikv_jemalloc_ctl::{arenas, epoch, raw, stats};

use super::sys;

const SPACING_FACTOR: u64 = 100;
const PAGE_BYTES: u64 = 4096;
/// Between two looks at the size classes …
const BINS_NS: u64 = 10_000_000_000;
/// … and when the memory in use has changed since.
const BINS_MIN_NS: u64 = 1_000_000_000;
/// Figures are outdated when the memory in use has changed by a sixteenth, and by this much.
const OUTDATED_SHIFT: u32 = 4;
const OUTDATED_MIN_BYTES: u64 = 1 << 20;
/// Places of the arena and of the class in the numbers behind the names of [`BinNames`].
const BIN_IN_ARENAS: usize = 2;
const BIN_IN_STATS: usize = 4;

#[derive(Default)]
pub(crate) struct JemallocStats {
    due_ns: u64,
    bins_due_ns: u64,
    bins_allowed_ns: u64,
    bins_active: u64,
    bin_names: Option<BinNames>,
}

impl JemallocStats {
    /// Makes everything due.
    pub(crate) fn hurry(&mut self) {
        self.due_ns = 0;
        self.bins_due_ns = 0;
    }

    /// Whether jemalloc's memory has changed so much since the figures in `status` that they are no
    /// longer worth having: asked on every tick, as a program may fall silent before they are due.
    pub(crate) fn are_outdated(&self, status: &Status, now_ns: u64) -> bool {
        if now_ns < self.due_ns {
            return false;
        }
        let before = status.active.unwrap_or(0);
        // Takes no lock and does not wait for an epoch.
        size(b"approximate_stats.active\0").is_some_and(|now| has_changed(before, now))
    }

    /// Refreshes the figures in `status`, and the size classes, when they are due.
    pub(crate) fn update(&mut self, view: &View<'_>, status: &mut Status, now_ns: u64) {
        if now_ns < self.due_ns {
            return;
        }
        // Read first: what is sampled meanwhile counts as later than the figures.
        let mut heads = view.rings().map(|ring: Ring<'_>| ring.head());
        let heads = core::array::from_fn(|_| heads.next());
        let start = sys::clock_ns(libc::CLOCK_MONOTONIC);
        let refreshed = epoch::advance().is_ok();
        let took = sys::clock_ns(libc::CLOCK_MONOTONIC).saturating_sub(start);
        self.due_ns = now_ns.saturating_add(took.saturating_mul(SPACING_FACTOR));
        if !refreshed {
            return;
        }
        let bytes =
            |figure: tikv_jemalloc_ctl::Result<usize>| figure.ok().map(|bytes| bytes as u64);
        status.epoch_ns = Some(took);
        status.epoch_time_ns = Some(now_ns);
        status.ring_heads = heads;
        status.allocated = bytes(stats::allocated::read());
        status.active = bytes(stats::active::read());
        status.metadata = bytes(stats::metadata::read());
        status.resident = bytes(stats::resident::read());
        status.mapped = bytes(stats::mapped::read());
        status.retained = bytes(stats::retained::read());
        status.arenas = arenas::narenas::read().ok().map(u64::from);
        status.dirty = pages(b"stats.arenas.4096.pdirty\0");
        status.muzzy = pages(b"stats.arenas.4096.pmuzzy\0");
        status.thread_caches = size(b"stats.arenas.4096.tcache_bytes\0");
        let active = status.active.unwrap_or(0);
        let changed = now_ns >= self.bins_allowed_ns && has_changed(self.bins_active, active);
        if changed || now_ns >= self.bins_due_ns {
            self.bins_active = active;
            self.update_bins(view, now_ns);
        }
    }

    /// Reads how full each size class is; the epoch was just refreshed.
    fn update_bins(&mut self, view: &View<'_>, now_ns: u64) {
        let start = sys::clock_ns(libc::CLOCK_MONOTONIC);
        if self.bin_names.is_none() {
            self.bin_names = BinNames::find();
        }
        let bins = self.bin_names.as_ref().and_then(|names| names.read(now_ns));
        let took = sys::clock_ns(libc::CLOCK_MONOTONIC).saturating_sub(start);
        let spacing = took.saturating_mul(SPACING_FACTOR);
        self.bins_allowed_ns = now_ns.saturating_add(spacing.max(BINS_MIN_NS));
        self.bins_due_ns = now_ns.saturating_add(spacing.max(BINS_NS));
        if let Some(mut bins) = bins {
            bins.took_ns = took;
            view.publish_bins(&bins);
        }
    }
}

/// The figures of a size class by number instead of by name: a name costs a search each time.
struct BinNames {
    count: u32,
    size: [usize; 4],
    slab_size: [usize; 4],
    slab_blocks: [usize; 4],
    blocks: [usize; 6],
    slabs: [usize; 6],
    nonfull_slabs: [usize; 6],
}

impl BinNames {
    fn find() -> Option<Self> {
        Some(Self {
            // SAFETY: the figure is an unsigned.
            count: unsafe { raw::read(b"arenas.nbins\0") }.ok()?,
            size: numbers(b"arenas.bin.0.size\0")?,
            slab_size: numbers(b"arenas.bin.0.slab_size\0")?,
            slab_blocks: numbers(b"arenas.bin.0.nregs\0")?,
            blocks: numbers(b"stats.arenas.4096.bins.0.curregs\0")?,
            slabs: numbers(b"stats.arenas.4096.bins.0.curslabs\0")?,
            nonfull_slabs: numbers(b"stats.arenas.4096.bins.0.nonfull_slabs\0")?,
        })
    }

    fn read(&self, now_ns: u64) -> Option<Bins> {
        let mut bins = Bins::at(now_ns);
        for class in 0..self.count as usize {
            bins.push(Bin {
                size: self.figure::<4, usize>(&self.size, BIN_IN_ARENAS, class)? as u64,
                slab_bytes: self.figure::<4, usize>(&self.slab_size, BIN_IN_ARENAS, class)? as u64,
                slab_blocks: self
                    .figure::<4, u32>(&self.slab_blocks, BIN_IN_ARENAS, class)?
                    .into(),
                blocks: self.figure::<6, usize>(&self.blocks, BIN_IN_STATS, class)? as u64,
                slabs: self.figure::<6, usize>(&self.slabs, BIN_IN_STATS, class)? as u64,
                nonfull_slabs: self.figure::<6, usize>(&self.nonfull_slabs, BIN_IN_STATS, class)?
                    as u64,
            });
        }
        Some(bins)
    }

    /// A figure of the size class `class`, whose number stands at `place`.
    fn figure<const N: usize, T: Copy>(
        &self,
        numbers: &[usize; N],
        place: usize,
        class: usize,
    ) -> Option<T> {
        let mut numbers = *numbers;
        *numbers.get_mut(place)? = class;
        // SAFETY: the callers name the type that jemalloc's manual gives the figure: `nregs` is a
        // uint32_t, all others are sizes.
        unsafe { raw::read_mib(&numbers) }.ok()
    }
}

fn has_changed(before: u64, now: u64) -> bool {
    now.abs_diff(before) > (before >> OUTDATED_SHIFT).max(OUTDATED_MIN_BYTES)
}

fn numbers<const N: usize>(name: &[u8]) -> Option<[usize; N]> {
    let mut numbers = [0; N];
    raw::name_to_mib(name, &mut numbers).ok()?;
    Some(numbers)
}

/// Bytes behind a figure in pages; 4096 as an arena's number is all of them (`MALLCTL_ARENAS_ALL`).
fn pages(name: &[u8]) -> Option<u64> {
    size(name)?.checked_mul(PAGE_BYTES)
}

fn size(name: &[u8]) -> Option<u64> {
    // SAFETY: the callers' figures are sizes.
    let value: usize = unsafe { raw::read(name) }.ok()?;
    Some(value as u64)
}
