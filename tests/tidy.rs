//! Rules of the house that no compiler checks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

/// Path from the root and text of every file with one of the `extensions`.
fn files(extensions: &[&str]) -> Vec<(String, String)> {
    fn walk(directory: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", "node_modules"].contains(&name.as_str()) {
                    walk(&path, extensions, found);
                }
            } else if extensions.iter().any(|extension| {
                path.extension().is_some_and(|other| other == *extension) || name == *extension
            }) {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    walk(&root, extensions, &mut found);
    found.sort();
    assert!(!found.is_empty());
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(&root).unwrap();
            (path.to_string_lossy().into_owned(), text)
        })
        .collect()
}

fn metadata(arguments: &[&str]) -> Value {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["metadata", "--format-version=1", "--locked"])
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Dependencies of each package of the workspace, of every kind.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = metadata(&["--no-deps"]);
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| {
            let names = package["dependencies"].as_array().unwrap().iter();
            let names = names.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
            (
                package["name"].as_str().unwrap().to_owned(),
                names.collect(),
            )
        })
        .collect()
}

#[test]
fn doors_open_one_way() {
    let dependencies = dependencies();
    let allowed = [
        ("riptide-region", &[][..]),
        ("riptide-alloc", &["riptide-region"]),
        // The same source once more, for a program with two copies of it.
        ("riptide-alloc-again", &["riptide-region"]),
        ("riptide-reader", &["riptide-region"]),
        // The allocator for the sake of the bundled demo service only: see the next test.
        ("riptide", &["riptide-alloc", "riptide-reader"]),
    ];
    for (package, doors) in allowed {
        let through: Vec<&str> = dependencies[package]
            .iter()
            .map(String::as_str)
            .filter(|name| name.starts_with("riptide"))
            .collect();
        assert!(
            through.iter().all(|name| doors.contains(name)),
            "{package} depends on {through:?}, allowed are {doors:?}"
        );
    }
    let known: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(
        known,
        BTreeSet::from([
            "riptide",
            "riptide-alloc",
            "riptide-alloc-again",
            "riptide-benches",
            "riptide-fuzz",
            "riptide-reader",
            "riptide-region",
            "riptide-tests",
        ]),
        "a new package needs its doors here"
    );
}

/// The dashboard profiles itself no more than any program: the only code of the allocator in it is
/// the line that every program has.
#[test]
fn the_dashboard_uses_the_allocator_as_any_program_does() {
    let mut uses = Vec::new();
    for (path, text) in files(&["rs"]) {
        if !path.starts_with("tui/") {
            continue;
        }
        for line in text.lines() {
            let code = line.split('"').next().unwrap().trim();
            if code.contains("riptide_alloc") && !code.starts_with("//") {
                uses.push(format!("{path}: {code}"));
            }
        }
    }
    assert_eq!(uses.len(), 1, "{uses:#?}");
    assert!(
        uses[0].contains("static GLOBAL: riptide_alloc::Riptide"),
        "{uses:?}"
    );
}

/// What comes into every customer's build.
#[test]
fn the_allocator_stays_light() {
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().unwrap();
    for (name, most) in [("riptide-alloc", 8), ("riptide-region", 2)] {
        let package = packages
            .iter()
            .find(|package| package["name"] == name)
            .unwrap();
        let direct: BTreeSet<&str> = package["dependencies"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| dependency["name"].as_str().unwrap())
            .filter(|name| *name != "loom")
            .collect();
        assert!(direct.len() <= most, "{name}: {direct:?}");
        for heavy in ["serde", "serde_json", "tokio", "syn", "tracing", "log"] {
            assert!(!direct.contains(heavy), "{name} depends on {heavy}");
        }
    }
}

