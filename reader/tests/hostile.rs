//! Regions that somebody damaged, by chance or on purpose: the reader says so or shows what is
//! there, and neither panics nor hangs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::{
    fs,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use riptide_reader::{
    Session, attach,
    profile::{Estimate, GroupBy},
};
use riptide_region::{
    event::{Event, EventKind},
    header::HEADER_PAGE_BYTES,
    stack_table::StackId,
};
use support::{Random, SECOND, TestRegion};

const MIB: u64 = 1 << 20;
const RECORDS: u64 = 316;

/// Everything that a command does with a region.
fn exercise(path: &Path) {
    let Ok(mut session) = Session::attach(path) else {
        return;
    };
    for _ in 0..2 {
        session.poll();
        let snapshot = session.snapshot();
        let text = serde_json::to_string(&snapshot).unwrap();
        assert!(!text.contains("NaN"));
        assert!(snapshot.live.bytes.low <= snapshot.live.bytes.high);
        let _ = (session.waterfall(&snapshot), session.stacks());
        let (model, observation) = (session.model(), session.observation());
        let _ = (model.heap_shape(observation), model.threads(observation));
        let _ = model.groups(observation, GroupBy::Crate);
        let _ = (session.config_error(), session.problem(), session.info());
    }
}

/// A region with some of everything.
fn populated() -> TestRegion {
    let mut region = TestRegion::new(MIB, false);
    let mut random = Random(1);
    for number in 0..RECORDS {
        let depth = 1 + random.next() as usize % 20;
        let frames: Vec<_> = (0..depth).map(|_| random.next() >> 20).collect();
        let stack = region.stack(&frames, number);
        region.allocate(stack, 1 + random.next() % 100_000, 4_096, number * SECOND);
        let event = Event {
            kind: EventKind::Allocation,
            address: number,
            size: 1,
            stack,
            thread: 1,
            time_ns: number,
            number,
            interval: 1,
        };
        let ring = region.view().rings().next().unwrap();
        ring.publish(&event.encode());
    }
    // One more event than samples, and an odd number: the ring's head is the only word of its value.
    let ring = region.view().rings().next().unwrap();
    ring.claim_and_stop();
    region
}

#[test]
fn random_bytes_are_not_a_region() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("1-1-1");
    let mut random = Random(2);
    for _ in 0..50 {
        let len = random.next() as usize % 20_000;
        let bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        fs::write(&path, bytes).unwrap();
        assert!(Session::attach(&path).is_err());
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let region = populated();
    let good = region.bytes();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("1-1-1");
    let mut random = Random(3);
    for round in 0..200 {
        let mut bytes = good.clone();
        for _ in 0..1 + random.next() % 64 {
            // Half of the damage hits the header page.
            let range = if round % 2 == 0 {
                HEADER_PAGE_BYTES
            } else {
                bytes.len()
            };
            let at = random.next() as usize % range;
            bytes[at] ^= 1 << (random.next() % 8);
        }
        fs::write(&path, bytes).unwrap();
        exercise(&path);
    }
}

#[test]
fn tables_full_of_noise_never_panic() {
    let region = populated();
    let good = region.bytes();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("1-1-1");
    let mut random = Random(4);
    for round in 0..20 {
        let mut bytes = good.clone();
        for word in bytes[HEADER_PAGE_BYTES..].chunks_exact_mut(8) {
            let value = match round % 4 {
                0 => random.next(),
                // Even sequences and set bits everywhere.
                1 => random.next() & !1 | 1 << 63,
                2 => u64::MAX,
                // NaN, infinity and the largest number.
                _ => [f64::NAN, f64::INFINITY, f64::MAX][random.next() as usize % 3].to_bits() & !1,
            };
            word.copy_from_slice(&value.to_ne_bytes());
        }
        fs::write(&path, bytes).unwrap();
        exercise(&path);
    }
}

#[test]
fn every_truncation_is_refused() {
    let good = populated().bytes();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("1-1-1");
    for len in [
        0,
        7,
        8,
        100,
        1_024,
        4_095,
        4_096,
        8_192,
        100_000,
        good.len() - 8,
    ] {
        fs::write(&path, &good[..len]).unwrap();
        assert!(Session::attach(&path).is_err(), "{len}");
    }
}

