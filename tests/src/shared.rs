//! Words in a file that survive the process that wrote them.
#![expect(
    unsafe_code,
    reason = "maps files and takes their bytes for atomic words"
)]

use std::{fs::OpenOptions, io, path::Path};

use memmap2::MmapMut;
use riptide_region::primitive::AtomicU64;

/// A file of words mapped for reading and writing.
#[derive(Debug)]
pub struct SharedWords {
    map: MmapMut,
}

impl SharedWords {
    /// Makes the file with room for `count` zero words.
    ///
    /// # Errors
    /// The file cannot be made, sized or mapped.
    pub fn create(path: &Path, count: usize) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        file.set_len(count as u64 * 8)?;
        Self::map(&file)
    }

    /// Maps a file that is there.
    ///
    /// # Errors
    /// The file cannot be opened or mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::map(&OpenOptions::new().read(true).write(true).open(path)?)
    }

    fn map(file: &std::fs::File) -> io::Result<Self> {
        // SAFETY: nobody truncates the file while it is mapped, as the tests that make it own its
        // directory.
        let map = unsafe { MmapMut::map_mut(file) }?;
        Ok(Self { map })
    }

    /// The words.
    #[must_use]
    pub fn words(&self) -> &[AtomicU64] {
        let start = self.map.as_ptr().cast::<AtomicU64>();
        // SAFETY: a mapping starts at a page, so it is aligned for words, it is as long as its
        // length says, and every access to it is atomic: `map` is private to this type.
        unsafe { std::slice::from_raw_parts(start, self.map.len() / 8) }
    }
}
