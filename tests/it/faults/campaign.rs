//! Kills and forks at random points of a program of eight busy threads: 1,000 of each with
//! `RIPTIDE_LONG`, 20 in the plain run.

use std::{thread, time::Duration};

use riptide_region::{counters::Counter, live_table::Slot, view::View};
use riptide_tests::victim::Numbers;

use super::compare::{Fault, assert_exact};
use crate::{
    harness::{Directory, Victim, long, program, seed, top, truth, victim_command},
    ring::copy_of,
};

const THREADS: u64 = 8;

/// Of a program that was killed: each of its threads was in the middle of one record of each kind at
/// most.
fn assert_nearly_balanced(path: &std::path::Path) -> u64 {
    let words = copy_of(path);
    let view = View::open(&words).unwrap();
    let (mut live, mut torn) = (0, 0);
    for index in 0..view.live.capacity() {
        match view.live.read(index) {
            Slot::Live(_) => live += 1,
            Slot::Torn => torn += 1,
            Slot::Free => {}
        }
    }
    let counter = |counter| view.counters.get(counter);
    let (samples, frees) = (counter(Counter::Samples), counter(Counter::Frees));
    let unrecorded = [
        Counter::UnrecordedLiveTableFull,
        Counter::UnrecordedLargeTableFull,
        Counter::UnrecordedRangeExhausted,
    ];
    assert_eq!(unrecorded.map(counter), [0; 3]);
    let open = (samples - frees).abs_diff(live);
    assert!(open <= THREADS + 1, "{samples} - {frees} is not {live}");
    assert!(torn <= THREADS + 1, "{torn} torn");
    let events: u64 = view.rings().map(|ring| ring.head()).sum();
    assert!(events.abs_diff(samples + frees) <= THREADS + 1);
    open
}

#[test]
fn kills_at_random_points() {
    let mut numbers = Numbers::new(seed("kills_at_random_points"));
    let kills = if long() { 1_000 } else { 20 };
    let (mut open, mut samples) = (0, 0);
    for kill in 0..kills {
        let directory = Directory::new();
        let mut command = victim_command(&program("victim-fault"), directory.path());
        command
            .args(["busy", &THREADS.to_string()])
            .env("RIPTIDE_SAMPLE_INTERVAL", "1")
            .env("RIPTIDE_REGION_SIZE", "16MiB");
        let mut victim = Victim::start(command);
        let sites = truth(&victim.report());
        assert_eq!(victim.line(), "busy");
        let pause = Duration::from_micros(numbers.below(40_000) as u64);
        thread::sleep(pause);
        victim.kill();
        let region = directory.region();
        let profile = top(&region);
        assert_eq!(profile.state(), "killed", "kill {kill} after {pause:?}");
        profile.assert_exact(&sites);
        open += assert_nearly_balanced(&region);
        samples += profile.number("sampling", "samples");
        if kill % 100 == 99 {
            println!(
                "{} kills, {samples} samples; {open} records open at death",
                kill + 1
            );
        }
    }
    println!("{kills} kills, {samples} samples; {open} records open at death");
    assert!(samples > kills * 2_000);
}

#[test]
fn forks_at_random_points() {
    // In parts: one process holds its children's memory up, and each part begins anew.
    for _ in 0..if long() { 10 } else { 1 } {
        let count = if long() { "100" } else { "20" };
        let fault = Fault::new(&["forks", count, &THREADS.to_string()]);
        let (directory, deed) = fault.assert_same_always();
        deed.assert_complete();
        let well = format!("{count} children, 0 failed");
        assert_eq!(deed.lines[1..], ["0 mistakes", &well, "end"]);
        assert_exact(&directory, &deed);
        let follow = Fault::new(&["forks", count, &THREADS.to_string()]).prepared(|command| {
            command
                .env("RIPTIDE_FORK", "follow")
                .env("RIPTIDE_KEEP", "0")
                .env("RIPTIDE_REGION_SIZE", "1MiB");
        });
        for interval in ["64KiB", "1"] {
            let directory = follow.assert_same(interval, &deed);
            // Each child has taken away what it made.
            assert!(directory.files().is_empty(), "{:?}", directory.files());
        }
    }
}
