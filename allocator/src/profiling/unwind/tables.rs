//! The unwind tables of a module, as framehop takes them.
//!
//! They are taken from the files themselves, never unmapped, and not read where the dynamic linker
//! put them, which `dlclose` may remove during a walk. Those of the executable are mapped; those of
//! libraries are copied, as nothing keeps a library's file from being cut short, above all once it was
//! closed.
#![expect(unsafe_code, reason = "makes slices of mappings")]

extern crate alloc;

use alloc::vec::Vec;

use framehop::{ExplicitModuleSectionInfo, Module};

use super::{
    super::sys::{self, File},
    elf::{self, ElfFile},
};

/// Unwind tables of a library that are copied.
const COPY_MAX_BYTES: usize = 32 << 20;
/// All that are copied in the life of a process.
const COPIES_MAX_BYTES: usize = 128 << 20;

/// The copies made so far, for libraries that are loaded again.
#[derive(Default)]
pub(crate) struct Copies {
    made: Vec<Copy>,
    bytes: usize,
}

struct Copy {
    build_id: Vec<u8>,
    offset: u64,
    tables: &'static [u8],
}

/// The unwind tables of a file, for a mapping of it that begins at `start` and is moved by `bias`.
/// `None` when the file has none, or none that can be searched.
pub(crate) fn module(
    file: &File,
    elf: &ElfFile,
    text: core::ops::Range<u64>,
    bias: u64,
    copies: &mut Copies,
) -> Option<Module<&'static [u8]>> {
    let header = elf.eh_frame_header?;
    let segment = elf.segment_of(header.svma)?;
    let mut beginning = [0; 8];
    let header_offset = header.svma - segment.svma;
    file.read_at(
        &mut beginning,
        segment.file_offset.checked_add(header_offset)?,
    )?;
    let frame_svma = elf::eh_frame_svma(&beginning, header.svma)?;
    let frame_end = segment.svma.checked_add(segment.file_bytes)?;
    // The segment from the first of both tables on.
    let first = header.svma.min(frame_svma);
    let skipped = first.checked_sub(segment.svma)?;
    let bytes = segment.file_bytes.checked_sub(skipped)?;
    let offset = segment.file_offset.checked_add(skipped)?;
    let tables = if File::open(c"/proc/self/exe").is_some_and(|exe| exe.is_same(file)) {
        map_file(file, offset, bytes)?
    } else {
        copies.get_or_make(file, elf.build_id(), offset, bytes)?
    };
    let part = |svma: u64, bytes: u64| {
        let start = usize::try_from(svma.checked_sub(first)?).ok()?;
        tables.get(start..start.checked_add(usize::try_from(bytes).ok()?)?)
    };
    let header_bytes = part(header.svma, header.file_bytes)?;
    let frame_bytes = part(frame_svma, frame_end.checked_sub(frame_svma)?)?;
    Some(Module::new(
        alloc::string::String::new(),
        text,
        bias,
        ExplicitModuleSectionInfo {
            base_svma: 0,
            eh_frame_svma: Some(frame_svma..frame_end),
            eh_frame: Some(frame_bytes),
            eh_frame_hdr_svma: Some(header.svma..header.svma.checked_add(header.file_bytes)?),
            eh_frame_hdr: Some(header_bytes),
            ..Default::default()
        },
    ))
}

/// Whether a file is as long as its headers say.
fn holds(file: &File, offset: u64, bytes: u64) -> bool {
    let end = offset.checked_add(bytes);
    file.len()
        .is_some_and(|len| end.is_some_and(|end| end <= len))
}

impl Copies {
    /// A copy of a part of a file.
    fn get_or_make(
        &mut self,
        file: &File,
        build_id: &[u8],
        offset: u64,
        bytes: u64,
    ) -> Option<&'static [u8]> {
        let made = self.made.iter().find(|copy| {
            !build_id.is_empty()
                && copy.build_id == build_id
                && copy.offset == offset
                && copy.tables.len() as u64 == bytes
        });
        if let Some(copy) = made {
            return Some(copy.tables);
        }
        let total = self.bytes.checked_add(usize::try_from(bytes).ok()?)?;
        if total > COPIES_MAX_BYTES || self.made.try_reserve(1).is_err() {
            return None;
        }
        let tables = copy_file(file, offset, bytes)?;
        self.bytes = total;
        self.made.push(Copy {
            build_id: build_id.to_vec(),
            offset,
            tables,
        });
        Some(tables)
    }
}

/// Copies a part of a file.
fn copy_file(file: &File, offset: u64, bytes: u64) -> Option<&'static [u8]> {
    let len = usize::try_from(bytes)
        .ok()
        .filter(|len| (1..=COPY_MAX_BYTES).contains(len))?;
    if !holds(file, offset, bytes) {
        return None;
    }
    let address = sys::map_private(len, libc::PROT_READ | libc::PROT_WRITE)?;
    // SAFETY: a fresh, zeroed mapping of this length that is never unmapped.
    let copy = unsafe { core::slice::from_raw_parts_mut(address, len) };
    // What a file that is cut short at this moment lacks stays zero, which ends a table.
    file.read_at(copy, offset)?;
    Some(copy)
}

/// Maps a part of the executable for ever.
fn map_file(file: &File, offset: u64, bytes: u64) -> Option<&'static [u8]> {
    if !holds(file, offset, bytes) {
        return None;
    }
    let page_offset = offset / 4096 * 4096;
    let before = usize::try_from(offset - page_offset).ok()?;
    let bytes = usize::try_from(bytes).ok()?;
    let address = sys::map_file_read_only(
        file,
        i64::try_from(page_offset).ok()?,
        before.checked_add(bytes)?,
    )?;
    // SAFETY: the mapping covers the range, is readable and is never unmapped. The file is the
    // executable: the kernel lets nobody write to it while it runs, and were it cut short all the
    // same, the process's own text would be gone too.
    let whole = unsafe { core::slice::from_raw_parts(address, before + bytes) };
    whole.get(before..)
}
