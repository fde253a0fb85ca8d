//! Load and limits, with a real load generator, and clients that mean no good.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    harness::{Directory, Victim, long, wait_for},
    http::{Answer, connect, get, raw, read},
    report,
    server::{QUICK, Server},
};

/// What `hey` counted: answers by status, and requests without one.
struct Counted {
    by_status: Vec<(u16, u64)>,
    errors: u64,
    seconds: f64,
}

impl Counted {
    fn of(&self, status: u16) -> u64 {
        let found = self.by_status.iter().find(|(of, _)| *of == status);
        found.map_or(0, |(_, count)| *count)
    }

    fn all(&self) -> u64 {
        self.by_status.iter().map(|(_, count)| count).sum()
    }
}

fn hey(server: &Server, path: &str, clients: usize, seconds: u64) -> Counted {
    let start = Instant::now();
    let output = Command::new("hey")
        .args([
            "-z",
            &format!("{seconds}s"),
            "-c",
            &clients.to_string(),
            "-t",
            "60",
        ])
        .arg(server.url(path))
        .output()
        .expect("hey is missing: `bash tests/run setup serve` installs it");
    let seconds = start.elapsed().as_secs_f64();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let mut counted = Counted {
        by_status: Vec::new(),
        errors: 0,
        seconds,
    };
    let mut are_errors = false;
    for line in text.lines() {
        are_errors |= line.starts_with("Error distribution");
        let Some((number, rest)) = line
            .trim()
            .strip_prefix('[')
            .and_then(|line| line.split_once(']'))
        else {
            continue;
        };
        let number: u64 = number.parse().unwrap();
        if are_errors {
            counted.errors += number;
        } else if rest.contains("responses") {
            let count = rest.split_whitespace().next().unwrap().parse().unwrap();
            counted
                .by_status
                .push((u16::try_from(number).unwrap(), count));
        }
    }
    counted
}

#[test]
fn a_hundred_clients_at_once_get_an_answer_from_every_endpoint() {
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["10"], &directory, "64KiB");
    victim.report();
    let server = Server::start(directory.path(), QUICK);
    server.wait_for_targets(1);
    let seconds = if long() { 20 } else { 2 };
    for path in [
        "/livez",
        "/readyz",
        "/health",
        "/metrics",
        "/alerts",
        "/",
        "/live.json",
        "/profiling/snapshot",
        "/profiling/snapshot?format=flamegraph",
        "/debug/pprof/heap",
        "/debug/pprof/allocs",
    ] {
        let counted = hey(&server, path, 100, seconds);
        assert_eq!(counted.errors, 0, "{path}");
        assert_eq!(
            counted.of(200),
            counted.all(),
            "{path}: {:?}",
            counted.by_status
        );
        assert!(counted.all() >= 100, "{path}: {:?}", counted.by_status);
        report(&format!(
            "load: {path}: {} answers in {:.1} s to 100 clients, all 200",
            counted.all(),
            counted.seconds
        ));
    }
    assert_eq!(server.get("/health").json()["targets"], 1);
}

/// Thousands of connections of this process.
fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// A request whose body does not come.
fn held(server: &Server) -> TcpStream {
    let mut stream = connect(server.addr);
    let head =
        "GET /health HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    stream
}

#[test]
fn beyond_a_thousand_requests_each_gets_503_until_one_ends() {
    raise_open_files();
    let directory = Directory::new();
    let settings =
        "[limits]\nmax_concurrent = 1000\nrequests_per_second = 0\n[telemetry]\nenabled = false\n";
    let server = Server::start(directory.path(), settings);
    let mut holding: Vec<TcpStream> = (0..1_000).map(|_| held(&server)).collect();
    wait_for("a thousand requests under way", || {
        (server.get("/health").status == 503).then_some(())
    });
    let paths = ["/health", "/metrics", "/alerts", "/", "/readyz"];
    let answers: Vec<Answer> = (0..200)
        .map(|number| server.get(paths[number % paths.len()]))
        .collect();
    for answer in &answers {
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // That the process lives is said all the same: nobody should restart it for being busy.
    assert_eq!(server.get("/livez").status, 200);
    // Those that are held are answered when they are whole.
    for stream in &mut holding {
        stream.write_all(b"{}").unwrap();
    }
    for stream in &mut holding {
        assert_eq!(read(stream).unwrap().status, 200);
    }
    wait_for("room again", || {
        (server.get("/health").status == 200).then_some(())
    });
    let refused = server.metric("riptide_serve_requests_refused_total", &["concurrency"]);
    assert!(refused >= Some(200.0), "{refused:?}");
}

#[test]
fn the_rate_is_held_for_all_clients_together() {
    let directory = Directory::new();
    let settings = "[limits]\nmax_concurrent = 0\nrequests_per_second = 100\nburst = 50\n[telemetry]\nenabled = false\n";
    let server = Server::start(directory.path(), settings);
    let counted = hey(&server, "/health", 50, if long() { 30 } else { 5 });
    assert_eq!(counted.errors, 0);
    let accepted = counted.of(200);
    let most = 50.0 + 100.0 * counted.seconds * 1.01;
    report(&format!(
        "rate: {accepted} accepted and {} refused in {:.1} s; at most {most:.0} allowed",
        counted.of(429),
        counted.seconds
    ));
    assert_eq!(
        accepted + counted.of(429),
        counted.all(),
        "{:?}",
        counted.by_status
    );
    assert!((accepted as f64) <= most, "{accepted} {most}");
    assert!(
        (accepted as f64) >= 100.0 * (counted.seconds - 2.0),
        "{accepted}"
    );
    assert!(counted.of(429) > 0);
    let refused = wait_for("a refusal", || {
        let answer = server.get("/metrics");
        (answer.status == 429).then_some(answer)
    });
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1);
    assert_eq!(server.get("/livez").status, 200);
}

