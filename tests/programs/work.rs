//! Works as fast as it can: strings, vectors and a map, allocated and freed, a few kept.
//!
//! On stdin: `count` is answered with the rounds done so far, and the CPU time that they took.

use std::{
    collections::HashMap,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use riptide_tests::victim::{Numbers, command, say};
use rustix::time::{ClockId, clock_gettime};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

#[inline(never)]
fn round(kept: &mut HashMap<usize, Vec<String>>, numbers: &mut Numbers) {
    for _ in 0..100 {
        let key = numbers.below(5_000);
        let words = (0..8).map(|word| format!("word {word} of {key}"));
        kept.insert(key, words.collect());
        black_box(kept.get(&numbers.below(5_000)));
    }
}

fn main() {
    let rounds = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&rounds);
    thread::spawn(move || {
        let mut kept = HashMap::new();
        let mut numbers = Numbers::new(5);
        loop {
            round(&mut kept, &mut numbers);
            // Relaxed: a figure on its own.
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    say("ready");
    while command().is_some() {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let seconds = time.tv_sec as f64 + time.tv_nsec as f64 / 1e9;
        let document = serde_json::json!({
            "rounds": rounds.load(Ordering::Relaxed),
            "cpu_seconds": seconds,
        });
        say(&document.to_string());
    }
}
