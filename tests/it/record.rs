//! `riptide record`, and the commands over what it wrote.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use riptide_tests::victim::Numbers;
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::harness::{
    Directory, Ended, Victim, assert_refused, clean_command, long, riptide, riptide_path, seed,
    top, truth, wait_for,
};

fn record(target: &Path, file: &Path, arguments: &[&str]) -> Child {
    clean_command(riptide_path())
        .args([
            "record",
            target.to_str().unwrap(),
            "-o",
            file.to_str().unwrap(),
        ])
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// A recording of some seconds of a victim that holds known numbers and then was killed.
pub(crate) fn recorded(directory: &Directory) -> (PathBuf, Vec<crate::harness::Truth>, PathBuf) {
    let mut victim = Victim::new("victim-sites", &["20"], directory, "1");
    let sites = truth(&victim.report());
    let region = directory.region();
    let file = directory.path().join("past.riptide");
    let mut recorder = record(&region, &file, &[]);
    wait_for("a few looks", || {
        (fs::metadata(&file).ok()?.len() > 2_000).then_some(())
    });
    thread::sleep(Duration::from_millis(2_500));
    victim.kill();
    assert!(
        recorder.wait().unwrap().success(),
        "it ends with its target"
    );
    (file, sites, region)
}

fn json(arguments: &[&str]) -> Value {
    let output = riptide(arguments, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_recording_says_what_the_region_says() {
    let directory = Directory::new();
    let (file, sites, region) = recorded(&directory);
    let path = file.to_str().unwrap();
    let profile = top(&file);
    assert_eq!(profile.state(), "killed");
    profile.assert_exact(&sites);
    let of_region = top(&region);
    for section in ["live", "sampling", "memory"] {
        assert_eq!(profile.0[section], of_region.0[section], "{section}");
    }
    // The same stacks with the same names, though nothing is symbolised any more.
    let stacks = |profile: &Value| {
        let sites = profile["sites"].as_array().unwrap();
        let mut stacks: Vec<_> = sites.iter().map(|site| site["stack"].to_string()).collect();
        stacks.sort();
        stacks
    };
    assert_eq!(stacks(&profile.0), stacks(&of_region.0));
    let first = json(&["top", path, "--once", "--json", "--at", "0"]);
    assert_eq!(first["target"]["state"], "live");
    assert_eq!(first["live"]["bytes"], of_region.0["live"]["bytes"]);
    // All commands that read.
    let findings = json(&["leaks", path, "--json", "--all", "--at", "2s"]);
    assert!(
        findings["watched_seconds"].as_f64().unwrap() >= 1.0,
        "{findings}"
    );
    let memory = json(&["memory", path, "--json"]);
    assert_eq!(memory["rows"][0]["name"], "live");
    let folded = riptide(&["export", path, "--format", "folded"], &[]);
    let of_region = riptide(
        &["export", region.to_str().unwrap(), "--format", "folded"],
        &[],
    );
    let lines = |bytes: &[u8]| {
        let mut lines: Vec<_> = String::from_utf8_lossy(bytes)
            .lines()
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    };
    assert!(!folded.stdout.is_empty());
    assert_eq!(lines(&folded.stdout), lines(&of_region.stdout));
}

#[test]
fn what_cannot_be_read_is_refused_clearly() {
    let directory = Directory::new();
    let (file, _, region) = recorded(&directory);
    let whole = fs::read(&file).unwrap();
    let path = file.to_str().unwrap();
    let commands: [&[&str]; 4] = [
        &["top", path, "--once"],
        &["leaks", path],
        &["memory", path],
        &["export", path, "--format", "folded"],
    ];
    // A newer version.
    let mut newer = whole.clone();
    newer[8] = 9;
    let crc = crc32(&newer[..12]);
    newer[12..16].copy_from_slice(&crc.to_le_bytes());
    fs::write(&file, &newer).unwrap();
    for command in commands {
        assert_refused(&riptide(command, &[]), 4, &["version 9", "past.riptide"]);
    }
    // Nothing but the header, and a damaged one.
    fs::write(&file, &whole[..16]).unwrap();
    for command in commands {
        assert_refused(&riptide(command, &[]), 5, &["past.riptide"]);
    }
    newer[12] ^= 1;
    fs::write(&file, &newer).unwrap();
    for command in commands {
        assert_refused(&riptide(command, &[]), 5, &["header is damaged"]);
    }
    fs::write(&file, "something else that is long enough").unwrap();
    for command in commands {
        assert_refused(&riptide(command, &[]), 5, &["past.riptide"]);
    }
    fs::write(&file, &whole).unwrap();
    let late = riptide(&["top", path, "--once", "--at", "1h"], &[]);
    assert_refused(&late, 2, &["s long"]);
    let region = region.to_str().unwrap();
    let not_one = riptide(&["top", region, "--once", "--at", "1s"], &[]);
    assert_refused(&not_one, 2, &["recordings"]);
}

/// CRC-32 as zlib has it, bit by bit: independent of what writes the files.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

/// A flipped byte costs looks or the file, and never makes another number.
#[test]
fn flipped_bytes_never_make_another_number() {
    let directory = Directory::new();
    let (file, sites, _) = recorded(&directory);
    let whole = fs::read(&file).unwrap();
    let mut numbers = Numbers::new(seed("flipped_bytes_never_make_another_number"));
    let (mut refused, mut read) = (0, 0);
    for flip in 0..if long() { 2_000 } else { 100 } {
        let mut bytes = whole.clone();
        // The first look is most of such a short recording: half of the flips are in later ones.
        let at = match flip % 2 {
            0 => numbers.below(bytes.len()),
            _ => bytes.len() - 1 - numbers.below(bytes.len() / 8),
        };
        bytes[at] ^= 1 << numbers.below(8);
        fs::write(&file, &bytes).unwrap();
        let arguments = [
            "top",
            file.to_str().unwrap(),
            "--once",
            "--json",
            "--limit",
            "0",
        ];
        let output = riptide(&arguments, &[]);
        match output.status.code() {
            Some(0) => {
                let profile = crate::harness::Top(serde_json::from_slice(&output.stdout).unwrap());
                // Names may be lost with their frame, and that is said; numbers may not.
                let bytes: f64 = sites.iter().map(|site| site.bytes).sum();
                assert!(profile.live("bytes").estimate >= bytes, "byte {at}");
                let message = String::from_utf8_lossy(&output.stderr);
                assert!(message.contains("damaged"), "byte {at}: {message}");
                read += 1;
            }
            Some(4 | 5) => refused += 1,
            _ => panic!("byte {at}: {output:?}"),
        }
    }
    println!("{read} were read with a message, {refused} refused");
    assert!(read > 0 && refused > 0);
}

/// Killed at any moment: what was written is read up to the last whole frame.
#[test]
fn a_recorder_killed_anywhere_leaves_a_recording() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["20"], &directory, "1");
    let sites = truth(&victim.report());
    let region = directory.region();
    let mut numbers = Numbers::new(seed("a_recorder_killed_anywhere_leaves_a_recording"));
    let mut read = 0;
    for kill in 0..if long() { 100 } else { 10 } {
        let file = directory.path().join(format!("{kill}.riptide"));
        let mut recorder = record(&region, &file, &[]);
        thread::sleep(Duration::from_millis(numbers.below(2_500) as u64));
        recorder.kill().unwrap();
        recorder.wait().unwrap();
        if !file.exists() {
            continue;
        }
        let output = riptide(
            &[
                "top",
                file.to_str().unwrap(),
                "--once",
                "--json",
                "--limit",
                "0",
            ],
            &[],
        );
        match output.status.code() {
            Some(0) => {
                let profile = crate::harness::Top(serde_json::from_slice(&output.stdout).unwrap());
                let bytes: f64 = sites.iter().map(|site| site.bytes).sum();
                assert!(profile.live("bytes").estimate >= bytes, "kill {kill}");
                read += 1;
            }
            // Killed before the first look was whole.
            _ => assert_refused(&output, 5, &[".riptide"]),
        }
    }
    println!("{read} could be read");
    assert!(read > 0);
}

/// What a busy service is called while it runs is what its recording calls it at that moment.
#[test]
fn a_recording_has_the_verdicts_of_the_live_run() {
    let seconds: u64 = if long() { 3_600 } else { 45 };
    let directory = Directory::new();
    let file = directory.path().join("past.riptide");
    let demo = clean_command(riptide_path())
        .args(["demo", "--headless", "--seconds"])
        .arg((seconds + 60).to_string())
        .env("RIPTIDE_DIR", directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _demo = Ended(demo.unwrap());
    let region = directory.region();
    let mut recorder = Ended(record(&region, &file, &[]));
    wait_for("the recording", || {
        (fs::metadata(&file).ok()?.len() > 0).then_some(())
    });
    let began = Instant::now();
    let target = region.to_str().unwrap();
    let watched = seconds.to_string();
    let live = json(&["leaks", target, "--all", "--json", "--for", &watched]);
    let at = format!("{}s", began.elapsed().as_secs());
    let pid = Pid::from_child(&recorder.0);
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    assert!(recorder.0.wait().unwrap().success());
    let path = file.to_str().unwrap();
    let began = Instant::now();
    let replayed = json(&["leaks", path, "--all", "--json", "--at", &at]);
    let opened = began.elapsed();
    println!(
        "{seconds} s of the demo's service: {} bytes, {opened:.1?} to its end with symbols and verdicts",
        fs::metadata(&file).unwrap().len()
    );
    let called = |findings: &Value, verdict: &str| -> Vec<String> {
        let all = findings["findings"].as_array().unwrap();
        let mut names: Vec<String> = all
            .iter()
            .filter(|finding| finding["verdict"] == verdict)
            .map(|finding| format!("{} {}", finding["function"], finding["line"]))
            .collect();
        names.sort();
        names
    };
    for verdict in ["leak", "growing", "cache-like", "warm-up", "healthy"] {
        let (live, replayed) = (called(&live, verdict), called(&replayed, verdict));
        println!("{verdict}: live {live:#?}, replayed {replayed:#?}");
        if verdict == "leak" {
            assert_eq!(live, replayed);
        }
    }
    let leaks_or_grows = |findings: &Value| {
        let mut names = called(findings, "leak");
        names.extend(called(findings, "growing"));
        names
    };
    let (live, replayed) = (leaks_or_grows(&live), leaks_or_grows(&replayed));
    if long() {
        assert_eq!(live, replayed);
    }
    // The two moments are up to a second apart, in which a cache that fills may come to be called
    // `growing` in the first minute, or no longer. The leak grows at both.
    for names in [live, replayed] {
        let leak = names
            .iter()
            .any(|name| name.contains("sessions::remember_session"));
        assert!(leak, "{names:#?}");
    }
}
