//! How full jemalloc's slabs are, by size class: what fragmentation is told from.
//!
//! One [`seqlock`] record, written under the tick's try-lock and rarely: jemalloc
//! has to be asked about each class by itself. Figures are sums over all arenas.

use crate::{
    primitive::AtomicU64,
    seqlock::{self, Read},
};

/// Words of the section.
pub const BINS_WORDS: usize = 256;
/// Size classes kept; jemalloc has 36 small ones with pages of 4 KiB.
pub const BINS_MAX: usize = 40;

const HEAD_WORDS: usize = 3;
const BIN_WORDS: usize = 6;
const PAYLOAD_WORDS: usize = HEAD_WORDS + BINS_MAX * BIN_WORDS;
const _: () = assert!(PAYLOAD_WORDS < BINS_WORDS);

/// One small size class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bin {
    /// Usable bytes of a block.
    pub size: u64,
    /// Bytes of a slab.
    pub slab_bytes: u64,
    /// Blocks that a slab has room for.
    pub slab_blocks: u64,
    /// Blocks in use, those in the caches of threads included.
    pub blocks: u64,
    /// Slabs.
    pub slabs: u64,
    /// Slabs with room, the one being filled left out.
    pub nonfull_slabs: u64,
}

/// All small size classes at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bins {
    /// Nanoseconds of the region's clock at which jemalloc was asked; 0 for never.
    pub time_ns: u64,
    /// Nanoseconds that asking took.
    pub took_ns: u64,
    len: usize,
    bins: [Bin; BINS_MAX],
}

impl Default for Bins {
    fn default() -> Self {
        Self {
            time_ns: 0,
            took_ns: 0,
            len: 0,
            bins: [Bin::default(); BINS_MAX],
        }
    }
}

impl Bins {
    /// Figures of one moment, without classes so far.
    #[must_use]
    pub fn at(time_ns: u64) -> Self {
        Self {
            time_ns,
            ..Self::default()
        }
    }

    /// Adds a class; one too many is left out.
    pub fn push(&mut self, bin: Bin) {
        if let Some(place) = self.bins.get_mut(self.len) {
            *place = bin;
            self.len += 1;
        }
    }

    /// The classes, in ascending order of size.
    #[must_use]
    pub fn all(&self) -> &[Bin] {
        self.bins.get(..self.len).unwrap_or_default()
    }

    /// Publishes the figures in their section. One writer at a time.
    pub fn publish(&self, section: &[AtomicU64]) {
        let mut words = [0; PAYLOAD_WORDS];
        let head = [self.time_ns, self.took_ns, self.len as u64];
        let bins = self.all().iter().flat_map(|bin| {
            [
                bin.size,
                bin.slab_bytes,
                bin.slab_blocks,
                bin.blocks,
                bin.slabs,
                bin.nonfull_slabs,
            ]
        });
        for (word, value) in words.iter_mut().zip(head.into_iter().chain(bins)) {
            *word = value;
        }
        seqlock::write(section, &words);
    }

    /// Reads the figures; none before they were taken or when the target died in the middle.
    #[must_use]
    pub fn read(section: &[AtomicU64]) -> Self {
        let Read::Whole(words) = seqlock::read::<PAYLOAD_WORDS>(section) else {
            return Self::default();
        };
        let [time_ns, took_ns, len, rest @ ..] = &words;
        let mut bins = Self {
            took_ns: *took_ns,
            ..Self::at(*time_ns)
        };
        let len = usize::try_from(*len).unwrap_or(BINS_MAX).min(BINS_MAX);
        for bin in rest.chunks_exact(BIN_WORDS).take(len) {
            if let [size, slab_bytes, slab_blocks, blocks, slabs, nonfull_slabs] = *bin {
                bins.push(Bin {
                    size,
                    slab_bytes,
                    slab_blocks,
                    blocks,
                    slabs,
                    nonfull_slabs,
                });
            }
        }
        bins
    }
}
