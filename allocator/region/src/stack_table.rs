//! Interned call stacks and the totals of each.
//!
//! Three arrays: an *index* (open addressing, one word a slot), *entries* (dense, append-only, one
//! per stack) and *frames* (dense, append-only return addresses, leaf first).
//!
//! **Protocol.** A writer that does not find its stack reserves frames and an entry by
//! `fetch_add`, fills both, marks the entry ready, and only then puts `(tag, id)` into an empty
//! index slot by compare-and-swap. Nothing is ever claimed before it is whole, so nobody waits for
//! anybody and a writer that stops anywhere costs at most its own unpublished entry.
//!
//! **Invariants.**
//! * An id found in the index or in a live record leads to a ready entry: `ready` is stored before
//!   the id is given away.
//! * `ready` entries never change but for their totals, which only grow.
//! * Two writers that race with one new stack may both make an entry; one wins the index slot and
//!   both use the winner. The loser's entry stays with empty totals. A stack may also have two
//!   ids after a full probe window; readers merge entries by content.

use crate::primitive::{AtomicU64, Ordering};

/// Most frames of one stack; deeper ones are cut at the root end and marked.
pub const MAX_FRAMES: usize = 128;
/// Words of one entry.
pub const ENTRY_WORDS: usize = 40;
/// Words before the first entry: `entries_used`, and on another line `frames_used`.
pub const ENTRIES_HEADER_WORDS: usize = 32;
/// Lifetime buckets of an entry: bucket `b` counts blocks that lived `[2^b - 1, 2^(b+1) - 1)` ms.
pub const LIFETIME_BUCKETS: usize = 24;
/// Largest estimate or variance that is read: far above any true one, and such that sums over a whole table
/// and their squares stay finite, whatever somebody wrote.
pub const TOTAL_MAX: f64 = 1e77;

const ENTRIES_USED_WORD: usize = 0;
const FRAMES_USED_WORD: usize = 16;
/// Index slots looked at before a stack counts as not found.
const PROBE_WINDOW: usize = 32;

const READY: usize = 0;
const HASH: usize = 1;
const FIRST_SEEN: usize = 2;
const LAST_SEEN: usize = 3;
const SAMPLES: usize = 4;
const SAMPLED_BYTES: usize = 5;
const FREED_SAMPLES: usize = 6;
const FREED_SAMPLED_BYTES: usize = 7;
const CERTAIN_OBJECTS: usize = 8;
const CERTAIN_BYTES: usize = 9;
const ESTIMATED_OBJECTS: usize = 10;
const ESTIMATED_BYTES: usize = 11;
const VARIANCE_OBJECTS: usize = 12;
const VARIANCE_BYTES: usize = 13;
const LIFETIMES: usize = ENTRY_WORDS - LIFETIME_BUCKETS;

/// `ready` word: bit 63 set, bit 62 truncated, frames in bits 48..56, frame offset in bits 0..48.
const READY_BIT: u64 = 1 << 63;
const TRUNCATED_BIT: u64 = 1 << 62;
const FRAMES_SHIFT: u32 = 48;
const FRAMES_MASK: u64 = 0xff;
const OFFSET_MASK: u64 = (1 << FRAMES_SHIFT) - 1;

/// An interned stack. 0 means that the stack is not known (table full, or no unwinder).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackId(pub u32);

impl StackId {
    /// The stack is not known.
    pub const UNKNOWN: Self = Self(0);
}

/// What one sampled allocation adds to its stack's totals.
///
/// With `p = 1 - e^(-size/interval)` the unbiased weights of one sample are `1/p` objects and
/// `size/p` bytes, their variances `(1-p)/p²` and `size²(1-p)/p²` (Horvitz–Thompson).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weight {
    /// Requested bytes.
    pub size: u64,
    /// Probability with which the block was sampled.
    pub probability: f64,
}

