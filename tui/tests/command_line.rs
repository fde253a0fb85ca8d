//! The command itself: exit codes, where output goes, and the demo from start to end.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::DirBuilderExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

/// A directory for regions of its own: what runs on the machine does not matter.
struct Regions(PathBuf);

impl Regions {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(format!(
            "/dev/shm/riptide-test-{}-{name}",
            std::process::id()
        ));
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self(path)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_riptide"));
        command
            .args(arguments)
            .env("RIPTIDE_DIR", &self.0)
            .env_remove("RIPTIDE")
            .env_remove("RIPTIDE_SAMPLE_INTERVAL")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

impl Drop for Regions {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_refused(output: &Output, code: i32, message: &str) {
    let stderr = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(output.stdout.is_empty(), "{}", stdout(output));
    assert!(stderr.contains(message), "{stderr}");
    assert!(
        stderr.lines().last().unwrap().trim().starts_with("try:"),
        "{stderr}"
    );
}

#[test]
fn bad_input_gets_one_message_with_what_to_try() {
    let regions = Regions::new("misuse");
    let text = regions.0.join("notes.txt");
    fs::write(&text, "nothing like a region").unwrap();
    assert_refused(&regions.run(&["top", "--once"]), 3, "no riptide targets");
    assert_refused(&regions.run(&["top", "4000000"]), 3, "4000000");
    assert_refused(&regions.run(&["memory", "nosuch"]), 3, "nosuch");
    let own = std::process::id().to_string();
    assert_refused(&regions.run(&["top", &own]), 3, "not with riptide");
    let path = text.display().to_string();
    assert_refused(&regions.run(&["top", &path]), 5, "not a riptide region");
    assert_refused(&regions.run(&[]), 2, "needs a terminal");
    assert_refused(&regions.run(&["demo"]), 2, "needs a terminal");
    assert_eq!(regions.run(&["top", "--bogus"]).status.code(), Some(2));
    assert_eq!(
        regions.run(&["demo", "--seconds", "3"]).status.code(),
        Some(2)
    );
}

#[test]
fn no_targets_is_an_empty_list() {
    let regions = Regions::new("empty");
    let output = regions.run(&["list", "--json"]);
    assert_eq!(output.status.code(), Some(0));
    let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        list,
        serde_json::json!({ "schema_version": 1, "targets": [] })
    );
    let output = regions.run(&["list"]);
    assert!(output.status.success() && output.stdout.is_empty());
    assert!(stderr(&output).contains("no targets"));
    let output = regions.run(&["doctor"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stdout(&output).contains("FAIL  targets"));
}

#[test]
fn doctor_says_why_a_process_is_not_seen() {
    let regions = Regions::new("doctor");
    let own = std::process::id().to_string();
    let output = regions.run(&["doctor", &own, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let region = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "region")
        .unwrap();
    assert_eq!(region["status"], "fail");
    assert!(
        region["detail"]
            .as_str()
            .unwrap()
            .contains("does not use riptide-alloc")
    );
    assert!(region["fix"].is_string());
}

#[test]
fn help_shows_what_there_is_and_no_more() {
    let regions = Regions::new("help");
    let help = stdout(&regions.run(&["--help"]));
    for command in [
        "list", "top", "leaks", "memory", "advise", "export", "set", "serve", "demo", "doctor",
    ] {
        assert!(help.contains(command), "{help}");
    }
    assert!(!help.contains("demo-service"), "{help}");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let regions = Regions::new("pipe");
    let mut child = regions
        .command(&["list", "--json", "--watch", "0.1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    // One document a line.
    serde_json::from_str::<serde_json::Value>(&line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stderr(&output), "");
}

#[test]
fn the_leak_of_the_demo_is_found_with_file_and_line() {
    let regions = Regions::new("demo");
    let output = regions.run(&["demo", "--headless", "--seconds", "12", "--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let first = &report["sites"][0];
    let function = first["function"].as_str().unwrap();
    assert_eq!(
        function, "riptide::demo::sessions::remember_session",
        "{first}"
    );
    assert!(
        first["file"]
            .as_str()
            .unwrap()
            .ends_with("demo/sessions.rs")
    );
    assert!(first["line"].as_u64().unwrap() > 0);
    assert!(first["growth_bytes_per_second"]["low"].as_f64().unwrap() > 0.0);
    // The service ended cleanly and took its region away.
    assert_eq!(fs::read_dir(&regions.0).unwrap().count(), 0);
}
