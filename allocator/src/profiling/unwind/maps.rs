//! `/proc/self/maps`, read raw, line by line, into a buffer of the caller's.

use super::super::sys::{self, File};

/// One mapping.
pub(crate) struct Mapping<'a> {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) executable: bool,
    pub(crate) file_offset: u64,
    /// Inode of the file. The device is left out: on overlay file systems it is not the one that
    /// `fstat` gives.
    pub(crate) inode: u64,
    pub(crate) path: &'a [u8],
}

/// Calls `each` with every mapping until it returns false. False when the file could not be read.
///
/// A line longer than `buffer` (a path may have 4 KiB) is passed over.
pub(crate) fn for_each(buffer: &mut [u8], mut each: impl FnMut(&Mapping<'_>) -> bool) -> bool {
    let Some(file) = File::open(c"/proc/self/maps") else {
        return false;
    };
    let mut filled = 0;
    // Inside a line whose beginning did not fit: its rest could be taken for a line.
    let mut in_long_line = false;
    loop {
        let Some(rest) = buffer.get_mut(filled..) else {
            return false;
        };
        let Some(count) = file.read(rest) else {
            return false;
        };
        filled += count;
        let mut start = 0;
        while let Some(text) = buffer.get(start..filled)
            && let Some(len) = text.iter().position(|byte| *byte == b'\n')
        {
            let is_rest = core::mem::replace(&mut in_long_line, false);
            if !is_rest
                && let Some(mapping) = text.get(..len).and_then(parse_line)
                && !each(&mapping)
            {
                return true;
            }
            start += len + 1;
        }
        if count == 0 {
            return true;
        }
        if start == 0 && filled == buffer.len() {
            in_long_line = true;
            filled = 0;
        } else {
            buffer.copy_within(start..filled, 0);
            filled -= start;
        }
    }
}

/// `start-end perms offset major:minor inode   path`
fn parse_line(line: &[u8]) -> Option<Mapping<'_>> {
    let mut fields = line.splitn(6, |byte| *byte == b' ');
    let mut range = fields.next()?.splitn(2, |byte| *byte == b'-');
    let start = sys::parse_hex(range.next()?)?;
    let end = sys::parse_hex(range.next()?)?;
    let permissions = fields.next()?;
    let file_offset = sys::parse_hex(fields.next()?)?;
    let _device = fields.next()?;
    let inode = sys::parse_number(fields.next()?)?;
    let path = fields.next().unwrap_or_default();
    let padding = path.iter().take_while(|byte| **byte == b' ').count();
    Some(Mapping {
        start,
        end,
        executable: permissions.get(2) == Some(&b'x'),
        file_offset,
        inode,
        path: path.get(padding..).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_understood() {
        let line =
            b"7f00a000-7f00b000 r-xp 00002000 fd:01 1234                       /usr/lib/a b.so";
        let mapping = parse_line(line).unwrap();
        assert_eq!((mapping.start, mapping.end), (0x7f00_a000, 0x7f00_b000));
        assert!(mapping.executable);
        assert_eq!(mapping.file_offset, 0x2000);
        assert_eq!(mapping.inode, 1234);
        assert_eq!(mapping.path, b"/usr/lib/a b.so");
        let anonymous = parse_line(b"7f00a000-7f00b000 rw-p 00000000 00:00 0 ").unwrap();
        assert_eq!(anonymous.path, b"");
        assert!(parse_line(b"garbage").is_none());
    }

    #[test]
    fn every_mapping_is_seen_whatever_the_buffer() {
        let count = |bytes: usize| {
            let mut lines = 0_usize;
            assert!(for_each(&mut vec![0; bytes], |_| {
                lines += 1;
                true
            }));
            lines
        };
        let whole = std::fs::read_to_string("/proc/self/maps").unwrap();
        let lines = whole.lines().count();
        assert!(count(1 << 20).abs_diff(lines) <= 2);
        assert!(count(4200).abs_diff(lines) <= 2);
        // Shorter than most lines that have a path.
        assert!(count(64) < lines);
    }
}
