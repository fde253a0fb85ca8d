//! Starts and stops the real things.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::harness::{Directory, clean_command, riptide_path, wait_for};

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// The body of a GET; `None` when there is no answer or not 200.
pub(crate) fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    assert!(
        !head.to_lowercase().contains("transfer-encoding"),
        "this reader knows bodies of known length only: {head}"
    );
    head.starts_with("HTTP/1.1 200").then(|| body.to_owned())
}

/// A child process with its lines; killed when the test is done with it.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) lines: Arc<Mutex<Vec<String>>>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let output = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        Self { child, lines }
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Takes OTLP over both protocols and webhooks.
pub(crate) struct Receiver {
    running: Running,
    pub(crate) grpc: u16,
    pub(crate) http: u16,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::on(0)
    }

    /// With this port for HTTP; 0 is any.
    pub(crate) fn on(http: u16) -> Self {
        let mut command = Command::new("python3");
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/alerts/receiver.py"))
            .args(["0", &http.to_string()]);
        let running = Running::start(command);
        let ready = wait_for("the receiver", || {
            let first = running.lines().into_iter().next()?;
            serde_json::from_str::<Value>(&first).ok()
        });
        let port = |name: &str| u16::try_from(ready[name].as_u64().unwrap()).unwrap();
        Self {
            running,
            grpc: port("grpc"),
            http: port("http"),
        }
    }

    /// What has come of one signal: `metrics`, `logs`, `profiles`, `post`.
    pub(crate) fn received(&self, signal: &str) -> Vec<Value> {
        let lines = self.running.lines();
        let all = lines.iter().map(|line| serde_json::from_str(line).unwrap());
        all.filter(|value: &Value| value["signal"] == signal)
            .collect()
    }

    /// Bodies of what was posted to a path.
    pub(crate) fn posted(&self, path: &str) -> Vec<Value> {
        let posts = self.received("post").into_iter();
        posts
            .filter(|post| post["path"] == path)
            .map(|post| post["body"].clone())
            .collect()
    }
}

/// A real collector that hands on to a receiver.
pub(crate) struct Collector {
    running: Running,
    pub(crate) grpc: u16,
    pub(crate) http: u16,
    to: u16,
}

impl Collector {
    pub(crate) fn start(receiver: &Receiver) -> Self {
        Self::on(free_port(), free_port(), receiver.grpc)
    }

    fn on(grpc: u16, http: u16, to: u16) -> Self {
        let found = Command::new("python3")
            .args([
                "-c",
                "import os, rotel; print(os.path.dirname(rotel.__file__))",
            ])
            .output()
            .unwrap();
        let package = String::from_utf8(found.stdout).unwrap();
        let mut command = Command::new(Path::new(package.trim()).join("rotel-agent"));
        command
            .arg("start")
            .args(["--otlp-grpc-endpoint", &format!("127.0.0.1:{grpc}")])
            .args(["--otlp-http-endpoint", &format!("127.0.0.1:{http}")])
            .args(["--exporter", "otlp"])
            .args([
                "--otlp-exporter-endpoint",
                &format!("http://127.0.0.1:{to}"),
            ])
            .args(["--otlp-exporter-protocol", "grpc"])
            .args(["--batch-timeout", "200ms"])
            .stderr(Stdio::null());
        let mut running = Running::start(command);
        wait_for("the collector", || {
            assert!(running.is_running(), "{:?}", running.lines());
            TcpStream::connect(("127.0.0.1", grpc)).ok()?;
            TcpStream::connect(("127.0.0.1", http)).ok()
        });
        Self {
            running,
            grpc,
            http,
            to,
        }
    }

    pub(crate) fn stop(&mut self) {
        self.running.kill();
    }

    /// The same one, on the same ports.
    pub(crate) fn restart(&mut self) {
        self.stop();
        *self = Self::on(self.grpc, self.http, self.to);
    }
}

/// A real Alertmanager that tells a webhook everything at once.
pub(crate) struct Alertmanager {
    _running: Running,
    pub(crate) port: u16,
}

impl Alertmanager {
    pub(crate) fn start(directory: &Path, webhook: &str) -> Self {
        let port = free_port();
        let config = directory.join("alertmanager.yml");
        let text = format!(
            "route:\n  receiver: person\n  group_by: [process, pid]\n  group_wait: 1s\n  \
             group_interval: 1s\n  repeat_interval: 1h\nreceivers:\n- name: person\n  \
             webhook_configs:\n  - url: {webhook}\n    send_resolved: true\n"
        );
        fs::write(&config, text).unwrap();
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stderr(Stdio::null());
        let running = Running::start(command);
        wait_for("Alertmanager", || get(port, "/-/ready"));
        Self {
            _running: running,
            port,
        }
    }
}

