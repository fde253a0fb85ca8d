//! A region file as a slice of atomic words.
//!
//! **Invariants.** The mapping is read-only and shared; it is only ever read by loads of at most
//! eight bytes. It is registered with the [fault guard](super::fault) for as long as it exists, so a
//! file that loses pages while it is mapped reads as zeroes from there on and is marked, and does
//! not kill the reader.
#![expect(
    unsafe_code,
    reason = "mapping a file that another process writes, and viewing it as atomic words"
)]

use std::{fs::File, io, sync::atomic::AtomicU64};

use memmap2::{Mmap, MmapOptions};
use riptide_region::layout::REGION_MAX_BYTES;

use super::fault::{self, Guarded};

/// Bytes of one word.
const WORD_BYTES: usize = size_of::<AtomicU64>();

/// Why a file could not be mapped.
#[derive(Debug)]
pub(crate) enum MapError {
    /// The system refused.
    Io(io::Error),
    /// All places of the fault guard are taken.
    TooMany,
}

/// A mapped region file.
#[derive(Debug)]
pub(crate) struct Mapping {
    // Dropped first: the guard must not outlive the pages.
    guarded: Guarded,
    map: Mmap,
}

impl Mapping {
    /// Maps the `file_bytes` of a file read-only, or as much of them as the largest region has.
    pub(crate) fn new(file: &File, file_bytes: u64) -> Result<Self, MapError> {
        fault::install().map_err(MapError::Io)?;
        let len = usize::try_from(file_bytes.min(REGION_MAX_BYTES)).unwrap_or(usize::MAX);
        // SAFETY: the bytes may be changed by the target at any time, which holds no danger because
        // they are never viewed as plain memory: `words` is the only access, and it hands out
        // atomics. A file that shrinks is the fault guard's business, installed above.
        let map = unsafe { MmapOptions::new().len(len).map(file) }.map_err(MapError::Io)?;
        let guarded = fault::guard(map.as_ptr() as usize, map.len()).ok_or(MapError::TooMany)?;
        Ok(Self { guarded, map })
    }

    /// The words of the file; a rest of less than a word is left out.
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let words = self.map.len() / WORD_BYTES;
        // SAFETY: pointer and length are those of a live mapping, which starts at a page and so is
        // aligned; `AtomicU64` has the layout of `u64`, for which every bit pattern is valid; loads
        // are allowed on read-only pages, and whoever holds a `&[AtomicU64]` of this crate only
        // loads (`View` is used through its reading half). The lifetime is that of the mapping.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().cast::<AtomicU64>(), words) }
    }

    /// Whether pages were found missing.
    pub(crate) fn truncated(&self) -> bool {
        self.guarded.truncated()
    }

    /// Reads the last word of every page that the file should have, so that a file which was cut
    /// is noticed even where no table is looked at.
    #[cfg(test)]
    pub(crate) fn touch(&self) {
        use std::sync::atomic::Ordering;
        for page in self.words().chunks(512) {
            if let Some(word) = page.last() {
                // Relaxed: only the access counts.
                std::hint::black_box(word.load(Ordering::Relaxed));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::FileExt, sync::atomic::Ordering};

    use super::*;

    fn file_of(pages: usize) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![0x5a; pages * 4_096]).unwrap();
        file
    }

    #[test]
    fn a_file_truncated_while_mapped_reads_as_zero_and_is_marked() {
        let file = file_of(4);
        let other = file_of(2);
        let mapping = Mapping::new(&file, file.metadata().unwrap().len()).unwrap();
        let untouched = Mapping::new(&other, other.metadata().unwrap().len()).unwrap();
        mapping.touch();
        assert!(!mapping.truncated());
        file.set_len(4_096).unwrap();
        mapping.touch();
        assert!(mapping.truncated());
        assert!(!untouched.truncated());
        let words = mapping.words();
        assert_eq!(words[0].load(Ordering::Relaxed), 0x5a5a_5a5a_5a5a_5a5a);
        assert_eq!(words[512].load(Ordering::Relaxed), 0);
        assert_eq!(words[2_047].load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_mapping_sees_what_is_written_later() {
        let file = file_of(1);
        let mapping = Mapping::new(&file, file.metadata().unwrap().len()).unwrap();
        file.write_at(&7_u64.to_ne_bytes(), 8).unwrap();
        assert_eq!(mapping.words()[1].load(Ordering::Relaxed), 7);
    }

    #[test]
    fn places_of_the_guard_are_given_back() {
        let file = file_of(1);
        for _ in 0..fault::GUARDED_MAX * 2 {
            Mapping::new(&file, file.metadata().unwrap().len()).unwrap();
        }
    }
}
