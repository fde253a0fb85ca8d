//! The region outlives the process.

use std::{thread, time::Duration};

use riptide_tests::victim::Numbers;

use crate::harness::{Directory, Victim, long, program, riptide, seed, top, truth, victim_command};

/// After SIGKILL the profile is what it was in the moment of death, exactly.
#[test]
fn a_killed_process_leaves_its_exact_profile() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["20"], &directory, "1");
    let sites = truth(&victim.report());
    victim.kill();
    let profile = top(&directory.region());
    assert_eq!(profile.state(), "killed");
    profile.assert_exact(&sites);
    let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
    let output = riptide(&["list", "--json"], &environment);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let killed = list["targets"].as_array().unwrap().iter();
    let killed: Vec<_> = killed
        .filter(|target| target["pid"] == victim.pid())
        .collect();
    assert_eq!(killed.len(), 1, "{list}");
    assert_eq!(killed[0]["state"], "killed");
}

/// Killed anywhere, busy with every protocol of the region at once: it opens, and nothing in it is
/// out of bounds.
#[test]
fn regions_of_processes_killed_anywhere_open() {
    let mut numbers = Numbers::new(seed("regions_of_processes_killed_anywhere_open"));
    let mut torn = 0;
    let mut unfinished = 0;
    for kill in 0..if long() { 200 } else { 20 } {
        let directory = Directory::new();
        let mut victim = Victim::new(
            "victim-totals",
            &["random", "4", "1000000"],
            &directory,
            "1",
        );
        assert_eq!(victim.line(), "start");
        victim.say("go");
        let pause = Duration::from_micros(numbers.below(60_000) as u64);
        thread::sleep(pause);
        victim.kill();
        let files = directory.files();
        assert_eq!(files.len(), 1, "{files:?}");
        let region = directory.region();
        let profile = top(&region);
        assert_eq!(profile.state(), "killed", "kill {kill} after {pause:?}");
        let (bytes, blocks) = (profile.live("bytes"), profile.live("objects"));
        assert!(bytes.is_exactly(bytes.estimate) && blocks.is_exactly(blocks.estimate));
        assert!(blocks.estimate >= 1.0 && bytes.estimate >= blocks.estimate);
        torn += profile.number("loss", "torn_live_records");
        unfinished += crate::ring::settle_real_region(&region);
    }
    println!("records that death cut in half: {torn} live, {unfinished} of the rings");
    // Four threads, and each can be in the middle of one record of each kind.
    assert!(torn <= 4 * 200);
}

/// Killed while it starts: whatever lies in the directory then, it is read or refused clearly.
#[test]
fn what_a_process_killed_at_its_start_leaves_is_told_apart() {
    let mut numbers = Numbers::new(seed("what_a_process_killed_at_its_start_leaves"));
    let mut found = [0; 3];
    for _ in 0..if long() { 500 } else { 50 } {
        let directory = Directory::new();
        let mut victim = Victim::new("victim-threads", &["2000"], &directory, "4KiB");
        thread::sleep(Duration::from_micros(numbers.below(20_000) as u64));
        victim.kill();
        let files = directory.files();
        assert!(files.len() <= 1, "{files:?}");
        let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
        let listed = riptide(&["list", "--json"], &environment);
        assert_eq!(listed.status.code(), Some(0), "{listed:?}");
        let Some(file) = files.first() else {
            found[0] += 1;
            continue;
        };
        let path = file.to_str().unwrap();
        let output = riptide(&["top", path, "--once", "--json"], &environment);
        match output.status.code() {
            Some(0) => {
                found[1] += 1;
                assert_eq!(top(file).state(), "killed");
            }
            _ => {
                found[2] += 1;
                crate::harness::assert_refused(&output, 5, &[path]);
            }
        }
    }
    let [none, region, unfinished] = found;
    println!("nothing {none} times, a region {region} times, an unfinished one {unfinished} times");
    assert!(region > 0);
}

#[test]
fn a_clean_exit_removes_the_region() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-threads", &["3"], &directory, "1");
    victim.report();
    directory.region();
    let (status, _) = victim.finish();
    assert!(status.success());
    assert_eq!(directory.files(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_clean_exit_keeps_the_region_if_asked() {
    let directory = Directory::new();
    let mut command = victim_command(&program("victim-sites"), directory.path());
    command
        .arg("3")
        .env("RIPTIDE_SAMPLE_INTERVAL", "1")
        .env("RIPTIDE_KEEP", "1");
    let mut victim = Victim::start(command);
    victim.report();
    let (status, _) = victim.finish();
    assert!(status.success());
    let profile = top(&directory.region());
    assert_eq!(profile.state(), "exited");
    // What `main` held is freed; what was leaked on purpose is still told, with its site.
    let (bytes, _) = profile.site("victim_sites::aligned_blocks");
    assert!(bytes.estimate > 0.0);
}
