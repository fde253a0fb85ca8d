//! Every interleaving, and every value that the memory model allows a load to see, of the shared
//! memory protocols at small sizes.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p riptide-region --test loom --release --target-dir target/loom`
//!
//! Each model was seen to fail with every ordering and check of its protocol taken out, one by one
//! (but for the Release in `ModuleTable::append`, which the fence inside the record already gives).
//!
//! Writers run first and readers are spawned: loom 0.7 overlooks a reader's load when the writer
//! loads that word itself before it stores, unless the writer's run comes first. What loom cannot
//! see at all: it keeps two stores to one word in the order in which they ran, so the Acquire of the
//! ring's claim (it orders the words of two writers of one slot) rests on the argument in
//! `Slot::claim` alone.
#![cfg(loom)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;

use loom::{
    model::Builder,
    sync::{
        Arc,
        atomic::{AtomicU64 as LoomU64, Ordering::*},
    },
    thread,
};
use riptide_region::{
    header::{self, Header, MAGIC, State},
    live_table::{LiveBlock, LiveTable, Slot},
    module_table::{ENTRY_WORDS as MODULE_WORDS, MODULES_HEADER_WORDS, Module, ModuleTable},
    primitive::AtomicU64,
    ring::{Account, Cursor, Payload, Publish, RING_HEADER_WORDS, Ring, SLOT_WORDS},
    seqlock::{self, Read},
    stack_table::{
        ENTRIES_HEADER_WORDS, ENTRY_WORDS as STACK_WORDS, Interned, MAX_FRAMES, StackId,
        StackTable, Weight,
    },
};

#[path = "loom/allocator.rs"]
mod allocator;

fn words(count: usize) -> Arc<Vec<AtomicU64>> {
    Arc::new((0..count).map(|_| AtomicU64::new(0)).collect())
}

fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 100_000;
    builder.check(body);
}

// ---- ring ------------------------------------------------------------------------------------

fn ring_words(capacity: usize) -> Arc<Vec<AtomicU64>> {
    words(RING_HEADER_WORDS + capacity * SLOT_WORDS)
}

/// A record that says who wrote it, in every word.
fn record(writer: u64, number: u64) -> Payload {
    let seed = writer << 32 | number;
    let mut payload = [seed; 6];
    for (place, word) in payload.iter_mut().enumerate().skip(1) {
        *word = seed.wrapping_mul(2 * place as u64 + 1);
    }
    payload
}

/// What one writer did, known without the ring.
#[derive(Default)]
struct Witness {
    published: Vec<(u64, Payload)>,
    dropped: Vec<u64>,
    stopped: Vec<u64>,
}

impl Witness {
    fn note(&mut self, outcome: Publish, payload: Payload) {
        match outcome {
            Publish::Published(ticket) => self.published.push((ticket, payload)),
            Publish::Dropped(ticket) => self.dropped.push(ticket),
        }
    }
}

fn writer(words: &[AtomicU64], id: u64, records: u64) -> Witness {
    let ring = Ring::new(words).unwrap();
    let mut witness = Witness::default();
    for number in 0..records {
        let payload = record(id, number);
        witness.note(ring.publish(&payload), payload);
    }
    witness
}

/// A reader's cursor with what it was handed.
struct Reader {
    cursor: Cursor,
    delivered: BTreeMap<u64, Payload>,
}

impl Reader {
    fn new() -> Self {
        Self {
            cursor: Cursor::at(0),
            delivered: BTreeMap::new(),
        }
    }

    fn poll(&mut self, ring: &Ring<'_>, writers_gone: bool) {
        let delivered = &mut self.delivered;
        self.cursor.poll(ring, writers_gone, |ticket, payload| {
            assert!(
                delivered.insert(ticket, *payload).is_none(),
                "ticket {ticket} was delivered twice"
            );
        });
    }

