//! At an interval of 1 every byte and every block is counted.

use riptide_tests::victim::Numbers;

use crate::{
    harness::{Directory, Top, Victim, program, top, truth, victim_command},
    ring::assert_books_balance,
};

/// What `churn` of victim-sites allocates in all.
fn churned_bytes(blocks: usize) -> usize {
    let mut numbers = Numbers::new(5);
    (0..blocks).map(|_| 1 + numbers.below(1_000)).sum()
}

#[test]
fn every_site_is_exact() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["20"], &directory, "1");
    let sites = truth(&victim.report());
    assert_eq!(sites.len(), 11);
    let region = directory.region();
    let profile = top(&region);
    profile.assert_exact(&sites);
    assert_eq!(profile.number("sampling", "interval_bytes"), 1);
    assert_eq!(profile.number("loss", "unrecorded_blocks"), 0);
    assert_eq!(profile.number("loss", "torn_live_records"), 0);
    // Ten times as much was allocated there as lives.
    let rows = profile.rows("victim_sites::churn");
    let allocated: f64 = rows
        .iter()
        .map(|row| row["allocated_bytes_total"]["estimate"].as_f64().unwrap())
        .sum();
    assert_eq!(allocated, churned_bytes(60_000) as f64);
    assert_books_balance(&region);
    // The same again: reading changes nothing.
    top(&region).assert_exact(&sites);
}

/// Asserts that all live bytes and blocks of a `victim-totals` are those that its own counting
/// allocator saw.
fn assert_totals(profile: &Top, report: &serde_json::Value) {
    let truth = |name: &str| report[name].as_f64().unwrap();
    let (bytes, blocks) = (profile.live("bytes"), profile.live("objects"));
    let unrecorded_bytes = profile.number("loss", "unrecorded_bytes") as f64;
    let unrecorded_blocks = profile.number("loss", "unrecorded_blocks") as f64;
    assert_eq!(
        (
            bytes.estimate + unrecorded_bytes,
            blocks.estimate + unrecorded_blocks
        ),
        (truth("bytes"), truth("blocks")),
        "loss: {}",
        profile.0["loss"]
    );
    assert!(bytes.is_exactly(bytes.estimate) && blocks.is_exactly(blocks.estimate));
}

fn totals(arguments: &[&str], environment: &[(&str, &str)]) -> Top {
    let directory = Directory::new();
    let mut command = victim_command(&program("victim-totals"), directory.path());
    command
        .args(arguments)
        .env("RIPTIDE_SAMPLE_INTERVAL", "1")
        .envs(environment.iter().copied());
    let mut victim = Victim::start(command);
    assert_eq!(victim.line(), "start");
    victim.say("go");
    let report = victim.report();
    println!("{report}");
    let region = directory.region();
    let profile = top(&region);
    assert_totals(&profile, &report);
    if profile.number("loss", "unrecorded_blocks") == 0 {
        assert_books_balance(&region);
    }
    let (status, rest) = victim.finish();
    assert!(status.success());
    assert_eq!(rest, ["done"]);
    profile
}

/// Threads allocate, zero, grow, shrink, hand over and free: nothing is counted twice or forgotten.
#[test]
fn all_live_bytes_are_exact_under_threads() {
    let profile = totals(&["random", "4", "30000"], &[]);
    assert_eq!(profile.number("loss", "unrecorded_blocks"), 0);
    assert!(profile.live("objects").estimate > 1_000.0);
}

#[test]
fn all_live_bytes_are_exact_with_unwind_tables() {
    totals(&["random", "3", "5000"], &[("RIPTIDE_UNWIND", "dwarf")]);
}

#[test]
fn all_live_bytes_are_exact_with_frame_pointers() {
    totals(
        &["random", "3", "5000"],
        &[("RIPTIDE_UNWIND", "frame-pointers")],
    );
}

/// A region too small for the live blocks: what found no room is counted to the block and byte.
#[test]
fn a_full_live_table_counts_what_it_leaves_out() {
    let profile = totals(&["hoard", "60000"], &[("RIPTIDE_REGION_SIZE", "1MiB")]);
    let unrecorded = profile.number("loss", "unrecorded_blocks");
    assert!(unrecorded > 40_000, "{unrecorded}");
}

/// Whatever options somebody gives to jemalloc.
#[test]
fn all_live_bytes_are_exact_under_any_jemalloc_options() {
    for options in [
        "cache_oblivious:false",
        "percpu_arena:percpu",
        "retain:false",
        "narenas:1,tcache:false",
        "junk:true",
        "zero:true",
        "tcache_max:65536,lg_tcache_nslots_mul:4",
        "background_thread:true,dirty_decay_ms:0,muzzy_decay_ms:0",
        "thp:always,metadata_thp:always",
        "oversize_threshold:1",
        "xmalloc:false,trust_madvise:false",
        "no_such_option:1",
    ] {
        println!("{options}");
        totals_beside_noise(options);
    }
}

/// The same in a program to which jemalloc may say something of its own on stderr.
fn totals_beside_noise(options: &str) {
    let directory = Directory::new();
    let mut command = victim_command(&program("victim-totals"), directory.path());
    command
        .args(["random", "3", "4000"])
        .env("RIPTIDE_SAMPLE_INTERVAL", "1")
        .env("_RJEM_MALLOC_CONF", options)
        .stderr(std::process::Stdio::null());
    let mut victim = Victim::start(command);
    assert_eq!(victim.line(), "start");
    victim.say("go");
    let report = victim.report();
    assert_totals(&top(&directory.region()), &report);
    let (status, rest) = victim.finish();
    assert!(status.success(), "{options}");
    assert_eq!(rest, ["done"]);
}

/// A ring that wraps many times costs no live figure.
#[test]
fn a_full_ring_costs_no_live_figure() {
    let directory = Directory::new();
    let mut command = victim_command(&program("victim-totals"), directory.path());
    command
        .args(["random", "4", "60000"])
        .env("RIPTIDE_SAMPLE_INTERVAL", "1")
        .env("RIPTIDE_REGION_SIZE", "8MiB");
    let mut victim = Victim::start(command);
    assert_eq!(victim.line(), "start");
    victim.say("go");
    let report = victim.report();
    let region = directory.region();
    let profile = top(&region);
    assert_totals(&profile, &report);
    let laps = crate::ring::laps(&region);
    assert!(laps >= 10.0, "the ring went round {laps} times");
    assert_eq!(profile.number("loss", "unrecorded_blocks"), 0);
    // Since this reader attached, which is when it looked.
    assert_eq!(profile.number("loss", "overwritten"), 0);
    assert_eq!(profile.number("loss", "torn"), 0);
}

/// Blocks above what jemalloc keeps in slabs, moved back and forth, are never lost.
#[test]
fn the_same_numbers_come_out_of_every_run() {
    let runs: Vec<_> = (0..3)
        .map(|_| {
            let directory = Directory::new();
            let mut victim = Victim::new("victim-sites", &["3"], &directory, "1");
            let sites = truth(&victim.report());
            let profile = top(&directory.region());
            profile.assert_exact(&sites);
            sites
        })
        .collect();
    assert!(runs.windows(2).all(|pair| pair[0] == pair[1]));
}
