//! Heap snapshots on disk: written in turn by one thread, kept within a number of files and bytes.
//!
//! **Invariants.** A file is whole or not there. Only files of our own names are deleted. A full disk,
//! or a directory that cannot be written, is counted and said once, and costs nothing else.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use riptide_reader::export::{Capture, Format, Metric};

use super::target::Target;
use crate::config::{Config, Snapshot as Settings, SnapshotFormat};

/// Every file that is ours begins so; what does not is never deleted.
const PREFIX: &str = "riptide-";
/// Beside their place while they are written.
const PARTIAL: &str = ".riptide-partial-";
/// Targets that wait for their snapshot, at most.
const WAITING_MAX: usize = 1_024;

/// The directory of snapshots.
pub struct Snapshots {
    settings: RwLock<Settings>,
    requests: SyncSender<Arc<Target>>,
    waiting: Mutex<Option<Receiver<Arc<Target>>>>,
    /// One writer at a time: the directory is counted after each.
    writing: Mutex<()>,
    failing: AtomicBool,
    stopped: AtomicBool,
    /// Files written.
    pub written: AtomicU64,
    /// Snapshots that could not be written, also because there were too many at once.
    pub failed: AtomicU64,
    /// Files deleted to make room.
    pub deleted: AtomicU64,
}

impl Snapshots {
    /// Nothing is written before somebody asks.
    #[must_use]
    pub fn new(config: &Config) -> Arc<Self> {
        let (requests, waiting) = sync_channel(WAITING_MAX);
        Arc::new(Self {
            settings: RwLock::new(config.snapshot.clone()),
            requests,
            waiting: Mutex::new(Some(waiting)),
            writing: Mutex::default(),
            failing: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            written: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            deleted: AtomicU64::new(0),
        })
    }

    /// A new configuration is in force.
    pub fn reload(&self, config: &Config) {
        *self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner) = config.snapshot.clone();
    }

    /// Ends [`Snapshots::work`], soon.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }

    /// Asks for a snapshot of a target; never waits.
    pub fn request(&self, target: &Arc<Target>) {
        if self.requests.try_send(Arc::clone(target)).is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what is asked for, until it is stopped.
    pub fn work(&self) {
        let waiting = self
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(waiting) = waiting else {
            return;
        };
        while !self.stopped.load(Ordering::Acquire) {
            if let Ok(target) = waiting.recv_timeout(Duration::from_millis(200)) {
                // Counted and said in there.
                let _ = self.write(&target);
            }
        }
    }

    /// Writes a snapshot of a target in every format that is configured, and makes room. Waits for
    /// symbols. Gives the files' paths.
    ///
    /// # Errors
    /// There is no directory, or it cannot be written.
    pub fn write(&self, target: &Target) -> io::Result<Vec<PathBuf>> {
        let settings = self
            .settings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(directory) = &settings.directory else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "snapshot.directory is not set",
            ));
        };
        let capture = target.capture();
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let written = write_all(directory, &settings.formats, target, &capture);
        match &written {
            Ok(files) => {
                self.written
                    .fetch_add(files.len() as u64, Ordering::Relaxed);
                self.failing.store(false, Ordering::Relaxed);
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                if !self.failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        directory = %directory.display(),
                        "cannot write snapshots: {error}; said once until one is written"
                    );
                }
            }
        }
        let deleted = make_room(directory, &settings);
        self.deleted.fetch_add(deleted, Ordering::Relaxed);
        written
    }
}

