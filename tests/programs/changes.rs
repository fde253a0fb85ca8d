//! Allocates on request while a thread beside it never stops: for changes of the sampling.
//!
//! On stdin: `keep BLOCKS BYTES` keeps so many blocks more; `cross BYTES` makes one block and frees
//! it. Each is answered with what is kept in all.

use std::{hint::black_box, thread, time::Duration};

use riptide_tests::victim::{Numbers, Site, command, report};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

#[inline(never)]
fn keep(kept: &mut Vec<Box<[u8]>>, blocks: usize, bytes: usize) {
    for _ in 0..blocks {
        kept.push(black_box(vec![1; bytes].into()));
    }
}

/// About 100 MB/s.
fn churn() {
    let mut numbers = Numbers::new(3);
    loop {
        for _ in 0..100 {
            black_box(vec![1_u8; 1 + numbers.below(20_000)]);
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn main() {
    thread::spawn(churn);
    // Room for all, so that the site is blocks alone.
    let mut kept = Vec::with_capacity(1 << 20);
    let mut bytes = 0;
    loop {
        report(&[Site::new(keep, bytes, kept.len())]);
        let Some(line) = command() else { return };
        let mut words = line.split(' ');
        let name = words.next();
        let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
        match name {
            Some("keep") => {
                let (blocks, size) = (number(), number());
                keep(&mut kept, blocks, size);
                bytes += blocks * size;
            }
            Some("cross") => drop(black_box(vec![1_u8; number()])),
            _ => return,
        }
    }
}
