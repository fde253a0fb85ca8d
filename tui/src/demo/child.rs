//! The service in a process of its own: this executable again, with profiling switched on.

use std::{
    env, io,
    io::Read,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use riptide_reader::attach::resolve_target;

/// What makes this executable the service.
pub const SERVICE_ARGUMENT: &str = "demo-service";
/// How long the region of the service is waited for.
const REGION: Duration = Duration::from_secs(10);
/// How long the service may take to end by itself.
const END: Duration = Duration::from_secs(2);
/// Sampling interval, unless the environment says another: dense, as a demo is short.
const INTERVAL: &str = "256KiB";

/// The service while it runs. It ends when this is dropped, and also when this process is killed:
/// its stdin is then closed.
#[derive(Debug)]
pub struct DemoService {
    child: Child,
}

/// Why the service cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// It could not be started.
    #[error("cannot start the demo service: {0}")]
    Start(#[from] io::Error),
    /// It ended by itself.
    #[error("the demo service ended ({status}){}", said(.message))]
    Ended {
        /// How it ended.
        status: String,
        /// What it said.
        message: String,
    },
    /// It runs, but there is nothing to read.
    #[error("the demo service (process {pid}) runs, but made no region: {reason}")]
    NoRegion {
        /// The process.
        pid: u32,
        /// What the reader says.
        reason: String,
    },
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

impl DemoService {
    /// Starts the service.
    ///
    /// # Errors
    ///
    /// The system gives no process.
    pub fn start() -> Result<Self, DemoError> {
        let mut command = Command::new(env::current_exe()?);
        command
            .arg(SERVICE_ARGUMENT)
            .env("RIPTIDE", "on")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        if env::var_os("RIPTIDE_SAMPLE_INTERVAL").is_none() {
            command.env("RIPTIDE_SAMPLE_INTERVAL", INTERVAL);
        }
        Ok(Self {
            child: command.spawn()?,
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its region.
    ///
    /// # Errors
    ///
    /// It ended, or made no region in time.
    pub fn region(&mut self) -> Result<PathBuf, DemoError> {
        let pid = self.pid();
        let deadline = Instant::now() + REGION;
        loop {
            self.check()?;
            match resolve_target(Some(&pid.to_string())) {
                Ok(region) => return Ok(region),
                Err(error) if Instant::now() >= deadline => {
                    return Err(DemoError::NoRegion {
                        pid,
                        reason: error.to_string(),
                    });
                }
                Err(_) => thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Whether it still runs.
    ///
    /// # Errors
    ///
    /// It ended.
    pub fn check(&mut self) -> Result<(), DemoError> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let mut message = String::new();
        if let Some(stderr) = self.child.stderr.take() {
            // What it said before it ended is short; more than this is not shown.
            let _ = stderr.take(2_000).read_to_string(&mut message);
        }
        Err(DemoError::Ended {
            status: status.to_string(),
            message: message.trim().to_owned(),
        })
    }
}

impl Drop for DemoService {
    fn drop(&mut self) {
        // Closing its stdin asks it to end cleanly, and so to take its region away.
        drop(self.child.stdin.take());
        let deadline = Instant::now() + END;
        while Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(10)),
                _ => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
