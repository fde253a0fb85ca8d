//! A directory for the regions of one run, gone at its end.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// Regions belong on a tmpfs: elsewhere the kernel writes them to a disk.
const SHARED_MEMORY: &str = "/dev/shm";
/// Names tried; more would be somebody taking them on purpose.
const ATTEMPTS: u32 = 100;

/// The directory; removed with what is in it.
#[derive(Debug)]
pub(super) struct Directory(PathBuf);

impl Directory {
    pub(super) fn new() -> io::Result<Self> {
        let shared_memory = Path::new(SHARED_MEMORY);
        if shared_memory.is_dir() {
            Self::below(shared_memory)
        } else {
            Self::below(&std::env::temp_dir())
        }
    }

    fn below(parent: &Path) -> io::Result<Self> {
        let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
        for attempt in 0..ATTEMPTS {
            let path = parent.join(format!("riptide-run-{}-{attempt}", std::process::id()));
            // Made here or not taken at all: what is there already may be somebody else's.
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
                Err(error) => return Err(error),
            }
        }
        Err(taken)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Nothing to do about a directory of ours that cannot be taken away.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn it_is_private_and_goes_with_what_is_in_it() {
        let one = Directory::new().unwrap();
        let other = Directory::new().unwrap();
        assert_ne!(one.path(), other.path());
        let mode = fs::metadata(one.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        fs::write(one.path().join("file"), "x").unwrap();
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists());
    }
}