    /// Settles the account against the witnesses, once all writers are gone.
    fn settle(mut self, words: &[AtomicU64], witnesses: &[Witness]) -> Account {
        let ring = Ring::new(words).unwrap();
        self.poll(&ring, true);
        let account = self.cursor.account();
        assert_eq!(account.in_flight, 0);
        assert_eq!(account.delivered, self.delivered.len() as u64);
        assert_eq!(
            ring.head(),
            account.delivered + account.overwritten + account.dropped + account.torn,
            "{account:?}"
        );
        let published: BTreeMap<u64, Payload> = witnesses
            .iter()
            .flat_map(|witness| witness.published.iter().copied())
            .collect();
        let dropped: Vec<u64> = witnesses
            .iter()
            .flat_map(|witness| witness.dropped.iter().copied())
            .collect();
        let stopped = witnesses
            .iter()
            .map(|witness| witness.stopped.len())
            .sum::<usize>();
        assert_eq!(ring.dropped(), dropped.len() as u64);
        assert_eq!(
            ring.head() as usize,
            published.len() + dropped.len() + stopped
        );
        for (ticket, payload) in &self.delivered {
            // Not torn, not another ticket's, and of a writer that says that it published it.
            assert_eq!(published.get(ticket), Some(payload), "ticket {ticket}");
        }
        assert!(
            account.dropped <= dropped.len() as u64,
            "{account:?}: only {dropped:?} were given up"
        );
        assert!(
            account.torn as usize <= stopped,
            "{account:?}: only {stopped} were never finished"
        );
        account
    }
}

/// Two writers and a reader that polls meanwhile, each on its own; then the account is settled.
fn ring_race(capacity: usize, records: [u64; 2], polls: usize, preemptions: usize) {
    model(preemptions, move || {
        let words = ring_words(capacity);
        let other = {
            let words = words.clone();
            thread::spawn(move || writer(&words, 1, records[1]))
        };
        let reading = {
            let words = words.clone();
            thread::spawn(move || {
                let ring = Ring::new(&words).unwrap();
                let mut reader = Reader::new();
                for _ in 0..polls {
                    reader.poll(&ring, false);
                }
                reader
            })
        };
        let witness = writer(&words, 0, records[0]);
        let witnesses = [witness, other.join().unwrap()];
        reading.join().unwrap().settle(&words, &witnesses);
    });
}

#[test]
fn ring_of_one_slot_wraps_under_a_reader() {
    ring_race(1, [2, 1], 1, 2);
}

#[test]
fn ring_of_one_slot_with_a_reader_that_looks_again() {
    ring_race(1, [1, 1], 2, 2);
}

#[test]
fn ring_of_two_slots_wraps_under_a_reader() {
    ring_race(2, [2, 1], 1, 2);
}

/// A writer stops in the middle of the only slot; the other must neither wait nor write there, and
/// nothing torn is handed out.
#[test]
fn ring_survives_a_writer_that_stops() {
    model(3, || {
        let words = ring_words(1);
        let stopping = {
            let words = words.clone();
            thread::spawn(move || {
                let mut witness = writer(&words, 1, 1);
                let ring = Ring::new(&words).unwrap();
                witness.stopped.push(ring.claim_and_stop());
                witness
            })
        };
        let reading = {
            let words = words.clone();
            thread::spawn(move || {
                let ring = Ring::new(&words).unwrap();
                let mut reader = Reader::new();
                reader.poll(&ring, false);
                reader
            })
        };
        let witness = writer(&words, 0, 1);
        let witnesses = [witness, stopping.join().unwrap()];
        reading.join().unwrap().settle(&words, &witnesses);
    });
}

