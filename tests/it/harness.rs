//! Starts victims, waits for their regions and reads them through the `riptide` binary.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long anything may take before the test gives up.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Whether the long campaigns run.
pub(crate) fn long() -> bool {
    std::env::var_os("RIPTIDE_LONG").is_some()
}

/// A number for everything random in one test; printed, so that a run can be repeated.
pub(crate) fn seed(test: &str) -> u64 {
    let seed = std::env::var("RIPTIDE_TEST_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| {
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap();
            now.as_nanos() as u64
        });
    println!("{test}: RIPTIDE_TEST_SEED={seed}");
    seed
}

/// Waits until `ready` gives something.
pub(crate) fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// An empty directory on a tmpfs, removed with what is in it.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = PathBuf::from(format!(
            "/dev/shm/riptide-test-{}-{number}",
            std::process::id()
        ));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The files in the directory.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        files
    }

    /// The one region in the directory, once it is there under its own name.
    pub(crate) fn region(&self) -> PathBuf {
        wait_for("a region", || {
            self.files().into_iter().find(|path| is_region(path))
        })
    }
}

/// Whether the file is named as a finished region is: `<pid>-<start time>-<nonce>`.
pub(crate) fn is_region(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut parts = name.split('-');
    let numbers = parts
        .by_ref()
        .take(2)
        .filter(|part| part.parse::<u64>().is_ok());
    numbers.count() == 2 && parts.next().is_some() && parts.next().is_none()
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn target_directory() -> PathBuf {
    // target/<profile>/deps/it-<hash>
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().to_owned()
}

/// The `riptide` binary of this very source tree and profile.
pub(crate) fn riptide_path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("RIPTIDE_BIN") {
            return path.into();
        }
        let target = target_directory();
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        build
            .args([
                "build",
                "--quiet",
                "-p",
                "riptide",
                "--bin",
                "riptide",
                "--target-dir",
            ])
            .arg(target.parent().unwrap())
            .args((!cfg!(debug_assertions)).then_some("--release"))
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        assert!(build.status().unwrap().success(), "riptide does not build");
        target.join("riptide")
    })
}

/// A command with nothing of riptide in its environment but what the test sets.
pub(crate) fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("RIPTIDE") {
            command.env_remove(name);
        }
    }
    command
}

