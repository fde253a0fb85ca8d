//! Runs one program once.
#![expect(
    unsafe_code,
    reason = "wait4 is how the kernel tells a child's own CPU time"
)]

use std::{
    ffi::OsStr,
    io::{self, Read as _},
    mem::MaybeUninit,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use crate::Error;

/// A program, and the environment to run it in.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name in tables.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// Variables set for it.
    pub environment: Vec<(String, String)>,
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// User and system time of the whole process, in seconds.
    pub cpu_seconds: f64,
    /// From before the spawn to after the exit, in seconds.
    pub wall_seconds: f64,
    /// Largest resident set, in bytes.
    pub peak_rss_bytes: u64,
    /// What it printed.
    pub output: String,
}

impl Program {
    /// A program in a clean environment: nothing of riptide or jemalloc is inherited.
    #[must_use]
    pub fn new(name: &str, path: &str, environment: &[(&str, &str)]) -> Self {
        Self {
            name: name.to_owned(),
            path: PathBuf::from(path),
            environment: environment
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    /// The command that runs it, behind `wrapper` when there is one.
    #[must_use]
    pub fn command(&self, wrapper: &[&str]) -> Command {
        let mut command = match wrapper {
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(&self.path);
                command
            }
            [] => Command::new(&self.path),
        };
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("RIPTIDE") || name.contains("MALLOC_CONF") {
                command.env_remove(&*name);
            }
        }
        command.envs(
            self.environment
                .iter()
                .map(|(name, value)| (OsStr::new(name), OsStr::new(value))),
        );
        command
    }

    /// Runs a workload for so many rounds.
    ///
    /// # Errors
    /// When the program cannot be run or fails.
    pub fn run(&self, workload: &str, rounds: u64) -> Result<Run, Error> {
        let start = Instant::now();
        let mut child = self
            .command(&[])
            .args([workload, &rounds.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.path.display()))?;
        let mut output = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout.read_to_string(&mut output)?;
        }
        let (status, usage) = wait(child.id())?;
        let wall_seconds = start.elapsed().as_secs_f64();
        if status != 0 {
            return Err(format!("{} {workload} ended with status {status}", self.name).into());
        }
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Ok(Run {
            cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            wall_seconds,
            peak_rss_bytes: usage.ru_maxrss.unsigned_abs() * 1024,
            output: output.trim().to_owned(),
        })
    }

    /// What it prints for one argument.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn ask(&self, question: &str) -> Result<String, Error> {
        let output = self.command(&[]).arg(question).output()?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

/// Waits for a child of ours that nobody else waits for.
fn wait(id: u32) -> Result<(i32, libc::rusage), Error> {
    let id = i32::try_from(id)?;
    let mut status = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both places are ours and of the types that the call fills.
        let waited = unsafe { libc::wait4(id, &raw mut status, 0, usage.as_mut_ptr()) };
        if waited == id {
            // SAFETY: all-zero is a valid value of the structure, and the call has filled it.
            return Ok((status, unsafe { usage.assume_init() }));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error.into());
        }
    }
}
