//! A real Prometheus scrapes `serve --all` over twenty targets; every expression of the dashboard and
//! of the rules is asked of it.

use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    harness::{Directory, Victim, wait_for},
    http::{get, get_with},
    report,
    server::{QUICK, Server},
};

const TARGETS: usize = 20;

/// A port that nobody listens on just now.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

struct Prometheus {
    child: Child,
    addr: SocketAddr,
}

impl Prometheus {
    fn start(directory: &Path, target: SocketAddr) -> Self {
        // The shipped configuration, faster and for this server.
        let shipped = fs::read_to_string(root().join("ops/prometheus/prometheus.yml")).unwrap();
        let configuration = shipped
            .replace("127.0.0.1:7070", &target.to_string())
            .replace("scrape_interval: 15s", "scrape_interval: 1s")
            .replace("evaluation_interval: 15s", "evaluation_interval: 1s");
        assert!(configuration.contains(&target.to_string()));
        fs::write(directory.join("prometheus.yml"), configuration).unwrap();
        fs::copy(
            root().join("ops/prometheus/rules.yml"),
            directory.join("rules.yml"),
        )
        .unwrap();
        let addr: SocketAddr = ([127, 0, 0, 1], free_port()).into();
        let child = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                directory.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address={addr}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is missing: `bash tests/run setup serve` installs it");
        wait_for("Prometheus", || {
            std::net::TcpStream::connect(addr).ok()?;
            (get(addr, "/-/ready").status == 200).then_some(())
        });
        Self { child, addr }
    }

    fn query(&self, expression: &str) -> Vec<Value> {
        let encoded: String = expression
            .bytes()
            .map(|byte| match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
                _ => format!("%{byte:02X}"),
            })
            .collect();
        let answer = get(self.addr, &format!("/api/v1/query?query={encoded}")).json();
        assert_eq!(answer["status"], "success", "{expression}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every expression of the dashboard, with its variables set to everything.
fn expressions() -> Vec<String> {
    let text = fs::read_to_string(root().join("ops/grafana/riptide.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().unwrap());
    targets
        .map(|target| {
            let expression = target["expr"].as_str().unwrap();
            let expression = expression
                .replace("$process", ".*")
                .replace("$pid", ".*")
                .replace("$__rate_interval", "10s");
            assert!(!expression.contains('$'), "{expression}");
            expression
        })
        .collect()
}

fn victims(directory: &Directory) -> Vec<Victim> {
    (0..TARGETS)
        .map(|number| {
            let (name, arguments): (_, &[&str]) = match number {
                0 => ("victim-leaks", &["mem-forget", "500"]),
                1 => ("victim-leaks", &["rc-cycle", "200"]),
                2 => ("victim-healthy", &["history", "500"]),
                3 => ("victim-healthy", &["sessions", "500"]),
                _ => ("victim-sites", &["2"]),
            };
            Victim::new(name, arguments, directory, "64KiB")
        })
        .collect()
}

#[test]
fn every_expression_of_the_dashboard_has_data_over_twenty_targets() {
    let directory = Directory::new();
    let _victims = victims(&directory);
    let server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(TARGETS);

    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is missing: `bash tests/run setup serve` installs it");
    let answer = server.get("/metrics");
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    std::io::Write::write_all(promtool.stdin.as_mut().unwrap(), &answer.body).unwrap();
    let checked = promtool.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(
        checked.status.success() && complaint.is_empty(),
        "{complaint}"
    );
    let open = get_with(
        server.addr,
        "/metrics",
        &["accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5"],
    );
    let kind = open.header("content-type").unwrap();
    assert!(
        kind.starts_with("application/openmetrics-text; version=1.0.0"),
        "{kind}"
    );
    assert!(open.text().ends_with("# EOF\n"));

    let place = Directory::new();
    let prometheus = Prometheus::start(place.path(), server.addr);
    wait_for("a scrape", || {
        let targets = get(prometheus.addr, "/api/v1/targets").json();
        let target = &targets["data"]["activeTargets"][0];
        assert_eq!(
            target["lastError"].as_str().unwrap_or_default(),
            "",
            "{target}"
        );
        (target["health"] == "up").then_some(())
    });
    wait_for("all targets in Prometheus", || {
        let pids: BTreeSet<String> = prometheus
            .query("riptide_live_bytes")
            .iter()
            .map(|series| series["metric"]["pid"].to_string())
            .collect();
        (pids.len() == TARGETS).then_some(())
    });
    let expressions = expressions();
    assert!(expressions.len() >= 30);
    for expression in &expressions {
        let series = wait_for(expression, || {
            let series = prometheus.query(expression);
            (!series.is_empty()).then_some(series)
        });
        if expression.starts_with("riptide_live_bytes{") {
            assert_eq!(series.len(), TARGETS);
        }
    }
    // The shipped rules are loaded and evaluate without an error.
    let rules = wait_for("the rules", || {
        let answer = get(prometheus.addr, "/api/v1/rules").json();
        let rules = answer["data"]["groups"][0]["rules"].as_array()?.clone();
        rules
            .iter()
            .all(|rule| rule["health"] == "ok")
            .then_some(rules)
    });
    report(&format!(
        "Prometheus: {TARGETS} targets, {} expressions of the dashboard with data, {} rules",
        expressions.len(),
        rules.len()
    ));
}