/// Both ends of every synchronising pair are labelled, and say which end they are.
#[test]
fn every_sync_label_has_both_ends() {
    let label = concat!("SYNC", "(");
    let mut ends: BTreeMap<String, Vec<(String, bool, bool)>> = BTreeMap::new();
    for (path, text) in files(&["rs"]) {
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(start) = line.find(label) else {
                continue;
            };
            let name = line[start + label.len()..].split(')').next().unwrap();
            assert!(line.trim_start().starts_with("//"), "{path}: {line}");
            // The comment and the statement under it.
            let mut near = String::new();
            for line in lines[number..].iter().take(12) {
                near.push_str(line);
                near.push('\n');
                if line.ends_with(';') && !line.trim_start().starts_with("//") {
                    break;
                }
            }
            // "as above" continues the comment of another site of this file.
            let has = |word: &str| near.contains(word);
            let place = format!("{path}:{}", number + 1);
            ends.entry(name.to_owned())
                .or_default()
                .push((place, has("Release"), has("Acquire")));
        }
    }
    assert!(ends.len() >= 10, "{ends:?}");
    for (name, places) in &ends {
        assert!(places.len() >= 2, "{name} is only at {places:?}");
        assert!(
            places.iter().any(|place| place.1),
            "{name}: no Release in {places:?}"
        );
        assert!(
            places.iter().any(|place| place.2),
            "{name}: no Acquire in {places:?}"
        );
    }
}

/// Files with unsafe code say so at their head, and ARCHITECTURE.md lists those that ship.
#[test]
fn unsafe_islands_are_declared_and_listed() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, islands) = architecture
        .split_once("## Unsafe islands")
        .expect("ARCHITECTURE.md lists the unsafe islands");
    let islands = islands.split("\n## ").next().unwrap();
    let mut undeclared = Vec::new();
    let mut unlisted = Vec::new();
    let mut found = 0;
    for (path, text) in files(&["rs"]) {
        let is_island = text.lines().any(|line| {
            // Not in comments and strings.
            let code = line.split("//").next().unwrap().split('"').next().unwrap();
            [
                "unsafe {",
                "unsafe fn",
                "unsafe impl",
                "unsafe extern",
                "unsafe trait",
            ]
            .iter()
            .any(|form| code.contains(form))
        });
        if !is_island {
            continue;
        }
        found += 1;
        let head: String = text
            .lines()
            .take_while(|line| !line.starts_with("use "))
            .collect();
        if !(head.contains("#![") && head.contains("expect(") && head.contains("unsafe_code")) {
            undeclared.push(path.clone());
        }
        let ships = !path.starts_with("tests/") && !path.starts_with("benches/");
        let name = path.rsplit('/').next().unwrap();
        let folder = path.rsplit('/').nth(1).unwrap();
        let listed = islands.contains(&format!("`{path}`"))
            || islands.contains(&format!("/{name}`"))
            || islands.contains(&format!("{folder}/{name}`"))
            || islands.contains(&format!("`{name}`"));
        if ships && !path.contains("/tests/") && !listed {
            unlisted.push(path);
        }
    }
    assert!(found >= 10);
    assert!(
        undeclared.is_empty(),
        "no #![expect(unsafe_code, …)] at the head of {undeclared:?}"
    );
    assert!(unlisted.is_empty(), "not in ARCHITECTURE.md: {unlisted:?}");
}

#[test]
fn nothing_is_left_for_later() {
    let words = [
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("XX", "X"),
        concat!("#[", "ignore"),
        concat!("dbg", "!("),
    ];
    for (path, text) in files(&[
        "rs", "toml", "md", "yml", "sh", "run", "mutants", "justfile",
    ]) {
        for (number, line) in text.lines().enumerate() {
            for word in words {
                assert!(!line.contains(word), "{path}:{}: {line}", number + 1);
            }
        }
    }
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/sha", "red/"),
        concat!("r-seed", "-"),
    ];
    for (path, text) in files(&[
        "rs", "toml", "md", "yml", "sh", "run", "justfile", "snap", "golden",
    ]) {
        for (number, line) in text.lines().enumerate() {
            for word in words {
                assert!(!line.contains(word), "{path}:{}: {line}", number + 1);
            }
        }
    }
}

#[test]
fn files_hold_one_idea() {
    for (path, text) in files(&["rs"]) {
        let lines = text.lines().count();
        assert!(lines <= 700, "{path} has {lines} lines: split it by role");
        // Modules of tests say it by their name.
        assert!(
            text.starts_with("//!") || path.ends_with("tests.rs"),
            "{path} does not say what it is for"
        );
    }
}

