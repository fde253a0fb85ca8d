//! `riptide prune`: what the dead left goes, what lives or is not known stays.

use std::fs;

use serde_json::Value;

use crate::harness::{Directory, Victim, riptide};

#[test]
fn only_regions_of_the_dead_are_removed() {
    let directory = Directory::new();
    let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
    let mut dead = Victim::new("victim-threads", &["3"], &directory, "64KiB");
    dead.report();
    let killed = directory.region();
    dead.kill();
    let mut living = Victim::new("victim-threads", &["3"], &directory, "64KiB");
    living.report();
    let control = format!("{}.control", killed.display());
    fs::write(&control, "left behind").unwrap();
    let stray = directory.path().join("7-8-cut");
    fs::write(&stray, "not a region").unwrap();

    let dry = riptide(&["prune", "--dry-run"], &environment);
    assert_eq!(dry.status.code(), Some(0), "{dry:?}");
    assert!(String::from_utf8_lossy(&dry.stdout).contains(killed.to_str().unwrap()));
    assert!(killed.exists());

    let output = riptide(&["prune", "--json"], &environment);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let removed: Vec<&str> = document["removed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["path"].as_str().unwrap())
        .collect();
    assert_eq!(removed, [killed.to_str().unwrap(), control.as_str()]);
    assert!(!killed.exists() && stray.exists());

    let list = riptide(&["list", "--json"], &environment);
    let list: Value = serde_json::from_slice(&list.stdout).unwrap();
    let live = list["targets"].as_array().unwrap();
    assert!(
        live.iter()
            .any(|target| target["pid"] == living.pid() && target["state"] == "live"),
        "{list}"
    );
    let again = riptide(&["prune"], &environment);
    assert_eq!(again.status.code(), Some(0));
    assert!(again.stdout.is_empty());
}