/// One slot held by a stopped writer costs one record a lap, the other slots go on.
#[test]
fn ring_loses_one_record_a_lap_to_a_stopped_writer() {
    model(2, || {
        let words = ring_words(2);
        let ring = Ring::new(&words).unwrap();
        let mut stopped = Witness::default();
        stopped.stopped.push(ring.claim_and_stop());
        let other = {
            let words = words.clone();
            thread::spawn(move || writer(&words, 1, 2))
        };
        let witness = writer(&words, 0, 2);
        let witnesses = [witness, other.join().unwrap(), stopped];
        // Tickets 0 (stopped), 2 and 4 are of one slot, 1 and 3 of the other.
        for ticket in [2, 4] {
            assert!(
                witnesses
                    .iter()
                    .any(|writer| writer.dropped.contains(&ticket))
            );
        }
        let lapped = ring.dropped() - 2;
        let account = Reader::new().settle(&words, &witnesses);
        // This reader comes too late for the first three. Of the last two, 4 met the stopped writer;
        // 3 is there unless it met 1.
        assert_eq!((account.overwritten, account.torn), (3, 0));
        assert!(lapped <= 1);
        assert!(account.delivered == 1 && account.dropped == 1 || lapped == 1);
    });
}

/// A slot lapped while its writer is slow: the slow record is in flight, not lost, until something
/// newer lies in its slot.
#[test]
fn ring_does_not_count_a_slow_writer_as_dropped() {
    model(3, || {
        let words = ring_words(1);
        let other = {
            let words = words.clone();
            thread::spawn(move || writer(&words, 1, 1))
        };
        let witness = writer(&words, 0, 1);
        let ring = Ring::new(&words).unwrap();
        let mut reader = Reader::new();
        // Polls while the other writer is anywhere.
        reader.poll(&ring, false);
        reader.poll(&ring, false);
        let witnesses = [witness, other.join().unwrap()];
        reader.settle(&words, &witnesses);
    });
}

// ---- seqlock and live table -------------------------------------------------------------------

fn block(seed: u64) -> LiveBlock {
    LiveBlock {
        address: seed,
        size: seed * 3,
        align_log2: seed as u8,
        stack: StackId(seed as u32 * 5),
        thread: seed as u32 * 7,
        interval: seed * 11,
        birth_ns: seed * 13,
        number: seed * 17,
    }
}

#[test]
fn seqlock_never_mixes_two_payloads() {
    model(3, || {
        let words = words(4);
        let reader = {
            let words = words.clone();
            thread::spawn(move || match seqlock::read::<3>(&words) {
                Read::Whole(payload) => {
                    assert!(
                        payload.iter().all(|word| *word == payload[0]),
                        "{payload:?}"
                    );
                }
                Read::Torn => {}
            })
        };
        seqlock::write(&words, &[1, 1, 1]);
        seqlock::write(&words, &[2, 2, 2]);
        reader.join().unwrap();
        assert_eq!(seqlock::read::<3>(&words), Read::Whole([2, 2, 2]));
    });
}

/// Two looks never go back in time.
#[test]
fn seqlock_is_seen_in_order() {
    model(2, || {
        let words = words(3);
        let reader = {
            let words = words.clone();
            thread::spawn(move || {
                let mut last = 0;
                for _ in 0..2 {
                    if let Read::Whole([first, second]) = seqlock::read::<2>(&words) {
                        assert_eq!(first, second);
                        assert!(first >= last);
                        last = first;
                    }
                }
            })
        };
        seqlock::write(&words, &[1, 1]);
        seqlock::write(&words, &[2, 2]);
        reader.join().unwrap();
    });
}

fn read_live_slot(words: &Arc<Vec<AtomicU64>>) -> thread::JoinHandle<()> {
    let words = words.clone();
    thread::spawn(move || match LiveTable::new(&words).read(0) {
        Slot::Live(live) => assert_eq!(live, block(live.address)),
        Slot::Free | Slot::Torn => {}
    })
}

#[test]
fn live_slot_is_free_or_a_whole_block() {
    model(2, || {
        let words = words(8);
        let table = LiveTable::new(&words);
        table.publish(0, &block(1));
        let reader = read_live_slot(&words);
        table.clear(0);
        table.publish(0, &block(2));
        reader.join().unwrap();
        assert_eq!(table.read(0), Slot::Live(block(2)));
    });
}

