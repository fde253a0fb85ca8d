//! The control file: what a user asks of a running process.
//!
//! It lies beside the region under the region's name and [`SUFFIX`], belongs to the region's owner
//! with mode 0600, and is read with `pread`, never mapped. Writers make it under another name and
//! rename it, so it is there whole or not at all; taking it away takes back what was asked.

/// What the control file's name has behind the region's.
pub const SUFFIX: &str = ".control";
/// Bytes of a control file.
pub const CONTROL_BYTES: usize = 32;
/// `riptctl` and the version.
const MAGIC: u64 = u64::from_ne_bytes(*b"riptctl1");
/// Largest interval that the journal can note.
pub const INTERVAL_MAX: u64 = u32::MAX as u64;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control {
    /// Sampling interval in bytes, from 1 to [`INTERVAL_MAX`].
    pub interval: u64,
    /// When it ends, in nanoseconds of the target's `CLOCK_MONOTONIC`; `u64::MAX` for never.
    pub until_ns: u64,
}

impl Control {
    /// The file's contents: magic, interval, end and their check word.
    #[must_use]
    pub fn encode(&self) -> [u8; CONTROL_BYTES] {
        let mut bytes = [0; CONTROL_BYTES];
        let words = [MAGIC, self.interval, self.until_ns, self.check_word()];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// Reads a file's contents; `None` when they are anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let words: [u64; CONTROL_BYTES / 8] = {
            let bytes: &[u8; CONTROL_BYTES] = bytes.try_into().ok()?;
            let mut words = [0; CONTROL_BYTES / 8];
            for (word, place) in words.iter_mut().zip(bytes.chunks_exact(8)) {
                *word = u64::from_ne_bytes(place.try_into().ok()?);
            }
            words
        };
        let [magic, interval, until_ns, check_word] = words;
        let control = Self { interval, until_ns };
        let is_whole = magic == MAGIC && check_word == control.check_word();
        (is_whole && (1..=INTERVAL_MAX).contains(&interval)).then_some(control)
    }

    fn check_word(&self) -> u64 {
        !(MAGIC ^ self.interval.rotate_left(32) ^ self.until_ns)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests fail by panicking")]

    use super::*;

    #[test]
    fn what_was_asked_is_read_back() {
        for (interval, until_ns) in [(1, 0), (INTERVAL_MAX, u64::MAX), (65_536, 12_345)] {
            let control = Control { interval, until_ns };
            assert_eq!(Control::decode(&control.encode()), Some(control));
        }
    }

    #[test]
    fn anything_else_asks_for_nothing() {
        let control = Control {
            interval: 65_536,
            until_ns: 12_345,
        };
        let bytes = control.encode();
        for byte in 0..CONTROL_BYTES {
            let mut changed = bytes;
            changed[byte] ^= 1;
            assert_eq!(Control::decode(&changed), None, "byte {byte}");
        }
        assert_eq!(Control::decode(&bytes[..31]), None);
        assert_eq!(Control::decode(&[]), None);
        for interval in [0, INTERVAL_MAX + 1] {
            let control = Control {
                interval,
                ..control
            };
            assert_eq!(Control::decode(&control.encode()), None);
        }
    }
}
