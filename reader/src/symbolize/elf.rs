//! The little of ELF that decides whether a file may be used: build-id, sections, segments.
//!
//! Read with `pread` into private buffers, so a file that is cut short meanwhile is an error and
//! not a signal. Every length in the file is taken as hostile.

use std::{fs::File, io, os::unix::fs::FileExt};

/// Bytes of the tables read at most; real ones have a few KiB.
const TABLE_MAX_BYTES: u64 = 8 << 20;
/// Notes longer than this are not looked at.
const NOTE_MAX_BYTES: u64 = 64 << 10;
/// Largest uncompressed section that is let through to the symboliser.
const SECTION_MAX_BYTES: u64 = 4 << 30;
/// More than zlib (1032) and, on debug info, zstd reach.
const COMPRESSION_MAX: u64 = 4096;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PF_X: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_NOTE: u32 = 7;
const SHT_NOBITS: u32 = 8;
const SHF_EXECINSTR: u64 = 4;
const SHF_COMPRESSED: u64 = 0x800;
const NT_GNU_BUILD_ID: u32 = 3;

/// One loadable or note segment.
#[derive(Clone, Copy, Debug)]
struct Segment {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    file_size: u64,
}

/// One section.
#[derive(Clone, Debug)]
struct Section {
    name: Vec<u8>,
    kind: u32,
    flags: u64,
    offset: u64,
    size: u64,
}

/// What the headers of an ELF file say.
#[derive(Clone, Debug)]
pub(super) struct Headers {
    segments: Vec<Segment>,
    sections: Vec<Section>,
    build_id: Vec<u8>,
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    if length > TABLE_MAX_BYTES {
        return Err(invalid("table too long"));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut le = [0; 8];
    let field = bytes.get(at..at.saturating_add(N)).unwrap_or_default();
    for (to, from) in le.iter_mut().zip(field) {
        *to = *from;
    }
    u64::from_le_bytes(le)
}

fn u16_at(bytes: &[u8], at: usize) -> u64 {
    number::<2>(bytes, at)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    number::<4>(bytes, at) as u32
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    number::<8>(bytes, at)
}

impl Headers {
    /// Reads the headers of a 64-bit little-endian ELF file.
    pub(super) fn read(file: &File) -> io::Result<Self> {
        let header = read(file, 0, 64)?;
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return Err(invalid("not a 64-bit little-endian ELF file"));
        }
        let segments = segments(file, &header)?;
        // Without section headers there are still segments, thus the build-id.
        let sections = sections(file, &header).unwrap_or_default();
        let mut headers = Self {
            segments,
            sections,
            build_id: Vec::new(),
        };
        headers.build_id = headers.find_build_id(file).unwrap_or_default();
        headers.check_compression(file)?;
        Ok(headers)
    }

    /// The GNU build-id, empty when there is none.
    pub(super) fn build_id(&self) -> &[u8] {
        &self.build_id
    }

    /// Whether there is a full symbol table, not the dynamic one only.
    pub(super) fn has_symbol_table(&self) -> bool {
        self.sections
            .iter()
            .any(|section| section.kind == SHT_SYMTAB && section.size > 0)
    }

    /// Whether there is DWARF.
    pub(super) fn has_debug_info(&self) -> bool {
        self.has_section(&[b".debug_info", b".zdebug_info"])
    }

    /// Whether the file names another one that has its DWARF.
    pub(super) fn has_debug_link(&self) -> bool {
        self.has_section(&[b".gnu_debuglink"])
    }

    /// Whether the code itself is left out, as `objcopy --only-keep-debug` does.
    pub(super) fn is_debug_only(&self) -> bool {
        self.sections
            .iter()
            .any(|section| section.flags & SHF_EXECINSTR != 0 && section.kind == SHT_NOBITS)
    }

    /// Whether the code in the file, mapped as its headers ask, has the byte at `offset` at `address` (svma)
    /// with `length` bytes mapped from there.
    pub(super) fn is_laid_out(&self, offset: u64, address: u64, length: u64) -> bool {
        let shift = address.wrapping_sub(offset);
        let end = offset.saturating_add(length);
        self.segments.iter().any(|segment| {
            segment.kind == PT_LOAD
                && segment.flags & PF_X != 0
                && segment.address.wrapping_sub(segment.offset) == shift
                && segment.offset < end
                && offset < segment.offset.saturating_add(segment.file_size)
        })
    }

