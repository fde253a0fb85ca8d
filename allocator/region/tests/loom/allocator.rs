//! The allocator's own lists and locks: private memory, but the same rules.

use loom::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};
use riptide_region::primitive::AtomicU32;

use super::model;

#[path = "../../../src/profiling/free_slots.rs"]
#[allow(dead_code, reason = "a model uses a part of it")]
mod free_slots;
#[path = "../../../src/profiling/try_lock.rs"]
mod try_lock;

/// Three free slots, the lowest on top.
fn three_free_slots() -> free_slots::FreeSlots<'static> {
    // Loom's atomics are of one execution, so each leaks its few.
    let next: Vec<AtomicU32> = (0..3).map(|_| AtomicU32::new(0)).collect();
    let slots = free_slots::FreeSlots::new(Vec::leak(next)).unwrap();
    let all: Vec<u32> = std::iter::from_fn(|| slots.take_one()).collect();
    for slot in all.into_iter().rev() {
        slots.give_one(slot);
    }
    slots
}

/// One thread takes two slots and gives them back in the other order, another takes two at once:
/// no slot has two owners, none is lost.
#[test]
fn free_slots_are_given_to_one_owner_each() {
    model(3, || {
        let slots = Arc::new(three_free_slots());
        let other = Arc::clone(&slots);
        let taking = thread::spawn(move || {
            let mut stash = free_slots::Stash::new();
            let mut all = vec![stash.take(&other, 2)];
            while stash.len() > 0 {
                all.push(stash.take(&other, 2));
            }
            all
        });
        let (first, second) = (slots.take_one(), slots.take_one());
        for slot in [first, second].into_iter().flatten() {
            slots.give_one(slot);
        }
        let all = taking.join().unwrap();
        let mut all: Vec<u32> = all.into_iter().flatten().collect();
        all.extend(std::iter::from_fn(|| slots.take_one()));
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2]);
        assert_eq!(slots.out(), 3);
    });
}

/// Two threads give slots back several at a time.
#[test]
fn slots_given_together_arrive_together() {
    model(3, || {
        let slots = Arc::new(three_free_slots());
        let one = slots.take_one().unwrap();
        let mut stash = free_slots::Stash::new();
        let first = stash.take(&slots, 2).unwrap();
        stash.give(&slots, 2, first);
        let other = Arc::clone(&slots);
        let giving = thread::spawn(move || other.give_one(one));
        // The stash is full: half of it goes to the list.
        stash.give(&slots, 1, 0);
        giving.join().unwrap();
        let listed: Vec<u32> = std::iter::from_fn(|| slots.take_one()).collect();
        assert_eq!(listed.len(), 2, "{listed:?}");
    });
}

/// Whoever has the lock sees what its owner before did.
#[test]
fn a_try_lock_hands_its_value_on() {
    model(3, || {
        let lock = Arc::new(try_lock::TryLock::new(AtomicU64::new(0)));
        let add = |lock: &try_lock::TryLock<AtomicU64>| {
            lock.try_lock().map_or(0, |value| {
                // Relaxed: the lock orders them.
                let before = value.load(Relaxed);
                value.store(before + 1, Relaxed);
                1
            })
        };
        let other = Arc::clone(&lock);
        let adding = thread::spawn(move || add(&other) + add(&other));
        let added = add(&lock);
        let added = added + adding.join().unwrap();
        assert!(added >= 1, "somebody had it");
        // Loom lets a failed exchange come behind a store that it did not see, and then the lock
        // looks taken for ever: that execution says nothing.
        if let Some(value) = lock.try_lock() {
            assert_eq!(value.load(Relaxed), added);
        }
    });
}
