//! A running `riptide serve`.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use crate::{
    harness::{Directory, clean_command, riptide_path, wait_for},
    http::{Answer, get},
};

/// Settings of a server that looks often and limits nothing.
pub(crate) const QUICK: &str = "
[profiling]
interval_seconds = 0.5
journal_seconds = 0.2
search_seconds = 0.2
verdict_seconds = 2

[limits]
requests_per_second = 0
max_concurrent = 0

[telemetry]
enabled = false
";

/// A running server; stopped when the test is done with it.
pub(crate) struct Server {
    child: Child,
    pub(crate) addr: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
    /// Its configuration, which a test may change.
    pub(crate) configuration: PathBuf,
    _directory: Directory,
}

impl Server {
    /// `serve --all` over the targets in `targets`.
    pub(crate) fn start(targets: &Path, settings: &str) -> Self {
        Self::start_with(targets, settings, &["--all"])
    }

    pub(crate) fn start_with(targets: &Path, settings: &str, arguments: &[&str]) -> Self {
        let mut command = clean_command(riptide_path());
        command.env("RIPTIDE_DIR", targets);
        Self::start_command(command, settings, arguments)
    }

    pub(crate) fn start_command(mut command: Command, settings: &str, arguments: &[&str]) -> Self {
        let directory = Directory::new();
        let configuration = directory.path().join("riptide.toml");
        fs::write(&configuration, settings).unwrap();
        let mut child = command
            .env("XDG_CONFIG_HOME", directory.path())
            .arg("serve")
            .args(arguments)
            .args(["--listen", "127.0.0.1:0", "--config"])
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let written = Arc::clone(&log);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                written.lock().unwrap().push(line);
            }
        });
        let addr = wait_for("the address of the server", || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended with {status}: {:#?}", log.lock().unwrap());
            }
            let log = log.lock().unwrap();
            let line = log
                .iter()
                .find(|line| line.contains("listening on http://"))?;
            let (_, rest) = line.split_once("http://")?;
            rest.split([' ', '"']).next()?.parse().ok()
        });
        let server = Self {
            child,
            addr,
            log,
            configuration,
            _directory: directory,
        };
        wait_for("the first search", || {
            (server.get("/readyz").status == 200).then_some(())
        });
        server
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        get(self.addr, path)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// SIGTERM, and what it ends with.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.child.wait().unwrap()
    }

    /// Waits until so many targets are followed.
    pub(crate) fn wait_for_targets(&self, count: usize) {
        wait_for(&format!("{count} targets"), || {
            let health = self.get("/health").json();
            (health["targets"].as_u64() == Some(count as u64)).then_some(())
        });
    }

    /// The sum of a metric's series whose labels have all of `labels` in them; `None` without any.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let text = self.get("/metrics").text();
        sum_of(&text, name, labels)
    }
}

/// The same in the text of a scrape.
pub(crate) fn sum_of(text: &str, name: &str, labels: &[&str]) -> Option<f64> {
    let values: Vec<f64> = text
        .lines()
        .filter(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        })
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("log of the server:\n{}", self.log());
        }
    }
}
