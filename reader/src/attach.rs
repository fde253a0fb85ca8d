//! Finds targets and maps their regions.

use std::path::PathBuf;

use crate::{error::ReaderError, profile::TargetInfo};

/// A region file that was found.
#[derive(Debug)]
pub struct Discovered {
    /// Who it is, as far as the file could be read.
    pub info: TargetInfo,
    /// Why the region cannot be read, if so.
    pub problem: Option<ReaderError>,
    /// Nanoseconds of the realtime clock (since 1970) at which the region was made.
    pub created_realtime_ns: Option<u64>,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// User id of the file's owner.
    pub owner: u32,
}

/// Every region file that the caller may see: readable or not, live targets first.
#[must_use]
pub fn discover() -> Vec<Discovered> {
    Vec::new()
}

/// Finds the region that `spec` means: a pid, a process name, or the path of a region file. `None`
/// is the only live target, or else the only one.
///
/// # Errors
/// Nothing fits, several targets do, or the process runs without riptide.
pub fn resolve_target(spec: Option<&str>) -> Result<PathBuf, ReaderError> {
    let _ = spec;
    Err(ReaderError::NoTargets {
        searched: Vec::new(),
    })
}
