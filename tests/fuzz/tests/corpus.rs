//! The kept corpus of each fuzz target runs through it without a finding, and so does a stretch of
//! random inputs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::{fs, path::Path};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
}

/// Runs the corpus as it is, and then changed in places by chance.
fn run(name: &str, target: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut corpus: Vec<Vec<u8>> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| fs::read(entry.unwrap().path()).unwrap())
        .collect();
    assert!(corpus.len() >= 5, "{}", directory.display());
    corpus.sort();
    for input in &corpus {
        target(input);
    }
    let mut random = Random(1);
    for _ in 0..300 {
        let mut input = corpus[random.next() as usize % corpus.len()].clone();
        for _ in 0..1 + random.next() % 8 {
            if input.is_empty() {
                break;
            }
            let place = random.next() as usize % input.len();
            match random.next() % 4 {
                0 => input.truncate(place),
                1 => input.insert(place, random.next() as u8),
                2 => input[place] = random.next() as u8,
                _ => input[place] ^= 1 << (random.next() % 8),
            }
        }
        target(&input);
    }
}

#[test]
fn region() {
    run("region", riptide_fuzz::region);
}

#[test]
fn snapshot() {
    run("snapshot", riptide_fuzz::snapshot);
}

#[test]
fn recording() {
    run("recording", riptide_fuzz::recording);
}

#[test]
fn configuration() {
    run("configuration", riptide_fuzz::configuration);
}

#[test]
fn filter() {
    run("filter", riptide_fuzz::filter);
}

#[test]
fn http() {
    run("http", riptide_fuzz::http);
}
