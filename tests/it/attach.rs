//! Readers come late, repeatedly and several at a time.

use std::{thread, time::Duration};

use crate::harness::{Directory, Top, Victim, long, riptide, top, truth};

/// What was allocated at the start is there for a reader that comes long after.
#[test]
fn a_late_reader_sees_what_was_allocated_at_the_start() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["20"], &directory, "1");
    let sites = truth(&victim.report());
    thread::sleep(Duration::from_secs(if long() { 30 } else { 5 }));
    let profile = top(&directory.region());
    assert_eq!(profile.state(), "live");
    assert!(profile.0["target"]["uptime_seconds"].as_f64().unwrap() >= 5.0);
    profile.assert_exact(&sites);
}

#[test]
fn two_readers_at_once_see_the_same() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["20"], &directory, "64KiB");
    let sites = truth(&victim.report());
    let region = directory.region();
    let profiles: Vec<_> = thread::scope(|scope| {
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(|| top(&region))).collect();
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .collect()
    });
    let live = |profile: &Top| (profile.live("bytes"), profile.live("objects"));
    assert!(live(&profiles[0]).0.estimate > 1e6);
    for profile in &profiles[1..] {
        assert_eq!(live(profile), live(&profiles[0]));
        assert_eq!(
            sites_without_ages(profile),
            sites_without_ages(&profiles[0])
        );
    }
    // And the victim never noticed.
    let (status, rest) = victim.finish();
    assert!(status.success() && rest.is_empty());
    assert_eq!(sites.len(), 11);
}

/// The sites of a profile but for what goes on with the clock.
fn sites_without_ages(profile: &Top) -> Vec<serde_json::Value> {
    let mut sites = profile.0["sites"].as_array().unwrap().clone();
    for site in &mut sites {
        site.as_object_mut().unwrap().remove("median_age_seconds");
    }
    sites
}

/// Readers that read while threads allocate never see a figure that was never true: no torn or
/// mixed record, no more live blocks than there can be.
#[test]
fn readers_of_a_busy_target_never_see_nonsense() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-totals", &["random", "3", "200000"], &directory, "1");
    assert_eq!(victim.line(), "start");
    victim.say("go");
    let region = directory.region();
    for _ in 0..if long() { 60 } else { 8 } {
        let profile = top(&region);
        assert_eq!(profile.state(), "live");
        let (bytes, blocks) = (profile.live("bytes"), profile.live("objects"));
        assert!(bytes.is_exactly(bytes.estimate) && blocks.is_exactly(blocks.estimate));
        // No block of the victim is larger than 600 KB, but for vectors of its vectors.
        assert!(bytes.estimate <= blocks.estimate * 700_000.0 + 64e6);
        assert!(blocks.estimate < 2e6);
    }
}

#[test]
fn a_target_is_found_by_pid_name_and_alone() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-threads", &["3"], &directory, "1");
    victim.report();
    let region = directory.region();
    let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
    let pid = victim.pid().to_string();
    for target in [Some(pid.as_str()), Some("victim-threads"), None] {
        let mut arguments = vec!["top", "--once", "--json"];
        arguments.extend(target);
        let output = riptide(&arguments, &environment);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{target:?}: {message}");
        let profile: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(profile["target"]["pid"], victim.pid());
        assert_eq!(profile["target"]["region"], region.to_str().unwrap());
    }
    let output = riptide(&["list", "--json"], &environment);
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let targets = list["targets"].as_array().unwrap();
    let ours: Vec<_> = targets
        .iter()
        .filter(|target| target["region"] == region.to_str().unwrap())
        .collect();
    assert_eq!(ours.len(), 1, "{list}");
    assert_eq!(ours[0]["pid"], victim.pid());
    assert_eq!(ours[0]["state"], "live");
    assert_eq!(ours[0]["name"], "victim-threads");
}
