//! `riptide diff`: exact numbers of two moments, from whatever they are kept in.

use std::fs;

use serde_json::Value;

use crate::harness::{Directory, Victim, assert_refused, riptide, top};

fn diff(before: &str, after: &str) -> Value {
    let output = riptide(&["diff", before, after, "--json", "--limit", "0"], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Two victims of different scale: each site's difference is that of the two profiles, exactly.
#[test]
fn regions_and_snapshots_are_compared_exactly() {
    let (small, large) = (Directory::new(), Directory::new());
    let mut victims = [
        Victim::new("victim-sites", &["10"], &small, "1"),
        Victim::new("victim-sites", &["20"], &large, "1"),
    ];
    for victim in &mut victims {
        victim.report();
        victim.kill();
    }
    let (small_region, large_region) = (small.region(), large.region());
    let (before, after) = (
        small_region.to_str().unwrap(),
        large_region.to_str().unwrap(),
    );
    let expected =
        top(&large_region).live("bytes").estimate - top(&small_region).live("bytes").estimate;
    let of_regions = diff(before, after);
    let change = &of_regions["live_bytes_change"];
    assert_eq!(change["estimate"], expected);
    assert_eq!(
        (&change["low"], &change["high"]),
        (&change["estimate"], &change["estimate"])
    );
    assert!(expected > 0.0);
    let sites = of_regions["sites"].as_array().unwrap();
    let sum: f64 = sites
        .iter()
        .map(|site| site["live_bytes_change"]["estimate"].as_f64().unwrap())
        .sum();
    assert_eq!(sum, expected);
    assert_eq!(sites[0]["direction"], "grew");

    let file = small.path().join("snapshot.json");
    let path = file.to_str().unwrap();
    let export = riptide(&["export", before, "--format", "json", "-o", path], &[]);
    assert!(export.status.success());
    let of_file = diff(path, after);
    assert_eq!(of_file["sites"], of_regions["sites"]);
    // The other way round, and against itself.
    let back = diff(after, path);
    assert_eq!(back["live_bytes_change"]["estimate"], -expected);
    assert_eq!(back["sites"][0]["direction"], "shrank");
    assert_eq!(diff(path, before)["sites"].as_array().unwrap().len(), 0);

    let recording = small.path().join("past.riptide");
    let past = recording.to_str().unwrap();
    assert!(
        riptide(&["record", before, "-o", past], &[])
            .status
            .success()
    );
    assert_eq!(diff(past, after)["sites"], of_regions["sites"]);
    assert_eq!(
        diff(&format!("{past}@0s"), after)["sites"],
        of_regions["sites"]
    );

    fs::write(&file, "{\"a\": 1}").unwrap();
    assert_refused(&riptide(&["diff", path, after], &[]), 2, &["no snapshot"]);
    fs::write(&file, "{\"a\": ").unwrap();
    assert_refused(&riptide(&["diff", path, after], &[]), 5, &["snapshot.json"]);
    assert_refused(
        &riptide(&["diff", "/no/such", after], &[]),
        3,
        &["/no/such"],
    );
    assert_refused(
        &riptide(&["diff", &format!("{past}@9h"), after], &[]),
        2,
        &["s long"],
    );
}
