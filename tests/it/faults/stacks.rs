//! Stacks, signals, libraries that come and go.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::compare::{Fault, assert_exact, assert_keeps, regions};
use crate::harness::{Directory, long, program, top};

#[test]
fn deep_stacks_and_large_frames() {
    let (directory, deed) = Fault::new(&["deep"]).assert_same_always();
    deed.assert_complete();
    assert_exact(&directory, &deed);
}

#[test]
fn tiny_stacks_of_threads() {
    let (_, deed) = Fault::new(&["tiny-stacks"]).assert_same_always();
    deed.assert_complete();
    assert!(deed.lines.contains(&"made 0".to_owned()), "{deed:?}");
}

/// Coroutines, as `swapcontext` makes them; a stack inside a heap block has nothing to tell its end.
#[test]
fn stacks_that_are_not_the_threads_own() {
    let (_, deed) = Fault::new(&["contexts"]).assert_same_always();
    deed.assert_complete();
    assert_eq!(deed.lines[0], "heap (true, true)");
    // Found by tables or by frame pointers, or left out: never a crash.
    for _ in 0..if long() { 20 } else { 1 } {
        let fault = Fault::new(&["contexts"]).prepared(|command| {
            command.env("RIPTIDE_UNWIND", "dwarf");
        });
        fault.assert_same("1", &deed);
    }
}

#[test]
fn exit_on_a_tiny_stack() {
    let (directory, deed) = Fault::new(&["exit-on-a-tiny-stack"]).assert_same_always();
    assert_eq!(deed.status.code(), Some(4));
    assert_keeps(&directory, &deed, "exited");
}

#[test]
fn exit_on_a_foreign_stack() {
    let (_, deed) = Fault::new(&["exit-on-a-foreign-stack"]).assert_same_always();
    assert_eq!(deed.status.code(), Some(5));
    assert_eq!(deed.lines, ["canary true"]);
}

/// Where jemalloc's code lies in a program's file: ranges in hexadecimal.
fn jemalloc_ranges(program: &Path) -> Vec<String> {
    let output = Command::new("nm")
        .args(["--print-size", "--numeric-sort", "--defined-only"])
        .arg(program)
        .output()
        .unwrap();
    assert!(output.status.success());
    // Its own functions without a prefix lie between those with one.
    const NEAR: u64 = 32 << 10;
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        let [start, size, kind, name] = fields[..] else {
            continue;
        };
        if !name.contains("_rjem_") || !kind.eq_ignore_ascii_case("t") {
            continue;
        }
        let number = |text| u64::from_str_radix(text, 16).unwrap();
        let (start, end) = (number(start), number(start) + number(size));
        match ranges.last_mut() {
            Some(last) if start - last.1 < NEAR => last.1 = end,
            _ => ranges.push((start, end)),
        }
    }
    assert!(!ranges.is_empty());
    let texts = ranges.iter();
    texts
        .map(|(start, end)| format!("{:x}-{:x}", start.saturating_sub(4_096), end + 4_096))
        .collect()
}

/// They fire anywhere but inside jemalloc, whose own locks no handler may take twice.
#[test]
fn signal_handlers_that_allocate() {
    let count = if long() { "20000" } else { "500" };
    let of = |name: &str| {
        let program = program(name);
        let mut arguments = vec!["handlers".to_owned(), count.to_owned()];
        arguments.extend(jemalloc_ranges(&program));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Fault::new(&arguments)
    };
    let bare = of("victim-fault-bare").on_bare();
    bare.assert_complete();
    assert!(bare.lines.contains(&"true, 0 wrong".to_owned()), "{bare:?}");
    for interval in ["512KiB", "4KiB", "1"] {
        let directory = of("victim-fault").assert_same(interval, &bare);
        top(&regions(&directory)[0]);
    }
}

/// Thousands of signals a second, from the first moment on: the region is made all the same.
#[test]
fn a_profiler_by_signal() {
    let count = if long() { "100000" } else { "2000" };
    let (directory, deed) = Fault::new(&["profiler", count]).assert_same_always();
    deed.assert_complete();
    assert_exact(&directory, &deed);
    let bare = Fault::new(&["profiler", count]).on_bare();
    for _ in 0..if long() { 50 } else { 3 } {
        let directory = Fault::new(&["profiler", count]).assert_same("64KiB", &bare);
        assert_eq!(regions(&directory).len(), 1);
    }
}

const LIBRARY: &str = "
int visit(int (*each)(int), int number) {
    volatile int sum = 0;
    for (int i = 0; i < 3; i++)
        sum += each(number + i);
    return sum;
}
";

/// Copies of a C library, each at a path of its own.
fn libraries(directory: &Directory, copies: usize) -> Vec<PathBuf> {
    let source = directory.path().join("library.c");
    fs::write(&source, LIBRARY).unwrap();
    let first = directory.path().join("library-0.so");
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&first, &source])
        .status();
    assert!(built.unwrap().success());
    let rest = (1..copies).map(|number| {
        let copy = directory.path().join(format!("library-{number}.so"));
        fs::copy(&first, &copy).unwrap();
        copy
    });
    std::iter::once(first.clone()).chain(rest).collect()
}

#[test]
fn libraries_loaded_and_unloaded() {
    let own = Directory::new();
    let libraries = libraries(&own, 4);
    let rounds = if long() { "20000" } else { "500" };
    let mut arguments = vec!["libraries", rounds];
    arguments.extend(libraries.iter().map(|path| path.to_str().unwrap()));
    let (directory, deed) = Fault::new(&arguments).assert_same_always();
    deed.assert_complete();
    assert!(!deed.lines[1].contains("None"), "{deed:?}");
    assert_exact(&directory, &deed);
}
