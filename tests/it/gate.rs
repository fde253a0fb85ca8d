//! Leaks in CI: `run` and `leaks` over the labelled programs, their files for CI systems, and the
//! assertion for `cargo test`.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    corpus::{HEALTHY, LEAKS},
    harness::{Directory, clean_command, long, program, riptide_path, victim_command},
    readers::read,
};

/// `riptide run` over a victim that runs for a while and then ends well; well below a minute in all.
fn gate(victim: &str, scenario: &str, fail_on: &str, directory: &Path) -> Output {
    let at = |name: &str| directory.join(format!("{scenario}.{name}"));
    let mut run = clean_command(riptide_path());
    run.args(["run", "--fail-on", fail_on, "--junit"])
        .arg(at("xml"))
        .arg("--sarif")
        .arg(at("sarif"))
        .arg("-o")
        .arg(at("json"))
        .arg("--")
        .arg(program(victim))
        .args([scenario, rate(scenario)])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = run.spawn().unwrap();
    thread::sleep(Duration::from_secs(50));
    drop(child.stdin.take());
    child.wait_with_output().unwrap()
}

fn rate(scenario: &str) -> &'static str {
    match scenario {
        // By its name.
        "slow-under-churn" => "10",
        _ => "4096",
    }
}

/// Tests, failures and the name of the first failure, as python's junitparser reads them.
fn junit(file: &Path) -> Value {
    let script = "import json, sys\n\
        from junitparser import JUnitXml\n\
        xml = JUnitXml.fromfile(sys.argv[1])\n\
        cases = [case for suite in xml for case in suite]\n\
        failed = [case.name for case in cases if any(r._tag == 'failure' for r in case.result)]\n\
        print(json.dumps({'suites': len(list(xml)), 'tests': sum(s.tests for s in xml), \
        'cases': len(cases), 'failures': sum(s.failures for s in xml), 'failed': failed}))";
    let output = Command::new("python3")
        .args(["-c", script])
        .arg(file)
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{complaint} (`bash tests/run setup` installs junitparser)"
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn assert_reports(directory: &Path, scenario: &str, function: Option<&str>) {
    let at = |name: &str| directory.join(format!("{scenario}.{name}"));
    let report = junit(&at("xml"));
    assert_eq!(report["suites"], 1, "{scenario}: {report}");
    assert_eq!(report["tests"], report["cases"], "{scenario}: {report}");
    let failed: Vec<&str> = report["failed"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(report["failures"], failed.len(), "{scenario}: {report}");
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/readers/sarif-2.1.0.json");
    let checked = read("schema", &[schema, at("sarif").to_str().unwrap()]);
    assert_eq!(checked["problems"], serde_json::json!([]), "{scenario}");
    let sarif: Value = serde_json::from_slice(&fs::read(at("sarif")).unwrap()).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let errors: Vec<&str> = results
        .iter()
        .filter(|result| result["level"] == "error")
        .filter_map(|result| {
            result["locations"][0]["logicalLocations"][0]["fullyQualifiedName"].as_str()
        })
        .collect();
    assert_eq!(errors, failed, "{scenario}: one answer in both files");
    match function {
        Some(function) => assert!(
            failed.iter().any(|name| name.contains(function)),
            "{scenario}: {failed:?}"
        ),
        None => assert!(failed.is_empty(), "{scenario}: {failed:?}"),
    }
}

/// Each leaking program fails, each healthy one passes, within a minute: `growing` for the leaks, as a
/// slow one cannot be told from a buffer that fills so soon, and `leak` for what is healthy.
#[test]
fn the_gate_tells_leaking_programs_from_healthy_ones() {
    let directory = Directory::new();
    let count = if long() { usize::MAX } else { 2 };
    thread::scope(|scope| {
        let path = directory.path();
        for (scenario, function) in LEAKS.into_iter().take(count) {
            scope.spawn(move || {
                let output = gate("victim-leaks", scenario, "growing", path);
                assert_eq!(output.status.code(), Some(1), "{scenario}: {output:?}");
                assert_reports(path, scenario, Some(function));
            });
        }
        for scenario in HEALTHY.into_iter().take(count) {
            scope.spawn(move || {
                let output = gate("victim-healthy", scenario, "leak", path);
                assert_eq!(output.status.code(), Some(0), "{scenario}: {output:?}");
                assert_reports(path, scenario, None);
            });
        }
    });
}

fn guarded(case: &str, interval: &str) -> (Option<i32>, String) {
    let directory = Directory::new();
    let mut command = victim_command(&program("victim-guarded"), directory.path());
    let output = command
        .arg(case)
        .env("RIPTIDE_SAMPLE_INTERVAL", interval)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), message)
}

/// `assert_no_leaks` of `riptide_reader::testing`, in the process that it watches.
#[test]
fn a_test_asserts_that_a_block_leaks_nothing() {
    for case in ["frees", "beside-others"] {
        let (code, message) = guarded(case, "1");
        assert_eq!(code, Some(0), "{case}: {message}");
    }
    for (case, words) in [
        ("forgets", "1 bytes in 1 blocks"),
        ("forgets-some", "3000 bytes in 3 blocks"),
    ] {
        let (code, message) = guarded(case, "1");
        assert_eq!(code, Some(101), "{case}: {message}");
        assert!(message.contains(words), "{case}: {message}");
        assert!(
            message.contains("at victim_guarded::forgets"),
            "{case}: {message}"
        );
        assert!(
            message.contains("guarded.rs"),
            "where the assertion stands: {message}"
        );
    }
    let (code, message) = guarded("panics", "1");
    assert_eq!(code, Some(101), "{message}");
    assert!(message.contains("the block's own panic"), "{message}");
    let (code, message) = guarded("frees", "64KiB");
    assert_eq!(code, Some(101), "{message}");
    assert!(message.contains("RIPTIDE_SAMPLE_INTERVAL=1"), "{message}");
}
