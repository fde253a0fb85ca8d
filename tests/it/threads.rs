//! Threads that come and go.

use crate::harness::{Directory, Victim, top, truth};

#[test]
fn what_200_threads_leave_behind_is_exact() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-threads", &["200"], &directory, "1");
    let sites = truth(&victim.report());
    assert_eq!(sites[0].blocks, 9_000.0);
    let profile = top(&directory.region());
    profile.assert_exact(&sites);
    assert_eq!(profile.site("victim_threads::scratch").0.estimate, 0.0);
    let (status, _) = victim.finish();
    assert!(status.success());
}

/// At an interval at which most of these threads meet a sample once or never: each is seeded apart.
#[test]
fn short_threads_are_sampled_like_long_ones() {
    let mut mean = 0.0;
    let mut truth_bytes = 0.0;
    for seed in 1..=10 {
        let directory = Directory::new();
        let mut command = crate::harness::victim_command(
            &crate::harness::program("victim-threads"),
            directory.path(),
        );
        command
            .arg("1000")
            .env("RIPTIDE_SAMPLE_INTERVAL", "64KiB")
            .env("RIPTIDE_SEED", seed.to_string());
        let mut victim = Victim::start(command);
        let sites = truth(&victim.report());
        let (bytes, _) = top(&directory.region()).site(&sites[0].function);
        println!("seed {seed}: {bytes:?}, truth {}", sites[0].bytes);
        mean += bytes.estimate / 10.0;
        truth_bytes = sites[0].bytes;
    }
    // 20 MB at 64 KiB are some 310 samples a run, 3,100 in all: 2 % at one sigma.
    let error = mean / truth_bytes - 1.0;
    assert!(error.abs() < 0.08, "mean {mean}, truth {truth_bytes}");
}
