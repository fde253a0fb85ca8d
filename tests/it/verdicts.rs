//! `riptide leaks` on real programs that leak, or seem to: watched while they run, and read after they
//! were killed.

use std::thread;

use serde_json::Value;

use crate::{
    corpus::{HEALTHY, LEAKS},
    harness::{Directory, Victim, long, riptide},
};

/// Starts a victim and gives the function it names.
fn start(program: &str, scenario: &str, rate: &str) -> (Directory, Victim, String) {
    let directory = Directory::new();
    let mut victim = Victim::by_default(program, &[scenario, rate], &directory);
    let function = victim.report()["function"].as_str().unwrap().to_owned();
    (directory, victim, function)
}

/// The findings of `riptide leaks`, and its exit code.
fn leaks(directory: &Directory, arguments: &[&str]) -> (Vec<Value>, i32) {
    let region = directory.region();
    let mut all = vec!["leaks", region.to_str().unwrap(), "--json"];
    all.extend(arguments);
    let output = riptide(&all, &[]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(report["schema_version"], 1);
    let findings = report["findings"].as_array().unwrap().clone();
    (findings, output.status.code().unwrap())
}

fn is_of(finding: &Value, function: &str) -> bool {
    finding["function"].as_str().unwrap().starts_with(function)
}

/// A leak is the first finding, as one of `verdicts`, while it runs and after it was killed.
fn found(scenario: &str, rate: &str, watch: &str, verdicts: &[&str]) {
    let (directory, mut victim, function) = start("victim-leaks", scenario, rate);
    let (findings, code) = leaks(&directory, &["--for", watch, "--fail-on", "growing"]);
    let first = &findings[0];
    println!("{scenario}: {first}");
    assert!(is_of(first, &function), "{scenario}: {findings:#?}");
    assert!(
        verdicts.contains(&first["verdict"].as_str().unwrap()),
        "{scenario}: {findings:#?}"
    );
    assert_eq!(code, 1, "--fail-on growing is met");
    assert!(
        first["growth_bytes_per_second"]["estimate"]
            .as_f64()
            .unwrap()
            > 0.0
    );
    assert!((0.5..=1.0).contains(&first["confidence"].as_f64().unwrap()));
    assert!(!first["evidence"].as_array().unwrap().is_empty());
    victim.kill();
    // What a dead process left says the same, unless it takes a history to say it.
    let (findings, _) = leaks(&directory, &[]);
    if scenario != "log-buffer" {
        let first = &findings[0];
        assert!(is_of(first, &function), "{scenario}, dead: {findings:#?}");
        assert!(
            ["leak", "growing"].contains(&first["verdict"].as_str().unwrap()),
            "{scenario}, dead: {findings:#?}"
        );
    }
}

/// A healthy program is not called a leak.
fn cleared(scenario: &str, rate: &str, watch: &str) {
    let (directory, victim, _) = start("victim-healthy", scenario, rate);
    let (findings, code) = leaks(&directory, &["--for", watch, "--fail-on", "leak", "--all"]);
    println!("{scenario}: {:?}", findings.first());
    assert_eq!(code, 0, "{scenario}: {findings:#?}");
    assert!(!findings.is_empty());
    assert!(findings.iter().all(|finding| finding["verdict"] != "leak"));
    let (status, _) = victim.finish();
    assert!(status.success());
}

#[test]
fn leaks_are_named_and_healthy_programs_cleared_within_a_minute() {
    thread::scope(|scope| {
        let either = &["leak", "growing"];
        scope.spawn(|| found("rc-cycle", "2048", "57s", either));
        scope.spawn(|| found("interner", "400", "57s", either));
        scope.spawn(|| found("log-buffer", "1024", "57s", either));
        scope.spawn(|| cleared("history", "2048", "60s"));
        scope.spawn(|| cleared("warm-up", "2048", "60s"));
        scope.spawn(|| cleared("sessions", "2048", "60s"));
    });
}

#[test]
fn every_kind_of_leak_is_called_one_in_time() {
    if !long() {
        return;
    }
    let leak = &["leak"];
    thread::scope(|scope| {
        for (scenario, _) in LEAKS {
            if scenario != "slow-under-churn" {
                scope.spawn(move || found(scenario, "1536", "118s", leak));
            }
        }
        for scenario in HEALTHY {
            scope.spawn(move || cleared(scenario, "1536", "200s"));
        }
    });
    found("slow-under-churn", "10", "890s", leak);
}

#[test]
fn suppressions_silence_a_finding_and_bad_ones_are_named() {
    let (directory, victim, function) = start("victim-leaks", "interner", "20000");
    let region = directory.region();
    let file = directory.path().join("known.supp");
    std::fs::write(&file, format!("# known\nleak:^{function}\n")).unwrap();
    let file = file.to_str().unwrap();
    let (findings, code) = leaks(
        &directory,
        &[
            "--for",
            "25s",
            "--fail-on",
            "growing",
            "--suppressions",
            file,
        ],
    );
    assert!(
        findings.iter().all(|finding| !is_of(finding, &function)),
        "{findings:#?}"
    );
    assert_eq!(code, 0, "{findings:#?}");
    let (findings, code) = leaks(&directory, &["--for", "10s", "--fail-on", "growing"]);
    assert!(is_of(&findings[0], &function), "{findings:#?}");
    assert_eq!(code, 1);
    std::fs::write(file, "race:x\n").unwrap();
    let output = riptide(
        &["leaks", region.to_str().unwrap(), "--suppressions", file],
        &[],
    );
    crate::harness::assert_refused(&output, 2, &["line 1", "race:x", "leak:PATTERN"]);
    let (status, _) = victim.finish();
    assert!(status.success());
}
