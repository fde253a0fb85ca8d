//! Sizes of allocated and lifetimes of freed blocks as histograms that only grow, from the journal.

use riptide_region::event::{Event, EventKind};

use crate::estimate::weigh;

/// Buckets of a [`Histogram`].
pub const BUCKETS: usize = 32;

/// A histogram over powers of two: bucket `i` has what is at most `2^i` and did not fit the one
/// before.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Histogram {
    /// Estimated number of blocks of each bucket; the last one has all that is larger.
    pub counts: [f64; BUCKETS],
    /// Sum of the values.
    pub sum: f64,
}

impl Histogram {
    fn add(&mut self, value: u64, weight: f64) {
        let bucket = (u64::BITS - value.max(1).saturating_sub(1).leading_zeros()) as usize;
        if let Some(count) = self.counts.get_mut(bucket.min(BUCKETS - 1)) {
            *count += weight;
        }
        self.sum += value as f64 * weight;
    }

    /// Number of blocks.
    #[must_use]
    pub fn count(&self) -> f64 {
        self.counts.iter().sum()
    }
}

/// Sizes and lifetimes of blocks, each sample counted for the blocks that it stands for. What the
/// journal lost is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct JournalShapes {
    /// Requested bytes of allocated blocks.
    pub sizes_bytes: Histogram,
    /// Milliseconds that freed blocks lived.
    pub lifetimes_ms: Histogram,
}

impl JournalShapes {
    /// Takes in journal records, each once.
    pub fn follow(&mut self, events: &[Event]) {
        for event in events {
            let blocks = weigh(event.size, event.interval).objects;
            match event.kind {
                EventKind::Allocation => self.sizes_bytes.add(event.size, blocks),
                EventKind::Free { lifetime_ms } => {
                    self.lifetimes_ms.add(u64::from(lifetime_ms), blocks);
                }
                // The block lives on.
                EventKind::Move => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_powers_of_two_that_hold_their_bound() {
        let mut histogram = Histogram::default();
        for value in [0, 1, 2, 3, 4, 5, u64::MAX / 2, u64::MAX] {
            histogram.add(value, 1.0);
        }
        assert_eq!(histogram.counts[..4], [2.0, 1.0, 2.0, 1.0]);
        assert_eq!(histogram.counts[BUCKETS - 1], 2.0);
        assert_eq!(histogram.count(), 8.0);
    }
}
