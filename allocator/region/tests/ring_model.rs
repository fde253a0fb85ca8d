//! The ring against a model that keeps every record for ever: random sequences of records, writers
//! that stop in the middle and readers that poll, on one thread.
#![cfg(not(loom))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use riptide_region::{
    primitive::AtomicU64,
    ring::{Account, Cursor, Payload, Publish, RING_HEADER_WORDS, Ring, SLOT_WORDS},
};

/// Unfinished tickets that a cursor keeps aside, as FORMAT.md has it.
const PENDING_MAX: usize = 64;
/// Laps of a slot that the slot remembers, as FORMAT.md has it.
const LAPS_KEPT: u64 = 16;

#[derive(Clone, Debug)]
enum Step {
    Publish(u64),
    Stop,
    Attach(Place),
    Poll(usize),
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Beginning,
    Oldest,
    Head,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => any::<u64>().prop_map(Step::Publish),
        1 => Just(Step::Stop),
        1 => prop_oneof![
            Just(Place::Beginning),
            Just(Place::Oldest),
            Just(Place::Head)
        ]
        .prop_map(Step::Attach),
        3 => any::<usize>().prop_map(Step::Poll),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Published(Payload),
    Dropped,
    /// Drawn and never finished.
    Stopped,
}

/// What each ticket became, and who holds each slot.
#[derive(Default)]
struct Journal {
    capacity: u64,
    fates: Vec<Fate>,
    /// Newest ticket that got hold of a slot.
    holders: BTreeMap<u64, u64>,
    stuck: BTreeMap<u64, bool>,
    /// Newest ticket of each slot that was given up.
    newest_dropped: BTreeMap<u64, u64>,
}

impl Journal {
    fn draw(&mut self, payload: Option<Payload>) -> Fate {
        let ticket = self.fates.len() as u64;
        let slot = ticket % self.capacity;
        let stuck = self.stuck.entry(slot).or_default();
        let fate = match payload {
            Some(_) if *stuck => Fate::Dropped,
            Some(payload) => Fate::Published(payload),
            None => Fate::Stopped,
        };
        if !*stuck {
            self.holders.insert(slot, ticket);
        }
        *stuck |= payload.is_none();
        if fate == Fate::Dropped {
            self.newest_dropped.insert(slot, ticket);
        }
        self.fates.push(fate);
        fate
    }

    /// Whether the slot of a ticket has forgotten whether it was given up, and another holds it.
    fn has_forgotten(&self, ticket: u64) -> bool {
        let slot = ticket % self.capacity;
        self.holders[&slot] != ticket
            && self
                .newest_dropped
                .get(&slot)
                .is_some_and(|newest| *newest >= ticket + LAPS_KEPT * self.capacity)
    }
}

/// What a reader of the journal must see.
struct Watcher {
    next: u64,
    account: Account,
    pending: VecDeque<u64>,
}

impl Watcher {
    fn poll(&mut self, journal: &Journal, gone: bool) -> Vec<(u64, Payload)> {
        let head = journal.fates.len() as u64;
        let mut delivered = Vec::new();
        let waiting: Vec<u64> = self.pending.drain(..).collect();
        let lost = (head - self.next).saturating_sub(journal.capacity);
        self.account.overwritten += lost;
        let fresh = self.next + lost..head;
        self.next = head;
        for ticket in waiting.into_iter().chain(fresh) {
            match journal.fates[ticket as usize] {
                Fate::Published(payload) => {
                    if journal.holders[&(ticket % journal.capacity)] == ticket {
                        self.account.delivered += 1;
                        delivered.push((ticket, payload));
                    } else {
                        self.account.overwritten += 1;
                    }
                }
                _ if journal.has_forgotten(ticket) => self.account.overwritten += 1,
                Fate::Dropped => self.account.dropped += 1,
                Fate::Stopped if gone => self.account.torn += 1,
                Fate::Stopped => {
                    if self.pending.len() == PENDING_MAX {
                        self.pending.pop_front();
                        self.account.overwritten += 1;
                    }
                    self.pending.push_back(ticket);
                }
            }
        }
        self.account.in_flight = self.pending.len() as u64;
        delivered
    }
}

fn payload(seed: u64) -> Payload {
    std::array::from_fn(|place| seed.rotate_left(place as u32 * 7) ^ place as u64)
}

