//! The frames of a file, found by their headers alone.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{
    VERSION,
    wire::{self, FILE_HEADER_BYTES, FRAME_HEADER_BYTES, FileHeader, FrameHeader},
};
use crate::error::ReaderError;

/// Frames of one file: four in a second for a month.
const FRAMES_MAX: usize = 10_000_000;

/// A frame and where its payload is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) header: FrameHeader,
    at: u64,
}

/// An open recording.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    file: File,
    pub(super) frames: Vec<Place>,
    /// Why there is no more behind the last frame, if that is not its end.
    pub(super) problem: Option<String>,
}

/// Whether the file begins as recordings do.
pub(super) fn begins_as_one(path: &Path) -> bool {
    let mut start = [0; FILE_HEADER_BYTES];
    // Asked of plain files only: opening a pipe would wait.
    path.metadata().is_ok_and(|metadata| metadata.is_file())
        && File::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok())
        && wire::read_file_header(&start) != FileHeader::Foreign
}

impl Index {
    pub(super) fn open(path: &Path) -> Result<Self, ReaderError> {
        let io = |operation| {
            move |source: io::Error| ReaderError::Io {
                operation,
                path: path.to_owned(),
                source,
            }
        };
        let mut file = File::open(path).map_err(io("open"))?;
        let length = file.metadata().map_err(io("examine"))?.len();
        let mut start = [0; FILE_HEADER_BYTES];
        file.read_exact(&mut start).map_err(io("read"))?;
        match wire::read_file_header(&start) {
            FileHeader::Version(VERSION) => {}
            FileHeader::Version(version) => {
                return Err(ReaderError::RecordingVersion {
                    path: path.to_owned(),
                    version,
                });
            }
            FileHeader::Foreign | FileHeader::Damaged => {
                return Err(damaged(path, "its header is damaged"));
            }
        }
        let mut index = Self {
            path: path.to_owned(),
            file,
            frames: Vec::new(),
            problem: None,
        };
        index.scan(length).map_err(io("read"))?;
        Ok(index)
    }

    fn scan(&mut self, length: u64) -> io::Result<()> {
        let mut at = FILE_HEADER_BYTES as u64;
        let frame_header = FRAME_HEADER_BYTES as u64;
        while at < length {
            let Some(payload_at) = at.checked_add(frame_header).filter(|at| *at <= length) else {
                self.problem = Some(format!("cut off at byte {at}"));
                return Ok(());
            };
            let mut bytes = [0; FRAME_HEADER_BYTES];
            self.file.seek(SeekFrom::Start(at))?;
            self.file.read_exact(&mut bytes)?;
            let expected = u32::try_from(self.frames.len()).ok();
            let header = FrameHeader::read(&bytes).filter(|header| Some(header.number) == expected);
            let Some(header) = header.filter(|_| self.frames.len() < FRAMES_MAX) else {
                self.problem = Some(format!("damaged at byte {at}"));
                return Ok(());
            };
            let next = payload_at + u64::from(header.stored);
            if next > length {
                self.problem = Some(format!("cut off at byte {at}"));
                return Ok(());
            }
            self.frames.push(Place {
                header,
                at: payload_at,
            });
            at = next;
        }
        Ok(())
    }

    /// What a frame holds; `None` when it is damaged.
    pub(super) fn payload(&mut self, place: &Place) -> Option<Vec<u8>> {
        let mut stored = vec![0; usize::try_from(place.header.stored).ok()?];
        self.file.seek(SeekFrom::Start(place.at)).ok()?;
        self.file.read_exact(&mut stored).ok()?;
        place.header.payload(&stored)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

pub(super) fn damaged(path: &Path, what: &str) -> ReaderError {
    ReaderError::RecordingDamaged {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}
