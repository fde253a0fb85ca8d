//! Runs a mode of `victim-fault` on riptide and on bare jemalloc and compares what they did.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
};

use crate::{
    harness::{Directory, Truth, is_region, program, top, truth, victim_command, wait_for},
    ring::assert_books_balance,
};

/// What a program printed and how it ended.
#[derive(Debug, PartialEq)]
pub(super) struct Deed {
    pub(super) lines: Vec<String>,
    complaint: String,
    pub(super) status: ExitStatus,
}

impl Deed {
    /// What the program says that it keeps.
    pub(super) fn truth(&self) -> Vec<Truth> {
        let mut reports = self.lines.iter().filter(|line| line.starts_with('{'));
        truth(&serde_json::from_str(reports.next().unwrap()).unwrap())
    }

    /// The deed of a program that works to its end.
    pub(super) fn assert_complete(&self) {
        assert!(self.status.success(), "{self:?}");
        assert_eq!(
            self.lines.last().map(String::as_str),
            Some("end"),
            "{self:?}"
        );
    }
}

type Meanwhile<'a> = dyn Fn(&Directory, &mut Child) + 'a;

/// A mode and its surroundings.
pub(super) struct Fault<'a> {
    pub(super) program: PathBuf,
    pub(super) bare: PathBuf,
    arguments: Vec<String>,
    prepare: Box<dyn Fn(&mut Command) + 'a>,
    /// Done to the region of the running program.
    meanwhile: Box<Meanwhile<'a>>,
}

impl<'a> Fault<'a> {
    pub(super) fn new(arguments: &[&str]) -> Self {
        // Those of another build, if named.
        let other = std::env::var_os("RIPTIDE_FAULT_PROGRAMS").map(PathBuf::from);
        let named = |name| match &other {
            Some(programs) => programs.join(name),
            None => program(name),
        };
        Self {
            program: named("victim-fault"),
            bare: named("victim-fault-bare"),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            prepare: Box::new(|_| {}),
            meanwhile: Box::new(|_, _| {}),
        }
    }

    /// Prepares the command, on riptide and on bare jemalloc.
    pub(super) fn prepared(mut self, prepare: impl Fn(&mut Command) + 'a) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    /// Does something to the directory or the process while it runs on riptide.
    pub(super) fn meanwhile(mut self, meanwhile: impl Fn(&Directory, &mut Child) + 'a) -> Self {
        self.meanwhile = Box::new(meanwhile);
        self
    }

    /// What it does on bare jemalloc.
    pub(super) fn on_bare(&self) -> Deed {
        let directory = Directory::new();
        let deed = self.run(&self.bare, &directory, "1", |_| {});
        assert!(directory.files().is_empty(), "{:?}", directory.files());
        deed
    }

    /// Runs it at `interval`; it must do what it does on bare jemalloc.
    pub(super) fn assert_same(&self, interval: &str, bare: &Deed) -> Directory {
        let directory = Directory::new();
        let deed = self.run(&self.program, &directory, interval, |child| {
            (self.meanwhile)(&directory, child);
        });
        assert_eq!(&deed, bare, "{:?} at {interval}", self.arguments);
        directory
    }

    /// The same on both, at three intervals; the directory of the run that recorded every block.
    pub(super) fn assert_same_always(&self) -> (Directory, Deed) {
        let bare = self.on_bare();
        for interval in ["512KiB", "4KiB"] {
            let directory = self.assert_same(interval, &bare);
            for region in regions(&directory) {
                top(&region);
            }
        }
        (self.assert_same("1", &bare), bare)
    }

    fn run(
        &self,
        program: &Path,
        directory: &Directory,
        interval: &str,
        meanwhile: impl FnOnce(&mut Child),
    ) -> Deed {
        let mut command = victim_command(program, directory.path());
        command
            .args(&self.arguments)
            .env("RIPTIDE_SAMPLE_INTERVAL", interval)
            .env("RIPTIDE_REGION_SIZE", "16MiB")
            .env("RIPTIDE_KEEP", "1")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null());
        (self.prepare)(&mut command);
        let mut child = command.spawn().unwrap();
        let lines = reader(child.stdout.take().unwrap());
        let complaint = reader(child.stderr.take().unwrap());
        meanwhile(&mut child);
        let status = wait(&mut child, &format!("{program:?} {:?}", self.arguments));
        Deed {
            lines: lines.join().unwrap().lines().map(str::to_owned).collect(),
            complaint: complaint.join().unwrap(),
            status,
        }
    }
}

fn reader(mut source: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        source.read_to_string(&mut text).unwrap();
        text
    })
}

/// Waits for the end of a process; one that does not come to it is hung.
fn wait(child: &mut Child, what: &str) -> ExitStatus {
    struct KillOnDrop<'a>(&'a mut Child);
    impl Drop for KillOnDrop<'_> {
        fn drop(&mut self) {
            let _ = self.0.kill();
        }
    }
    let guard = KillOnDrop(child);
    wait_for(&format!("the end of {what}"), || {
        guard.0.try_wait().unwrap()
    })
}

/// The regions in a directory.
pub(super) fn regions(directory: &Directory) -> Vec<PathBuf> {
    let files = directory.files().into_iter();
    files.filter(|path| is_region(path)).collect()
}

/// Asserts that the one region holds exactly what the program says that it keeps.
pub(super) fn assert_keeps(directory: &Directory, deed: &Deed, state: &str) -> PathBuf {
    let regions = regions(directory);
    assert_eq!(regions.len(), 1, "{regions:?}");
    let profile = top(&regions[0]);
    assert_eq!(profile.state(), state);
    profile.assert_exact(&deed.truth());
    regions[0].clone()
}

/// Asserts that a program whose threads had ended left books that balance.
pub(super) fn assert_exact(directory: &Directory, deed: &Deed) {
    assert_books_balance(&assert_keeps(directory, deed, "exited"));
}