/// Runs `riptide` to its end.
pub(crate) fn riptide(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    clean_command(riptide_path())
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A process that ends with its test.
#[derive(Debug)]
pub(crate) struct Ended(pub(crate) Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `riptide top` of one target, every site.
pub(crate) fn top(target: &Path) -> Top {
    let output = riptide(
        &[
            "top",
            target.to_str().unwrap(),
            "--once",
            "--json",
            "--limit",
            "0",
        ],
        &[],
    );
    assert!(
        output.status.success(),
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Top(serde_json::from_slice(&output.stdout).unwrap())
}

/// An estimate of the JSON contract.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Estimate {
    pub(crate) estimate: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Estimate {
    fn new(value: &Value) -> Self {
        let number = |name: &str| {
            value[name]
                .as_f64()
                .unwrap_or_else(|| panic!("no {name} in {value}"))
        };
        Self {
            estimate: number("estimate"),
            low: number("low"),
            high: number("high"),
        }
    }

    pub(crate) fn holds(&self, truth: f64) -> bool {
        (self.low..=self.high).contains(&truth)
    }

    /// Exactly `truth`, and said to be so.
    pub(crate) fn is_exactly(&self, truth: f64) -> bool {
        *self
            == Self {
                estimate: truth,
                low: truth,
                high: truth,
            }
    }
}

/// The answer of `riptide top --once --json`.
pub(crate) struct Top(pub(crate) Value);

impl Top {
    pub(crate) fn state(&self) -> &str {
        self.0["target"]["state"].as_str().unwrap()
    }

    pub(crate) fn number(&self, section: &str, name: &str) -> u64 {
        let value = &self.0[section][name];
        value
            .as_u64()
            .unwrap_or_else(|| panic!("{section}.{name} is {value}"))
    }

    pub(crate) fn live(&self, what: &str) -> Estimate {
        Estimate::new(&self.0["live"][what])
    }

    /// Rows of a function, which may have several lines.
    pub(crate) fn rows(&self, function: &str) -> Vec<&Value> {
        let sites = self.0["sites"].as_array().unwrap();
        sites
            .iter()
            .filter(|site| site["function"] == function)
            .collect()
    }

    /// Bytes and objects of the only row of `function` that holds any.
    pub(crate) fn site(&self, function: &str) -> (Estimate, Estimate) {
        let holding: Vec<_> = self
            .rows(function)
            .into_iter()
            .map(|row| {
                (
                    Estimate::new(&row["live_bytes"]),
                    Estimate::new(&row["live_objects"]),
                )
            })
            .filter(|(bytes, _)| bytes.estimate > 0.0)
            .collect();
        assert!(
            holding.len() <= 1,
            "{function} has several rows: {holding:?}"
        );
        holding.first().copied().unwrap_or_default()
    }

    /// Asserts that every site has exactly the victim's own numbers.
    pub(crate) fn assert_exact(&self, truth: &[Truth]) {
        for site in truth {
            let (mut bytes, mut blocks) = (0.0, 0.0);
            for row in self.rows(&site.function) {
                let row_bytes = Estimate::new(&row["live_bytes"]);
                let row_blocks = Estimate::new(&row["live_objects"]);
                assert!(row_bytes.is_exactly(row_bytes.estimate), "{row}");
                assert!(row_blocks.is_exactly(row_blocks.estimate), "{row}");
                bytes += row_bytes.estimate;
                blocks += row_blocks.estimate;
            }
            assert_eq!(
                (bytes, blocks),
                (site.bytes, site.blocks),
                "{}",
                site.function
            );
        }
    }
}

/// What a victim says of one of its sites.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Truth {
    pub(crate) function: String,
    pub(crate) bytes: f64,
    pub(crate) blocks: f64,
}

/// Reads a victim's report.
pub(crate) fn truth(report: &Value) -> Vec<Truth> {
    let sites = report["sites"].as_array().unwrap();
    let truth: Vec<_> = sites
        .iter()
        .map(|site| Truth {
            function: site["function"].as_str().unwrap().to_owned(),
            bytes: site["bytes"].as_f64().unwrap(),
            blocks: site["blocks"].as_f64().unwrap(),
        })
        .collect();
    assert!(!truth.is_empty());
    truth
}

/// A running victim; killed when the test is done with it.
pub(crate) struct Victim {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Path of a victim program.
pub(crate) fn program(name: &str) -> PathBuf {
    target_directory().join(name)
}

/// The command of a victim that puts its region into `directory`.
pub(crate) fn victim_command(program: &Path, directory: &Path) -> Command {
    let mut command = clean_command(program);
    command
        .env("RIPTIDE_DIR", directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Victim {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    /// A victim of this package, sampled at `interval`.
    pub(crate) fn new(
        name: &str,
        arguments: &[&str],
        directory: &Directory,
        interval: &str,
    ) -> Self {
        let mut command = victim_command(&program(name), directory.path());
        command
            .args(arguments)
            .env("RIPTIDE_SAMPLE_INTERVAL", interval);
        Self::start(command)
    }

    /// A victim of this package, sampled as by default.
    pub(crate) fn by_default(name: &str, arguments: &[&str], directory: &Directory) -> Self {
        let mut command = victim_command(&program(name), directory.path());
        command.args(arguments);
        Self::start(command)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the victim prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "the victim ended: {}", self.complaint());
        line.trim_end().to_owned()
    }

    /// The next line, as JSON.
    pub(crate) fn report(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
    }

    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    fn complaint(&mut self) -> String {
        let mut text = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            let _ = errors.read_to_string(&mut text);
        }
        text
    }

    /// Lets the victim end by itself; asserts that it said nothing on stderr and returns the rest
    /// of its output.
    pub(crate) fn finish(mut self) -> (ExitStatus, Vec<String>) {
        drop(self.input.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert_eq!(self.complaint(), "");
        let status = self.child.wait().unwrap();
        (status, rest.lines().map(str::to_owned).collect())
    }

    /// SIGKILL, and waits until the process is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asserts exit code and that stderr says all of `words`, on no more than a few lines.
pub(crate) fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    assert!(output.stdout.is_empty(), "stdout is for data");
    for word in words {
        assert!(message.contains(word), "no {word:?} in {message:?}");
    }
    assert!(message.lines().count() <= 6, "{message}");
    assert!(!message.contains("panicked"), "{message}");
}

/// Counts by key.
pub(crate) fn tally<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeMap<K, u32> {
    let mut counts = BTreeMap::new();
    for key in keys {
        *counts.entry(key).or_default() += 1;
    }
    counts
}