/// A running `riptide serve` of one target.
pub(crate) struct Serve {
    pub(crate) running: Running,
    pub(crate) port: u16,
    log: PathBuf,
    config: PathBuf,
}

impl Serve {
    /// Follows the one region in `directory`.
    pub(crate) fn start(
        directory: &Directory,
        files: &Directory,
        config: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let region = directory.region();
        let path = files.path().join("riptide.toml");
        fs::write(&path, without_limits(config)).unwrap();
        let log = files.path().join("serve.log");
        let port = free_port();
        let mut command = clean_command(riptide_path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        command
            .arg("serve")
            .arg(&region)
            .arg("--config")
            .arg(&path)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            // No configuration of this machine.
            .env("XDG_CONFIG_HOME", files.path())
            .env("RIPTIDE_DIR", directory.path())
            .envs(environment.iter().copied())
            .stderr(fs::File::create(&log).unwrap());
        let mut running = Running::start(command);
        let told = log.clone();
        wait_for("serve", || {
            let complaint = || fs::read_to_string(&told).unwrap();
            assert!(running.is_running(), "{}", complaint());
            get(port, "/health").filter(|health| health.contains("\"targets\":1"))
        });
        Self {
            running,
            port,
            log,
            config: path,
        }
    }

    pub(crate) fn alerts(&self) -> Value {
        let text = get(self.port, "/alerts").expect("/alerts");
        serde_json::from_str(&text).unwrap()
    }

    /// The sum of the series of a metric whose labels hold all of `labels`.
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let text = get(self.port, "/metrics").expect("/metrics");
        let series = text.lines().filter(|line| {
            line.split(['{', ' ']).next() == Some(name)
                && labels.iter().all(|label| line.contains(label))
        });
        series
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Resident bytes of the server.
    pub(crate) fn rss(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.running.child.id()));
        let status = status.unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kib = line.unwrap().split_whitespace().nth(1).unwrap();
        kib.parse::<u64>().unwrap() * 1_024
    }

    fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.running.child.id()).unwrap();
        kill(pid, signal);
    }

    /// Another configuration, by SIGHUP.
    pub(crate) fn reload(&self, config: &str) {
        fs::write(&self.config, without_limits(config)).unwrap();
        self.signal(libc::SIGHUP);
    }

    /// SIGTERM; asserts that it ends well.
    pub(crate) fn stop(&mut self) {
        self.signal(libc::SIGTERM);
        let status = wait_for("the end of serve", || {
            self.running.child.try_wait().unwrap()
        });
        assert!(status.success(), "{status}: {}", self.log());
    }
}

/// Tests ask more often than anybody should.
fn without_limits(config: &str) -> String {
    format!("{config}\n[limits]\nrequests_per_second = 0\n")
}

fn kill(pid: i32, signal: i32) {
    let name = match signal {
        libc::SIGHUP => "-HUP",
        _ => "-TERM",
    };
    let status = Command::new("kill").args([name, &pid.to_string()]).status();
    assert!(status.unwrap().success());
}

/// The first of some values that a question gives, awaited.
pub(crate) fn first<T>(what: &str, mut all: impl FnMut() -> Vec<T>) -> T {
    wait_for(what, || {
        thread::sleep(Duration::from_millis(50));
        all().into_iter().next()
    })
}

/// Attributes of OTLP by key, as plain JSON.
pub(crate) fn attributes(list: &Value) -> serde_json::Map<String, Value> {
    let empty = Vec::new();
    let list = list.as_array().unwrap_or(&empty);
    list.iter()
        .map(|of| (of["key"].as_str().unwrap().to_owned(), plain(&of["value"])))
        .collect()
}

fn plain(value: &Value) -> Value {
    let Some((kind, value)) = value.as_object().and_then(|of| of.iter().next()) else {
        return Value::Null;
    };
    match kind.as_str() {
        // 64-bit integers are text in protobuf's JSON.
        "int_value" => value.as_str().unwrap().parse::<i64>().unwrap().into(),
        "array_value" => {
            let empty = Vec::new();
            let values = value["values"].as_array().unwrap_or(&empty);
            values.iter().map(plain).collect()
        }
        "kvlist_value" => attributes(&value["values"]).into(),
        _ => value.clone(),
    }
}
