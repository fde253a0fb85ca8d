//! Source text for a place that the symbols name, where the file can be read here.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use crate::look::Excerpt;

/// Lines shown before and behind the one that is meant.
const AROUND: u32 = 40;
/// Bytes read of a file, and of a line.
const BYTES_MAX: u64 = 16 << 20;
const LINE_MAX: usize = 400;
/// Directories above the executable that a relative path may start from.
const LEVELS_MAX: usize = 8;

/// Looks for a file and reads the lines around `line`.
pub(super) fn read(file: &str, line: u32, executable: Option<&Path>) -> Excerpt {
    let mut excerpt = Excerpt {
        file: file.to_owned(),
        line,
        place: Err(String::new()),
        first: line.saturating_sub(AROUND).max(1),
        lines: Vec::new(),
    };
    let Some(path) = find(file, executable) else {
        excerpt.place = Err("the file is not here".to_owned());
        return excerpt;
    };
    match lines(&path, excerpt.first, line.saturating_add(AROUND)) {
        Ok(lines) if line >= excerpt.first && lines.len() > (line - excerpt.first) as usize => {
            excerpt.lines = lines;
            excerpt.place = Ok(path.display().to_string());
        }
        Ok(_) => excerpt.place = Err("the file here is shorter: another version".to_owned()),
        Err(error) => excerpt.place = Err(format!("it cannot be read: {error}")),
    }
    excerpt
}

/// The file as it is named, or below the current directory or one above the executable: paths in
/// debug information are often relative to the workspace.
fn find(file: &str, executable: Option<&Path>) -> Option<PathBuf> {
    let named = Path::new(file);
    let is_file = |path: &PathBuf| path.metadata().is_ok_and(|metadata| metadata.is_file());
    if named.is_absolute() {
        return Some(named.to_owned()).filter(is_file);
    }
    let above = executable.map(Path::ancestors).into_iter().flatten();
    let above = above.skip(1).take(LEVELS_MAX).map(|root| root.join(named));
    std::iter::once(named.to_owned()).chain(above).find(is_file)
}

fn lines(path: &Path, first: u32, last: u32) -> std::io::Result<Vec<String>> {
    let reader = BufReader::new(File::open(path)?.take(BYTES_MAX));
    let skip = first.saturating_sub(1) as usize;
    let count = last.saturating_sub(first).saturating_add(1) as usize;
    let lines = reader.split(b'\n').skip(skip).take(count);
    lines
        .map(|line| {
            let line = line?;
            let text = String::from_utf8_lossy(&line);
            let printable = text.trim_end().replace('\t', "    ");
            Ok(printable
                .chars()
                .filter(|letter| !letter.is_control())
                .take(LINE_MAX)
                .collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found_and_what_is_missing_is_told() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/src/feed/excerpt.rs");
        let excerpt = read(here, 3, None);
        assert_eq!(excerpt.first, 1);
        assert_eq!(excerpt.lines[2], "use std::{");
        assert!(read("/no/such/file.rs", 3, None).place.is_err());
        let beyond = read(here, 100_000, None);
        assert!(beyond.place.unwrap_err().contains("another version"));
        // Relative to a directory above the executable.
        let executable = concat!(env!("CARGO_MANIFEST_DIR"), "/target/debug/program");
        let excerpt = read("src/feed/excerpt.rs", 1, Some(Path::new(executable)));
        assert!(excerpt.place.is_ok());
    }
}
