//! `riptide run`: a program as it would be alone, and a verdict at its end.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::harness::{Directory, clean_command, program, riptide, riptide_path, wait_for};

fn run(arguments: &[&str], command: &[&str]) -> Command {
    let mut run = clean_command(riptide_path());
    run.arg("run").args(arguments).arg("--").args(command);
    run.stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    run
}

fn output(arguments: &[&str], command: &[&str]) -> Output {
    run(arguments, command)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Nothing is left of the directory that `run` made.
fn assert_tidy(pid: u32) {
    let prefix = format!("riptide-run-{pid}-");
    let left = fs::read_dir("/dev/shm").unwrap().flatten();
    let left: Vec<_> = left
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn input_output_and_exit_code_are_the_programs_own() {
    let mut child = run(&[], &["sh", "-c", "cat; echo problem >&2; exit 7"])
        .spawn()
        .unwrap();
    let pid = child.id();
    child.stdin.take().unwrap().write_all(b"data\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stdout, b"data\n");
    let messages = String::from_utf8_lossy(&output.stderr);
    assert!(messages.starts_with("problem\n"), "{messages}");
    assert!(
        messages.contains("no process of sh had riptide"),
        "{messages}"
    );
    assert_tidy(pid);
}

#[test]
fn a_program_that_a_signal_ends() {
    let killed = output(&["--fail-on", "leak"], &["sh", "-c", "kill -9 $$"]);
    assert_eq!(killed.status.code(), Some(128 + 9));
}

#[test]
fn a_program_that_cannot_be_started() {
    let missing = output(&[], &["/no/such/program"]);
    assert_eq!(missing.status.code(), Some(127));
    let message = String::from_utf8_lossy(&missing.stderr);
    assert!(message.contains("/no/such/program"), "{message}");
    assert_eq!(output(&[], &["/dev/null"]).status.code(), Some(126));
    assert_eq!(riptide(&["run"], &[]).status.code(), Some(2));
    assert_eq!(
        output(&["--interval", "0"], &["true"]).status.code(),
        Some(2)
    );
    let unwritable = output(&["-o", "/no/such/directory/r.json"], &["true"]);
    assert_eq!(unwritable.status.code(), Some(5));
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(sent.unwrap().success());
}

#[test]
fn signals_reach_the_program() {
    for (signal, code) in [("-TERM", 41), ("-INT", 42), ("-USR1", 43)] {
        let script = "trap 'exit 41' TERM; trap 'exit 42' INT; trap 'exit 43' USR1; echo ready; \
                      while :; do sleep 0.05; done";
        let mut child = run(&[], &["sh", "-c", script]).spawn().unwrap();
        let mut ready = [0; 6];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        send(&child, signal);
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{signal}");
        assert_tidy(child.id());
    }
}

/// What a clean end leaves, exactly, and the JSON beside the text.
#[test]
fn the_report_has_what_was_live_at_the_end() {
    let directory = Directory::new();
    let file = directory.path().join("report.json");
    let sites = program("victim-sites");
    let output = output(
        &["--interval", "1", "-o", file.to_str().unwrap()],
        &[sites.to_str().unwrap(), "20"],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let truth = crate::harness::truth(
        &serde_json::from_slice(output.stdout.split(|byte| *byte == b'\n').next().unwrap())
            .unwrap(),
    );
    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(report["schema_version"], 1);
    assert_eq!(report["exit_code"], 0);
    assert_eq!(report["command"]["exit_code"], 0);
    assert_eq!(report["targets"].as_array().unwrap().len(), 1);
    let target = &report["targets"][0];
    assert_eq!(target["target"]["state"], "exited");
    let reported = target["sites"].as_array().unwrap();
    assert!(
        truth.iter().any(|site| reported
            .iter()
            .any(|row| row["function"] == site.function.as_str())),
        "{report:#}"
    );
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("LIVE") && text.contains("0 leak"), "{text}");
}

/// Runs a victim for a while and lets it end well.
fn gate(victim: &str, scenario: &str, fail_on: &str, report: &Path) -> (Option<i32>, Value) {
    let path = program(victim);
    let command = [path.to_str().unwrap(), scenario, "20000"];
    let arguments = [
        "--interval",
        "512KiB",
        "--fail-on",
        fail_on,
        "-o",
        report.to_str().unwrap(),
    ];
    let mut child = run(&arguments, &command).spawn().unwrap();
    // The victim runs until the end of its stdin.
    thread::sleep(Duration::from_secs(25));
    drop(child.stdin.take());
    let output = child.wait_with_output().unwrap();
    let report = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    (output.status.code(), report)
}

/// Although the program frees everything before it ends.
#[test]
fn a_leaking_program_fails_and_a_healthy_one_passes() {
    let directory = Directory::new();
    let at = |name: &str| directory.path().join(name);
    thread::scope(|scope| {
        scope.spawn(|| {
            let (code, report) = gate("victim-leaks", "interner", "growing", &at("leak.json"));
            assert_eq!(code, Some(1), "{report:#}");
            assert_eq!(report["command"]["exit_code"], 0);
            assert_eq!(report["failed_by_findings"], true);
            let function = report["findings"][0]["function"].as_str().unwrap();
            assert!(function.contains("interner"), "{report:#}");
        });
        scope.spawn(|| {
            let (code, report) = gate("victim-healthy", "sessions", "leak", &at("healthy.json"));
            assert_eq!(code, Some(0), "{report:#}");
            assert_eq!(report["failed_by_findings"], false);
        });
    });
}

/// Every process of the command counts, not the first alone.
#[test]
fn children_with_riptide_are_followed() {
    let directory = Directory::new();
    let file = directory.path().join("report.json");
    let sites = program("victim-sites");
    let script = format!("{0} 5 </dev/null; {0} 6 </dev/null", sites.display());
    let output = output(
        &["--interval", "1", "-o", file.to_str().unwrap()],
        &["sh", "-c", &script],
    );
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(report["targets"].as_array().unwrap().len(), 2, "{report:#}");
}

/// A program that is killed is reported from what it left.
#[test]
fn a_killed_program_is_reported() {
    let directory = Directory::new();
    let file = directory.path().join("report.json");
    let sites = program("victim-sites");
    let child = run(
        &["--interval", "1", "-o", file.to_str().unwrap()],
        &[sites.to_str().unwrap(), "20"],
    )
    .spawn();
    let mut child = child.unwrap();
    let mut first = [0; 1];
    // It has said what it holds, and now waits.
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    let pid = wait_for("the victim", || {
        let path = format!("/proc/{0}/task/{0}/children", child.id());
        fs::read_to_string(path)
            .ok()?
            .split_whitespace()
            .next()?
            .parse::<u32>()
            .ok()
    });
    assert!(
        Command::new("kill")
            .args(["-9", &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(137), "{output:?}");
    let report: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(report["command"]["signal"], 9);
    assert_eq!(report["exit_code"], 137);
    assert_eq!(report["targets"][0]["target"]["state"], "killed");
    assert!(
        report["targets"][0]["live"]["bytes"]["estimate"]
            .as_f64()
            .unwrap()
            > 0.0
    );
}