#[test]
fn clients_that_mean_no_good_harm_nobody() {
    raise_open_files();
    let directory = Directory::new();
    let mut victim = Victim::new("victim-sites", &["5"], &directory, "64KiB");
    victim.report();
    let settings =
        format!("{QUICK}\n[http]\nheader_timeout_seconds = 1\nrequest_timeout_seconds = 2\n");
    let server = Server::start(directory.path(), &settings);
    server.wait_for_targets(1);
    let before = server.metric("riptide_serve_rss_bytes", &[]).unwrap();

    // Heads that never end, letter by letter.
    let mut loris: Vec<TcpStream> = (0..200).map(|_| connect(server.addr)).collect();
    for stream in &mut loris {
        stream
            .write_all(b"GET /health HTTP/1.1\r\nhost: loc")
            .unwrap();
    }
    for _ in 0..5 {
        for stream in &mut loris {
            let _ = stream.write_all(b"a");
        }
        assert_eq!(server.get("/health").status, 200);
        thread::sleep(Duration::from_millis(100));
    }
    for stream in &mut loris {
        // Closed, with or without a word.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }

    // Bodies that never come.
    let mut waiting: Vec<TcpStream> = (0..50).map(|_| held(&server)).collect();
    for stream in &mut waiting {
        assert_eq!(read(stream).unwrap().status, 408);
    }

    // Too large, and not HTTP.
    let mut large = b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: ".to_vec();
    large.extend(vec![b'a'; 1 << 20]);
    let answer = raw(server.addr, &large);
    assert!(
        answer.is_none_or(|answer| answer.status == 431),
        "a head of 1 MiB"
    );
    let mut large = b"POST /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 10000000\r\n\r\n".to_vec();
    large.extend(vec![b'a'; 1 << 20]);
    let answer = raw(server.addr, &large);
    assert!(
        answer.is_none_or(|answer| answer.status == 413),
        "a body of 10 MB"
    );
    let mut chunks = b"POST /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..200 {
        chunks.extend(b"400\r\n");
        chunks.extend(vec![b'a'; 1_024]);
        chunks.extend(b"\r\n");
    }
    let answer = raw(server.addr, &chunks);
    assert!(
        answer.is_none_or(|answer| answer.status == 413),
        "a body of unknown length"
    );
    for malformed in [
        &b"\x00\x01\x02\x03\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon here\r\n\r\n",
        b"POST /health HTTP/1.1\r\ncontent-length: -5\r\n\r\n",
        b"POST /health HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = connect(server.addr);
        let _ = stream.write_all(malformed);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let status = read(&mut stream).map(|answer| answer.status);
        assert!(
            status.is_none_or(|status| status >= 400),
            "{malformed:?}: {status:?}"
        );
    }
    for path in [
        "/../../../../etc/passwd",
        "/debug/pprof/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc%2fpasswd",
        "//etc/passwd",
        "/debug/pprof/cmdline",
    ] {
        let answer = get(server.addr, path);
        assert_eq!(answer.status, 404, "{path}");
        assert!(!answer.text().contains("root:"), "{path}");
    }
    for path in [
        "/profiling/snapshot?target=../../../etc/passwd",
        "/profiling/snapshot?target=%2Fetc%2Fpasswd",
        "/profiling/snapshot?format=../../etc/passwd",
        "/profiling/snapshot?limit=-1",
        "/profiling/snapshot?limit=99999999999999999999999",
        "/debug/pprof/heap?seconds=nan",
        "/debug/pprof/heap?seconds=1e300",
    ] {
        let answer = get(server.addr, path);
        assert!(
            (400..500).contains(&answer.status) || path.contains("nan"),
            "{path}: {}",
            answer.status
        );
        assert!(!answer.text().contains("root:"), "{path}");
    }
    assert_eq!(
        raw(
            server.addr,
            b"DELETE /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
        .unwrap()
        .status,
        405
    );

    assert_eq!(server.get("/health").json()["targets"], 1);
    let after = server.metric("riptide_serve_rss_bytes", &[]).unwrap();
    report(&format!(
        "hostile clients: RSS of the server {before:.0} before, {after:.0} after"
    ));
    assert!(after < before + 64e6, "{before} {after}");
    for reason in ["time", "size"] {
        let refused = server
            .metric("riptide_serve_requests_refused_total", &[reason])
            .unwrap();
        assert!(refused >= 1.0, "{reason}");
    }
}

#[test]
fn beyond_the_last_connection_each_is_told_so() {
    let directory = Directory::new();
    let settings = format!("{QUICK}\n[http]\nmax_connections = 50\nheader_timeout_seconds = 600\n");
    let server = Server::start(directory.path(), &settings);
    let mut crowd: Vec<TcpStream> = Vec::new();
    let ask = || {
        raw(
            server.addr,
            b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        )
    };
    let answer = wait_for("a connection to be refused", || {
        crowd.push(connect(server.addr));
        ask().filter(|answer| answer.status == 503)
    });
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!((49..=51).contains(&crowd.len()), "{}", crowd.len());
    drop(crowd);
    wait_for("room again", || ask().filter(|answer| answer.status == 200));
    let refused = server.metric("riptide_serve_requests_refused_total", &["connections"]);
    assert!(refused >= Some(1.0), "{refused:?}");
}
