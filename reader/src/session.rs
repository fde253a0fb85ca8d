//! One reader of one target: attach, poll, snapshot.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use riptide_region::{event::Event, header::Header, module_table::Module, status::Status};

use crate::{
    clock::Clock,
    error::ReaderError,
    profile::{Frame, Snapshot, TargetInfo},
};

/// How a session reads.
#[derive(Clone, Default)]
pub struct SessionOptions {
    /// Begin with the oldest event still in the ring (for history) instead of the next one. Loss
    /// is counted from the moment of attaching in both cases.
    pub history: bool,
    /// Directories with debug files, searched by build-id.
    pub symbol_dirs: Vec<PathBuf>,
    /// The clock; the system's when `None`.
    pub clock: Option<Arc<dyn Clock>>,
}

/// One distinct stack with its figures: what exports and flame graphs are made of.
#[derive(Clone, Debug, PartialEq)]
pub struct StackProfile {
    /// The whole symbolised stack, innermost frame first; runtime frames included.
    pub frames: Arc<[Frame]>,
    /// Index in `frames` of the leaf that the site is named for.
    pub leaf: usize,
    /// Return addresses, leaf first.
    pub addresses: Arc<[u64]>,
    /// Estimated live requested bytes.
    pub live_bytes: f64,
    /// Estimated live blocks.
    pub live_objects: f64,
    /// Estimated bytes allocated since the process started.
    pub allocated_bytes: f64,
    /// Estimated blocks allocated since the process started.
    pub allocated_objects: f64,
}

/// One reader of one target.
pub struct Session {
    path: PathBuf,
}

impl Session {
    /// Maps a region and reads it once, with default options.
    ///
    /// # Errors
    /// The file cannot be opened or is not a region that this version can read.
    pub fn attach(path: &Path) -> Result<Self, ReaderError> {
        Self::attach_with(path, SessionOptions::default())
    }

    /// Maps a region and reads it once.
    ///
    /// # Errors
    /// As for [`Session::attach`].
    pub fn attach_with(path: &Path, options: SessionOptions) -> Result<Self, ReaderError> {
        let _ = options;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Reads events and tables. Never waits for symbols.
    pub fn poll(&mut self) {}

    /// The profile as of the last poll: all sites, sorted by live bytes.
    pub fn snapshot(&mut self) -> Snapshot {
        Snapshot {
            target: self.info(),
            ..Snapshot::default()
        }
    }

    /// Waits until every stack of the last poll has its symbols; false when the time ran out.
    pub fn wait_for_symbols(&mut self, timeout: Duration) -> bool {
        let _ = timeout;
        true
    }

    /// Who the target is, with its state as of now.
    #[must_use]
    pub fn info(&self) -> TargetInfo {
        TargetInfo {
            region: self.path.clone(),
            ..TargetInfo::default()
        }
    }

    /// Why figures can no longer be trusted, if so: the file was truncated or damaged while mapped.
    #[must_use]
    pub fn problem(&self) -> Option<ReaderError> {
        None
    }

    /// Begins the time watched (growth) anew.
    pub fn restart_watch(&mut self) {}

    /// Seconds that growth figures cover.
    #[must_use]
    pub fn watched_seconds(&self) -> f64 {
        0.0
    }

    /// Every distinct stack with its figures, as of the last poll, heaviest live bytes first.
    pub fn stacks(&mut self) -> Vec<StackProfile> {
        Vec::new()
    }

    /// Events that the last poll read.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &[]
    }

    /// Executable mappings of the target.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &[]
    }

    /// The header.
    #[must_use]
    pub fn header(&self) -> Header {
        bytemuck::Zeroable::zeroed()
    }

    /// The target's last status.
    #[must_use]
    pub fn status(&self) -> Status {
        Status::default()
    }

    /// What was wrong with the target's environment, one message a line.
    #[must_use]
    pub fn config_error(&self) -> Option<String> {
        None
    }
}
