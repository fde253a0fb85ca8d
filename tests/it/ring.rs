//! The ring's ticket equation against accounts that its writers keep outside the region, also when
//! the writers are killed at a random moment.

use std::{path::Path, process::Stdio, thread, time::Duration};

use riptide_region::{
    counters::{Counter, Gauge, Marking},
    header::{State, set_state},
    live_table::Slot,
    primitive::AtomicU64,
    ring::{Account, Cursor},
    stack_table::StackId,
    view::View,
};
use riptide_tests::{
    journal::{Fate, WRITERS, Witness, read_record},
    shared::SharedWords,
    victim::Numbers,
};

use crate::harness::{Directory, clean_command, long, program, seed};

/// The words of a region file as they are now.
pub(crate) fn copy_of(path: &Path) -> Vec<AtomicU64> {
    let bytes = std::fs::read(path).unwrap();
    bytes
        .chunks_exact(8)
        .map(|word| AtomicU64::new(u64::from_le_bytes(word.try_into().unwrap())))
        .collect()
}

/// How a region's target tells sampled blocks from others.
pub(crate) fn marking(path: &Path) -> Marking {
    let words = copy_of(path);
    let view = View::open(&words).unwrap();
    Marking::from_word(view.counters.gauge(Gauge::Marking))
}

/// Asserts that the books of a region at rest balance: what the stacks say was allocated, less what
/// they say was freed, is what lies in the live table, and each of it has its event.
pub(crate) fn assert_books_balance(path: &Path) {
    let words = copy_of(path);
    let view = View::open(&words).unwrap();
    let (mut allocated, mut freed) = ((0, 0), (0, 0));
    let mut lifetimes = 0;
    for id in 1..=view.stacks.len() as u32 {
        let Some(totals) = view.stacks.totals(StackId(id)) else {
            continue;
        };
        allocated.0 += totals.samples;
        allocated.1 += totals.sampled_bytes;
        freed.0 += totals.freed_samples;
        freed.1 += totals.freed_sampled_bytes;
        lifetimes += totals.lifetimes.iter().sum::<u64>();
        assert!(totals.freed_samples <= totals.samples);
        assert!(totals.freed_sampled_bytes <= totals.sampled_bytes);
    }
    let mut live = (0, 0);
    for index in 0..view.live.capacity() {
        if let Slot::Live(block) = view.live.read(index) {
            live.0 += 1;
            live.1 += block.size;
        }
    }
    let counter = |counter| view.counters.get(counter);
    let (samples, frees) = (counter(Counter::Samples), counter(Counter::Frees));
    assert_eq!(samples - frees, live.0, "{samples} samples, {frees} frees");
    let events: u64 = view.rings().map(|ring| ring.head()).sum();
    assert_eq!(events, samples + frees);
    // Samples without a stack are in no stack's books.
    let without_stack = counter(Counter::StackTableFull) + counter(Counter::FailedUnwind);
    assert_eq!(allocated.0 + without_stack, samples);
    // The rest was taken over by `realloc`.
    assert!(
        lifetimes <= freed.0,
        "{lifetimes} lifetimes, {} freed",
        freed.0
    );
    if without_stack == 0 {
        assert_eq!(freed.0, frees);
        assert_eq!(allocated.1 - freed.1, live.1);
    }
}

/// How often the fullest ring of a region went round.
pub(crate) fn laps(path: &Path) -> f64 {
    let words = copy_of(path);
    let view = View::open(&words).unwrap();
    view.rings()
        .map(|ring| ring.head() as f64 / ring.capacity() as f64)
        .fold(0.0, f64::max)
}

