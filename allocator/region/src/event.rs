//! Records of the ring.

use crate::{ring::Payload, stack_table::StackId};

const SIZE_BITS: u32 = 48;
const SIZE_MASK: u64 = (1 << SIZE_BITS) - 1;
const KIND_SHIFT: u32 = 56;
const KIND_ALLOCATION: u64 = 1;
const KIND_FREE: u64 = 2;
const KIND_MOVE: u64 = 3;

/// What happened to a sampled block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The block was allocated.
    Allocation,
    /// The block was freed.
    Free {
        /// Milliseconds from the block's birth to its free.
        lifetime_ms: u32,
    },
    /// `realloc` took the block over: its record ends, its life goes on, seen again only if the new
    /// size was drawn.
    Move,
}

/// One record of the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// Address of the block.
    pub address: u64,
    /// Requested bytes, up to 2^48 - 1.
    pub size: u64,
    /// Stack that allocated the block.
    pub stack: StackId,
    /// Thread on which it happened.
    pub thread: u32,
    /// Nanoseconds of the region's clock.
    pub time_ns: u64,
    /// Number of the sample, as in [`LiveBlock::number`](crate::live_table::LiveBlock::number).
    pub number: u64,
    /// Sampling interval in force when the block was drawn, in bytes, up to 2^32 - 1.
    pub interval: u64,
}

impl Event {
    /// The event as words of the ring.
    #[must_use]
    #[inline]
    pub fn encode(&self) -> Payload {
        let (kind, lifetime_ms) = match self.kind {
            EventKind::Allocation => (KIND_ALLOCATION, 0),
            EventKind::Free { lifetime_ms } => (KIND_FREE, lifetime_ms),
            EventKind::Move => (KIND_MOVE, 0),
        };
        [
            kind << KIND_SHIFT | self.size.min(SIZE_MASK),
            self.address,
            u64::from(self.stack.0) | u64::from(self.thread) << 32,
            self.time_ns,
            self.number,
            self.interval.min(u64::from(u32::MAX)) | u64::from(lifetime_ms) << 32,
        ]
    }

    /// The event in a record; `None` for a kind that this version does not know.
    #[must_use]
    pub fn decode(payload: &Payload) -> Option<Self> {
        let [head, address, owner, time_ns, number, tail] = *payload;
        let kind = match head >> KIND_SHIFT {
            KIND_ALLOCATION => EventKind::Allocation,
            KIND_FREE => EventKind::Free {
                lifetime_ms: (tail >> 32) as u32,
            },
            KIND_MOVE => EventKind::Move,
            _ => return None,
        };
        Some(Self {
            kind,
            address,
            size: head & SIZE_MASK,
            stack: StackId(owner as u32),
            thread: (owner >> 32) as u32,
            time_ns,
            number,
            interval: tail & u64::from(u32::MAX),
        })
    }
}