fn poll(cursor: &mut Cursor, ring: &Ring<'_>, gone: bool) -> Vec<(u64, Payload)> {
    let mut delivered = Vec::new();
    cursor.poll(ring, gone, |ticket, payload| {
        delivered.push((ticket, *payload));
    });
    delivered
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 2_000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn ring_does_what_the_model_does(
        capacity_log2 in 0_u32..=6,
        steps in prop::collection::vec(step(), 0..if cfg!(miri) { 60 } else { 400 }),
    ) {
        let capacity = 1_u64 << capacity_log2;
        let words: Vec<AtomicU64> = (0..RING_HEADER_WORDS + capacity as usize * SLOT_WORDS)
            .map(|_| AtomicU64::new(0))
            .collect();
        let ring = Ring::new(&words).unwrap();
        prop_assert_eq!(ring.capacity(), capacity);
        let mut journal = Journal { capacity, ..Journal::default() };
        let mut readers = Vec::new();
        let attach = |place, journal: &Journal, readers: &mut Vec<(Cursor, Watcher)>| {
            let head = journal.fates.len() as u64;
            let (cursor, next) = match place {
                Place::Beginning => (Cursor::at(0), 0),
                Place::Oldest => (Cursor::oldest(&ring), head.saturating_sub(capacity)),
                Place::Head => (Cursor::at(ring.head()), head),
            };
            let pending = VecDeque::new();
            readers.push((cursor, Watcher { next, account: Account::default(), pending }));
        };
        attach(Place::Beginning, &journal, &mut readers);
        for step in steps {
            match step {
                Step::Publish(seed) => {
                    let ticket = journal.fates.len() as u64;
                    let expected = match journal.draw(Some(payload(seed))) {
                        Fate::Dropped => Publish::Dropped(ticket),
                        _ => Publish::Published(ticket),
                    };
                    prop_assert_eq!(ring.publish(&payload(seed)), expected);
                }
                Step::Stop => {
                    journal.draw(None);
                    ring.claim_and_stop();
                }
                Step::Attach(place) if readers.len() < 8 => {
                    attach(place, &journal, &mut readers);
                }
                Step::Attach(_) => {}
                Step::Poll(reader) => {
                    let count = readers.len();
                    let (cursor, watcher) = &mut readers[reader % count];
                    prop_assert_eq!(poll(cursor, &ring, false), watcher.poll(&journal, false));
                    prop_assert_eq!(cursor.account(), watcher.account);
                }
            }
        }
        prop_assert_eq!(ring.head(), journal.fates.len() as u64);
        let dropped = journal.fates.iter().filter(|fate| **fate == Fate::Dropped).count();
        prop_assert_eq!(ring.dropped(), dropped as u64);
        for (mut cursor, mut watcher) in readers {
            prop_assert_eq!(poll(&mut cursor, &ring, true), watcher.poll(&journal, true));
            let account = cursor.account();
            prop_assert_eq!(account, watcher.account);
            prop_assert_eq!(account.in_flight, 0);
            prop_assert_eq!(
                ring.head() - cursor.start(),
                account.delivered + account.overwritten + account.dropped + account.torn
            );
            prop_assert_eq!(poll(&mut cursor, &ring, true), vec![]);
        }
    }
}

#[test]
fn a_ring_needs_a_power_of_two_of_whole_slots() {
    let words: Vec<AtomicU64> = (0..RING_HEADER_WORDS + 5 * SLOT_WORDS)
        .map(|_| AtomicU64::new(0))
        .collect();
    for len in 0..=words.len() {
        let slots = len.saturating_sub(RING_HEADER_WORDS);
        let whole = slots.is_multiple_of(SLOT_WORDS) && (slots / SLOT_WORDS).is_power_of_two();
        assert_eq!(Ring::new(&words[..len]).is_some(), whole, "{len} words");
    }
}

/// A drop mark reaches a writer's own ticket even when later tickets of the slot were given up too.
#[test]
fn drops_of_many_laps_are_told_apart() {
    let words: Vec<AtomicU64> = (0..RING_HEADER_WORDS + SLOT_WORDS)
        .map(|_| AtomicU64::new(0))
        .collect();
    let ring = Ring::new(&words).unwrap();
    ring.claim_and_stop();
    let mut reader = Cursor::at(0);
    reader.poll(&ring, false, |_, _| {});
    assert_eq!(reader.account().in_flight, 1);
    for _ in 0..200 {
        assert!(matches!(ring.publish(&[0; 6]), Publish::Dropped(_)));
        reader.poll(&ring, false, |_, _| {});
    }
    reader.poll(&ring, true, |_, _| {});
    let account = reader.account();
    assert_eq!((account.dropped, account.torn), (200, 1));
}

/// A slot that was held for many laps forgets the oldest; those count as overwritten, not as torn.
#[test]
fn what_a_slot_has_forgotten_is_not_torn() {
    let words: Vec<AtomicU64> = (0..RING_HEADER_WORDS + SLOT_WORDS)
        .map(|_| AtomicU64::new(0))
        .collect();
    let ring = Ring::new(&words).unwrap();
    let mut reader = Cursor::at(0);
    ring.claim_and_stop();
    reader.poll(&ring, false, |_, _| {});
    // Drawn on the held slot, and its writer stopped as well.
    ring.claim_and_stop();
    reader.poll(&ring, false, |_, _| {});
    assert_eq!(reader.account().in_flight, 2);
    for lap in 0..LAPS_KEPT {
        assert_eq!(reader.account().in_flight, 2, "after {lap} laps");
        ring.publish(&[0; 6]);
        reader.poll(&ring, false, |_, _| {});
    }
    assert_eq!(reader.account().in_flight, 1);
    reader.poll(&ring, true, |_, _| {});
    let account = reader.account();
    assert_eq!(
        (account.dropped, account.overwritten, account.torn),
        (LAPS_KEPT, 1, 1)
    );
}