/// Reads a region of the real allocator after its death; returns how many records are torn.
pub(crate) fn settle_real_region(path: &Path) -> u64 {
    let words = copy_of(path);
    let view = View::open(&words).unwrap();
    let mut torn = 0;
    for (shard, ring) in view.rings().enumerate() {
        let mut cursor = Cursor::at(0);
        let mut last = None;
        cursor.poll(&ring, true, |ticket, payload| {
            assert!(
                last < Some(ticket),
                "shard {shard}: {ticket} after {last:?}"
            );
            last = Some(ticket);
            let event = riptide_region::event::Event::decode(payload);
            assert!(event.is_some(), "shard {shard}: {payload:?}");
        });
        let account = cursor.account();
        assert_eq!(account.in_flight, 0);
        assert_eq!(ring.head(), sum(&account), "shard {shard}: {account:?}");
        // Four threads and the main thread: each can have been in the middle of one record.
        assert!(account.torn <= 5, "shard {shard}: {account:?}");
        torn += account.torn;
    }
    torn
}

fn sum(account: &Account) -> u64 {
    account.delivered + account.overwritten + account.dropped + account.torn
}

/// What a reader saw of one shard.
struct Seen {
    cursor: Cursor,
    /// (ticket, writer, number), in the order of delivery.
    records: Vec<(u64, usize, usize)>,
}

impl Seen {
    fn new() -> Self {
        Self {
            cursor: Cursor::at(0),
            records: Vec::new(),
        }
    }

    fn poll(&mut self, ring: &riptide_region::ring::Ring<'_>, writers_gone: bool) {
        let records = &mut self.records;
        self.cursor.poll(ring, writers_gone, |ticket, payload| {
            let (writer, number) = read_record(payload)
                .unwrap_or_else(|| panic!("ticket {ticket} is torn: {payload:?}"));
            records.push((ticket, writer, number));
        });
    }
}

