//! Asks a running process for another sampling interval, by the control file beside its region.
//!
//! The only thing that riptide ever writes for a target to read. The region itself stays read-only.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use riptide_region::control::SUFFIX;
pub use riptide_region::control::{Control, INTERVAL_MAX};

use crate::error::ReaderError;

/// Asks the process of a region for `control`; it looks at least ten times a second while it
/// samples.
///
/// # Errors
/// The file cannot be written: only the region's owner (and root) may.
pub fn ask(region: &Path, control: &Control) -> Result<(), ReaderError> {
    let path = path_beside(region, "", SUFFIX);
    // A dot in front: no reader takes it for a region, and `rename` makes it whole at once.
    let temporary = path_beside(region, ".", &format!("{SUFFIX}-{}", std::process::id()));
    let written = write(region, &temporary, control).and_then(|()| fs::rename(&temporary, &path));
    written.map_err(|source| {
        // Nothing to do about a leftover of ours that cannot be taken away either.
        let _ = fs::remove_file(&temporary);
        ReaderError::Io {
            operation: "write",
            path,
            source,
        }
    })
}

/// Takes back what was asked; it is no error when nothing was.
///
/// # Errors
/// The file is there and cannot be removed.
pub fn take_back(region: &Path) -> Result<(), ReaderError> {
    let path = path_beside(region, "", SUFFIX);
    match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ReaderError::Io {
            operation: "remove",
            path,
            source,
        }),
        _ => Ok(()),
    }
}

fn write(region: &Path, path: &Path, control: &Control) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let owner = fs::metadata(region)?;
    if file.metadata()?.uid() != owner.uid() {
        // Written by root: the process reads only what is its own.
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.write_all(&control.encode())
}

fn path_beside(region: &Path, before: &str, behind: &str) -> PathBuf {
    let mut name = OsString::from(before);
    name.push(region.file_name().unwrap_or_default());
    name.push(behind);
    region.with_file_name(name)
}