fn write_all(
    directory: &Path,
    formats: &[SnapshotFormat],
    target: &Target,
    capture: &Capture,
) -> io::Result<Vec<PathBuf>> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = now.map_or(0, |since| since.as_millis());
    let identity = target.identity();
    let name: String = identity
        .process
        .chars()
        .map(|letter| {
            if letter.is_ascii_alphanumeric() {
                letter
            } else {
                '_'
            }
        })
        .collect();
    let stem = format!("{PREFIX}{name}-{}", identity.pid);
    let mut files = Vec::new();
    for format in formats {
        let (export, suffix) = match format {
            SnapshotFormat::Pprof => (Format::Pprof, format!("-{millis}")),
            // One a target, written anew: to be left open in a browser.
            SnapshotFormat::Flamegraph => (Format::Flamegraph, String::new()),
            SnapshotFormat::Folded => (Format::Folded, format!("-{millis}")),
            SnapshotFormat::Json => (Format::Json, format!("-{millis}")),
        };
        let path = directory.join(format!("{stem}{suffix}.{}", export.extension()));
        write_whole(&path, |out| capture.write(export, Metric::LiveBytes, out))?;
        files.push(path);
    }
    Ok(files)
}

/// Writes beside the place and renames.
fn write_whole(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let partial = path.with_file_name(format!("{PARTIAL}{}", std::process::id()));
    // Of an earlier process with this pid that was killed while it wrote.
    let _ = fs::remove_file(&partial);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .and_then(|file: File| {
            let mut out = BufWriter::new(file);
            write(&mut out)?;
            out.flush()
        })
        .and_then(|()| fs::rename(&partial, path));
    if written.is_err() {
        let _ = fs::remove_file(&partial);
    }
    written
}

/// Deletes the oldest files beyond what is kept; how many.
fn make_room(directory: &Path, settings: &Settings) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX))
        .filter_map(|entry| {
            let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        })
        .collect();
    // The newest first.
    files.sort_by(|left, right| right.cmp(left));
    let most_bytes = settings.keep_mb * 1e6;
    let (mut kept, mut bytes, mut deleted) = (0_u64, 0.0, 0);
    for (_, length, path) in files {
        bytes += length as f64;
        let is_too_many = settings.keep_files > 0 && kept >= settings.keep_files;
        // The newest one stays even if it alone is too large: it is what was asked for.
        let is_too_much = settings.keep_mb > 0.0 && bytes > most_bytes && kept > 0;
        if is_too_many || is_too_much {
            deleted += u64::from(fs::remove_file(&path).is_ok());
        } else {
            kept += 1;
        }
    }
    deleted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(directory: &Path, files: usize, bytes: usize) {
        for number in 0..files {
            let path = directory.join(format!("{PREFIX}app-7-{number:03}.pb.gz"));
            fs::write(&path, vec![0; bytes]).unwrap();
            let at = UNIX_EPOCH + Duration::from_secs(1_000 + number as u64);
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(at)
                .unwrap();
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_oldest_of_our_own_files_make_room() {
        let directory = tempfile::tempdir().unwrap();
        fill(directory.path(), 10, 1_000);
        fs::write(directory.path().join("precious.txt"), "old").unwrap();
        let settings = Settings {
            keep_files: 4,
            keep_mb: 0.0,
            ..Settings::default()
        };
        assert_eq!(make_room(directory.path(), &settings), 6);
        assert_eq!(
            names(directory.path()),
            [
                "precious.txt",
                "riptide-app-7-006.pb.gz",
                "riptide-app-7-007.pb.gz",
                "riptide-app-7-008.pb.gz",
                "riptide-app-7-009.pb.gz"
            ]
        );
        let settings = Settings {
            keep_files: 0,
            keep_mb: 0.0025,
            ..Settings::default()
        };
        assert_eq!(make_room(directory.path(), &settings), 2);
        assert_eq!(names(directory.path()).len(), 3);
        let settings = Settings {
            keep_mb: 0.0001,
            ..settings
        };
        assert_eq!(make_room(directory.path(), &settings), 1);
        assert_eq!(make_room(directory.path(), &settings), 0);
    }

    #[test]
    fn a_file_is_whole_or_not_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("riptide-a.pb.gz");
        let failed = write_whole(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(names(directory.path()).is_empty());
        write_whole(&path, |out| out.write_all(b"whole")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
    }
}
