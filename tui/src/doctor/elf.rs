//! The program: are its symbols present, stripped, or in a file of their own.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::Check;

/// More sections than this, or longer names, are not read.
const SECTIONS_MAX: u64 = 10_000;
const NAMES_MAX: u64 = 1 << 20;
const NOTE_MAX: u64 = 4_096;

/// What the section table of a program says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// `.symtab`: names of functions.
    pub symbols: bool,
    /// `.debug_line`: files and lines.
    pub lines: bool,
    /// `.debug_info`: inlined functions.
    pub debug_info: bool,
    /// `.gnu_debuglink`: symbols lie elsewhere.
    pub link: bool,
    /// Skeleton of split DWARF.
    pub split: bool,
    /// GNU build-id, in hexadecimal.
    pub build_id: Option<String>,
}

/// Reads the section table of an ELF file of 64 bits, little-endian.
///
/// # Errors
///
/// The file cannot be read, or is not such a file.
pub fn sections(path: &Path) -> io::Result<Sections> {
    let file = File::open(path)?;
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0)?;
    if header.get(..6) != Some(&[0x7f, b'E', b'L', b'F', 2, 1]) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "not a 64-bit little-endian ELF file",
        ));
    }
    let table = word(&header, 40, 8);
    let stride = word(&header, 58, 2).max(64);
    let count = word(&header, 60, 2).min(SECTIONS_MAX);
    let names_index = word(&header, 62, 2);
    let section = |index: u64| -> io::Result<[u8; 64]> {
        let mut entry = [0; 64];
        let at = index
            .checked_mul(stride)
            .and_then(|offset| table.checked_add(offset))
            .ok_or(io::ErrorKind::InvalidData)?;
        file.read_exact_at(&mut entry, at)?;
        Ok(entry)
    };
    let mut found = Sections::default();
    if table == 0 || count == 0 {
        return Ok(found);
    }
    let names = read_section(&file, &section(names_index)?, NAMES_MAX)?;
    for index in 0..count {
        let entry = section(index)?;
        let name_at = word(&entry, 0, 4) as usize;
        let name = names
            .get(name_at..)
            .and_then(|rest| rest.split(|byte| *byte == 0).next())
            .unwrap_or_default();
        match name {
            b".symtab" => found.symbols = true,
            b".debug_line" | b".zdebug_line" => found.lines = true,
            b".debug_info" | b".zdebug_info" => found.debug_info = true,
            b".debug_addr" | b".gnu_debugaltlink" => found.split = true,
            b".gnu_debuglink" => found.link = true,
            b".note.gnu.build-id" => {
                found.build_id = build_id(&read_section(&file, &entry, NOTE_MAX)?);
            }
            _ => {}
        }
    }
    Ok(found)
}

fn word(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes
        .get(at..at + length)
        .unwrap_or_default()
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn read_section(file: &File, entry: &[u8; 64], limit: u64) -> io::Result<Vec<u8>> {
    let offset = word(entry, 24, 8);
    let size = word(entry, 32, 8).min(limit);
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}

/// Note: lengths of name and description, type, name, description.
fn build_id(note: &[u8]) -> Option<String> {
    let name_length = (word(note, 0, 4) as usize).checked_next_multiple_of(4)?;
    let length = word(note, 4, 4) as usize;
    let start = name_length.checked_add(12)?;
    let bytes = note.get(start..start.checked_add(length)?)?;
    (!bytes.is_empty()).then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn separate_debug_file(build_id: &str) -> Option<PathBuf> {
    let (head, tail) = build_id.split_at_checked(2)?;
    let path = PathBuf::from(format!("/usr/lib/debug/.build-id/{head}/{tail}.debug"));
    path.exists().then_some(path)
}

/// What can be told of functions, files and lines. `file` is where the program is read, `shown` how
/// it is called.
#[must_use]
pub fn check(file: &Path, shown: &Path) -> Check {
    const NAME: &str = "symbols";
    let shown = shown.display();
    let sections = match sections(file) {
        Ok(sections) => sections,
        Err(error) => {
            return Check::warn(
                NAME,
                format!("{shown} cannot be read: {error}"),
                "keep the program where it was started from, with its build-id unchanged",
            );
        }
    };
    let build_id = sections.build_id.as_deref();
    let id = build_id.map_or_else(
        || "no build-id".to_owned(),
        |id| format!("build-id {}", id.get(..12).unwrap_or(id)),
    );
    if let Some(debug) = build_id.and_then(separate_debug_file) {
        return Check::ok(NAME, format!("split: {} ({id})", debug.display()));
    }
    if sections.lines && sections.split {
        return Check::ok(
            NAME,
            format!("present: functions, files, lines; details split off ({id})"),
        );
    }
    if sections.lines {
        return Check::ok(NAME, format!("present: functions, files, lines ({id})"));
    }
    let fix = "build with debug = \"line-tables-only\" in [profile.release] (costs nothing at run \
               time)";
    if sections.link {
        return Check::warn(
            NAME,
            format!("{shown}: split off, and the debug file is not here ({id})"),
            "install it as /usr/lib/debug/.build-id/xx/yyyy.debug",
        );
    }
    if sections.symbols {
        return Check::warn(
            NAME,
            format!("{shown}: names of functions only, no files and lines ({id})"),
            fix,
        );
    }
    Check::warn(
        NAME,
        format!("{shown}: stripped, only addresses can be shown ({id})"),
        format!("set strip = false and {fix}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_has_symbols_and_lines() {
        let found = sections(&std::env::current_exe().unwrap()).unwrap();
        assert!(found.symbols);
        assert!(found.lines);
    }

    #[test]
    fn other_files_are_refused() {
        assert!(sections(Path::new("/proc/self/maps")).is_err());
        assert!(sections(Path::new("/no/such/file")).is_err());
    }

    #[test]
    fn a_build_id_is_read_from_its_note() {
        let note = [
            4, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, b'G', b'N', b'U', 0, 0xab, 0x01,
        ];
        assert_eq!(build_id(&note).as_deref(), Some("ab01"));
        assert_eq!(build_id(&note[..17]), None);
        assert_eq!(build_id(&[0xff; 16]), None);
    }
}
