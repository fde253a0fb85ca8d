//! Programs that are built in other ways, with `RIPTIDE_LONG`; two copies of riptide in one program
//! always.

use std::{path::PathBuf, process::Command};

use super::compare::{Fault, assert_exact, regions};
use crate::harness::{long, program, top};

#[test]
fn two_copies_of_the_crate() {
    let mut fault = Fault::new(&["two-copies"]);
    fault.program = program("victim-fault-twice");
    let (directory, deed) = fault.assert_same_always();
    deed.assert_complete();
    assert_eq!(deed.lines[1], "beside another: true");
    for region in regions(&directory) {
        top(&region);
    }
}

/// Builds both programs in another way and sends them through the faults.
fn built(name: &str, arguments: &[&str], flags: &str, environment: &[(&str, &str)]) {
    if !long() {
        println!("left out: RIPTIDE_LONG runs it");
        return;
    }
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let target = PathBuf::from(root).join("target/faults").join(name);
    let triple = arguments
        .iter()
        .skip_while(|word| **word != "--target")
        .nth(1);
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args([
            "build",
            "--locked",
            "--quiet",
            "--release",
            "-p",
            "riptide-tests",
        ])
        .args([
            "--bin",
            "victim-fault",
            "--bin",
            "victim-fault-bare",
            "--target-dir",
        ])
        .arg(&target)
        .args(arguments)
        .env("RUSTFLAGS", flags)
        .current_dir(root)
        .status();
    assert!(status.unwrap().success(), "{name} does not build");
    let programs = target.join(triple.unwrap_or(&"")).join("release");
    let run = |arguments: &[&str]| {
        let mut fault =
            Fault::new(arguments).prepared(|command| _ = command.envs(environment.iter().copied()));
        fault.program = programs.join("victim-fault");
        fault.bare = programs.join("victim-fault-bare");
        fault.assert_same_always()
    };
    for arguments in [
        &["plain"][..],
        &["threads", "2000"],
        &["destructors", "200"],
        &["forks", "50", "8"],
        &["vforks", "100"],
        &["deep"],
        &["profiler", "2000"],
    ] {
        let (directory, deed) = run(arguments);
        deed.assert_complete();
        assert_exact(&directory, &deed);
    }
    for arguments in [&["tiny-stacks"][..], &["contexts"], &["execs", "3"]] {
        run(arguments).1.assert_complete();
    }
    for way in [
        "kill",
        "abort",
        "exit",
        "exit-now",
        "panic-aborts",
        "panic",
        "too-much",
    ] {
        run(&[way]);
    }
}

const MUSL: [&str; 2] = ["--target", "x86_64-unknown-linux-musl"];
const GNU: [&str; 2] = ["--target", "x86_64-unknown-linux-gnu"];

#[test]
fn musl() {
    built("musl", &MUSL, "", &[]);
}

#[test]
fn static_pie() {
    built("static-pie", &GNU, "-C target-feature=+crt-static", &[]);
}

#[test]
fn static_at_a_fixed_address() {
    let flags = "-C target-feature=+crt-static -C relocation-model=static";
    built("static", &GNU, flags, &[]);
}

#[test]
fn panic_abort() {
    built(
        "panic-abort",
        &["--config", "profile.release.panic=\"abort\""],
        "",
        &[],
    );
}

#[test]
fn frame_pointers() {
    built("frame-pointers", &GNU, "-C force-frame-pointers=yes", &[]);
}

#[test]
fn unprefixed_jemalloc() {
    let options = [("MALLOC_CONF", "dirty_decay_ms:0,narenas:2")];
    built("unprefixed", &["--features", "unprefixed"], "", &options);
}
