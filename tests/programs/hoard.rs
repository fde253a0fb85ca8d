//! Leaks until the kernel kills it, and says after each step how much it holds.
//!
//! `victim-hoard [KIB_A_STEP]`; its lines are numbers of bytes.

use std::{hint::black_box, thread, time::Duration};

use riptide_tests::victim::{argument, say};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

const BLOCK: usize = 8_000;

#[inline(never)]
fn hoard(blocks: usize) {
    for _ in 0..blocks {
        // Written to, so that it is resident.
        std::mem::forget(black_box(vec![1_u8; BLOCK]));
    }
}

fn main() {
    let blocks = argument(1, 512) * 1_024 / BLOCK;
    let mut held = 0;
    loop {
        hoard(blocks);
        held += blocks * BLOCK;
        say(&held.to_string());
        thread::sleep(Duration::from_millis(5));
    }
}
