//! A child inherits the mapping of its parent's region, and must leave it alone.

use crate::harness::{Directory, Victim, is_region, program, top, truth, victim_command};

/// What the parent and the child say of their work, riptide being off.
fn plain_run() -> Vec<String> {
    let directory = Directory::new();
    let mut command = victim_command(&program("victim-fork"), directory.path());
    command.env("RIPTIDE", "off");
    let victim = Victim::start(command);
    let (status, lines) = victim.finish();
    assert!(status.success());
    lines
}

fn forked(environment: &[(&str, &str)]) -> (Directory, Victim, Vec<String>) {
    let directory = Directory::new();
    let mut command = victim_command(&program("victim-fork"), directory.path());
    command
        .env("RIPTIDE_SAMPLE_INTERVAL", "1")
        .envs(environment.iter().copied());
    let mut victim = Victim::start(command);
    let lines = (0..4).map(|_| victim.line()).collect();
    (directory, victim, lines)
}

#[test]
fn the_parent_is_exact_and_the_child_unharmed() {
    let plain = plain_run();
    let (directory, victim, lines) = forked(&[]);
    assert_eq!(lines, plain);
    assert!(lines[2].ends_with("true"), "the child failed: {lines:?}");
    let profile = top(&directory.region());
    assert_eq!(profile.0["target"]["pid"], victim.pid());
    assert_eq!(profile.state(), "live");
    profile.assert_exact(&truth(&serde_json::from_str(&lines[3]).unwrap()));
    // Nothing of the child.
    assert_eq!(profile.site("victim_fork::use_inherited").0.estimate, 0.0);
    assert_eq!(directory.files().len(), 1, "{:?}", directory.files());
}

/// With `RIPTIDE_FORK=follow` the child has a region of its own while it lives.
#[test]
fn a_followed_child_leaves_its_parent_exact() {
    let plain = plain_run();
    let (directory, victim, lines) = forked(&[("RIPTIDE_FORK", "follow"), ("RIPTIDE_KEEP", "1")]);
    assert_eq!(lines, plain);
    let regions: Vec<_> = directory
        .files()
        .into_iter()
        .filter(|path| is_region(path))
        .collect();
    assert_eq!(regions.len(), 2, "{regions:?}");
    let mut states = Vec::new();
    for region in regions {
        let profile = top(&region);
        states.push(profile.state().to_owned());
        if profile.0["target"]["pid"] == victim.pid() {
            profile.assert_exact(&truth(&serde_json::from_str(&lines[3]).unwrap()));
        } else {
            assert_eq!(profile.state(), "exited");
        }
    }
    states.sort();
    assert_eq!(states, ["exited", "live"]);
}