#[test]
fn a_jumping_head_costs_one_lap() {
    let region = populated();
    region.flush();
    let mut session = Session::attach(region.path()).unwrap();
    let start = Instant::now();
    let tables = &region.words()[HEADER_PAGE_BYTES / 8..];
    let is_head = |word: &AtomicU64| word.load(Ordering::Relaxed) == RECORDS + 1;
    assert_eq!(tables.iter().filter(|word| is_head(word)).count(), 1);
    let place = tables.iter().find(|word| is_head(word)).unwrap();
    for head in [1 << 60, u64::MAX / 2, 0, u64::MAX, 5] {
        place.store(head, Ordering::Relaxed);
        region.flush();
        session.poll();
        let _ = session.snapshot();
    }
    assert!(session.account().overwritten > 1 << 60);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn every_record_may_claim_the_same_long_stack() {
    let mut region = TestRegion::new(MIB, false);
    let frames: Vec<u64> = (0..128).map(|frame| 0x1000 + frame * 16).collect();
    let stack = region.stack(&frames, 1);
    for _ in 0..1_000 {
        region.allocate(stack, 0, 0, u64::MAX);
        region.allocate(StackId(u32::MAX), (1 << 56) - 1, u64::MAX, 0);
    }
    region.flush();
    exercise(region.path());
}

#[test]
fn discovery_skips_what_is_no_region_and_names_what_is_damaged() {
    let region = populated();
    region.flush();
    let directory = region.directory();
    fs::write(directory.join(".1-1-1"), "half made").unwrap();
    fs::write(directory.join("readme"), "text").unwrap();
    fs::write(directory.join("1-1-2"), vec![7; 5_000]).unwrap();
    std::os::unix::fs::symlink(region.path(), directory.join("1-1-3")).unwrap();
    let directories = [directory.to_owned()];
    let found = attach::discover_in(&directories);
    let names: Vec<_> = found
        .iter()
        .map(|found| (found.info.pid, found.problem.is_some()))
        .collect();
    assert_eq!(names, [(std::process::id(), false), (1, true)]);
    assert_eq!(
        attach::resolve_target_in(None, &directories).unwrap(),
        region.path()
    );
    let pid = std::process::id().to_string();
    assert_eq!(
        attach::resolve_target_in(Some(&pid), &directories).unwrap(),
        region.path()
    );
}

/// Somebody writes anything anywhere, all the time, while a session looks again and again.
#[test]
fn a_region_that_is_written_over_while_a_session_reads_it() {
    let region = populated();
    region.flush();
    let good = region.bytes();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let file = region.file();
        let (stop, good) = (&stop, &good);
        scope.spawn(move || {
            let mut random = Random(5);
            while !stop.load(Ordering::Relaxed) {
                for _ in 0..64 {
                    let range = if random.next().is_multiple_of(2) {
                        HEADER_PAGE_BYTES
                    } else {
                        good.len()
                    };
                    let at = 8 + random.next() % (range as u64 / 8 - 1) * 8;
                    let value = match random.next() % 3 {
                        0 => 0,
                        1 => 1 << (random.next() % 64),
                        _ => random.next(),
                    };
                    file.write_all_at(&value.to_ne_bytes(), at).unwrap();
                }
                if random.next().is_multiple_of(4) {
                    file.write_all_at(good, 0).unwrap();
                }
            }
        });
        let start = Instant::now();
        let mut attached = 0;
        while attached < 20 || start.elapsed() < Duration::from_secs(1) {
            let Ok(mut session) = Session::attach(region.path()) else {
                continue;
            };
            attached += 1;
            for _ in 0..5 {
                session.poll();
                let snapshot = session.snapshot();
                let is_whole = |estimate: &Estimate| {
                    assert!(estimate.low.is_finite() && estimate.high.is_finite());
                    assert!(
                        estimate.low <= estimate.estimate && estimate.estimate <= estimate.high
                    );
                };
                is_whole(&snapshot.live.bytes);
                snapshot
                    .sites
                    .iter()
                    .for_each(|site| is_whole(&site.live_bytes));
                let _ = (
                    session.findings(),
                    session.waterfall(&snapshot),
                    session.stacks(),
                );
                let _ = (session.problem(), session.info());
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}