/// The slot goes from one owner to the next through a private list (here: one word), as in the
/// allocator; the second owner goes on from the first one's sequence.
#[test]
fn live_slot_changes_hands() {
    model(2, || {
        let words = words(8);
        let table = LiveTable::new(&words);
        table.publish(0, &block(1));
        let list = Arc::new(LoomU64::new(0));
        let second = {
            let (words, list) = (words.clone(), list.clone());
            thread::spawn(move || {
                let owned = list.load(Acquire) == 1;
                if owned {
                    LiveTable::new(&words).publish(0, &block(2));
                }
                owned
            })
        };
        let reader = read_live_slot(&words);
        table.clear(0);
        list.store(1, Release);
        reader.join().unwrap();
        let last = if second.join().unwrap() {
            Slot::Live(block(2))
        } else {
            Slot::Free
        };
        assert_eq!(table.read(0), last);
    });
}

// ---- stack table -------------------------------------------------------------------------------

#[derive(Clone)]
struct Stacks {
    index: Arc<Vec<AtomicU64>>,
    entries: Arc<Vec<AtomicU64>>,
    frames: Arc<Vec<AtomicU64>>,
}

impl Stacks {
    fn new(index: usize, entries: usize, frames: usize) -> Self {
        Self {
            index: words(index),
            entries: words(ENTRIES_HEADER_WORDS + entries * STACK_WORDS),
            frames: words(frames),
        }
    }

    fn table(&self) -> StackTable<'_> {
        StackTable::new(&self.index, &self.entries, &self.frames).unwrap()
    }

    fn intern(&self, frames: &[u64]) -> Option<StackId> {
        match self.table().intern(frames, false, 7) {
            Interned::Id(id) => Some(id),
            Interned::Full => None,
        }
    }

    fn frames(&self, id: StackId) -> Option<Vec<u64>> {
        let mut into = [0; MAX_FRAMES];
        let (len, truncated) = self.table().frames(id, &mut into)?;
        assert!(!truncated);
        Some(into[..len].to_vec())
    }
}

/// Two writers intern one stack; a reader that is given the id finds the whole stack.
#[test]
fn equal_stacks_get_one_id_that_leads_to_whole_frames() {
    model(3, || {
        let stacks = Stacks::new(2, 2, 4);
        let given = Arc::new(LoomU64::new(0));
        let writer = {
            let (stacks, given) = (stacks.clone(), given.clone());
            thread::spawn(move || {
                let id = stacks.intern(&[10, 11]).unwrap();
                given.store(u64::from(id.0), Release);
                id
            })
        };
        let reader = {
            let (stacks, given) = (stacks.clone(), given.clone());
            thread::spawn(move || {
                let id = given.load(Acquire) as u32;
                if id != 0 {
                    assert_eq!(stacks.frames(StackId(id)), Some(vec![10, 11]));
                }
            })
        };
        let mine = stacks.intern(&[10, 11]).unwrap();
        assert_eq!(stacks.frames(mine), Some(vec![10, 11]));
        reader.join().unwrap();
        assert_eq!(writer.join().unwrap(), mine);
    });
}

/// A writer that finds another's entry in the index sees it whole at once: its hash, or it would
/// make a second entry, and its frames.
#[test]
fn different_stacks_get_different_ids() {
    model(3, || {
        let stacks = Stacks::new(2, 3, 8);
        let other = {
            let stacks = stacks.clone();
            thread::spawn(move || {
                let id = stacks.intern(&[20]).unwrap();
                assert_eq!(stacks.frames(id), Some(vec![20]));
                (id, stacks.intern(&[10, 11]).unwrap())
            })
        };
        let mine = stacks.intern(&[10, 11]).unwrap();
        assert_eq!(stacks.frames(mine), Some(vec![10, 11]));
        let (theirs, same) = other.join().unwrap();
        assert_eq!(same, mine);
        assert_ne!(theirs, mine);
        assert_eq!(stacks.frames(theirs), Some(vec![20]));
    });
}

