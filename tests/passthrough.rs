//! The allocator as other platforms get it: plain jemalloc, and nothing of riptide at run time.
//!
//! `RUSTFLAGS="--cfg riptide_passthrough" cargo test -p riptide-tests --test passthrough`
#![cfg(riptide_passthrough)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

fn run(program: &str, arguments: &[&str]) -> String {
    let directory = PathBuf::from(format!(
        "/dev/shm/riptide-passthrough-{}-{}",
        std::process::id(),
        program.rsplit('/').next().unwrap()
    ));
    fs::create_dir(&directory).unwrap();
    let output = Command::new(program)
        .args(arguments)
        .env("RIPTIDE_DIR", &directory)
        .env("RIPTIDE_SAMPLE_INTERVAL", "1")
        .env("RIPTIDE_KEEP", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let left: Vec<_> = fs::read_dir(&directory).unwrap().collect();
    fs::remove_dir_all(&directory).unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    assert!(left.is_empty(), "{left:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Blocks of all sizes and alignments, zeroed, grown, shrunk, freed by other threads, forked: the
/// victims check them all themselves.
#[test]
fn programs_work_and_leave_no_region() {
    for (program, arguments, lines) in [
        (env!("CARGO_BIN_EXE_victim-sites"), &["5"][..], 1),
        (
            env!("CARGO_BIN_EXE_victim-totals"),
            &["random", "4", "5000"],
            3,
        ),
        (env!("CARGO_BIN_EXE_victim-threads"), &["50"], 1),
        (env!("CARGO_BIN_EXE_victim-fork"), &["500"], 4),
        (env!("CARGO_BIN_EXE_victim-guest"), &["2000"], 2),
    ] {
        let output = run(program, arguments);
        assert_eq!(output.lines().count(), lines, "{program}: {output}");
    }
}