/// Totals of one stack since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StackTotals {
    /// Nanoseconds of the region's clock at the first sample.
    pub first_seen_ns: u64,
    /// Nanoseconds of the region's clock at the last sample.
    pub last_seen_ns: u64,
    /// Sampled allocations.
    pub samples: u64,
    /// Requested bytes of the sampled allocations.
    pub sampled_bytes: u64,
    /// Sampled allocations that were freed.
    pub freed_samples: u64,
    /// Requested bytes of the sampled allocations that were freed.
    pub freed_sampled_bytes: u64,
    /// Unbiased estimate of all objects allocated.
    pub objects: f64,
    /// Unbiased estimate of all bytes allocated.
    pub bytes: f64,
    /// Variance of `objects`.
    pub objects_variance: f64,
    /// Variance of `bytes`.
    pub bytes_variance: f64,
    /// Freed samples by lifetime.
    pub lifetimes: [u64; LIFETIME_BUCKETS],
}

/// The answer of [`StackTable::intern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interned {
    /// The stack's id.
    Id(StackId),
    /// No room for a new stack.
    Full,
}

/// Both ends of the stack table.
#[derive(Clone, Copy, Debug)]
pub struct StackTable<'a> {
    index: &'a [AtomicU64],
    entries_used: &'a AtomicU64,
    frames_used: &'a AtomicU64,
    entries: &'a [AtomicU64],
    frames: &'a [AtomicU64],
}

impl<'a> StackTable<'a> {
    /// A table over an index (a power of two of words), entries behind their header, and frames.
    #[must_use]
    pub fn new(
        index: &'a [AtomicU64],
        entries: &'a [AtomicU64],
        frames: &'a [AtomicU64],
    ) -> Option<Self> {
        if !index.len().is_power_of_two() {
            return None;
        }
        Some(Self {
            index,
            entries_used: entries.get(ENTRIES_USED_WORD)?,
            frames_used: entries.get(FRAMES_USED_WORD)?,
            entries: entries.get(ENTRIES_HEADER_WORDS..)?,
            frames,
        })
    }

