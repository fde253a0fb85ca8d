//! What is in `ops/`: each file is read by the program that it is for.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::harness::{Directory, riptide, riptide_path};

fn ops(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../ops")).join(path)
}

fn run(program: &str, arguments: &[&str]) -> Output {
    let missing = format!("{program} is missing: `bash tests/run setup serve` installs it");
    Command::new(program)
        .args(arguments)
        .output()
        .expect(&missing)
}

fn succeeds(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

#[test]
fn promtool_accepts_the_rules_and_their_tests() {
    succeeds(
        "promtool",
        &[
            "check",
            "config",
            ops("prometheus/prometheus.yml").to_str().unwrap(),
        ],
    );
    succeeds(
        "promtool",
        &[
            "test",
            "rules",
            ops("prometheus/rules_test.yml").to_str().unwrap(),
        ],
    );
    // Each rule that alerts has a test.
    let rules = fs::read_to_string(ops("prometheus/rules.yml")).unwrap();
    let tests = fs::read_to_string(ops("prometheus/rules_test.yml")).unwrap();
    let names: Vec<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(names.len() >= 8);
    for name in names {
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name}");
    }
}

#[test]
fn the_places_of_the_runbook_that_rules_name_are_there() {
    let runbook = fs::read_to_string(ops("../RUNBOOK.md")).unwrap();
    let rules = fs::read_to_string(ops("prometheus/rules.yml")).unwrap();
    let named = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook: \"RUNBOOK.md, "));
    let mut count = 0;
    for heading in named {
        let heading = heading.trim_end_matches('"');
        let is_there = runbook
            .lines()
            .any(|line| line.starts_with('#') && line.trim_start_matches('#').trim() == heading);
        assert!(is_there, "{heading}");
        count += 1;
    }
    assert!(count >= 8);
}

#[test]
fn systemd_accepts_the_unit() {
    let directory = Directory::new();
    let unit = fs::read_to_string(ops("systemd/riptide.service")).unwrap();
    assert!(unit.contains("/usr/local/bin/riptide serve --all"));
    let path = directory.path().join("riptide.service");
    // Where the program is on this machine: a unit without its program is refused.
    let unit = unit.replace("/usr/local/bin/riptide", riptide_path().to_str().unwrap());
    fs::write(&path, unit).unwrap();
    let said = succeeds("systemd-analyze", &["verify", path.to_str().unwrap()]);
    let about_it: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("riptide.service"))
        .collect();
    assert!(about_it.is_empty(), "{about_it:?}");
}

#[test]
fn the_sidecar_needs_no_privileges_and_its_configuration_is_right() {
    let script = "
import json, sys, yaml
print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))
";
    let text = succeeds(
        "python3",
        &[
            "-c",
            script,
            ops("kubernetes/sidecar.yaml").to_str().unwrap(),
        ],
    );
    let documents: serde_json::Value = serde_json::from_str(&text).unwrap();
    let pod = &documents[0]["spec"]["template"]["spec"];
    assert_eq!(pod["shareProcessNamespace"], true);
    assert!(pod["securityContext"]["runAsUser"].is_u64());
    assert_eq!(pod["volumes"][0]["emptyDir"]["medium"], "Memory");
    for container in pod["containers"].as_array().unwrap() {
        let security = &container["securityContext"];
        assert_eq!(security["allowPrivilegeEscalation"], false);
        assert_eq!(security["capabilities"]["drop"][0], "ALL");
        assert!(security["capabilities"]["add"].is_null(), "no ptrace");
        assert_eq!(container["env"][0]["name"], "RIPTIDE_DIR");
    }
    let directory = Directory::new();
    let path = directory.path().join("riptide.toml");
    let configuration = documents[1]["data"]["riptide.toml"].as_str().unwrap();
    fs::write(&path, configuration).unwrap();
    let output = riptide(&["check-config", path.to_str().unwrap()], &[]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
