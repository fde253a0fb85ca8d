//! Opens a region file: who may, what it must be, and its tables on demand.

use std::{
    fs::File,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use riptide_region::view::{View, ViewError};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    process::geteuid,
};

use super::mapping::{MapError, Mapping};
use crate::error::ReaderError;

/// A mapped region file.
#[derive(Debug)]
pub(crate) struct Region {
    path: PathBuf,
    mapping: Mapping,
    /// Inode of the file.
    pub(crate) inode: u64,
    /// Device of the file.
    pub(crate) device: u64,
    /// Bytes of the file.
    pub(crate) file_bytes: u64,
    /// User id of the file's owner.
    pub(crate) owner: u32,
}

impl Region {
    /// Opens and maps a file that is a plain file (not a link to one) of the caller; root may read
    /// everybody's.
    pub(crate) fn open(path: &Path) -> Result<Self, ReaderError> {
        let not_a_file = |what| ReaderError::NotAFile {
            path: path.to_owned(),
            what,
        };
        let io = |operation| {
            move |source: std::io::Error| ReaderError::Io {
                operation,
                path: path.to_owned(),
                source,
            }
        };
        // NONBLOCK: opening a pipe or a device must not wait; it means nothing for plain files.
        let flags =
            OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(descriptor) => File::from(descriptor),
            Err(Errno::LOOP) => return Err(not_a_file("a symbolic link")),
            Err(Errno::NXIO) => return Err(not_a_file("a pipe or a device")),
            Err(Errno::NOENT | Errno::NOTDIR) => {
                return Err(ReaderError::NoSuchFile { path: path.into() });
            }
            Err(errno) => return Err(io("open")(errno.into())),
        };
        let metadata = file.metadata().map_err(io("examine"))?;
        if metadata.is_dir() {
            return Err(not_a_file("a directory"));
        }
        if !metadata.is_file() {
            return Err(not_a_file("a pipe or a device"));
        }
        let caller = geteuid();
        if !caller.is_root() && metadata.uid() != caller.as_raw() {
            return Err(ReaderError::ForeignOwner {
                path: path.into(),
                owner: metadata.uid(),
                caller: caller.as_raw(),
            });
        }
        if metadata.len() < 8 {
            return Err(ReaderError::Region {
                path: path.into(),
                error: ViewError::NotARegion,
            });
        }
        let mapping = Mapping::new(&file, metadata.len()).map_err(|error| match error {
            MapError::Io(source) => io("map")(source),
            MapError::TooMany => ReaderError::TooManyRegions {
                path: path.into(),
                limit: super::fault::GUARDED_MAX,
            },
        })?;
        Ok(Self {
            path: path.into(),
            mapping,
            inode: metadata.ino(),
            device: metadata.dev(),
            file_bytes: metadata.len(),
            owner: metadata.uid(),
        })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The tables, checked anew: a few hundred loads, so that every look at a region starts from
    /// what is really there.
    pub(crate) fn view(&self) -> Result<View<'_>, ReaderError> {
        let view = View::open(self.mapping.words());
        if self.mapping.truncated() {
            return Err(ReaderError::TruncatedWhileMapped {
                path: self.path.clone(),
            });
        }
        view.map_err(|error| ReaderError::Region {
            path: self.path.clone(),
            error,
        })
    }

    /// Whether the file lost pages since it was mapped (known once one of them was read).
    pub(crate) fn truncated(&self) -> bool {
        self.mapping.truncated()
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn only_plain_files_are_opened() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, [0; 4_096]).unwrap();
        let link = directory.path().join("link");
        symlink(&file, &link).unwrap();
        let pipe = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            Mode::RUSR,
            0,
        )
        .unwrap();
        let error = |path: &Path| Region::open(path).unwrap_err();
        assert!(matches!(error(&link), ReaderError::NotAFile { .. }));
        assert!(matches!(error(&pipe), ReaderError::NotAFile { .. }));
        assert!(matches!(
            error(directory.path()),
            ReaderError::NotAFile { .. }
        ));
        assert!(matches!(
            error(&directory.path().join("none")),
            ReaderError::NoSuchFile { .. }
        ));
        let region = Region::open(&file).unwrap();
        assert!(matches!(
            region.view().unwrap_err(),
            ReaderError::Region {
                error: ViewError::NotReady,
                ..
            }
        ));
    }

    #[test]
    fn tiny_files_are_not_regions() {
        let directory = tempfile::tempdir().unwrap();
        for len in [0, 1, 7, 8, 100, 1_024, 4_095] {
            let file = directory.path().join(len.to_string());
            fs::write(&file, vec![b'R'; len]).unwrap();
            let error = Region::open(&file)
                .and_then(|region| region.view().map(|_| ()))
                .unwrap_err();
            assert!(matches!(
                error,
                ReaderError::Region {
                    error: ViewError::NotARegion,
                    ..
                }
            ));
        }
    }
}
