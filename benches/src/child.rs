//! Runs one program once.
#![expect(
    unsafe_code,
    reason = "wait4 is how the kernel tells a child's own CPU time"
)]

use std::{
    ffi::OsStr,
    hash::Hasher as _,
    io::{self, BufRead as _, BufReader, Read as _},
    mem::MaybeUninit,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Instant,
};

use crate::{
    Error, load,
    telemetry::Exporting,
    workload::{Kind, Workload},
};

/// Output longer than this is kept as its hash.
const OUTPUT_KEPT: usize = 256;

/// A program, and the environment to run it in.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its name in tables.
    pub name: String,
    /// The executable.
    pub path: PathBuf,
    /// Variables set for it.
    pub environment: Vec<(String, String)>,
    /// What runs it, with its arguments; nothing for most.
    pub wrapper: Vec<String>,
    /// How it is told what to do.
    pub arguments: Arguments,
    /// The reader that looks at its region meanwhile.
    pub reader: Option<PathBuf>,
    /// The command `riptide` that serves and exports meanwhile.
    pub exporter: Option<PathBuf>,
}

/// How a program is told what to do.
#[derive(Clone, Debug, Default)]
pub enum Arguments {
    /// By the name of the workload and the rounds, as our own programs are.
    #[default]
    Ours,
    /// By fixed words, and by a last one that is repeated as many times as there are rounds.
    Repeat {
        /// The words.
        fixed: Vec<String>,
        /// The word that is repeated.
        repeated: String,
    },
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
    /// What it printed, or its hash.
    pub output: String,
    /// What the reader saw: `None` without one, 0 when it came too late.
    pub samples_read: Option<u64>,
    /// Exports about it that have come: `None` without an exporter, 0 when it came too late.
    pub exports: Option<u64>,
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
            wrapper: Vec::new(),
            arguments: Arguments::Ours,
            reader: None,
            exporter: None,
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

    /// The command that runs a workload for so many rounds.
    #[must_use]
    pub fn command_for(&self, workload: &Workload, rounds: u64) -> Command {
        let wrapper: Vec<&str> = self.wrapper.iter().map(String::as_str).collect();
        let mut command = self.command(&wrapper);
        match &self.arguments {
            Arguments::Ours => command.args([workload.name.as_str(), &rounds.to_string()]),
            Arguments::Repeat { fixed, repeated } => {
                let repeated = (0..rounds).map(|_| repeated);
                command.args(fixed).args(repeated)
            }
        };
        command
    }

    /// Runs a workload for so many rounds.
    ///
    /// # Errors
    /// When the program cannot be run or fails.
    pub fn run(&self, workload: &Workload, rounds: u64) -> Result<Run, Error> {
        let exporting = self.start_exporter()?;
        let start = Instant::now();
        let mut child = self
            .command_for(workload, rounds)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.path.display()))?;
        let reader = self.start_reader(child.id())?;
        let talk = talk(&mut child, workload, rounds);
        let (status, usage) = wait(child.id())?;
        let wall_seconds = start.elapsed().as_secs_f64();
        let samples_read = reader.map(samples_read);
        let exports = exporting.map(Exporting::stop);
        if status != 0 {
            let name = &workload.name;
            return Err(format!("{} {name} ended with status {status}", self.name).into());
        }
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        Ok(Run {
            cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
            wall_seconds,
            peak_rss_bytes: usage.ru_maxrss.unsigned_abs() * 1024,
            output: talk?,
            samples_read,
            exports,
        })
    }

    fn start_reader(&self, pid: u32) -> Result<Option<Child>, Error> {
        let Some(path) = &self.reader else {
            return Ok(None);
        };
        let mut command = Command::new(path);
        command.arg(pid.to_string()).stdout(Stdio::piped());
        Ok(Some(command.spawn()?))
    }

    fn start_exporter(&self) -> Result<Option<Exporting>, Error> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let start = |riptide| Exporting::start(riptide, &name);
        self.exporter.as_ref().map(start).transpose()
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

/// Asks a server what there is to ask, and reads what any program prints.
fn talk(child: &mut Child, workload: &Workload, rounds: u64) -> Result<String, Error> {
    let input = child.stdin.take();
    let mut stdout = BufReader::new(child.stdout.take().ok_or("no output")?);
    if workload.kind == Kind::Server {
        let mut port = String::new();
        stdout.read_line(&mut port)?;
        load::drive(port.trim().parse()?, rounds)?;
    }
    // A server ends with its input.
    drop(input);
    // In pieces: what this process holds at most is the least that the kernel reports as the peak
    // of a child.
    let mut hash = std::hash::DefaultHasher::new();
    let mut beginning = Vec::new();
    let mut length = 0;
    let mut piece = [0; 8192];
    loop {
        let read = stdout.read(&mut piece)?;
        let read = piece.get(..read).unwrap_or_default();
        if read.is_empty() {
            break;
        }
        hash.write(read);
        length += read.len();
        if length <= OUTPUT_KEPT {
            beginning.extend_from_slice(read);
        }
    }
    if length > OUTPUT_KEPT {
        return Ok(format!("{length} bytes, hash {:x}", hash.finish()));
    }
    Ok(String::from_utf8_lossy(&beginning).trim().to_owned())
}

/// The number that the reader prints when the program has gone.
fn samples_read(reader: Child) -> u64 {
    let output = reader.wait_with_output();
    let text = output.map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).trim().parse().unwrap_or(0)
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
