//! The ring under real threads: each writer keeps its own account outside the ring, readers follow
//! meanwhile, and at the end both accounts must agree ticket by ticket.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use riptide_region::{
    primitive::AtomicU64,
    ring::{Account, Cursor, Payload, Publish, RING_HEADER_WORDS, Ring, SLOT_WORDS},
};

const WRITERS: u64 = 4;

/// A record that names its writer and its number, sealed by a checksum.
fn record(writer: u64, number: u64) -> Payload {
    let mut payload = [
        writer,
        number,
        !number,
        writer.rotate_left(32) ^ number,
        0,
        0,
    ];
    payload[5] = checksum(&payload);
    payload
}

fn checksum(payload: &Payload) -> u64 {
    payload[..5]
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |state, word| {
            (state ^ word)
                .wrapping_mul(0x0100_0000_01b3)
                .rotate_left(23)
        })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Published,
    Dropped,
    Stopped,
}

/// What one writer knows: the fate of each of its tickets, in order; the index is the number of
/// the record.
type Witness = Vec<(u64, Fate)>;

fn write(ring: &Ring<'_>, writer: u64, records: u64, stop_each: u64) -> Witness {
    (0..records)
        .map(|number| {
            if stop_each > 0 && number % stop_each == stop_each - 1 {
                return (ring.claim_and_stop(), Fate::Stopped);
            }
            match ring.publish(&record(writer, number)) {
                Publish::Published(ticket) => (ticket, Fate::Published),
                Publish::Dropped(ticket) => (ticket, Fate::Dropped),
            }
        })
        .collect()
}

struct Seen {
    account: Account,
    /// Ticket → (writer, number).
    delivered: BTreeMap<u64, (u64, u64)>,
}

fn follow(ring: &Ring<'_>, mut cursor: Cursor, done: &AtomicBool) -> Seen {
    let mut delivered = BTreeMap::new();
    loop {
        // Acquire: pairs with the Release of the thread that joined all writers.
        let writers_gone = done.load(Ordering::Acquire);
        cursor.poll(ring, writers_gone, |ticket, payload| {
            assert_eq!(payload[5], checksum(payload), "torn: {payload:?}");
            let twice = delivered.insert(ticket, (payload[0], payload[1]));
            assert!(twice.is_none(), "ticket {ticket} was delivered twice");
        });
        if writers_gone {
            break;
        }
        thread::yield_now();
    }
    Seen {
        account: cursor.account(),
        delivered,
    }
}

fn stress(capacity: usize, records: u64, stop_each: u64) {
    let (capacity, records) = if cfg!(miri) {
        (capacity.min(16), records / 5_000)
    } else {
        (capacity, records)
    };
    let words: Vec<AtomicU64> = (0..RING_HEADER_WORDS + capacity * SLOT_WORDS)
        .map(|_| AtomicU64::new(0))
        .collect();
    let ring = Ring::new(&words).unwrap();
    let done = AtomicBool::new(false);
    let running = AtomicUsize::new(WRITERS as usize);
    let (witnesses, readers) = thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| follow(&ring, Cursor::at(0), &done)))
            .collect();
        let running = &running;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn(move || {
                    // All at once, so that they meet.
                    running.fetch_sub(1, Ordering::AcqRel);
                    while running.load(Ordering::Acquire) > 0 {
                        thread::yield_now();
                    }
                    write(&ring, writer, records, stop_each)
                })
            })
            .collect();
        let witnesses: Vec<Witness> = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .collect();
        done.store(true, Ordering::Release);
        let readers: Vec<Seen> = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .collect();
        (witnesses, readers)
    });

    let mut fates = BTreeMap::new();
    for (writer, witness) in witnesses.iter().enumerate() {
        for (number, (ticket, fate)) in witness.iter().enumerate() {
            let twice = fates.insert(*ticket, (writer as u64, number as u64, *fate));
            assert!(twice.is_none(), "ticket {ticket} was drawn twice");
        }
    }
    // Dense tickets: what the writers know adds up to the head.
    assert_eq!(fates.len() as u64, ring.head());
    assert_eq!(fates.last_key_value().unwrap().0 + 1, ring.head());
    let count = |fate| {
        fates
            .values()
            .filter(|(_, _, other)| *other == fate)
            .count() as u64
    };
    let (dropped, stopped) = (count(Fate::Dropped), count(Fate::Stopped));
    assert_eq!(ring.dropped(), dropped);

    for seen in &readers {
        let account = seen.account;
        assert_eq!(account.in_flight, 0);
        assert_eq!(
            ring.head(),
            account.delivered + account.overwritten + account.dropped + account.torn
        );
        assert_eq!(account.delivered, seen.delivered.len() as u64);
        assert!(
            account.dropped <= dropped,
            "{account:?}, {dropped} given up"
        );
        assert!(
            account.torn <= stopped,
            "{account:?}, {stopped} never finished"
        );
        for (ticket, (writer, number)) in &seen.delivered {
            assert_eq!(fates[ticket], (*writer, *number, Fate::Published));
        }
        // Gaps by writer: what is missing of each is what was lost in all.
        let mut missing = 0;
        for (writer, witness) in witnesses.iter().enumerate() {
            let mut numbers = seen
                .delivered
                .values()
                .filter(|(from, _)| *from == writer as u64)
                .map(|(_, number)| *number);
            let mut expected = 0;
            for number in numbers.by_ref() {
                assert!(number >= expected, "writer {writer} went back to {number}");
                missing += number - expected;
                expected = number + 1;
            }
            missing += witness.len() as u64 - expected;
        }
        assert_eq!(
            missing,
            account.overwritten + account.dropped + account.torn
        );
    }

    // What is still in the ring, read with nobody about, is known ticket by ticket.
    let mut cursor = Cursor::oldest(&ring);
    let mut delivered = BTreeMap::new();
    cursor.poll(&ring, true, |ticket, payload| {
        delivered.insert(ticket, (payload[0], payload[1], Fate::Published));
    });
    let account = cursor.account();
    let last: Vec<_> = fates.range(cursor.start()..).collect();
    let last_of = |fate| last.iter().filter(|(_, other)| other.2 == fate).count() as u64;
    assert_eq!(
        account,
        Account {
            delivered: last_of(Fate::Published),
            overwritten: 0,
            dropped: last_of(Fate::Dropped),
            torn: last_of(Fate::Stopped),
            in_flight: 0
        }
    );
    for (ticket, record) in delivered {
        assert_eq!(fates[&ticket], record);
    }
    println!(
        "capacity {capacity}: {} tickets, {dropped} given up, {stopped} never finished, readers {:?}",
        ring.head(),
        readers.iter().map(|seen| seen.account).collect::<Vec<_>>()
    );
}

#[test]
fn writers_meet_in_one_slot() {
    stress(1, 200_000, 0);
}

#[test]
fn writers_lap_each_other_in_a_small_ring() {
    stress(8, 400_000, 0);
}

#[test]
fn readers_keep_up_with_a_large_ring() {
    stress(1 << 14, 400_000, 0);
}

#[test]
fn writers_that_stop_fill_the_ring_with_held_slots() {
    stress(256, 100_000, 1_500);
}
