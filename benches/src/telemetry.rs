//! `riptide serve` beside a program, exporting by OTLP to a sink in this process.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::Error;

/// A metric of a target: a request that names it is about one.
const ABOUT_A_TARGET: &[u8] = b"riptide.allocation.size";

/// The command `riptide`, built as programs of a release are.
///
/// # Errors
/// It does not build.
pub fn riptide() -> Result<PathBuf, Error> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--quiet", "--release", "-p", "riptide"])
        .current_dir(root)
        .status()?;
    if !status.success() {
        return Err("riptide does not build".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(root).join("target"), PathBuf::from);
    Ok(target.join("release/riptide"))
}

/// A server at work, and how many exports about a target have come from it.
#[derive(Debug)]
pub struct Exporting {
    server: Child,
    exports: Arc<AtomicU64>,
}

impl Exporting {
    /// Starts the server for the program `name`, which may come later. Metrics are exported five times
    /// a second, three hundred times as often as by default.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(riptide: &PathBuf, name: &str) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let exports = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&exports);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let count = Arc::clone(&count);
                thread::spawn(move || accept(stream, &count));
            }
        });
        let mut command = Command::new(riptide);
        command.args(["serve", name, "--listen", "127.0.0.1:0"]);
        for setting in [
            "profiling.interval_seconds=0.2",
            "profiling.search_seconds=0.2",
            "telemetry.protocol=http/protobuf",
            "telemetry.interval_seconds=0.2",
            "alerts.enabled=false",
            &format!("telemetry.endpoint={endpoint}"),
        ] {
            command.args(["--set", setting]);
        }
        let server = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { server, exports })
    }

    /// Ends the server; how many exports about the program have come.
    #[must_use]
    pub fn stop(mut self) -> u64 {
        // It is killed whatever it does: what is asked for is counted already.
        let _ = self.server.kill();
        let _ = self.server.wait();
        // Relaxed: a figure of its own.
        self.exports.load(Ordering::Relaxed)
    }
}

/// Answers every POST of a connection with 200.
fn accept(stream: TcpStream, count: &AtomicU64) -> Option<()> {
    let mut answers = stream.try_clone().ok()?;
    let mut requests = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().ok()?;
            }
        }
        let mut body = vec![0; length];
        requests.read_exact(&mut body).ok()?;
        let is_about_a_target = body
            .windows(ABOUT_A_TARGET.len())
            .any(|window| window == ABOUT_A_TARGET);
        // Relaxed: a figure of its own.
        count.fetch_add(u64::from(is_about_a_target), Ordering::Relaxed);
        answers
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}
