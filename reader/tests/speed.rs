//! How long the steps of a tick take. Prints; asserts nothing, as a slow machine is no defect:
//! `RIPTIDE_LONG=1 cargo test --release -p riptide-reader --test speed -- --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::time::{Duration, Instant};

use riptide_reader::{Session, profile::Snapshot};
use support::{Random, SECOND, TestRegion};

const STACKS: usize = 20_000;
const DEPTH: usize = 30;

/// CPU time of this thread: other work on the machine does not count.
fn cpu_ms() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

fn timed<T>(what: &str, step: impl FnOnce() -> T) -> T {
    let (start, cpu) = (Instant::now(), cpu_ms());
    let result = step();
    let wall = start.elapsed().as_secs_f64() * 1e3;
    println!(
        "{what:<48} {:>9.2} ms of CPU, {wall:>9.2} ms",
        cpu_ms() - cpu
    );
    result
}

fn tick(session: &mut Session) -> Snapshot {
    session.snapshot()
}

fn measure(records: usize, region_bytes: u64, interval: u64) {
    println!("-- {records} records, {STACKS} stacks of {DEPTH} frames, interval {interval}");
    let mut region = TestRegion::new(region_bytes, true);
    let mut random = Random(1);
    let stacks: Vec<_> = (0..STACKS)
        .map(|number| {
            let frames: Vec<u64> = (0..DEPTH)
                .map(|depth| match depth {
                    0 => 0x10_0000 + number as u64 * 16,
                    _ => 0x1000 + random.next() % 50_000,
                })
                .collect();
            region.stack(&frames, 1)
        })
        .collect();
    for number in 0..records {
        let stack = stacks[random.next() as usize % STACKS];
        let size = [16, 24, 48, 100, 256, 1_000, 4_096, 70_000][random.next() as usize % 8];
        region.allocate(stack, size, interval, number as u64 % 100 * SECOND);
    }
    region.flush();
    let mut session = timed("attach (with the first look)", || {
        Session::attach(region.path()).unwrap()
    });
    timed("first snapshot", || tick(&mut session));
    timed("wait for symbols", || {
        session.wait_for_symbols(Duration::from_secs(60))
    });
    timed("snapshot after symbols (groups anew)", || {
        tick(&mut session)
    });
    timed("idle snapshot", || tick(&mut session));
    for _ in 0..3 {
        region.allocate(stacks[0], 100, interval, 100 * SECOND);
        region.flush();
        timed("poll", || session.poll());
        let snapshot = timed("tick with new records", || tick(&mut session));
        println!("{} sites", snapshot.sites.len());
    }
    timed("stacks()", || session.stacks());
    let stats = riptide_reader::self_stats::self_stats();
    println!("rss of this process {} MiB", stats.rss_bytes.unwrap() >> 20);
}

#[test]
fn a_million_records() {
    if std::env::var_os("RIPTIDE_LONG").is_some() {
        measure(1_000_000, 256 << 20, 1);
        measure(1_000_000, 256 << 20, 65_536);
        measure(65_000, 16 << 20, 524_288);
    } else {
        // Enough to see that every step still runs.
        measure(10_000, 16 << 20, 65_536);
    }
}