    fn has_section(&self, names: &[&[u8]]) -> bool {
        self.sections
            .iter()
            .any(|section| section.size > 0 && names.contains(&section.name.as_slice()))
    }

    fn find_build_id(&self, file: &File) -> Option<Vec<u8>> {
        let segments = self
            .segments
            .iter()
            .filter(|segment| segment.kind == PT_NOTE)
            .map(|segment| (segment.offset, segment.file_size));
        let sections = self
            .sections
            .iter()
            .filter(|section| section.kind == SHT_NOTE)
            .map(|section| (section.offset, section.size));
        segments
            .chain(sections)
            .filter(|(_, size)| *size <= NOTE_MAX_BYTES)
            .find_map(|(offset, size)| build_id_in_notes(&read(file, offset, size).ok()?))
    }

    /// Refuses sections that claim to unpack to more memory than is sane.
    fn check_compression(&self, file: &File) -> io::Result<()> {
        let compressed = self
            .sections
            .iter()
            .filter(|section| section.flags & SHF_COMPRESSED != 0 && section.kind != SHT_NOBITS);
        for section in compressed {
            let unpacked = u64_at(&read(file, section.offset, 24)?, 8);
            if unpacked > SECTION_MAX_BYTES || unpacked / COMPRESSION_MAX > section.size {
                return Err(invalid("compressed section of an insane size"));
            }
        }
        Ok(())
    }
}

fn segments(file: &File, header: &[u8]) -> io::Result<Vec<Segment>> {
    let (offset, stride, count) = (u64_at(header, 32), u16_at(header, 54), u16_at(header, 56));
    if count == 0 || stride < 56 {
        return Ok(Vec::new());
    }
    let table = read(file, offset, stride * count)?;
    let entries = table.chunks_exact(usize::try_from(stride).unwrap_or(usize::MAX));
    Ok(entries
        .map(|entry| Segment {
            kind: u32_at(entry, 0),
            flags: u32_at(entry, 4),
            offset: u64_at(entry, 8),
            address: u64_at(entry, 16),
            file_size: u64_at(entry, 32),
        })
        .collect())
}

fn sections(file: &File, header: &[u8]) -> io::Result<Vec<Section>> {
    let (offset, stride, mut count, mut names_index) = (
        u64_at(header, 40),
        u16_at(header, 58),
        u16_at(header, 60),
        u16_at(header, 62),
    );
    if offset == 0 || stride < 64 {
        return Ok(Vec::new());
    }
    if count == 0 || names_index == 0xffff {
        // More sections than 16 bits count: the first entry has the numbers.
        let first = read(file, offset, 64)?;
        count = if count == 0 {
            u64_at(&first, 32)
        } else {
            count
        };
        if names_index == 0xffff {
            names_index = u64::from(u32_at(&first, 40));
        }
    }
    let length = stride.checked_mul(count).ok_or(invalid("section table"))?;
    let table = read(file, offset, length)?;
    let stride = usize::try_from(stride).unwrap_or(usize::MAX);
    let names = table
        .chunks_exact(stride)
        .nth(usize::try_from(names_index).unwrap_or(usize::MAX))
        .and_then(|entry| read(file, u64_at(entry, 24), u64_at(entry, 32)).ok())
        .unwrap_or_default();
    let name = |at: u32| {
        let rest = names.get(at as usize..).unwrap_or_default();
        rest.iter()
            .copied()
            .take_while(|byte| *byte != 0)
            .take(64)
            .collect()
    };
    Ok(table
        .chunks_exact(stride)
        .map(|entry| Section {
            name: name(u32_at(entry, 0)),
            kind: u32_at(entry, 4),
            flags: u64_at(entry, 8),
            offset: u64_at(entry, 24),
            size: u64_at(entry, 32),
        })
        .collect())
}

fn build_id_in_notes(mut notes: &[u8]) -> Option<Vec<u8>> {
    let padded = |length: u32| (length as usize).checked_next_multiple_of(4);
    while notes.len() >= 12 {
        let (name_length, length, kind) = (u32_at(notes, 0), u32_at(notes, 4), u32_at(notes, 8));
        let name = notes.get(12..)?;
        let body = name.get(padded(name_length)?..)?;
        if kind == NT_GNU_BUILD_ID && name.starts_with(b"GNU\0") && name_length == 4 {
            return body.get(..length as usize).map(<[u8]>::to_vec);
        }
        notes = body.get(padded(length)?..)?;
    }
    None
}
