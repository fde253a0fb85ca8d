//! Regions as a bench reads them: those of running programs, and those that they leave.

use std::{
    fs,
    path::{Path, PathBuf},
    process, thread,
    time::{Duration, Instant},
};

use riptide_reader::{Session, SessionOptions};

use crate::{Error, child::Program};

/// How long a program may take to its first sample.
const START: Duration = Duration::from_secs(30);

/// A directory for regions, removed with all that is in it.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// A new one on the tmpfs where regions are by default.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self, Error> {
        let path = Path::new("/dev/shm").join(format!("riptide-bench-{}", process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    /// Has a program leave its regions here.
    pub fn keep(&self, program: &mut Program) {
        let path = self.0.to_string_lossy().into_owned();
        let variables = [("RIPTIDE_DIR", path.as_str()), ("RIPTIDE_KEEP", "on")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        program.environment.extend(variables);
    }

    /// The region of a program that has just been started.
    ///
    /// # Errors
    /// When none is there in time.
    pub fn wait(&self) -> Result<PathBuf, Error> {
        let start = Instant::now();
        while start.elapsed() < START {
            for entry in fs::read_dir(&self.0)? {
                let path = entry?.path();
                // One that is still being made has a name of its own.
                if Session::attach(&path).is_ok() {
                    return Ok(path);
                }
            }
            thread::sleep(Duration::from_millis(5));
        }
        Err("the program made no region".into())
    }

    /// Reads the region that is here and takes it away; all that is still in its rings counts.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub fn take(&self) -> Result<Session, Error> {
        let entry = fs::read_dir(&self.0)?
            .next()
            .ok_or("no region was left")??;
        let options = SessionOptions {
            history: true,
            ..SessionOptions::default()
        };
        let mut session = Session::attach_with(&entry.path(), options)?;
        session.poll();
        fs::remove_file(entry.path())?;
        Ok(session)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed stays for `riptide list` to show.
        let _ = fs::remove_dir_all(&self.0);
    }
}
