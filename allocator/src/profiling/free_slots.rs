//! Slots of the live table that no block owns: those never used, and a stack of those given back.
//!
//! The stack's head carries a tag that moves with every change, so that a head seen before is not
//! taken for one seen now. Slots are taken and given back several at a time, by way of a [`Stash`]
//! that one thread at a time holds: at one compare-and-swap for each block the head would be the
//! line that all threads fight for.
//!
//! **Invariant.** A slot is in one of four places: never used (`fresh` onwards), in the stack, in one
//! stash, or owned by one block.

use riptide_region::primitive::{AtomicU32, AtomicU64, Ordering};

/// Most slots of a stash.
pub(crate) const STASH: usize = 16;

pub(crate) struct FreeSlots<'a> {
    capacity: u32,
    fresh: AtomicU32,
    /// Slots that are neither fresh nor in the stack.
    out: AtomicU32,
    /// Tag in the upper half, `1 +` slot in the lower, 0 when empty.
    head: AtomicU64,
    /// For a slot in the stack: `1 +` the next one.
    next: &'a [AtomicU32],
}

impl<'a> FreeSlots<'a> {
    /// The slots below `next.len()`, all fresh; `next` is zero.
    pub(crate) fn new(next: &'a [AtomicU32]) -> Option<Self> {
        Some(Self {
            capacity: u32::try_from(next.len()).ok()?.min(u32::MAX - 1),
            fresh: AtomicU32::new(0),
            out: AtomicU32::new(0),
            head: AtomicU64::new(0),
            next,
        })
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Slots owned by blocks or lying in stashes.
    pub(crate) fn out(&self) -> u32 {
        // Relaxed: a statistic.
        self.out.load(Ordering::Relaxed)
    }

    /// Takes slots until `into` is full or there are no more; how many. The one to be used first comes
    /// last.
    fn take(&self, into: &mut [u32]) -> usize {
        let count = match self.pop(into) {
            0 => self.first_use(into),
            count => count,
        };
        into.get_mut(..count).unwrap_or_default().reverse();
        // Relaxed: a statistic.
        self.out.fetch_add(count as u32, Ordering::Relaxed);
        count
    }

    fn pop(&self, into: &mut [u32]) -> usize {
        // SYNC(slot-given): Acquire; pairs with the Release in `give`; makes `next` of every slot
        // in the stack visible, as all changes of the head are read-modify-writes, which carry the
        // Release of the ones before.
        let mut head = self.head.load(Ordering::Acquire);
        loop {
            let mut count = 0;
            let mut first = head as u32;
            for place in into.iter_mut() {
                let Some((slot, next)) = first
                    .checked_sub(1)
                    .and_then(|slot| Some((slot, self.next.get(slot as usize)?)))
                else {
                    break;
                };
                *place = slot;
                count += 1;
                // Relaxed: published by the head; if another thread has popped the slot meanwhile,
                // the value is stale, but then the tag has moved and the exchange fails.
                first = next.load(Ordering::Relaxed);
            }
            if count == 0 {
                return 0;
            }
            match self.head.compare_exchange_weak(
                head,
                tagged(head, first),
                // SYNC(slot-given): Acquire on both outcomes, for the slots popped or the next try.
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return count,
                Err(other) => head = other,
            }
        }
    }

    fn first_use(&self, into: &mut [u32]) -> usize {
        let wanted = into.len().min(self.capacity as usize) as u32;
        // Relaxed: the numbers only have to be unique. Does not move past the capacity, so it cannot
        // wrap.
        let taken = self
            .fresh
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |fresh| {
                (fresh < self.capacity).then(|| self.capacity.min(fresh.saturating_add(wanted)))
            });
        let Ok(first) = taken else { return 0 };
        let slots = first..self.capacity.min(first.saturating_add(wanted));
        let count = slots.len();
        for (place, slot) in into.iter_mut().zip(slots) {
            *place = slot;
        }
        count
    }

    /// Gives slots back, so that the last one is taken first.
    fn give(&self, slots: &[u32]) {
        let (Some(first), Some(last)) = (slots.first(), slots.last()) else {
            return;
        };
        let link = |slot: u32| self.next.get(slot as usize);
        for pair in slots.windows(2) {
            if let [below, slot] = pair
                && let Some(word) = link(*slot)
            {
                // Relaxed, here and below: published by the exchange.
                word.store(below + 1, Ordering::Relaxed);
            }
        }
        let Some(bottom) = link(*first) else { return };
        // Relaxed: a statistic.
        self.out.fetch_sub(slots.len() as u32, Ordering::Relaxed);
        // Relaxed: a hint; the exchange decides.
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            bottom.store(head as u32, Ordering::Relaxed);
            // SYNC(slot-given): Release; pairs with the Acquire in `pop`.
            match self.head.compare_exchange_weak(
                head,
                tagged(head, last + 1),
                Ordering::Release,
                Ordering::Relaxed,
            ) {
                Ok(_) => return,
                Err(other) => head = other,
            }
        }
    }

    /// Takes one slot, for a caller without a stash.
    pub(crate) fn take_one(&self) -> Option<u32> {
        let mut one = [0];
        let count = self.take(&mut one);
        one.into_iter().take(count).next()
    }

    /// Gives one slot back.
    pub(crate) fn give_one(&self, slot: u32) {
        self.give(&[slot]);
    }
}

