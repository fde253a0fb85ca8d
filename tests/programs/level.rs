//! Holds as much as it is told: for thresholds that are passed by a known figure.
//!
//! On stdin: a number of megabytes (10^6 bytes), which it then holds in blocks of 100,000 bytes. Each
//! is answered with what is held.

use std::hint::black_box;

use riptide_tests::victim::{Site, command, report};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

const BLOCK: usize = 100_000;

#[inline(never)]
fn hold(held: &mut Vec<Box<[u8]>>, blocks: usize) {
    held.truncate(blocks);
    while held.len() < blocks {
        held.push(black_box(vec![1; BLOCK].into()));
    }
}

fn main() {
    // Room for all, so that the site is blocks alone.
    let mut held = Vec::with_capacity(10_000);
    loop {
        report(&[Site::new(hold, held.len() * BLOCK, held.len())]);
        let Some(line) = command() else { return };
        let Ok(megabytes) = line.parse::<usize>() else {
            return;
        };
        hold(&mut held, megabytes * 1_000_000 / BLOCK);
    }
}
