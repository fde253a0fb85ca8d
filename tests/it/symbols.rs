//! What is known without symbols.

use std::process::Command;

use crate::harness::{Directory, Victim, program, top, truth, victim_command};

#[test]
fn a_stripped_program_still_names_its_modules() {
    let directory = Directory::new();
    let stripped = directory.path().join("stripped-victim");
    let strip = Command::new("strip")
        .args(["--strip-all", "-o"])
        .arg(&stripped)
        .arg(program("victim-sites"))
        .status()
        .unwrap();
    assert!(strip.success());
    let regions = Directory::new();
    let mut command = victim_command(&stripped, regions.path());
    command.arg("5").env("RIPTIDE_SAMPLE_INTERVAL", "1");
    let mut victim = Victim::start(command);
    let sites = truth(&victim.report());
    let profile = top(&regions.region());
    let total: f64 = sites.iter().map(|site| site.bytes).sum();
    assert!(profile.live("bytes").estimate >= total);
    let rows = profile.0["sites"].as_array().unwrap();
    assert!(!rows.is_empty());
    let frames = rows[0]["stack"].as_array().unwrap();
    assert!(!frames.is_empty());
    assert!(
        frames
            .iter()
            .any(|frame| frame["module"] == "stripped-victim"),
        "{frames:?}"
    );
    // The functions are kept apart: each by its own address, none by the profiler's.
    for name in [
        "small_boxes",
        "mixed_sizes",
        "large_blocks",
        "zeroed_blocks",
    ] {
        let site = sites
            .iter()
            .find(|site| site.function.ends_with(name))
            .unwrap();
        assert!(
            rows.iter()
                .any(|row| row["live_bytes"]["estimate"] == site.bytes),
            "{name}: {} bytes in none of {rows:?}",
            site.bytes
        );
    }
    for row in rows {
        // An address is no name to be proud of, but never a wrong one.
        let function = row["function"].as_str().unwrap();
        assert!(!function.contains("victim_sites"), "{function}");
        assert_eq!(row["file"], serde_json::Value::Null, "{row}");
    }
}

/// Built as cargo builds by default in release: no line tables beyond those of this workspace's
/// profile are needed for names.
#[test]
fn without_debug_info_functions_have_their_names() {
    let directory = Directory::new();
    let bare = directory.path().join("bare-victim");
    let strip = Command::new("strip")
        .args(["--strip-debug", "-o"])
        .arg(&bare)
        .arg(program("victim-sites"))
        .status()
        .unwrap();
    assert!(strip.success());
    let regions = Directory::new();
    let mut command = victim_command(&bare, regions.path());
    command.arg("5").env("RIPTIDE_SAMPLE_INTERVAL", "1");
    let mut victim = Victim::start(command);
    let sites = truth(&victim.report());
    let profile = top(&regions.region());
    profile.assert_exact(&sites);
    for site in &sites {
        assert_eq!(
            profile.rows(&site.function)[0]["file"],
            serde_json::Value::Null
        );
    }
}

#[test]
fn with_debug_info_sites_have_file_and_line() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["5"], &directory, "1");
    let sites = truth(&victim.report());
    let profile = top(&directory.region());
    for site in &sites {
        let row = profile.rows(&site.function)[0];
        let file = row["file"].as_str().unwrap_or_default();
        assert!(file.ends_with("programs/sites.rs"), "{row}");
        let line = row["line"].as_u64().unwrap();
        // The line is inside the function, which the source says itself.
        let source = include_str!("../programs/sites.rs");
        let name = site.function.rsplit("::").next().unwrap();
        let start = source
            .lines()
            .position(|line| line.contains(&format!("fn {name}(")))
            .unwrap();
        let length = source
            .lines()
            .skip(start)
            .position(|line| line == "}")
            .unwrap();
        let inside = start as u64 + 1..=(start + length) as u64 + 1;
        assert!(
            inside.contains(&line),
            "{name}: {line} is not in {inside:?}"
        );
    }
}

/// Frame pointers where the program has them, unwind tables where not. `tests/run` builds the
/// victims both ways and says which way it did.
#[test]
fn the_unwinder_is_chosen_by_evidence() {
    let expected = std::env::var("RIPTIDE_TEST_UNWINDER").unwrap_or("dwarf".to_owned());
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["5"], &directory, "1");
    let sites = truth(&victim.report());
    let profile = top(&directory.region());
    assert_eq!(profile.0["sampling"]["unwinder"], expected.as_str());
    profile.assert_exact(&sites);
    // Down to the program's entry, whichever way.
    for site in &sites {
        let row = profile.rows(&site.function)[0];
        let frames = row["stack"].as_array().unwrap();
        assert!(
            frames
                .iter()
                .any(|frame| frame["function"] == "victim_sites::main"),
            "{row}"
        );
        assert!(
            frames.last().unwrap()["function"]
                .as_str()
                .is_some_and(|name| name.contains("start")),
            "{row}"
        );
    }
}