fn tagged(before: u64, slot_plus_one: u32) -> u64 {
    (before >> 32).wrapping_add(1) << 32 | u64::from(slot_plus_one)
}

/// A few slots in the hands of one thread at a time.
pub(crate) struct Stash {
    len: usize,
    slots: [u32; STASH],
}

impl Stash {
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "stashes begin as zeroed memory")
    )]
    pub(crate) const fn new() -> Self {
        Self {
            len: 0,
            slots: [0; STASH],
        }
    }

    /// Slots in the stash.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The slot that is taken next; `None` when the stash is empty.
    #[inline]
    pub(crate) fn next(&self) -> Option<u32> {
        self.slots.get(self.len.checked_sub(1)?).copied()
    }

    /// Takes a slot; an empty stash is filled with up to `limit` first.
    #[inline]
    pub(crate) fn take(&mut self, free: &FreeSlots<'_>, limit: usize) -> Option<u32> {
        if self.len == 0 {
            let room = self.slots.get_mut(..limit.clamp(1, STASH))?;
            self.len = free.take(room);
        }
        let last = self.len.checked_sub(1)?;
        let slot = *self.slots.get(last)?;
        self.len = last;
        Some(slot)
    }

    /// Gives a slot back; a stash that holds `limit` hands its older half on first.
    ///
    /// So slots are taken in the opposite order of that in which they were given, stash or not:
    /// neighbours stay together, and the processor sees where the next one lies.
    #[inline]
    pub(crate) fn give(&mut self, free: &FreeSlots<'_>, limit: usize, slot: u32) {
        if self.len >= limit.clamp(1, STASH) {
            let given = self.len.div_ceil(2);
            free.give(self.slots.get(..given).unwrap_or_default());
            self.slots.copy_within(given..self.len, 0);
            self.len -= given;
        }
        match self.slots.get_mut(self.len) {
            Some(place) => {
                *place = slot;
                self.len += 1;
            }
            None => free.give_one(slot),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn words(count: usize) -> Vec<AtomicU32> {
        (0..count).map(|_| AtomicU32::new(0)).collect()
    }

    #[test]
    fn each_slot_has_one_owner_at_a_time() {
        let next = words(64);
        let slots = FreeSlots::new(&next).unwrap();
        let owners = words(64);
        std::thread::scope(|scope| {
            for thread in 1..=4_u32 {
                let (slots, owners) = (&slots, &owners);
                scope.spawn(move || {
                    let mut stash = Stash::new();
                    // One thread without a stash, the others with larger and larger ones.
                    let limit = thread as usize * 2;
                    let mut held = Vec::new();
                    let give = |stash: &mut Stash, slot: u32| {
                        owners[slot as usize].store(0, Ordering::SeqCst);
                        if thread == 1 {
                            slots.give_one(slot);
                        } else {
                            stash.give(slots, limit, slot);
                        }
                    };
                    for round in 0..if cfg!(miri) { 200 } else { 200_000 } {
                        // Runs of takes and of gives, so that stashes fill up and run dry.
                        if round / 20 % 3 < 2 && held.len() < 30 {
                            let slot = if thread == 1 {
                                slots.take_one()
                            } else {
                                stash.take(slots, limit)
                            };
                            if let Some(slot) = slot {
                                let owner = owners[slot as usize].swap(thread, Ordering::SeqCst);
                                assert_eq!(owner, 0, "slot {slot} has two owners");
                                held.push(slot);
                            }
                        } else if let Some(slot) = held.pop() {
                            give(&mut stash, slot);
                        }
                    }
                    for slot in held {
                        give(&mut stash, slot);
                    }
                    while stash.len() > 0 {
                        let slot = stash.take(slots, limit).unwrap();
                        slots.give_one(slot);
                    }
                });
            }
        });
        assert_eq!(slots.out(), 0);
        let mut all: Vec<u32> = std::iter::from_fn(|| slots.take_one()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..64).collect::<Vec<_>>());
        assert_eq!(slots.out(), 64);
    }

    #[test]
    fn slots_come_back_in_the_opposite_order_of_giving() {
        let next = words(100);
        let slots = FreeSlots::new(&next).unwrap();
        let mut stash = Stash::new();
        let take = |stash: &mut Stash| -> Vec<u32> {
            (0..100)
                .map(|_| stash.take(&slots, STASH).unwrap())
                .collect()
        };
        let order = take(&mut stash);
        assert_eq!(order, (0..100).collect::<Vec<_>>());
        for slot in order {
            stash.give(&slots, STASH, slot);
        }
        assert_eq!(take(&mut stash), (0..100).rev().collect::<Vec<_>>());
    }

    #[test]
    fn a_stash_takes_what_is_left_and_never_more_than_its_limit() {
        let next = words(5);
        let slots = FreeSlots::new(&next).unwrap();
        let mut stash = Stash::new();
        assert!(stash.take(&slots, 4).is_some());
        assert_eq!((stash.len(), slots.out()), (3, 4));
        let mut other = Stash::new();
        assert_eq!(other.take(&slots, 4), Some(4), "the last one");
        assert_eq!(other.take(&slots, 4), None);
        for slot in 0..4 {
            other.give(&slots, 2, slot);
            assert!(other.len() <= 2);
        }
    }
}
