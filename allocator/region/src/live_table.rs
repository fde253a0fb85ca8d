//! Live sampled blocks: one slot each, written by whoever owns the block.
//!
//! **Invariant.** A slot has one owner at a time: the thread that took it from the (private) list
//! of free slots, then whoever frees or moves the block, which by the rules of `malloc` is one
//! thread. So a slot is a [`seqlock`] with a single writer; a slot whose address
//! word is 0 is free.

use crate::{
    primitive::AtomicU64,
    seqlock::{self, Read},
    stack_table::StackId,
};

/// Words of one slot.
pub const SLOT_WORDS: usize = 8;
const PAYLOAD_WORDS: usize = SLOT_WORDS - 1;
const SIZE_BITS: u32 = 56;
const SIZE_MASK: u64 = (1 << SIZE_BITS) - 1;

/// A live sampled block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveBlock {
    /// Address of the block in the target.
    pub address: u64,
    /// Requested bytes.
    pub size: u64,
    /// Base-2 logarithm of the requested alignment.
    pub align_log2: u8,
    /// Stack that allocated (or last reallocated) the block.
    pub stack: StackId,
    /// Thread that did so (kernel thread id).
    pub thread: u32,
    /// Sampling interval in force when the block was drawn, in bytes.
    pub interval: u64,
    /// Nanoseconds of the region's clock at birth. A reallocation keeps the birth.
    pub birth_ns: u64,
    /// Number of the sample: shard in the upper 16 bits, ticket in the lower 48.
    pub number: u64,
}

/// What a slot held when it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// No block.
    Free,
    /// A live block.
    Live(LiveBlock),
    /// A writer was, or died, in the middle.
    Torn,
}

/// Both ends of the table of live blocks.
#[derive(Clone, Copy, Debug)]
pub struct LiveTable<'a> {
    slots: &'a [AtomicU64],
}

impl<'a> LiveTable<'a> {
    /// A table over `words`; a remainder of less than a slot is left alone.
    #[must_use]
    pub fn new(words: &'a [AtomicU64]) -> Self {
        Self { slots: words }
    }

    /// Slots of the table.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.len() / SLOT_WORDS
    }

    fn slot(&self, index: usize) -> Option<&'a [AtomicU64]> {
        let start = index.checked_mul(SLOT_WORDS)?;
        self.slots.get(start..start.checked_add(SLOT_WORDS)?)
    }

    /// First word of a slot, for a writer that wants it in its cache.
    #[must_use]
    #[inline]
    pub fn place_of(&self, index: usize) -> Option<&'a AtomicU64> {
        self.slot(index)?.first()
    }

    /// Publishes a block in a slot that the caller owns. An index outside the table is ignored.
    #[inline]
    pub fn publish(&self, index: usize, block: &LiveBlock) {
        if let Some(slot) = self.slot(index) {
            seqlock::write(
                slot,
                &[
                    block.address,
                    block.size & SIZE_MASK | u64::from(block.align_log2) << SIZE_BITS,
                    u64::from(block.stack.0) | u64::from(block.thread) << 32,
                    block.interval,
                    block.birth_ns,
                    block.number,
                    0,
                ],
            );
        }
    }

    /// Marks a slot that the caller owns as free.
    #[inline]
    pub fn clear(&self, index: usize) {
        if let Some(slot) = self.slot(index) {
            seqlock::write(slot, &[0]);
        }
    }

    /// Reads a slot; one outside the table is free.
    #[must_use]
    #[inline]
    pub fn read(&self, index: usize) -> Slot {
        let Some(slot) = self.slot(index) else {
            return Slot::Free;
        };
        match seqlock::read::<PAYLOAD_WORDS>(slot) {
            Read::Torn => Slot::Torn,
            Read::Whole([0, ..]) => Slot::Free,
            Read::Whole([address, size, owner, interval, birth_ns, number, _]) => {
                Slot::Live(LiveBlock {
                    address,
                    size: size & SIZE_MASK,
                    align_log2: (size >> SIZE_BITS) as u8,
                    stack: StackId(owner as u32),
                    thread: (owner >> 32) as u32,
                    interval,
                    birth_ns,
                    number,
                })
            }
        }
    }
}
