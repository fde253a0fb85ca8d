//! A recording: frames whose headers and checksums are right, and whose contents are anything.
//!
//! Each frame is a head of five bytes (kind, milliseconds since the one before, length) and so many
//! bytes of payload. They become a file as `riptide record` writes them, but that nothing is compressed.

use std::time::Duration;

use riptide_reader::recording::{Replay, Span, VERSION};

use crate::{
    snapshot::{check, is_estimate},
    take, with_file,
};

const FILE_MAGIC: &[u8; 8] = b"RIPTREC\n";
const FRAME_MAGIC: &[u8; 4] = b"RPF1";

/// The first byte says what is done to the file once it is whole; frames follow.
pub fn recording(mut bytes: &[u8]) {
    let [how] = take::<1>(&mut bytes);
    let mut file = FILE_MAGIC.to_vec();
    file.extend(VERSION.to_le_bytes());
    file.extend(crc32fast::hash(&file).to_le_bytes());
    let mut time_ns = 1_000_000_000_u64;
    let mut number = 0_u32;
    while !bytes.is_empty() {
        let [kind, low, high, length_low, length_high] = take::<5>(&mut bytes);
        time_ns = time_ns.saturating_add(u64::from(u16::from_le_bytes([low, high])) * 1_000_000);
        let length = usize::from(u16::from_le_bytes([length_low, length_high]));
        let (payload, rest) = bytes.split_at(length.min(bytes.len()));
        bytes = rest;
        push_frame(&mut file, u32::from(kind), number, time_ns, payload);
        number += 1;
    }
    match how {
        // As it is.
        0..=191 => {}
        // Cut off.
        192..=223 => file.truncate(file.len() * usize::from(how - 192) / 32),
        // A damaged byte.
        _ => {
            let place = file.len() * usize::from(how - 224) / 32;
            if let Some(byte) = file.get_mut(place) {
                *byte ^= 0x10;
            }
        }
    }
    with_file(&file, |path| {
        for (at, span) in [
            (None, Span::Past),
            (
                Some(Duration::from_millis(u64::from(how) * 16)),
                Span::Moment,
            ),
        ] {
            if let Ok(replay) = Replay::open(path, at, span) {
                show(replay);
            }
        }
    });
}

/// A frame around a payload that is stored as it is.
fn push_frame(file: &mut Vec<u8>, kind: u32, number: u32, time_ns: u64, payload: &[u8]) {
    let stored = stored(payload);
    let start = file.len();
    file.extend(FRAME_MAGIC);
    for word in [kind, number, stored.len() as u32, payload.len() as u32] {
        file.extend(word.to_le_bytes());
    }
    file.extend(time_ns.to_le_bytes());
    file.extend(crc32fast::hash(&stored).to_le_bytes());
    file.extend(crc32fast::hash(&file[start..]).to_le_bytes());
    file.extend(stored);
}

/// The payload as one block of zstd (RFC 8878) that is not compressed.
fn stored(payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u32;
    let mut stored = 0xfd2f_b528_u32.to_le_bytes().to_vec();
    // One segment, its size in four bytes, no checksum; then the last block, raw.
    stored.push(0b1010_0000);
    stored.extend(length.to_le_bytes());
    stored.extend(&(length << 3 | 1).to_le_bytes()[..3]);
    stored.extend(payload);
    stored
}

fn show(mut replay: Replay) {
    check(&replay.snapshot());
    for finding in replay.findings() {
        is_estimate(&finding.live_bytes);
    }
    std::hint::black_box((replay.stacks(), replay.fragmentation()));
    std::hint::black_box((replay.unix_ns(), replay.moment(), replay.length()));
    std::hint::black_box((replay.problem(), replay.watched_seconds()));
}