/// One life: writers start, a reader follows, SIGKILL after `pause`, the accounts are compared.
fn killed_after(pause: Duration, follow: bool) -> [u64; 4] {
    let directory = Directory::new();
    let (region, witness) = (
        directory.path().join("region"),
        directory.path().join("witness"),
    );
    let mut child = clean_command(&program("victim-ring"))
        .arg(&region)
        .arg(&witness)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert_eq!(line, "writing\n");

    let words = SharedWords::open(&region).unwrap();
    let view = View::open(words.words()).unwrap();
    let rings: Vec<_> = view.rings().take(2).collect();
    let mut followers: Vec<Seen> = rings.iter().map(|_| Seen::new()).collect();
    let end = std::time::Instant::now() + pause;
    while std::time::Instant::now() < end {
        if follow {
            for (seen, ring) in followers.iter_mut().zip(&rings) {
                seen.poll(ring, false);
            }
        } else {
            thread::sleep(Duration::from_micros(50));
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();

    // A second reader that comes after the death.
    let words_of_witness = SharedWords::open(&witness).unwrap();
    let witnesses: Vec<Witness<'_>> = (0..WRITERS)
        .map(|writer| Witness::new(words_of_witness.words(), writer).unwrap())
        .collect();
    let mut totals = [0; 4];
    for (shard, ring) in rings.iter().enumerate() {
        let writers: Vec<usize> = (0..WRITERS).filter(|writer| writer % 2 == shard).collect();
        let mut late = Seen::new();
        late.poll(ring, true);
        let follower = &mut followers[shard];
        follower.poll(ring, true);
        for (name, seen) in [("late", &late), ("follower", &*follower)] {
            let account = seen.cursor.account();
            let context = format!("{name}, shard {shard}, killed after {pause:?}: {account:?}");
            compare(ring, seen, &witnesses, &writers, &context);
        }
        let account = follower.cursor.account();
        totals[0] += account.delivered;
        totals[1] += account.overwritten;
        totals[2] += account.dropped;
        totals[3] += account.torn;
    }
    // Nobody closed the region.
    assert_eq!(view.state(), State::Ready);
    set_state(words.words(), State::Exited);
    totals
}

fn compare(
    ring: &riptide_region::ring::Ring<'_>,
    seen: &Seen,
    witnesses: &[Witness<'_>],
    writers: &[usize],
    context: &str,
) {
    let account = seen.cursor.account();
    assert_eq!(account.in_flight, 0, "{context}");
    assert_eq!(ring.head(), sum(&account), "{context}");

    // The writers' own account, and how far it is open: each died in at most one record.
    let (mut published, mut dropped, mut begun, mut ended) = (0, 0, 0, 0);
    for writer in writers {
        let witness = &witnesses[*writer];
        let fates: Vec<Fate> = witness.fates().collect();
        begun += witness.begun() as u64;
        ended += fates.len() as u64;
        assert!(witness.begun() - fates.len() <= 1, "{context}");
        for fate in fates {
            match fate {
                Fate::Published(_) => published += 1,
                Fate::Dropped(_) => dropped += 1,
            }
        }
    }
    let open = begun - ended;
    let drawn = published + dropped;
    assert!((drawn..=drawn + open).contains(&ring.head()), "{context}");
    assert!(
        (dropped..=dropped + open).contains(&ring.dropped()),
        "{context}"
    );
    assert!(account.dropped <= dropped + open, "{context}");
    assert!(account.torn <= open, "{context}");

    // Every record that was handed over is the one that its writer says it published.
    let mut tickets: Vec<u64> = seen.records.iter().map(|record| record.0).collect();
    tickets.sort_unstable();
    assert!(
        tickets.windows(2).all(|pair| pair[0] < pair[1]),
        "{context}: twice"
    );
    let fates: Vec<Vec<Fate>> = witnesses
        .iter()
        .map(|witness| witness.fates().collect())
        .collect();
    for (ticket, writer, number) in &seen.records {
        match fates[*writer].get(*number) {
            Some(fate) => assert_eq!(*fate, Fate::Published(*ticket), "{context}"),
            None => assert_eq!(*number + 1, witnesses[*writer].begun(), "{context}"),
        }
    }

    // Gaps by writer add up to what the reader says was lost.
    let mut missing = 0;
    for writer in writers {
        let mut numbers: Vec<usize> = seen
            .records
            .iter()
            .filter(|record| record.1 == *writer)
            .map(|record| record.2)
            .collect();
        numbers.sort_unstable();
        let kept = numbers.len();
        numbers.dedup();
        assert_eq!(numbers.len(), kept, "{context}: a number twice");
        missing += (witnesses[*writer].begun() - kept) as u64;
    }
    let lost = account.overwritten + account.dropped + account.torn;
    // A record that was begun may have drawn no ticket yet.
    let undrawn = begun - ring.head();
    assert!(undrawn <= open, "{context}");
    assert_eq!(missing, lost + undrawn, "{context}");

    // What lies in the ring at the end is known ticket by ticket.
    if seen.cursor.start() == 0 && account.delivered > 0 {
        let oldest = ring.head().saturating_sub(ring.capacity());
        let in_ring = |ticket: &u64| *ticket >= oldest;
        let expected = writers
            .iter()
            .flat_map(|writer| &fates[*writer])
            .filter(|fate| matches!(fate, Fate::Published(ticket) if in_ring(ticket)))
            .count();
        let handed = tickets.iter().filter(|ticket| in_ring(ticket)).count();
        assert!(
            (expected..=expected + open as usize).contains(&handed),
            "{context}: {handed} of the last lap, {expected} published"
        );
    }
}

/// 20 (200 with `RIPTIDE_LONG=1`) processes of four writers, killed at random moments.
#[test]
fn the_ticket_equation_holds_after_sigkill() {
    let mut numbers = Numbers::new(seed("the_ticket_equation_holds_after_sigkill"));
    let mut totals = [0; 4];
    let kills = if long() { 200 } else { 20 };
    for kill in 0..kills {
        let pause = Duration::from_micros(numbers.below(25_000) as u64);
        let seen = killed_after(pause, kill % 2 == 0);
        for (total, count) in totals.iter_mut().zip(seen) {
            *total += count;
        }
    }
    println!(
        "{kills} kills: delivered {}, overwritten {}, dropped {}, torn {}",
        totals[0], totals[1], totals[2], totals[3]
    );
    assert!(totals[0] > 0 && totals[1] > 0, "{totals:?}");
}
