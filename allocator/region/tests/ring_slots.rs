//! One slot of the ring closely: writers that come late, writers that give up in any order, readers that are
//! overtaken. Threads rarely meet so; here the head is set back by hand.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::{collections::BTreeSet, sync::atomic::Ordering::Relaxed};

use proptest::prelude::*;
use riptide_region::{
    primitive::AtomicU64,
    ring::{Account, Cursor, Publish, RING_HEADER_WORDS, Ring, SLOT_WORDS},
};

/// The word that holds the head.
const HEAD: usize = 0;
/// Laps that a slot remembers.
const LAPS_KEPT: u64 = 16;

fn words(slots: usize) -> Vec<AtomicU64> {
    (0..RING_HEADER_WORDS + slots * SLOT_WORDS)
        .map(|_| AtomicU64::new(0))
        .collect()
}

/// What becomes of one ticket, when it is the last one that was drawn.
fn class(words: &[AtomicU64], ring: &Ring<'_>, ticket: u64) -> Account {
    words[HEAD].store(ticket + 1, Relaxed);
    let mut cursor = Cursor::at(ticket);
    cursor.poll(ring, false, |_, _| {});
    cursor.account()
}

fn one(of: fn(&mut Account) -> &mut u64) -> Account {
    let mut account = Account::default();
    *of(&mut account) = 1;
    account
}

/// A writer that was stopped before it took its slot finds a newer record there, and leaves it alone.
#[test]
fn a_late_writer_gives_up_before_a_newer_record() {
    let words = words(1);
    let ring = Ring::new(&words).unwrap();
    for number in 0..3 {
        assert_eq!(ring.publish(&[number; 6]), Publish::Published(number));
    }
    words[HEAD].store(1, Relaxed);
    assert_eq!(ring.publish(&[99; 6]), Publish::Dropped(1));
    assert_eq!(ring.dropped(), 1);
    assert_eq!(class(&words, &ring, 1), one(|of| &mut of.dropped));
    words[HEAD].store(3, Relaxed);
    let mut seen = Vec::new();
    Cursor::at(2).poll(&ring, false, |ticket, payload| {
        seen.push((ticket, *payload))
    });
    assert_eq!(seen, [(2, [2; 6])]);
}

/// A reader that is overtaken in the middle of a look counts what it missed as overwritten, at once.
#[test]
fn a_reader_that_is_overtaken_counts_overwritten_records() {
    let words = words(4);
    let ring = Ring::new(&words).unwrap();
    for number in 0..4 {
        ring.publish(&[number; 6]);
    }
    let mut cursor = Cursor::at(0);
    let mut seen = Vec::new();
    cursor.poll(&ring, false, |ticket, _| {
        if seen.is_empty() {
            for number in 4..8 {
                ring.publish(&[number; 6]);
            }
        }
        seen.push(ticket);
    });
    assert_eq!(seen, [0]);
    assert_eq!(
        cursor.account(),
        Account {
            delivered: 1,
            overwritten: 3,
            ..Account::default()
        }
    );
}

#[test]
fn the_place_of_a_ticket_is_that_of_its_slot() {
    let words = words(4);
    let ring = Ring::new(&words).unwrap();
    for ticket in 0..9 {
        let place = ring.place_of(ticket).unwrap();
        let slot = RING_HEADER_WORDS + ticket as usize % 4 * SLOT_WORDS;
        assert!(std::ptr::eq(place, &words[slot]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: if cfg!(miri) { 3 } else { 256 },
        ..ProptestConfig::default()
    })]

    /// Writers that find the slot held say so in any order: each lap among the last sixteen is told apart,
    /// older ones are not known any more, and newer ones may still be at work.
    #[test]
    fn writers_may_give_up_in_any_order(laps in prop::collection::vec(1_u64..48, 1..if cfg!(miri) { 6 } else { 40 })) {
        let words = words(1);
        let ring = Ring::new(&words).unwrap();
        // Stopped in the middle, and holds the slot for good.
        prop_assert_eq!(ring.claim_and_stop(), 0);
        let mut marked = BTreeSet::new();
        let mut newest = 0;
        for lap in laps {
            words[HEAD].store(lap, Relaxed);
            prop_assert_eq!(ring.publish(&[0; 6]), Publish::Dropped(lap));
            if lap > newest {
                newest = lap;
                marked.retain(|other| newest - other < LAPS_KEPT);
            }
            if newest - lap < LAPS_KEPT {
                marked.insert(lap);
            }
            for ticket in 1..newest + 20 {
                let expected = if ticket > newest {
                    one(|of| &mut of.in_flight)
                } else if newest - ticket >= LAPS_KEPT {
                    one(|of| &mut of.overwritten)
                } else if marked.contains(&ticket) {
                    one(|of| &mut of.dropped)
                } else {
                    one(|of| &mut of.in_flight)
                };
                prop_assert_eq!(class(&words, &ring, ticket), expected, "lap {}", ticket);
            }
        }
    }
}