/// A reader that walks all ids meets whole stacks or none.
#[test]
fn a_walk_over_all_ids_meets_whole_stacks() {
    model(3, || {
        let stacks = Stacks::new(4, 2, 4);
        let writers: Vec<_> = [[10_u64, 11], [20, 21]]
            .into_iter()
            .map(|stack| {
                let stacks = stacks.clone();
                thread::spawn(move || stacks.intern(&stack).unwrap())
            })
            .collect();
        for id in 1..=stacks.table().len() as u32 {
            if let Some(frames) = stacks.frames(StackId(id)) {
                assert!(frames == [10, 11] || frames == [20, 21], "{frames:?}");
                let totals = stacks.table().totals(StackId(id)).unwrap();
                assert_eq!(totals.first_seen_ns, 7);
            }
        }
        for writer in writers {
            writer.join().unwrap();
        }
        assert_eq!(stacks.table().len(), 2);
    });
}

/// With room for one stack only, exactly one of two gets it and the other is told so.
#[test]
fn a_full_stack_table_says_so() {
    model(3, || {
        let stacks = Stacks::new(2, 1, 4);
        let other = {
            let stacks = stacks.clone();
            thread::spawn(move || stacks.intern(&[20]))
        };
        let mine = stacks.intern(&[10]);
        let theirs = other.join().unwrap();
        assert_ne!(mine.is_some(), theirs.is_some());
        let (id, frames) = mine.map_or((theirs, vec![20]), |id| (Some(id), vec![10]));
        assert_eq!(stacks.frames(id.unwrap()), Some(frames));
    });
}

/// Totals added by two threads are exact, floats included.
#[test]
fn totals_add_up() {
    model(3, || {
        let stacks = Stacks::new(2, 1, 2);
        let id = stacks.intern(&[10]).unwrap();
        let weight = Weight {
            size: 8,
            probability: 0.5,
        };
        let other = {
            let stacks = stacks.clone();
            thread::spawn(move || stacks.table().add_allocation(id, weight, 9))
        };
        stacks.table().add_allocation(id, weight, 9);
        other.join().unwrap();
        let totals = stacks.table().totals(id).unwrap();
        assert_eq!((totals.samples, totals.sampled_bytes), (2, 16));
        assert_eq!((totals.objects, totals.bytes), (4.0, 32.0));
        assert_eq!(
            (totals.objects_variance, totals.bytes_variance),
            (4.0, 256.0)
        );
    });
}

// ---- module table ------------------------------------------------------------------------------

#[test]
fn appended_modules_are_whole() {
    model(2, || {
        let words = words(MODULES_HEADER_WORDS + 2 * MODULE_WORDS);
        let module = |start: u64| {
            let mut module = Module::default();
            module.text_start = start;
            module.text_end = start + 1;
            module.bias = start + 2;
            module
        };
        let reader = {
            let words = words.clone();
            thread::spawn(move || {
                let table = ModuleTable::new(&words).unwrap();
                for index in 0..table.len() {
                    let entry = table.read(index).unwrap();
                    assert_eq!(entry, module((index as u64 + 1) * 100));
                }
            })
        };
        let table = ModuleTable::new(&words).unwrap();
        assert!(table.append(&module(100)));
        assert!(table.append(&module(200)));
        assert!(!table.append(&module(300)));
        reader.join().unwrap();
        assert_eq!(table.len(), 2);
    });
}

// ---- header ------------------------------------------------------------------------------------

#[test]
fn a_region_that_says_magic_has_its_header() {
    model(3, || {
        let words = words(header::HEADER_BYTES / 8 + 1);
        let section = header::HEADER_BYTES / 8;
        let reader = {
            let words = words.clone();
            thread::spawn(move || match header::magic(&words) {
                Some(0) => {}
                Some(magic) => {
                    assert_eq!(magic, MAGIC);
                    assert_eq!(header::state(&words), State::Ready);
                    let header = Header::read(&words).unwrap();
                    assert_eq!((header.pid, header.nonce), (77, 99));
                    assert_eq!(words[section].load(Relaxed), 55);
                }
                None => unreachable!(),
            })
        };
        let header = Header {
            pid: 77,
            nonce: 99,
            ..bytemuck::Zeroable::zeroed()
        };
        assert!(header.write(&words));
        words[section].store(55, Relaxed);
        header::open(&words);
        reader.join().unwrap();
    });
}
