//! From live records to sums for each stack, and to the usable size of the whole heap.

use crate::{
    estimate::{SampleWeight, Sum, Totals, weigh},
    ingest::LiveSample,
    size_class::{SAMPLED_MIN_BYTES, usable_size_aligned},
};

use super::watch::Newest;

/// Weights that repeat: programs allocate few sizes very often, and `exp` is the dearest step.
struct WeightCache {
    entries: Vec<Option<Cached>>,
}

#[derive(Clone, Copy)]
struct Cached {
    size: u64,
    interval: u64,
    align_log2: u8,
    weight: Weighed,
}

/// What one record stands for, in every figure.
#[derive(Clone, Copy)]
struct Weighed {
    sample: SampleWeight,
    usable: Sum,
    rounding: Sum,
}

const CACHE_ENTRIES: usize = 4_096;
/// How much older than the last look a block must be to have been continued by `realloc`: more than
/// writers and looks can miss each other by.
const CONTINUED_NS: u64 = 500_000_000;

impl WeightCache {
    fn new() -> Self {
        Self {
            entries: vec![None; CACHE_ENTRIES],
        }
    }

    fn weigh(&mut self, record: &LiveSample) -> Weighed {
        let key = record.size.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ record.interval;
        let place = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 52) as usize;
        let Some(entry) = self.entries.get_mut(place) else {
            return weigh_record(record);
        };
        if let Some(cached) = entry
            && (cached.size, cached.interval, cached.align_log2)
                == (record.size, record.interval, record.align_log2)
        {
            return cached.weight;
        }
        let weight = weigh_record(record);
        *entry = Some(Cached {
            size: record.size,
            interval: record.interval,
            align_log2: record.align_log2,
            weight,
        });
        weight
    }
}

/// What one record stands for in usable bytes.
pub(crate) fn weigh_usable(record: &LiveSample) -> Sum {
    weigh_record(record).usable
}

/// The shim raised the recorded block to 16 bytes; the unrecorded ones that it stands for have the
/// natural class of their size.
fn weigh_record(record: &LiveSample) -> Weighed {
    let sample = weigh(record.size, record.interval);
    let natural = usable_size_aligned(record.size, record.align_log2);
    let sum_of = |natural: f64, recorded: f64| Sum {
        estimate: recorded + natural * (sample.objects - 1.0),
        variance: natural * natural * sample.objects_variance,
        observed: recorded,
        unseen: natural * sample.unseen_objects,
    };
    let recorded =
        usable_size_aligned(record.size.max(SAMPLED_MIN_BYTES), record.align_log2) as f64;
    let natural = natural as f64;
    let size = record.size as f64;
    Weighed {
        sample,
        usable: sum_of(natural, recorded),
        rounding: sum_of((natural - size).max(0.0), (recorded - size).max(0.0)),
    }
}

/// Live figures of one moment.
#[derive(Debug, Default)]
pub(crate) struct LiveFigures {
    /// For each stack, by place.
    pub(crate) by_stack: Vec<Totals>,
    /// Of these, bytes of records made since the watch began.
    pub(crate) born: Vec<Sum>,
    /// For each stack, the sum of the squared estimates of its records.
    pub(crate) squares: Vec<f64>,
    /// For each stack, bytes of records that are newer than the last look and of blocks that are
    /// older: what `realloc` continued.
    pub(crate) continued: Vec<f32>,
    /// The newest records.
    pub(crate) newest: Newest,
    /// When they were looked at.
    looked_ns: u64,
    /// Usable bytes of all live blocks.
    pub(crate) usable: Sum,
    /// Usable less requested bytes of all live blocks.
    pub(crate) rounding: Sum,
}

impl LiveFigures {
    /// Bytes kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.by_stack.capacity() * size_of::<Totals>()
            + self.born.capacity() * size_of::<Sum>()
            + self.squares.capacity() * size_of::<f64>()
            + self.continued.capacity() * size_of::<f32>()
    }

    /// Sums up `live` for `stacks` stacks, reusing the buffers. `since` tells new records.
    pub(crate) fn sum_up(
        &mut self,
        live: &[LiveSample],
        stacks: usize,
        since: Option<&Newest>,
        now_ns: u64,
    ) {
        self.by_stack.clear();
        self.by_stack.resize(stacks, Totals::default());
        self.born.clear();
        self.born.resize(stacks, Sum::default());
        self.squares.clear();
        self.squares.resize(stacks, 0.0);
        self.continued.clear();
        self.continued.resize(stacks, 0.0);
        self.usable = Sum::default();
        self.rounding = Sum::default();
        let before = std::mem::take(&mut self.newest);
        let looked_ns = std::mem::replace(&mut self.looked_ns, now_ns);
        let mut cache = WeightCache::new();
        for record in live {
            let weight = cache.weigh(record);
            if let Some(totals) = self.by_stack.get_mut(record.stack.place()) {
                totals.record(record.size, &weight.sample);
            }
            if let Some(squares) = self.squares.get_mut(record.stack.place()) {
                *squares += weight.sample.bytes * weight.sample.bytes;
            }
            self.newest.note(record);
            if record.birth_ns.saturating_add(CONTINUED_NS) < looked_ns
                && before.precedes(record)
                && let Some(continued) = self.continued.get_mut(record.stack.place())
            {
                *continued += weight.sample.bytes as f32;
            }
            if since.is_some_and(|newest| newest.precedes(record))
                && let Some(born) = self.born.get_mut(record.stack.place())
            {
                born.add(&Sum {
                    estimate: weight.sample.bytes,
                    variance: weight.sample.bytes_variance,
                    observed: record.size as f64,
                    unseen: weight.sample.unseen_bytes,
                });
            }
            self.usable.add(&weight.usable);
            self.rounding.add(&weight.rounding);
        }
    }

    /// Sum over all stacks.
    pub(crate) fn total(&self) -> Totals {
        let mut total = Totals::default();
        for totals in &self.by_stack {
            total.add(totals);
        }
        total
    }
}

