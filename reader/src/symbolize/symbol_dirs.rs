//! Files in the user's symbol directories, by build-id.

use std::{
    collections::HashMap,
    fs::{self, File},
    path::{Path, PathBuf},
};

use super::elf::Headers;

/// Files looked into at most.
const MAX_FILES: usize = 20_000;
/// Directories below the given ones at most.
const MAX_DEPTH: usize = 6;

/// All ELF files below some directories.
#[derive(Debug, Default)]
pub(super) struct BuildIdIndex {
    paths: HashMap<Vec<u8>, Vec<PathBuf>>,
    files: usize,
}

impl BuildIdIndex {
    pub(super) fn scan(dirs: &[PathBuf]) -> Self {
        let mut index = Self::default();
        for dir in dirs {
            index.scan_dir(dir, 0);
        }
        index
    }

    /// Files whose build-id was `build_id` when the directories were scanned.
    pub(super) fn paths(&self, build_id: &[u8]) -> &[PathBuf] {
        self.paths.get(build_id).map_or(&[], Vec::as_slice)
    }

    fn scan_dir(&mut self, dir: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(dir) else {
            return;
        };
        for entry in entries.flatten() {
            // Links to files are followed, links to directories may form circles.
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let path = entry.path();
            if kind.is_dir() {
                if depth < MAX_DEPTH {
                    self.scan_dir(&path, depth + 1);
                }
            } else if fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
                self.files += 1;
                if self.files > MAX_FILES {
                    return;
                }
                self.add(path);
            }
        }
    }

    fn add(&mut self, path: PathBuf) {
        let Ok(headers) = File::open(&path).and_then(|file| Headers::read(&file)) else {
            return;
        };
        if !headers.build_id().is_empty() {
            let build_id = headers.build_id().to_vec();
            self.paths.entry(build_id).or_default().push(path);
        }
    }
}