/// The steps of `tests/run` are spread over jobs; none is left out.
#[test]
fn continuous_integration_runs_every_step() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let run = read("tests/run");
    let (_, steps) = run
        .split_once("\nsteps=(")
        .expect("tests/run lists its steps");
    let steps: BTreeSet<&str> = steps
        .split(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let jobs = read(".github/workflows/ci.yml");
    let (_, matrix) = jobs
        .split_once("\n        steps:\n")
        .expect("a matrix of steps");
    let run_by_jobs: BTreeSet<&str> = matrix
        .lines()
        .map_while(|line| line.strip_prefix("          - "))
        .flat_map(str::split_whitespace)
        // Every job begins with it.
        .chain(["setup"])
        .collect();
    assert!(steps.len() > 10);
    assert_eq!(run_by_jobs, steps);
}

// ---- licences ---------------------------------------------------------------------------------

/// The identifiers in the `allow` list of deny.toml.
fn allowed_licences() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join("deny.toml")).unwrap();
    let (_, list) = text
        .split_once("\nallow = [")
        .expect("deny.toml has an allow list");
    let list = list.split(']').next().unwrap();
    let allowed: BTreeSet<String> = list
        .split(',')
        .map(|item| item.trim().trim_matches('"').to_owned())
        .filter(|item| !item.is_empty())
        .collect();
    assert!(allowed.contains("MIT"));
    allowed
}

/// Whether an SPDX expression can be met from the allowed licences.
fn is_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        // The old way of writing OR.
        .replace('/', " OR ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut place = 0;
    let met = any(&tokens, &mut place, allowed);
    assert_eq!(place, tokens.len(), "{expression}");
    met
}

fn any(tokens: &[&str], place: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = all(tokens, place, allowed);
    while tokens.get(*place) == Some(&"OR") {
        *place += 1;
        met |= all(tokens, place, allowed);
    }
    met
}

fn all(tokens: &[&str], place: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(tokens, place, allowed);
    while tokens.get(*place) == Some(&"AND") {
        *place += 1;
        met &= one(tokens, place, allowed);
    }
    met
}

fn one(tokens: &[&str], place: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let token = tokens[*place];
    *place += 1;
    if token == "(" {
        let met = any(tokens, place, allowed);
        assert_eq!(tokens.get(*place), Some(&")"));
        *place += 1;
        return met;
    }
    let mut licence = token.to_owned();
    if tokens.get(*place) == Some(&"WITH") {
        licence = format!("{token} WITH {}", tokens[*place + 1]);
        *place += 2;
    }
    allowed.contains(&licence)
}

#[test]
fn every_dependency_has_an_allowed_licence() {
    let allowed = allowed_licences();
    let metadata = metadata(&[]);
    let mut refused = Vec::new();
    let mut used = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = format!("{} {}", package["name"], package["version"]);
        match package["license"].as_str() {
            Some(licence) if is_allowed(licence, &allowed) => {
                for token in allowed.iter().filter(|allowed| licence.contains(*allowed)) {
                    used.insert(token.clone());
                }
            }
            other => refused.push((name, other.map(str::to_owned))),
        }
    }
    assert!(refused.is_empty(), "{refused:#?}");
    let idle: Vec<_> = allowed.difference(&used).collect();
    assert!(idle.is_empty(), "nothing needs these: {idle:?}");
}

#[test]
fn licence_expressions_are_understood() {
    let allowed = BTreeSet::from([
        "MIT".to_owned(),
        "Apache-2.0 WITH LLVM-exception".to_owned(),
    ]);
    for met in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(GPL-3.0 OR MIT) AND MIT",
        "Apache-2.0 WITH LLVM-exception OR BSD-3-Clause",
    ] {
        assert!(is_allowed(met, &allowed), "{met}");
    }
    for unmet in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR Zlib) AND Zlib",
        "Apache-2.0",
    ] {
        assert!(!is_allowed(unmet, &allowed), "{unmet}");
    }
}
