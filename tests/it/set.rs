//! `riptide set`: the sampling of a running process changes, and what it tells stays true.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::Value;

use crate::harness::{
    Directory, Truth, Victim, assert_refused, program, riptide, top, truth, victim_command,
    wait_for,
};

const DEFAULT: u64 = 512 << 10;

/// A block of this size ends every thread's gap that was drawn at the default.
const BEYOND_ANY_GAP: &str = "cross 67108864";

/// Runs `riptide set` and returns its answer.
fn set(region: &Path, arguments: &[&str]) -> Value {
    let mut all = vec!["set", region.to_str().unwrap(), "--json"];
    all.extend(arguments);
    let output = riptide(&all, &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn interval(region: &Path) -> u64 {
    top(region).number("sampling", "interval_bytes")
}

/// Starts the victim with the default interval that nothing moves.
fn start(directory: &Directory) -> (Victim, Truth) {
    let mut command = victim_command(&program("victim-changes"), directory.path());
    command.env("RIPTIDE_BUDGET", "off");
    let mut victim = Victim::start(command);
    let truth = truth(&victim.report()).remove(0);
    (victim, truth)
}

fn ask(victim: &mut Victim, line: &str) -> Truth {
    victim.say(line);
    truth(&victim.report()).remove(0)
}

#[test]
fn the_interval_changes_and_estimates_stay_true() {
    let directory = Directory::new();
    let (mut victim, site) = start(&directory);
    let region = directory.region();
    let function = site.function;
    ask(&mut victim, "keep 20000 1000");
    let before = top(&region).site(&function);

    let answer = set(&region, &["--interval", "1"]);
    assert_eq!(answer["before_bytes"], DEFAULT);
    assert_eq!(answer["interval_bytes"], 1);
    assert_eq!(answer["in_force"], true);
    ask(&mut victim, BEYOND_ANY_GAP);
    let kept = ask(&mut victim, "keep 5000 300");
    let dense = top(&region);
    assert_eq!(dense.number("sampling", "interval_bytes"), 1);
    let now = dense.site(&function);
    // What came since is exact, and adds no error to what was there.
    let grew = |now: f64, before: f64, by: f64| {
        // Sums of floats in another order.
        let error = (now - before - by).abs();
        assert!(error < 1e-6 * now, "{now} is not {before} and {by} more");
    };
    grew(now.0.estimate, before.0.estimate, 5_000.0 * 300.0);
    grew(now.1.estimate, before.1.estimate, 5_000.0);
    assert!(now.0.high - now.0.low <= (before.0.high - before.0.low) * 1.000_001);
    assert!(
        now.0.estimate > kept.bytes / 2.0 && now.0.estimate < kept.bytes * 2.0,
        "{now:?} of {kept:?}"
    );

    let answer = set(&region, &["--interval", "64KiB"]);
    assert_eq!(answer["interval_bytes"], 64 << 10);
    let answer = set(&region, &["--interval", "default"]);
    assert_eq!(answer["interval_bytes"], DEFAULT);
    assert_eq!(directory.files(), [region], "the control file is gone");
}

#[test]
fn a_change_for_a_while_ends_by_itself() {
    let directory = Directory::new();
    let (_victim, _) = start(&directory);
    let region = directory.region();
    let answer = set(&region, &["--interval", "64KiB", "--for", "6s"]);
    assert_eq!(answer["interval_bytes"], 64 << 10);
    assert_eq!(answer["for_seconds"], 6.0);
    wait_for("the default", || {
        (interval(&region) == DEFAULT).then_some(())
    });
}

#[test]
fn the_control_file_goes_with_the_region() {
    let directory = Directory::new();
    let (victim, _) = start(&directory);
    let region = directory.region();
    set(&region, &["--interval", "64KiB"]);
    let control = region.with_extension("control");
    let mode = fs::metadata(&control).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (status, _) = victim.finish();
    assert!(status.success());
    assert!(directory.files().is_empty(), "{:?}", directory.files());
}

#[test]
fn a_control_file_that_others_could_have_written_is_not_heeded() {
    let directory = Directory::new();
    let (mut victim, _) = start(&directory);
    let region = directory.region();
    let control = region.with_extension("control");
    // One that is heeded, to take its contents.
    set(&region, &["--interval", "64KiB"]);
    let good = fs::read(&control).unwrap();
    set(&region, &["--interval", "default"]);

    let ticks = |region: &Path| {
        let words = riptide_tests::shared::SharedWords::open(region).unwrap();
        let view = riptide_region::view::View::open(words.words()).unwrap();
        view.counters.get(riptide_region::counters::Counter::Ticks)
    };
    let mut is_ignored = |what: &str| {
        let before = ticks(&region);
        wait_for("ticks", || (ticks(&region) > before + 2).then_some(()));
        assert_eq!(interval(&region), DEFAULT, "{what}");
        fs::remove_file(&control).unwrap();
        ask(&mut victim, "keep 1 1");
    };
    fs::write(&control, &good).unwrap();
    fs::set_permissions(&control, fs::Permissions::from_mode(0o620)).unwrap();
    is_ignored("writable by the group");
    for (what, bytes) in [
        ("empty", &b""[..]),
        ("text", b"interval=1\n"),
        ("short", &good[..31]),
        ("long", &[&good[..], b"x"].concat()),
        ("random", &[0xa5; 32]),
    ] {
        fs::write(&control, bytes).unwrap();
        fs::set_permissions(&control, fs::Permissions::from_mode(0o600)).unwrap();
        is_ignored(what);
    }
    std::os::unix::fs::symlink("/dev/zero", &control).unwrap();
    is_ignored("a link");
    fs::create_dir(&control).unwrap();
    let before = ticks(&region);
    wait_for("ticks", || (ticks(&region) > before + 2).then_some(()));
    assert_eq!(interval(&region), DEFAULT, "a directory");
    fs::remove_dir(&control).unwrap();
}

#[test]
fn a_process_that_is_gone_or_idle_is_told_apart() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["5"], &directory, "1");
    victim.report();
    let region = directory.region();
    // It waits for its input and allocates nothing.
    let answer = set(&region, &["--interval", "64KiB"]);
    assert_eq!(answer["in_force"], false);
    assert_eq!(answer["interval_bytes"], 1);
    victim.kill();
    let region = region.to_str().unwrap();
    let output = riptide(&["set", region, "--interval", "64KiB"], &[]);
    assert_refused(&output, 3, &["killed"]);
    for wrong in [
        &["--interval", "0"][..],
        &["--interval", "often"],
        &["--interval", "default", "--for", "2s"],
        &["--interval", "64KiB", "--for", "never"],
        &[],
    ] {
        let mut all = vec!["set", region];
        all.extend(wrong);
        let output = riptide(&all, &[]);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
    }
}
