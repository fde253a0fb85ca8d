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

use riptide_reader::{
    Session,
    ingest::{Ingest, Observation},
    profile::{Model, Snapshot},
};
use riptide_region::{
    event::{Event, EventKind},
    stack_table::StackId,
};
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
    let findings = timed("verdicts on all sites", || session.findings());
    println!("{} findings", findings.len());
    timed("stacks()", || session.stacks());
    ingest_events(&region, stacks[0]);
    let stats = riptide_reader::self_stats::self_stats();
    println!("rss of this process {} MiB", stats.rss_bytes.unwrap() >> 20);
}

/// How many events a second are read from the rings and taken in.
fn ingest_events(region: &TestRegion, stack: StackId) {
    let view = region.view();
    let mut observation = Observation::default();
    let mut ingest = Ingest::new(&view, false);
    ingest.read_tables(&view, 1, &mut observation);
    let mut model = Model::default();
    model.observe(&observation);
    let (mut seen, mut spent) = (0_u64, 0.0);
    for round in 0..50_u64 {
        for number in 0..4_000 {
            let event = Event {
                kind: EventKind::Free {
                    lifetime_ms: number * 7,
                },
                address: 0x1000,
                size: 100,
                stack,
                thread: number,
                time_ns: round,
                number: u64::from(number),
                interval: 1,
            };
            view.ring_of(event.thread)
                .unwrap()
                .1
                .publish(&event.encode());
        }
        let cpu = cpu_ms();
        ingest.drain(&view, false);
        ingest.learn_stacks(&view, &mut observation);
        model.follow(ingest.events(), &observation.stacks);
        spent += cpu_ms() - cpu;
        seen += ingest.events().len() as u64;
    }
    println!("{:.1} M events a second of CPU", seen as f64 / spent / 1e3);
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
