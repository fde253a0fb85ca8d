//! A connection to `serve`, in process: from the bytes of a client to those of the answer.

use std::{io::Write, os::unix::fs::PermissionsExt};

use riptide::{config::Config, serve::InProcess};

use crate::{small_region::template, take};

/// Requests that get somewhere, to be changed.
const STARTS: [&str; 8] = [
    "GET /profiling/snapshot?",
    "GET /debug/pprof/heap?",
    "GET /debug/pprof/allocs?",
    "GET /live.json?",
    "GET /metrics?",
    "GET /alerts?",
    "GET /health?",
    "POST /profiling/snapshot?",
];
const TOKEN: &str = "0123456789abcdef";

struct Servers {
    runtime: tokio::runtime::Runtime,
    open: InProcess,
    closed: InProcess,
}

thread_local! {
    static SERVERS: Servers = Servers::new();
}

impl Servers {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("1-1-1");
        let mut file = std::fs::File::create(&path).unwrap();
        for word in template() {
            file.write_all(&word.to_le_bytes()).unwrap();
        }
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).unwrap();
        let mut config = Config::default();
        config.limits.requests_per_second = 0;
        // As `?seconds=` waits for less than that.
        config.http.request_timeout_seconds = 0.001;
        let server = |token: Option<&str>| {
            let regions = std::slice::from_ref(&path);
            InProcess::new(regions, config.clone(), token.map(str::to_owned)).unwrap()
        };
        Self {
            open: server(None),
            closed: server(Some(TOKEN)),
            runtime,
        }
    }
}

/// The first byte says how the request begins and whether the server wants a token; the rest is what
/// the client sends.
pub fn http(mut bytes: &[u8]) {
    let [mode] = take::<1>(&mut bytes);
    let mut sent = Vec::new();
    if mode & 0x80 != 0 {
        sent.extend(STARTS[usize::from(mode & 7)].as_bytes());
    }
    sent.extend(bytes);
    if mode & 0x40 != 0 {
        sent.extend(
            b" HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer 0123456789abcdef\r\n\r\n",
        );
    }
    SERVERS.with(|servers| {
        let server = if mode & 0x20 == 0 {
            &servers.open
        } else {
            &servers.closed
        };
        let answer = servers.runtime.block_on(server.answer(&sent));
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1."),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        // A handler that panicked.
        assert!(
            !answer.starts_with(b"HTTP/1.1 500") && !answer.starts_with(b"HTTP/1.0 500"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    });
}
