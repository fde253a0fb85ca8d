//! As much of an ELF file as the shim needs: loaded segments, the place of the unwind tables, the
//! build-id. Everything is read with `pread` from the file and bounds-checked; nothing is taken from
//! the loaded image, which `dlclose` may remove at any time.

use riptide_region::module_table::BUILD_ID_MAX_BYTES;

use super::super::sys::File;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const PF_X: u32 = 1;
const NT_GNU_BUILD_ID: u32 = 3;
const HEADER_BYTES: usize = 64;
const PROGRAM_HEADER_BYTES: usize = 56;
const PROGRAM_HEADERS_MAX: usize = 32;

/// One loaded segment, or the place of the unwind tables' index.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Segment {
    pub(crate) file_offset: u64,
    /// Address in the file's own terms.
    pub(crate) svma: u64,
    pub(crate) file_bytes: u64,
    executable: bool,
}

/// What a file says of itself.
#[derive(Clone, Debug)]
pub(crate) struct ElfFile {
    segments: [Segment; PROGRAM_HEADERS_MAX],
    segment_count: usize,
    /// `.eh_frame_hdr`.
    pub(crate) eh_frame_header: Option<Segment>,
    build_id: [u8; BUILD_ID_MAX_BYTES],
    build_id_len: usize,
}

impl ElfFile {
    /// Reads the program headers; `None` for anything but a 64-bit little-endian ELF file.
    pub(crate) fn read(file: &File) -> Option<Self> {
        let mut header = [0; HEADER_BYTES];
        if file.read_at(&mut header, 0)? < HEADER_BYTES || !header.starts_with(b"\x7fELF\x02\x01") {
            return None;
        }
        let table = u64_at(&header, 32)?;
        let entry_bytes = usize::from(u16_at(&header, 54)?);
        let count = usize::from(u16_at(&header, 56)?).min(PROGRAM_HEADERS_MAX);
        if entry_bytes != PROGRAM_HEADER_BYTES {
            return None;
        }
        let mut elf = Self {
            segments: [Segment::default(); PROGRAM_HEADERS_MAX],
            segment_count: 0,
            eh_frame_header: None,
            build_id: [0; BUILD_ID_MAX_BYTES],
            build_id_len: 0,
        };
        for index in 0..count {
            let mut entry = [0; PROGRAM_HEADER_BYTES];
            let offset = table.checked_add((index * PROGRAM_HEADER_BYTES) as u64)?;
            if file.read_at(&mut entry, offset)? < PROGRAM_HEADER_BYTES {
                return None;
            }
            let segment = Segment {
                file_offset: u64_at(&entry, 8)?,
                svma: u64_at(&entry, 16)?,
                file_bytes: u64_at(&entry, 32)?,
                executable: u32_at(&entry, 4)? & PF_X != 0,
            };
            match u32_at(&entry, 0)? {
                PT_LOAD => {
                    if let Some(place) = elf.segments.get_mut(elf.segment_count) {
                        *place = segment;
                        elf.segment_count += 1;
                    }
                }
                PT_GNU_EH_FRAME => elf.eh_frame_header = Some(segment),
                PT_NOTE if elf.build_id_len == 0 => elf.read_notes(file, &segment),
                _ => {}
            }
        }
        Some(elf)
    }

    /// The GNU build-id, empty when there is none.
    pub(crate) fn build_id(&self) -> &[u8] {
        self.build_id.get(..self.build_id_len).unwrap_or_default()
    }

    /// The loaded segment that holds an address of the file.
    pub(crate) fn segment_of(&self, svma: u64) -> Option<Segment> {
        self.segments()
            .find(|segment| svma.wrapping_sub(segment.svma) < segment.file_bytes)
    }

    /// What to add to an address of the file to get one of the process, given an executable mapping
    /// of the file that begins at `start` with the byte at `file_offset`. A page of the file at the
    /// seam of two segments is mapped twice, so only executable segments count.
    pub(crate) fn bias(&self, start: u64, file_offset: u64) -> Option<u64> {
        let segment = self.segments().find(|segment| {
            if !segment.executable {
                return false;
            }
            let first_page = segment.file_offset / 4096 * 4096;
            let end = segment.file_offset.saturating_add(segment.file_bytes);
            (first_page..end).contains(&file_offset)
        })?;
        let svma = segment
            .svma
            .wrapping_add(file_offset.wrapping_sub(segment.file_offset));
        Some(start.wrapping_sub(svma))
    }

    fn segments(&self) -> impl Iterator<Item = Segment> + '_ {
        self.segments.iter().take(self.segment_count).copied()
    }

    fn read_notes(&mut self, file: &File, segment: &Segment) {
        let mut notes = [0; 1024];
        let Some(len) = file.read_at(&mut notes, segment.file_offset) else {
            return;
        };
        let len = len.min(usize::try_from(segment.file_bytes).unwrap_or(usize::MAX));
        let mut rest = notes.get(..len).unwrap_or_default();
        while let Some((name_bytes, id_bytes, kind)) = note_header(rest) {
            let name_end = 12 + name_bytes.next_multiple_of(4);
            let Some(id) = rest.get(name_end..name_end.saturating_add(id_bytes)) else {
                return;
            };
            if kind == NT_GNU_BUILD_ID
                && rest.get(12..16) == Some(b"GNU\0")
                && id.len() <= BUILD_ID_MAX_BYTES
            {
                for (to, from) in self.build_id.iter_mut().zip(id) {
                    *to = *from;
                }
                self.build_id_len = id.len();
                return;
            }
            let next = name_end.saturating_add(id_bytes.next_multiple_of(4));
            rest = rest.get(next..).unwrap_or_default();
        }
    }
}

fn note_header(bytes: &[u8]) -> Option<(usize, usize, u32)> {
    let name = u32_at(bytes, 0)?.min(1 << 16) as usize;
    let id = u32_at(bytes, 4)?.min(1 << 16) as usize;
    Some((name, id, u32_at(bytes, 8)?))
}

/// The address of `.eh_frame` as the beginning of `.eh_frame_hdr` (at `svma`) gives it.
pub(crate) fn eh_frame_svma(header: &[u8], svma: u64) -> Option<u64> {
    // version 1, then the encoding of the pointer: relative to its own place, 4 bytes signed, is
    // what every linker writes.
    const PCREL_SDATA4: u8 = 0x1b;
    if header.first() != Some(&1) || header.get(1) != Some(&PCREL_SDATA4) {
        return None;
    }
    let offset = u32_at(header, 4)?.cast_signed();
    Some(svma.wrapping_add(4).wrapping_add_signed(i64::from(offset)))
}

fn bytes_at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..offset + N)?.try_into().ok()
}

fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    bytes_at(bytes, offset).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes_at(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes_at(bytes, offset).map(u64::from_le_bytes)
}
