//! Configurations as a user meets them: on the command line, at the start, at a reload.

use std::{fs, net::TcpListener, path::Path, process::Output};

use crate::{
    harness::{Directory, Victim, assert_refused, riptide, wait_for},
    http::get_with,
    server::{QUICK, Server},
};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn check(path: &Path, environment: &[(&str, &str)]) -> Output {
    riptide(&["check-config", path.to_str().unwrap()], environment)
}

#[test]
fn both_shipped_configurations_and_what_gen_config_writes_are_accepted() {
    for name in ["production.toml", "development.toml"] {
        let output = check(&root().join("config").join(name), &[]);
        assert!(output.status.success(), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("thresholds.warning_mb = "));
    }
    let directory = Directory::new();
    let path = directory.path().join("generated.toml");
    fs::write(&path, riptide(&["gen-config"], &[]).stdout).unwrap();
    let output = check(&path, &[]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn broken_configurations_are_refused_with_every_problem_on_a_line_of_its_own() {
    let mut files: Vec<_> = fs::read_dir(root().join("tests/serve/broken"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert_eq!(files.len(), 20);
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let expected = text
            .lines()
            .filter(|line| line.contains(" | ") && !line.starts_with("# Expected"));
        let output = check(&path, &[]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        let name = path.to_str().unwrap();
        let places = message
            .lines()
            .filter(|line| line.trim().starts_with(name))
            .count();
        assert_eq!(places, expected.count(), "{message}");
        assert!(
            message.lines().last().unwrap().starts_with("  try: "),
            "{message}"
        );
        // The server says the same and does not start.
        let output = riptide(&["serve", "--all", "--config", name], &[]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, message);
    }
}

#[test]
fn flags_beat_variables_and_variables_beat_files() {
    let path = root().join("config/production.toml");
    let variables = [
        ("RIPTIDE__LIMITS__BURST", "7"),
        ("RIPTIDE__HTTP__ADDR", "127.0.0.1:7001"),
    ];
    let arguments = [
        "check-config",
        path.to_str().unwrap(),
        "--set",
        "http.addr=127.0.0.1:7002",
    ];
    let output = riptide(&arguments, &variables);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("limits.burst = 7  # RIPTIDE__LIMITS__BURST\n"),
        "{text}"
    );
    assert!(
        text.contains("http.addr = \"127.0.0.1:7002\"  # --set\n"),
        "{text}"
    );
    assert!(text.contains("limits.max_concurrent = 1000  # "), "{text}");
}

#[test]
fn it_does_not_start_where_others_could_read_it_without_a_token() {
    let output = riptide(&["serve", "--all", "--listen", "0.0.0.0:0"], &[]);
    assert_refused(&output, 2, &["--listen", "no token", "http.token_file"]);
    let directory = Directory::new();
    let path = directory.path().join("token");
    fs::write(&path, "short\n").unwrap();
    let set = format!("http.token_file={}", path.display());
    let output = riptide(
        &["serve", "--all", "--listen", "0.0.0.0:0", "--set", &set],
        &[],
    );
    assert_refused(&output, 2, &["token:1:1", "at least 16"]);
}

#[test]
fn an_address_in_use_and_a_pid_without_riptide_are_said() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = riptide(&["serve", "--all", "--listen", &address], &[]);
    assert_refused(&output, 5, &["cannot listen", &address]);
    let directory = Directory::new();
    let environment = [("RIPTIDE_DIR", directory.path().to_str().unwrap())];
    let output = riptide(&["serve", "1"], &environment);
    assert_refused(&output, 3, &["1"]);
}

#[test]
fn a_reload_takes_effect_and_a_bad_one_changes_nothing() {
    let directory = Directory::new();
    let _victim = Victim::new("victim-sites", &["5"], &directory, "64KiB");
    let mut server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(1);

    let closed = format!("{QUICK}\n[http]\ntoken = \"a-token-of-this-test\"\n");
    fs::write(&server.configuration, &closed).unwrap();
    server.signal("HUP");
    wait_for("the token to be needed", || {
        (server.get("/health").status == 401).then_some(())
    });
    let with_token = ["authorization: Bearer a-token-of-this-test"];
    let health = || get_with(server.addr, "/health", &with_token);
    assert_eq!(health().status, 200);

    fs::write(&server.configuration, "[limits]\nburts = 5\n").unwrap();
    server.signal("HUP");
    wait_for("the complaint", || {
        server.log().contains("limits.burst?").then_some(())
    });
    assert!(server.log().contains("the old one stays in force"));
    assert_eq!(server.get("/health").status, 401);
    assert_eq!(health().status, 200);
    let metrics = get_with(server.addr, "/metrics", &with_token).text();
    for line in [
        "riptide_serve_reloads_total{result=\"ok\"} 1.0\n",
        "riptide_serve_reloads_total{result=\"failed\"} 1.0\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    let status = server.stop();
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(server.log().contains("stopped"), "{}", server.log());
}

#[test]
fn requests_under_way_are_finished_when_it_stops() {
    let directory = Directory::new();
    let _victim = Victim::new("victim-sites", &["5"], &directory, "64KiB");
    let mut server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(1);
    let addr = server.addr;
    let slow = std::thread::spawn(move || crate::http::get(addr, "/debug/pprof/heap?seconds=2"));
    wait_for("the request to be under way", || {
        // The one that asks is one more.
        (server.metric("riptide_serve_requests_total", &[])? >= 3.0).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_millis(500));
    let status = server.stop();
    assert_eq!(status.code(), Some(0));
    let answer = slow.join().unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body[..2], [0x1f, 0x8b]);
}
