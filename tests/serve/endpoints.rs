//! What is answered, and to whom.

use std::{fs, time::Duration};

use serde_json::Value;

use crate::{
    harness::{Directory, Victim, riptide, wait_for},
    http::{get_with, raw},
    server::{QUICK, Server, sum_of},
};

#[test]
fn without_targets_everything_is_ready_and_empty() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), QUICK);
    assert_eq!(server.get("/livez").status, 200);
    assert_eq!(server.get("/readyz").status, 200);
    let health = server.get("/health").json();
    assert_eq!(health["status"], "ok");
    assert_eq!(health["targets"], 0);
    assert_eq!(health["version"], env!("CARGO_PKG_VERSION"));
    let alerts = server.get("/alerts").json();
    assert_eq!(alerts["active"], Value::Array(Vec::new()));
    assert!(alerts["history"].is_array());
    assert_eq!(server.get("/metrics").status, 200);
    for path in [
        "/profiling/snapshot",
        "/debug/pprof/heap",
        "/debug/pprof/allocs",
    ] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
}

#[test]
fn a_snapshot_is_what_top_prints_and_every_format_is_what_export_writes() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["20"], &directory, "1");
    victim.report();
    let server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(1);
    let region = directory.region();
    let name = region.to_str().unwrap();
    let output = riptide(&["top", name, "--once", "--json", "--limit", "5"], &[]);
    let top: Value = serde_json::from_slice(&output.stdout).unwrap();
    let snapshot = server.get("/profiling/snapshot?limit=5").json();
    for part in ["schema_version", "sampling", "live"] {
        assert_eq!(snapshot[part], top[part], "{part}");
    }
    assert_eq!(snapshot["sites"].as_array().unwrap().len(), 5);
    for (site, of_top) in snapshot["sites"]
        .as_array()
        .unwrap()
        .iter()
        .zip(top["sites"].as_array().unwrap())
    {
        for part in [
            "function",
            "file",
            "line",
            "live_bytes",
            "live_objects",
            "allocated_bytes_total",
            "stack",
        ] {
            assert_eq!(site[part], of_top[part], "{part}");
        }
    }
    for format in [
        "folded",
        "flamegraph",
        "speedscope",
        "firefox",
        "jeprof",
        "json",
    ] {
        let answer = server.get(&format!("/profiling/snapshot?format={format}&metric=live"));
        assert_eq!(answer.status, 200, "{format}");
        assert!(
            answer.text().contains("victim_sites::large_blocks") || format == "jeprof",
            "{format}"
        );
        if format == "folded" {
            let output = riptide(&["export", name, "--format", "folded"], &[]);
            assert_eq!(answer.text(), String::from_utf8(output.stdout).unwrap());
        }
    }
    assert_eq!(
        server.get("/profiling/snapshot?format=pprof").body[..2],
        [0x1f, 0x8b]
    );
    let refused = server.get("/profiling/snapshot?format=svg");
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("flamegraph"), "{}", refused.text());
    assert_eq!(server.get("/profiling/snapshot?metric=none").status, 400);
}

#[test]
fn of_several_targets_one_is_named_by_its_pid() {
    let directory = Directory::new();
    let mut small = Victim::new("victim-sites", &["5"], &directory, "1");
    let mut large = Victim::new("victim-sites", &["20"], &directory, "1");
    small.report();
    large.report();
    let server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(2);
    for path in ["/profiling/snapshot", "/debug/pprof/heap"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 400, "{path}");
        let targets = answer.json()["targets"].as_array().unwrap().len();
        assert_eq!(targets, 2);
    }
    for victim in [&small, &large] {
        let path = format!("/profiling/snapshot?target={}", victim.pid());
        let snapshot = server.get(&path).json();
        assert_eq!(snapshot["target"]["pid"], victim.pid());
    }
    assert_eq!(server.get("/profiling/snapshot?target=4194303").status, 404);
}

