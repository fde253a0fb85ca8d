//! ripgrep on a long input.

use std::{
    collections::BTreeSet,
    io::Write,
    path::Path,
    process::{Output, Stdio},
};

use crate::{
    corpus::Corpus,
    harness::{Directory, Top, clean_command, wait_for},
    profile::{
        assert_exact, assert_nothing_unrecorded, assert_stacks_are_whole, crate_of,
        crates_with_lines, own_names, own_places, top,
    },
    program::{Build, RIPGREP, advice},
    report,
};

/// What is looked for: thousands of lines match.
const PATTERN: &str = r"\b(tide|reef|keel) (\w+) .*turn(\d{3})\b";

/// Runs to its end, beside the corpus; the region, if any, stays in `directory`.
fn run(
    binary: &Path,
    arguments: &[&str],
    corpus: &Corpus,
    directory: &Directory,
    environment: &[(&str, &str)],
) -> Output {
    clean_command(binary)
        .args(arguments)
        .current_dir(corpus.path())
        .env_remove("RIPGREP_CONFIG_PATH")
        .env("RIPTIDE_DIR", directory.path())
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Searches on all threads, so long that even rare allocations are sampled, and reads what the
/// region says afterwards.
fn profile(binary: &Path, corpus: &Corpus, interval: &str) -> Top {
    let directory = Directory::new();
    let environment = [("RIPTIDE_SAMPLE_INTERVAL", interval), ("RIPTIDE_KEEP", "1")];
    let output = run(
        binary,
        &["--threads", "4", "--stats", PATTERN, "."],
        corpus,
        &directory,
        &environment,
    );
    assert!(output.status.success(), "{output:?}");
    let top = top(directory.region().to_str().unwrap(), &directory);
    assert_eq!(top.state(), "exited");
    assert_nothing_unrecorded(&top);
    report(&format!(
        "advice on ripgrep, sampled at {interval}:\n{}",
        advice(&directory)
    ));
    top
}

#[test]
fn ripgrep_prints_the_same_bytes_whatever_the_interval() {
    let corpus = Corpus::new("bytes");
    let unchanged = RIPGREP.build(Build::Unchanged).binary;
    // With the exit code and whether anything must be on stdout.
    let runs: [(&[&str], i32, bool); 8] = [
        (&["--sort", "path", PATTERN, "."], 0, true),
        (
            &["--sort", "path", "-n", "--column", "-C2", "turn77", "."],
            0,
            true,
        ),
        (
            &["--sort", "path", "-io", r"\w+ WAKE", "--vimgrep", "d1"],
            0,
            true,
        ),
        (
            &["--sort", "path", "--multiline", r"hull turn\d+\nkeel", "."],
            0,
            true,
        ),
        (
            &[
                "--sort",
                "path",
                "--hidden",
                "--no-ignore",
                "--text",
                "turning",
                ".",
            ],
            0,
            true,
        ),
        (&["--sort", "path", "--files", "."], 0, true),
        (&["--sort", "path", "no such words", "."], 1, false),
        (
            &["--sort", "path", "tide", "not-there", "wide.txt"],
            2,
            true,
        ),
    ];
    for build in [Build::Lines, Build::Names] {
        let changed = RIPGREP.build(build).binary;
        for (arguments, code, prints) in runs {
            let directory = Directory::new();
            let expected = run(&unchanged, arguments, &corpus, &directory, &[]);
            assert_eq!(expected.status.code(), Some(code), "{expected:?}");
            assert_eq!(!expected.stdout.is_empty(), prints, "{arguments:?}");
            assert_eq!(
                directory.files().len(),
                0,
                "the unchanged build has no riptide"
            );
            for interval in [None, Some("64KiB"), Some("1")] {
                let interval = interval.map(|interval| ("RIPTIDE_SAMPLE_INTERVAL", interval));
                let environment: Vec<_> = interval.into_iter().collect();
                let output = run(&changed, arguments, &corpus, &directory, &environment);
                assert!(
                    output == expected,
                    "{build:?} {interval:?} {arguments:?}: {} and {} bytes instead of {} and {}, {}",
                    output.stdout.len(),
                    output.stderr.len(),
                    expected.stdout.len(),
                    expected.stderr.len(),
                    output.status
                );
            }
        }
    }
}

/// Without an order the threads race, so lines are compared as a set.
#[test]
fn ripgrep_finds_the_same_lines_on_many_threads() {
    let corpus = Corpus::new("threads");
    let lines = |build, interval| {
        let directory = Directory::new();
        let output = run(
            &RIPGREP.build(build).binary,
            &["--threads", "8", "-n", PATTERN, "."],
            &corpus,
            &directory,
            &[("RIPTIDE_SAMPLE_INTERVAL", interval)],
        );
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{output:?}"
        );
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let expected = lines(Build::Unchanged, "1");
    assert!(expected.len() > 1_000, "{}", expected.len());
    for interval in ["64KiB", "1"] {
        assert!(lines(Build::Lines, interval) == expected, "{interval}");
    }
}

#[test]
fn ripgrep_names_its_own_functions_by_file_and_line() {
    let built = RIPGREP.build(Build::Lines);
    let top = profile(&built.binary, &Corpus::new("lines"), "1KiB");
    let places = own_places(&top, RIPGREP.crate_name, &built.source);
    let files: BTreeSet<&str> = places
        .iter()
        .map(|(_, file, _)| file.to_str().unwrap())
        .collect();
    // Its flags take 18 kB, the threads that walk the tree some more.
    assert!(files.contains("crates/core/flags/parse.rs"), "{places:#?}");
    assert!(places.len() >= 3, "{places:#?}");
    // The libraries that it is made of, in packages of their own.
    let crates = crates_with_lines(&top);
    for library in ["ignore", "globset", "grep_searcher", "regex_automata"] {
        assert!(crates.contains(library), "{library} is not in {crates:?}");
    }
    assert_stacks_are_whole(&top, RIPGREP.crate_name);
    report(&format!(
        "ripgrep with line tables: {} sites, own: {}",
        top.0["sites"].as_array().unwrap().len(),
        places
            .iter()
            .map(|(function, file, line)| format!("{function} {}:{line}", file.display()))
            .collect::<Vec<_>>()
            .join(", ")
    ));
}

#[test]
fn ripgrep_names_its_own_functions_without_debug_information() {
    let built = RIPGREP.build(Build::Names);
    let top = profile(&built.binary, &Corpus::new("names"), "1KiB");
    let names = own_names(&top, RIPGREP.crate_name, &built.source);
    assert!(
        names
            .iter()
            .any(|name| name.starts_with("rg::flags::parse::")),
        "{names:?}"
    );
    assert_stacks_are_whole(&top, RIPGREP.crate_name);
    report(&format!("ripgrep without debug information: {names:?}"));
}

/// Attached by pid in the middle of its work: a search over several lines holds the whole input.
#[test]
fn ripgrep_is_read_while_it_holds_its_input() {
    const INPUT_BYTES: usize = 32 << 20;
    let line = b"the tide is turning at the reef and nobody looks\n";
    let mut input: Vec<u8> = line.iter().copied().cycle().take(INPUT_BYTES).collect();
    input.extend_from_slice(b"\nthe last\nword\n");
    let arguments = ["--multiline", "--byte-offset", r"last\nword", "-"];

    let start = |binary: &Path, directory: &Directory| {
        let mut child = clean_command(binary)
            .args(arguments)
            .env_remove("RIPGREP_CONFIG_PATH")
            .env("RIPTIDE_DIR", directory.path())
            .env("RIPTIDE_SAMPLE_INTERVAL", "64KiB")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(&input).unwrap();
        child
    };
    let directory = Directory::new();
    let built = RIPGREP.build(Build::Lines);
    let mut child = start(&built.binary, &directory);
    let pid = child.id().to_string();
    // It has read what is beyond the pipe's own room.
    let live = wait_for("the input to be held", || {
        let top = top(&pid, &directory);
        assert_eq!(top.state(), "live");
        let site = top.0["sites"][0].clone();
        let held = site["live_bytes"]["high"].as_f64().unwrap();
        (held >= (INPUT_BYTES - (64 << 10)) as f64).then_some(site)
    });
    assert_eq!(
        crate_of(live["function"].as_str().unwrap()),
        "grep_searcher"
    );
    let file = live["file"].as_str().unwrap();
    assert!(file.ends_with("src/searcher/mod.rs"), "{file}");
    assert!(live["line"].as_u64().unwrap() > 0);
    // One block that grows by doubling at most.
    assert_eq!(
        live["live_objects"]["estimate"].as_f64().unwrap().round(),
        1.0
    );
    let held = live["live_bytes"]["estimate"].as_f64().unwrap();
    assert!(held < 2.1 * input.len() as f64, "{held}");

    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    let unchanged = RIPGREP.build(Build::Unchanged).binary;
    let mut expected = start(&unchanged, &directory);
    drop(expected.stdin.take());
    let expected = expected.wait_with_output().unwrap();
    assert!(expected.status.success() && !expected.stdout.is_empty());
    assert_eq!(output, expected);
}

#[test]
fn ripgrep_is_exact_at_interval_one() {
    let built = RIPGREP.build(Build::Lines);
    let corpus = Corpus::new("exact");
    let top = profile(&built.binary, &corpus, "1");
    assert_exact(&top);
    let places = own_places(&top, RIPGREP.crate_name, &built.source);
    assert!(places.len() >= 8, "{places:#?}");
    report(&format!(
        "ripgrep at interval 1: {} samples, {} bytes live in {} blocks at exit, {} sites, {} own",
        top.number("sampling", "samples"),
        top.live("bytes").estimate,
        top.live("objects").estimate,
        top.0["sites"].as_array().unwrap().len(),
        places.len()
    ));
}