    /// Entries that the table can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entries.len() / ENTRY_WORDS
    }

    /// Entries reserved so far, ready or not.
    #[must_use]
    pub fn len(&self) -> usize {
        // Relaxed: each entry says itself whether it is ready.
        usize::try_from(self.entries_used.load(Ordering::Relaxed))
            .unwrap_or(usize::MAX)
            .min(self.capacity())
    }

    /// Whether no stack was ever interned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds or adds the stack `frames` (return addresses, leaf first, at most [`MAX_FRAMES`]).
    #[inline]
    pub fn intern(&self, frames: &[u64], truncated: bool, now_ns: u64) -> Interned {
        let frames = frames.get(..MAX_FRAMES).unwrap_or(frames);
        let hash = hash(frames);
        let mut prepared = None;
        for step in 0..PROBE_WINDOW.min(self.index.len()) {
            let place = (hash as usize).wrapping_add(step) & (self.index.len() - 1);
            let Some(slot) = self.index.get(place) else {
                return Interned::Full;
            };
            // SYNC(stack-indexed): Acquire; pairs with the Release exchange below; makes the
            // entry behind the id visible.
            let mut found = slot.load(Ordering::Acquire);
            if found == 0 {
                let id = match prepared {
                    Some(id) => id,
                    None => match self.prepare(frames, hash, truncated, now_ns) {
                        Some(id) => *prepared.insert(id),
                        None => return Interned::Full,
                    },
                };
                // SYNC(stack-indexed): Release on success, Acquire on failure; pairs with the load
                // above.
                match slot.compare_exchange(
                    0,
                    index_word(hash, id),
                    Ordering::Release,
                    Ordering::Acquire,
                ) {
                    Ok(_) => return Interned::Id(id),
                    Err(other) => found = other,
                }
            }
            let id = StackId(found as u32);
            if found >> 32 == hash >> 32 && self.hash_of(id) == Some(hash) {
                return Interned::Id(id);
            }
        }
        Interned::Full
    }

    /// Reserves and fills an entry; `None` when the frames or the entries are used up.
    fn prepare(&self, frames: &[u64], hash: u64, truncated: bool, now_ns: u64) -> Option<StackId> {
        // Relaxed: reservations only have to be disjoint.
        let offset = self
            .frames_used
            .fetch_add(frames.len() as u64, Ordering::Relaxed);
        let start = usize::try_from(offset).ok()?;
        let target = self.frames.get(start..start.checked_add(frames.len())?)?;
        // Relaxed: as above.
        let number = self.entries_used.fetch_add(1, Ordering::Relaxed);
        let id = StackId(u32::try_from(number.checked_add(1)?).ok()?);
        let entry = self.entry(id)?;
        for (word, frame) in target.iter().zip(frames) {
            // Relaxed: ordered by the Release store of `ready`.
            word.store(*frame, Ordering::Relaxed);
        }
        for (word, value) in [(HASH, hash), (FIRST_SEEN, now_ns), (LAST_SEEN, now_ns)] {
            // Relaxed: as above.
            entry.get(word)?.store(value, Ordering::Relaxed);
        }
        let ready = READY_BIT
            | if truncated { TRUNCATED_BIT } else { 0 }
            | (frames.len() as u64) << FRAMES_SHIFT
            | offset;
        // SYNC(stack-ready): Release; pairs with the Acquire in `StackTable::frames`.
        entry.get(READY)?.store(ready, Ordering::Release);
        Some(id)
    }

    fn entry(&self, id: StackId) -> Option<&'a [AtomicU64]> {
        let start = (id.0.checked_sub(1)? as usize).checked_mul(ENTRY_WORDS)?;
        self.entries.get(start..start.checked_add(ENTRY_WORDS)?)
    }

    fn hash_of(&self, id: StackId) -> Option<u64> {
        // Relaxed: the id came from the index by Acquire.
        Some(self.entry(id)?.get(HASH)?.load(Ordering::Relaxed))
    }

    /// Counts a sampled allocation.
    #[inline]
    pub fn add_allocation(&self, id: StackId, weight: Weight, now_ns: u64) {
        let Some(entry) = self.entry(id) else { return };
        let add = |word: usize, value: u64| {
            if let Some(word) = entry.get(word) {
                // Relaxed: totals are independent figures; nothing is reached through them.
                word.fetch_add(value, Ordering::Relaxed);
            }
        };
        add(SAMPLES, 1);
        add(SAMPLED_BYTES, weight.size);
        if let Some(word) = entry.get(LAST_SEEN) {
            // Relaxed: as above; a race costs a tick of the clock.
            word.store(now_ns, Ordering::Relaxed);
        }
        if weight.probability >= 1.0 {
            add(CERTAIN_OBJECTS, 1);
            add(CERTAIN_BYTES, weight.size);
            return;
        }
        let size = weight.size as f64;
        let objects = 1.0 / weight.probability;
        let variance = (1.0 - weight.probability) * objects * objects;
        for (word, value) in [
            (ESTIMATED_OBJECTS, objects),
            (ESTIMATED_BYTES, size * objects),
            (VARIANCE_OBJECTS, variance),
            (VARIANCE_BYTES, size * size * variance),
        ] {
            if let Some(word) = entry.get(word) {
                add_f64(word, value);
            }
        }
    }

    /// Counts the end of a sampled block of `size` requested bytes that lived `lifetime_ns`; `None` for
    /// one that `realloc` took over, whose life goes on.
    #[inline]
    pub fn add_free(&self, id: StackId, size: u64, lifetime_ns: Option<u64>) {
        let Some(entry) = self.entry(id) else { return };
        let add = |word: usize, value: u64| {
            if let Some(word) = entry.get(word) {
                // Relaxed: totals are independent figures.
                word.fetch_add(value, Ordering::Relaxed);
            }
        };
        add(FREED_SAMPLES, 1);
        add(FREED_SAMPLED_BYTES, size);
        if let Some(lifetime_ns) = lifetime_ns {
            add(LIFETIMES + lifetime_bucket(lifetime_ns), 1);
        }
    }

    /// Copies the frames of a stack into `into`; returns how many, and whether the stack was cut.
    ///
    /// `None` for an id that is unknown, not ready, or that points outside the table.
    #[must_use]
    pub fn frames(&self, id: StackId, into: &mut [u64; MAX_FRAMES]) -> Option<(usize, bool)> {
        // SYNC(stack-ready): Acquire; pairs with the Release in `StackTable::prepare`.
        let ready = self.entry(id)?.get(READY)?.load(Ordering::Acquire);
        if ready & READY_BIT == 0 {
            return None;
        }
        let len = (ready >> FRAMES_SHIFT & FRAMES_MASK) as usize;
        let start = usize::try_from(ready & OFFSET_MASK).ok()?;
        let source = self.frames.get(start..start.checked_add(len)?)?;
        for (value, word) in into.get_mut(..len)?.iter_mut().zip(source) {
            // Relaxed: ordered by the Acquire of `ready`.
            *value = word.load(Ordering::Relaxed);
        }
        Some((len, ready & TRUNCATED_BIT != 0))
    }

    /// Totals of a stack; `None` for an id that is unknown or not ready.
    #[must_use]
    pub fn totals(&self, id: StackId) -> Option<StackTotals> {
        let entry = self.entry(id)?;
        // SYNC(stack-ready): Acquire; pairs with the Release in `StackTable::prepare`; makes the
        // first moment visible.
        if entry.get(READY)?.load(Ordering::Acquire) & READY_BIT == 0 {
            return None;
        }
        // Relaxed: totals are independent figures.
        let word = |index: usize| {
            entry
                .get(index)
                .map_or(0, |word| word.load(Ordering::Relaxed))
        };
        let float = |index: usize| {
            let value = f64::from_bits(word(index));
            if value.is_finite() && value > 0.0 {
                value.min(TOTAL_MAX)
            } else {
                0.0
            }
        };
        let mut lifetimes = [0; LIFETIME_BUCKETS];
        for (bucket, value) in lifetimes.iter_mut().enumerate() {
            *value = word(LIFETIMES + bucket);
        }
        Some(StackTotals {
            first_seen_ns: word(FIRST_SEEN),
            last_seen_ns: word(LAST_SEEN),
            samples: word(SAMPLES),
            sampled_bytes: word(SAMPLED_BYTES),
            freed_samples: word(FREED_SAMPLES),
            freed_sampled_bytes: word(FREED_SAMPLED_BYTES),
            objects: word(CERTAIN_OBJECTS) as f64 + float(ESTIMATED_OBJECTS),
            bytes: word(CERTAIN_BYTES) as f64 + float(ESTIMATED_BYTES),
            objects_variance: float(VARIANCE_OBJECTS),
            bytes_variance: float(VARIANCE_BYTES),
            lifetimes,
        })
    }
}

