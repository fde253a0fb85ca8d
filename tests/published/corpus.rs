//! The long input: a tree of text that is the same in every run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use riptide_tests::victim::Numbers;

const WORDS: [&str; 48] = [
    "anchor", "ballast", "beacon", "bearing", "berth", "bilge", "bollard", "boom", "bow",
    "breaker", "bulkhead", "buoy", "cable", "capstan", "channel", "chart", "current", "deck",
    "drift", "ebb", "fathom", "flood", "galley", "gunwale", "halyard", "harbour", "helm", "hull",
    "keel", "knot", "lagoon", "leeward", "mast", "mooring", "neap", "oar", "pilot", "reef",
    "rigging", "rudder", "sail", "shoal", "sounding", "spring", "swell", "tide", "wake",
    "windward",
];

/// Directories of the tree.
const DIRECTORIES: usize = 24;
/// Files in each.
const FILES: usize = 16;
/// Length of a file.
const FILE_BYTES: usize = 128 << 10;

/// A tree of some 50 MB, with files to ignore, hidden ones, binary ones and one in UTF-16. Removed
/// when dropped.
#[derive(Debug)]
pub(crate) struct Corpus(PathBuf);

impl Corpus {
    /// Makes the tree; `name` tells those of different tests apart.
    pub(crate) fn new(name: &str) -> Self {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("corpus-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        let mut numbers = Numbers::new(48);
        for directory in 0..DIRECTORIES {
            // A few levels deep: 7 is in d1/d3/d7.
            let mut path = PathBuf::from(format!("d{directory}"));
            let mut parent = directory;
            while parent > 1 {
                parent /= 2;
                path = Path::new(&format!("d{parent}")).join(path);
            }
            let path = root.join(path);
            fs::create_dir_all(&path).unwrap();
            for file in 0..FILES {
                let text = text(&mut numbers, FILE_BYTES);
                fs::write(path.join(format!("log-{file:02}.txt")), text).unwrap();
            }
            fs::write(path.join(".hidden.txt"), "a hidden tide turning\n").unwrap();
            fs::write(path.join("ignored.log"), "an ignored tide turning\n").unwrap();
            fs::write(
                path.join("binary.dat"),
                b"a tide\n\0\x01\x02 turning tide\n",
            )
            .unwrap();
            fs::write(
                path.join(".ignore"),
                "*.log\n!log-*.txt\n/never/**/here-*\n",
            )
            .unwrap();
        }
        let wide: Vec<u8> = "\u{feff}the tide turning in UTF-16\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        fs::write(root.join("wide.txt"), wide).unwrap();
        Self(root)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Corpus {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Lines of words and numbers, `length` bytes or a little more.
pub(crate) fn text(numbers: &mut Numbers, length: usize) -> String {
    let mut text = String::with_capacity(length + 128);
    while text.len() < length {
        for _ in 0..4 + numbers.below(12) {
            text.push_str(WORDS[numbers.below(WORDS.len())]);
            text.push(' ');
        }
        text.push_str(&format!("turn{}\n", numbers.below(10_000)));
    }
    text
}