/// Median birth of the live blocks of each group, in nanoseconds of the region's clock, weighted by
/// what each record stands for. `group_of` maps a stack's place to its group.
pub(crate) fn median_births(
    live: &[LiveSample],
    group_of: &[u32],
    groups: usize,
) -> Vec<Option<u64>> {
    let group = |record: &LiveSample| group_of.get(record.stack.place()).map(|g| *g as usize);
    // Counting sort: how many records each group has, then where each group begins.
    let mut ends = vec![0_usize; groups + 1];
    for record in live {
        if let Some(count) = group(record).and_then(|group| ends.get_mut(group)) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for end in &mut ends {
        let count = *end;
        *end = sum;
        sum += count;
    }
    let mut sorted = vec![(0_u64, 0.0_f32); sum];
    let mut cache = WeightCache::new();
    for record in live {
        let Some(next) = group(record).and_then(|group| ends.get_mut(group)) else {
            continue;
        };
        let weight = cache.weigh(record).sample.objects as f32;
        if let Some(place) = sorted.get_mut(*next) {
            *place = (record.birth_ns, weight);
        }
        *next += 1;
    }
    let mut start = 0;
    let mut rest = sorted.as_mut_slice();
    ends.iter()
        .take(groups)
        .map(|end| {
            let (ours, others) = std::mem::take(&mut rest).split_at_mut_checked(end - start)?;
            (start, rest) = (*end, others);
            weighted_median(ours)
        })
        .collect()
}

pub(crate) fn weighted_median(births: &mut [(u64, f32)]) -> Option<u64> {
    let (first, last) = (births.first()?, births.last()?);
    let even = first.1 == last.1 && births.iter().all(|(_, weight)| *weight == first.1);
    if even {
        let middle = (births.len() - 1) / 2;
        Some(
            births
                .select_nth_unstable_by_key(middle, |(birth, _)| *birth)
                .1
                .0,
        )
    } else {
        births.sort_unstable_by_key(|(birth, _)| *birth);
        let total: f64 = births.iter().map(|(_, weight)| f64::from(*weight)).sum();
        let mut below = 0.0;
        let reached = births.iter().find(|(_, weight)| {
            below += f64::from(*weight);
            below >= total / 2.0
        });
        reached.map(|(birth, _)| *birth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::StackBook;

    fn record(size: u64, interval: u64, birth_ns: u64) -> LiveSample {
        LiveSample {
            size,
            interval,
            birth_ns,
            number: 0,
            stack: StackBook::default().add(&[], false, 0),
            thread: 1,
            align_log2: 0,
        }
    }

    #[test]
    fn exact_records_round_up_to_the_class_of_at_least_sixteen() {
        let mut figures = LiveFigures::default();
        figures.sum_up(
            &[record(1, 1, 0), record(17, 1, 0), record(100, 1, 0)],
            1,
            None,
            0,
        );
        assert_eq!(figures.usable.interval().estimate, 160.0);
        assert_eq!(figures.rounding.interval().high, 42.0);
        assert_eq!(figures.total().bytes.estimate, 118.0);
    }

    #[test]
    fn a_sampled_small_block_stands_for_blocks_of_its_natural_class() {
        let mut figures = LiveFigures::default();
        figures.sum_up(&[record(8, 8_192, 0)], 1, None, 0);
        let objects = figures.total().objects.estimate;
        assert!((figures.usable.estimate - (16.0 + 8.0 * (objects - 1.0))).abs() < 1e-6);
    }

    #[test]
    fn the_median_birth_is_that_of_blocks_not_of_records() {
        let records = [
            record(1 << 20, 4_096, 1),
            record(1 << 20, 4_096, 2),
            record(16, 4_096, 9),
        ];
        assert_eq!(median_births(&records, &[0], 1), [Some(9)]);
        let equal = [record(16, 1, 8), record(16, 1, 7), record(16, 1, 1)];
        assert_eq!(median_births(&equal, &[0], 2), [Some(7), None]);
    }
}
