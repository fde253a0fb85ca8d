//! Frames and numbers.
//!
//! File: `RIPTREC\n`, version (u32), CRC-32 of these. Frame: a header of 36 bytes (magic `RPF1`, kind,
//! number of the frame, stored bytes, raw bytes, time, CRC-32 of the stored bytes, CRC-32 of the header
//! so far), then the payload, compressed by zstd. All numbers are little-endian.

use std::io::{self, Write};

pub(super) const FILE_HEADER_BYTES: usize = 16;
pub(super) const FRAME_HEADER_BYTES: usize = 36;
const FILE_MAGIC: &[u8; 8] = b"RIPTREC\n";
const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"RPF1");
/// Largest payload, as stored and as it was: what a reader takes memory for.
const STORED_MAX: u32 = 64 << 20;
const RAW_MAX: u32 = 256 << 20;
/// Fast, and half the size of level 1 on stacks and names.
const LEVEL: i32 = 3;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Who the target is.
    Target = 1,
    /// Executable mappings, all of them.
    Modules = 2,
    /// New stacks.
    Stacks = 3,
    /// Frames of addresses.
    Names = 4,
    /// A look, whole.
    Key = 5,
    /// A look, as what changed since the one before.
    Look = 6,
}

impl Kind {
    fn from_number(number: u32) -> Option<Self> {
        [
            Self::Target,
            Self::Modules,
            Self::Stacks,
            Self::Names,
            Self::Key,
            Self::Look,
        ]
        .into_iter()
        .find(|kind| *kind as u32 == number)
    }

    pub(super) fn is_look(self) -> bool {
        matches!(self, Self::Key | Self::Look)
    }
}

/// What the beginning of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileHeader {
    Foreign,
    Damaged,
    Version(u32),
}

pub(super) fn file_header(version: u32) -> Vec<u8> {
    let mut bytes = FILE_MAGIC.to_vec();
    bytes.extend(version.to_le_bytes());
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

pub(super) fn read_file_header(bytes: &[u8]) -> FileHeader {
    if !bytes.starts_with(FILE_MAGIC) {
        return FileHeader::Foreign;
    }
    let checked = bytes.get(..12).map(crc32fast::hash);
    match (word(bytes, 8), word(bytes, 12)) {
        (Some(version), Some(crc)) if checked == Some(crc) => FileHeader::Version(version),
        _ => FileHeader::Damaged,
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

/// A frame's header, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: Kind,
    pub(super) number: u32,
    pub(super) stored: u32,
    pub(super) raw: u32,
    pub(super) time_ns: u64,
    crc: u32,
}

impl FrameHeader {
    /// `None` when it is damaged or of a kind that this version does not know.
    pub(super) fn read(bytes: &[u8; FRAME_HEADER_BYTES]) -> Option<Self> {
        let checked = crc32fast::hash(bytes.get(..FRAME_HEADER_BYTES - 4)?);
        if word(bytes, 0)? != FRAME_MAGIC || word(bytes, FRAME_HEADER_BYTES - 4)? != checked {
            return None;
        }
        let header = Self {
            kind: Kind::from_number(word(bytes, 4)?)?,
            number: word(bytes, 8)?,
            stored: word(bytes, 12)?,
            raw: word(bytes, 16)?,
            time_ns: u64::from(word(bytes, 20)?) | u64::from(word(bytes, 24)?) << 32,
            crc: word(bytes, 28)?,
        };
        (header.stored <= STORED_MAX && header.raw <= RAW_MAX).then_some(header)
    }

    /// The payload; `None` when it is not what was written.
    pub(super) fn payload(&self, stored: &[u8]) -> Option<Vec<u8>> {
        if crc32fast::hash(stored) != self.crc {
            return None;
        }
        let raw = usize::try_from(self.raw).ok()?;
        let payload = zstd::bulk::decompress(stored, raw).ok()?;
        (payload.len() == raw).then_some(payload)
    }
}

/// Writes a frame in one call, and says how many bytes it has.
pub(super) fn write_frame(
    out: &mut impl Write,
    kind: Kind,
    number: u32,
    time_ns: u64,
    payload: &[u8],
) -> io::Result<u64> {
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, "a frame of a recording");
    let stored = zstd::bulk::compress(payload, LEVEL)?;
    let raw = u32::try_from(payload.len())
        .ok()
        .filter(|raw| *raw <= RAW_MAX);
    let length = u32::try_from(stored.len())
        .ok()
        .filter(|length| *length <= STORED_MAX);
    let (Some(raw), Some(length)) = (raw, length) else {
        return Err(too_large());
    };
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + stored.len());
    for word in [FRAME_MAGIC, kind as u32, number, length, raw] {
        frame.extend(word.to_le_bytes());
    }
    frame.extend(time_ns.to_le_bytes());
    frame.extend(crc32fast::hash(&stored).to_le_bytes());
    frame.extend(crc32fast::hash(&frame).to_le_bytes());
    frame.extend(stored);
    out.write_all(&frame)?;
    Ok(frame.len() as u64)
}

/// Appends a number: seven bits a byte, the lowest first.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends the difference of two numbers, small when they are near each other.
pub(super) fn put_difference(out: &mut Vec<u8>, from: u64, to: u64) {
    let difference = to.wrapping_sub(from).cast_signed();
    put(
        out,
        ((difference << 1) ^ (difference >> 63)).cast_unsigned(),
    );
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads what was appended. Everything is `None` at the end and behind it.
pub(super) struct Numbers<'a>(pub(super) &'a [u8]);

impl<'a> Numbers<'a> {
    pub(super) fn get(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    pub(super) fn difference(&mut self, from: u64) -> Option<u64> {
        let number = self.get()?;
        let difference = (number >> 1) ^ 0_u64.wrapping_sub(number & 1);
        Some(from.wrapping_add(difference))
    }

    /// A count of things that take at least a byte each, so no more than there are bytes.
    pub(super) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.get()?).ok()?;
        (count <= self.0.len()).then_some(count)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.count()?;
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(super) fn text(&mut self) -> Option<String> {
        // Names go to terminals; what is in a file is not trusted more than a region.
        Some(crate::attach::target::printable(self.bytes()?))
    }
}