#[test]
fn metrics_say_what_top_says() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["20"], &directory, "64KiB");
    victim.report();
    let settings = format!("{QUICK}\n[snapshot]\nkeep_files = 1\n");
    let server = Server::start(
        directory.path(),
        &settings.replace("verdict_seconds = 2", "verdict_seconds = 1\ntop_sites = 3"),
    );
    server.wait_for_targets(1);
    let pid = format!("pid=\"{}\"", victim.pid());
    let labels = [pid.as_str(), "process=\"victim-sites\""];
    let text = wait_for("verdicts", || {
        let text = server.get("/metrics").text();
        text.contains("riptide_site_live_bytes{").then_some(text)
    });
    let snapshot = server.get("/profiling/snapshot").json();
    for (metric, value) in [
        ("riptide_live_bytes", &snapshot["live"]["bytes"]["estimate"]),
        ("riptide_live_bytes_low", &snapshot["live"]["bytes"]["low"]),
        (
            "riptide_live_bytes_high",
            &snapshot["live"]["bytes"]["high"],
        ),
        (
            "riptide_jemalloc_allocated_bytes",
            &snapshot["memory"]["allocated"],
        ),
        (
            "riptide_jemalloc_active_bytes",
            &snapshot["memory"]["active"],
        ),
        (
            "riptide_jemalloc_resident_bytes",
            &snapshot["memory"]["resident"],
        ),
        (
            "riptide_jemalloc_retained_bytes",
            &snapshot["memory"]["retained"],
        ),
        (
            "riptide_jemalloc_metadata_bytes",
            &snapshot["memory"]["metadata"],
        ),
        ("riptide_virtual_bytes", &snapshot["memory"]["virtual"]),
    ] {
        let exported = sum_of(&text, metric, &labels).unwrap();
        // Sums of sums, not always in the same order.
        let ratio = exported / value.as_f64().unwrap();
        assert!((ratio - 1.0).abs() < 1e-12, "{metric} in {text}");
    }
    let rss = sum_of(&text, "riptide_rss_bytes", &labels).unwrap();
    let real = snapshot["memory"]["rss"].as_f64().unwrap();
    assert!((rss / real - 1.0).abs() < 0.2, "{rss} {real}");
    assert_eq!(
        text.matches("\nriptide_site_live_bytes{").count(),
        3,
        "{text}"
    );
    for cause in ["overwritten", "dropped", "torn"] {
        let cause = format!("cause=\"{cause}\"");
        assert_eq!(
            sum_of(&text, "riptide_events_lost_total", &[&cause]),
            Some(0.0)
        );
    }
    for severity in ["warning", "alert", "critical"] {
        let severity = format!("severity=\"{severity}\"");
        assert_eq!(
            sum_of(&text, "riptide_alerts_active", &[&severity]),
            Some(0.0)
        );
    }
    let build = sum_of(&text, "riptide_build_info", &[env!("CARGO_PKG_VERSION")]);
    assert_eq!(build, Some(1.0));
}