/// Bucket of a lifetime: `floor(log2(milliseconds + 1))`, the last one open-ended.
#[must_use]
pub fn lifetime_bucket(lifetime_ns: u64) -> usize {
    let milliseconds = lifetime_ns / 1_000_000;
    ((milliseconds + 1).ilog2() as usize).min(LIFETIME_BUCKETS - 1)
}

/// Adds to a float kept as its bits.
fn add_f64(word: &AtomicU64, value: f64) {
    // Relaxed: a total; nothing is reached through it.
    let mut current = word.load(Ordering::Relaxed);
    // Bounded, so that a region scribbled over by somebody else cannot hold the host.
    for _ in 0..1_000 {
        let sum = (f64::from_bits(current) + value).to_bits();
        match word.compare_exchange_weak(current, sum, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => return,
            Err(other) => current = other,
        }
    }
}

fn index_word(hash: u64, id: StackId) -> u64 {
    hash >> 32 << 32 | u64::from(id.0)
}

/// A 64-bit hash of a stack: multiply and fold, as in wyhash, in four independent lanes, because one
/// chain of multiplications through thirty frames waits for each of them. Frame `n` goes to lane
/// `n mod 4`; the length is part of the hash.
fn hash(frames: &[u64]) -> u64 {
    const MULTIPLIERS: [u64; 4] = [
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
        0xd6e8_feb8_6659_fd93,
    ];
    let mut lanes = MULTIPLIERS;
    let (fours, rest) = frames.as_chunks::<4>();
    for four in fours {
        for ((lane, frame), multiplier) in lanes.iter_mut().zip(four).zip(MULTIPLIERS) {
            *lane = fold(*lane ^ frame, multiplier).wrapping_add(multiplier);
        }
    }
    for ((lane, frame), multiplier) in lanes.iter_mut().zip(rest).zip(MULTIPLIERS) {
        *lane = fold(*lane ^ frame, multiplier).wrapping_add(multiplier);
    }
    let [a, b, c, d] = lanes;
    let [first, second, third, _] = MULTIPLIERS;
    let ab = fold(a ^ frames.len() as u64, b ^ first);
    let cd = fold(c ^ second, d ^ third);
    fold(ab ^ first, cd ^ second)
}

/// The 128-bit product, folded: every bit of either factor moves every bit of the result.
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ (product >> 64) as u64
}
