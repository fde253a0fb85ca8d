//! Finds targets, opens their regions, and says where their processes are in their lives.
//!
//! | module | does |
//! |---|---|
//! | `discover` | directories and files |
//! | `resolve` | from a user's words to one region |
//! | `region` | opens a file and checks what it is |
//! | `mapping`, `fault` | the file as atomic words; truncation is not fatal |
//! | `identity`, `target` | whose region it is and whether that process lives |
//! | `process` | `/proc` |
//! | `cgroup` | limit and usage of a process's memory cgroup |
//!
//! **Invariant.** Nothing here changes a file, a process or the system.

use std::path::{Path, PathBuf};

pub(crate) mod cgroup;
mod discover;
mod fault;
mod identity;
mod mapping;
pub(crate) mod process;
pub(crate) mod region;
mod resolve;
pub(crate) mod target;

pub use cgroup::CgroupMemory;
use process::Proc;

use crate::{clock::SystemClock, error::ReaderError, profile::TargetInfo};

/// Names the directory of regions, for targets and readers alike.
pub const DIRECTORY_VARIABLE: &str = "RIPTIDE_DIR";

/// A region file that was found.
#[derive(Debug)]
pub struct Discovered {
    /// Who it is; when the region cannot be read, what its name and `/proc` tell.
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

/// Directories in which targets are looked for: `RIPTIDE_DIR` alone if it is set, else
/// `/dev/shm/riptide-<uid>` of the caller (of everybody for root), here and in every other mount
/// namespace whose processes the caller may look into.
#[must_use]
pub fn directories() -> Vec<PathBuf> {
    discover::directories(&Proc::default(), std::env::var_os(DIRECTORY_VARIABLE))
}

/// Every region file that the caller may see: readable or not, live targets first, then the newest. Of a
/// directory with more than 10,000 of them those whose processes run and the newest.
#[must_use]
pub fn discover() -> Vec<Discovered> {
    discover_in(&directories())
}

/// Paths of the region files in `directories`, without a look into them, and how many more there are than
/// are looked at: cheap enough to ask again and again where hundreds of targets are known already.
#[must_use]
pub fn region_files(directories: &[PathBuf]) -> (Vec<PathBuf>, usize) {
    discover::files(&Proc::default(), directories)
}

/// Whose region a file is, and that target's pid in the caller's own namespace while it lives, without reading
/// its tables.
///
/// # Errors
/// The file cannot be opened or is not a region that this version can read.
pub fn describe(path: &Path) -> Result<(TargetInfo, Option<u32>), ReaderError> {
    let region = region::Region::open(path)?;
    let view = region.view()?;
    let found = target::describe(&region, &view, &Proc::default(), &SystemClock, None);
    Ok((found.info, found.host_pid))
}

/// Every region file in `directories`, as [`fn@discover`] has them.
#[must_use]
pub fn discover_in(directories: &[PathBuf]) -> Vec<Discovered> {
    let found = discover::search(&Proc::default(), &SystemClock, directories);
    found.into_iter().map(|found| found.discovered).collect()
}

/// Finds the region that `spec` means: a pid (as the target or as the caller sees it), the name of
/// a process or of its executable, or the path of a region file. `None` is the only live target, or
/// else the only one.
///
/// # Errors
/// Nothing fits, several targets do, or the process runs without riptide.
pub fn resolve_target(spec: Option<&str>) -> Result<PathBuf, ReaderError> {
    resolve_target_in(spec, &directories())
}

/// Finds the region that `spec` means among those in `directories`.
///
/// # Errors
/// As for [`resolve_target`].
pub fn resolve_target_in(
    spec: Option<&str>,
    directories: &[PathBuf],
) -> Result<PathBuf, ReaderError> {
    let proc = Proc::default();
    resolve::resolve(spec, &proc, directories, || {
        discover::search(&proc, &SystemClock, directories)
    })
}