#[test]
fn a_token_is_asked_for_by_everything_that_tells_something() {
    let directory = Directory::new();
    let _victim = Victim::new("victim-sites", &["5"], &directory, "64KiB");
    let secret = directory.path().join("token");
    fs::write(&secret, "0123456789abcdefghij\n").unwrap();
    let settings = format!(
        "{QUICK}\n[http]\ntoken_file = {:?}\n",
        secret.to_str().unwrap()
    );
    let server = Server::start(directory.path(), &settings);
    let paths = [
        "/health",
        "/metrics",
        "/alerts",
        "/live.json",
        "/profiling/snapshot",
        "/debug/pprof/heap",
        "/debug/pprof/allocs",
    ];
    wait_for("the target", || {
        let health = get_with(
            server.addr,
            "/health",
            &["Authorization: Bearer 0123456789abcdefghij"],
        );
        (health.json()["targets"] == 1).then_some(())
    });
    for path in paths {
        for wrong in [
            "x: y",
            "authorization: Bearer 0123456789abcdefghiX",
            "authorization: Bearer 0123456789abcdefghijk",
            "authorization: Bearer ",
            "authorization: Basic 0123456789abcdefghij",
            "authorization: B",
        ] {
            let answer = get_with(server.addr, path, &[wrong]);
            assert_eq!(answer.status, 401, "{path} with {wrong}");
            assert!(
                answer
                    .header("www-authenticate")
                    .unwrap()
                    .starts_with("Bearer")
            );
        }
        let right = "authorization: bearer 0123456789abcdefghij";
        assert_eq!(get_with(server.addr, path, &[right]).status, 200, "{path}");
    }
    for path in ["/livez", "/readyz", "/"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
}

#[test]
fn a_page_of_another_name_that_points_here_learns_nothing() {
    let directory = Directory::new();
    let server = Server::start(directory.path(), QUICK);
    let with_host = |host: &str| {
        let request = format!("GET /health HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        raw(server.addr, request.as_bytes()).unwrap().status
    };
    assert_eq!(with_host("rebound.example:7070"), 421);
    assert_eq!(with_host("localhost:7070"), 200);
    assert_eq!(with_host("[::1]:7070"), 200);
}

#[test]
fn what_a_target_left_can_be_asked_for_after_its_death() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["20"], &directory, "1");
    victim.report();
    let server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(1);
    let before = server.get("/profiling/snapshot").json();
    let pid = victim.pid();
    victim.kill();
    server.wait_for_targets(0);
    let after = server
        .get(&format!("/profiling/snapshot?target={pid}"))
        .json();
    assert_eq!(after["target"]["state"], "killed");
    assert_eq!(after["live"], before["live"]);
    assert_eq!(
        after["sites"][0]["function"],
        before["sites"][0]["function"]
    );
    // What does not run has no series.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(server.metric("riptide_live_bytes", &[]), None);
    assert_eq!(
        server.metric("riptide_serve_targets_ended_total", &[]),
        Some(1.0)
    );
}

#[test]
fn snapshots_on_disk_are_kept_within_their_number_and_a_full_disk_is_counted() {
    let directory = Directory::new();
    let place = Directory::new();
    let mut victim = Victim::new("victim-sites", &["5"], &directory, "64KiB");
    victim.report();
    let snapshots = place.path().join("made/when/needed");
    let with = |directory: &str| {
        format!(
            "{QUICK}\n[snapshot]\ninterval_seconds = 0.2\ndirectory = {directory:?}\nformats = [\"pprof\", \"flamegraph\"]\nkeep_files = 4\n"
        )
    };
    let server = Server::start(directory.path(), &with(snapshots.to_str().unwrap()));
    server.wait_for_targets(1);
    wait_for("snapshots to be deleted", || {
        (server.metric("riptide_serve_snapshots_deleted_total", &[])? >= 3.0).then_some(())
    });
    let names: Vec<String> = fs::read_dir(&snapshots)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with('.'))
        .collect();
    assert!((3..=5).contains(&names.len()), "{names:?}");
    let flames = format!("riptide-victim_sites-{}.svg", victim.pid());
    assert!(names.contains(&flames), "{names:?}");
    let picture = fs::read_to_string(snapshots.join(flames)).unwrap();
    assert!(picture.contains("victim_sites::"), "names are in it");

    // A file where the directory should be: nothing can be written.
    let blocked = place.path().join("blocked");
    fs::write(&blocked, "").unwrap();
    fs::write(&server.configuration, with(blocked.to_str().unwrap())).unwrap();
    server.signal("HUP");
    wait_for("failures to be counted", || {
        (server.metric("riptide_serve_snapshots_failed_total", &[])? >= 3.0).then_some(())
    });
    assert_eq!(server.log().matches("cannot write snapshots").count(), 1);
    assert_eq!(server.get("/health").status, 200);
}
