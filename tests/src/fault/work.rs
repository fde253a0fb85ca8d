//! Allocating in every way.
#![expect(
    unsafe_code,
    reason = "allocates by an allocator that is not the program's own"
)]

use std::{
    alloc::{GlobalAlloc, Layout},
    hint::black_box,
    thread,
    time::Duration,
};

use crate::victim::{Numbers, Site, say};

/// Allocates blocks that stay for ever.
#[inline(never)]
pub(super) fn keep(blocks: usize) -> Site {
    let mut bytes = 0;
    for number in 0..blocks {
        let size = 1 + number * 7 % if number % 50 == 0 { 40_000 } else { 900 };
        std::mem::forget(black_box(vec![number as u8; size]));
        bytes += size;
    }
    Site::new(keep, bytes, blocks)
}

/// Allocates, grows, clears and frees blocks of many sizes; the result depends on every byte of them.
#[inline(never)]
pub(super) fn sum(seed: u64, rounds: usize) -> u64 {
    let mut numbers = Numbers::new(seed + 1);
    let mut held: Vec<Vec<u8>> = Vec::new();
    let mut sum = seed;
    for _ in 0..rounds {
        let most = match numbers.below(40) {
            0 => 60_000,
            1..=5 => 5_000,
            _ => 300,
        };
        let size = 1 + numbers.below(most);
        let place = numbers.below(held.len() + 1);
        match (numbers.below(5), held.get_mut(place)) {
            (0 | 1, _) => held.push(black_box(vec![numbers.draw() as u8; size])),
            (2, _) => held.push(black_box(vec![0; size])),
            (3, Some(block)) => {
                let first = block.first().copied().unwrap_or_default();
                block.resize(size, first);
                block.shrink_to_fit();
            }
            (_, Some(_)) => sum = fold(sum, &held.swap_remove(place)),
            (_, None) => sum = fold(sum, numbers.draw().to_string().as_bytes()),
        }
    }
    held.iter().fold(sum, |sum, block| fold(sum, block))
}

fn fold(sum: u64, bytes: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| sum.rotate_left(5).wrapping_mul(31) ^ u64::from(*byte);
    bytes.iter().fold(sum, step)
}

/// Prints the sums of this thread and of four others.
pub(super) fn say_sums(rounds: usize) {
    say(&format!("alone {:x}", sum(0, rounds)));
    for seed in 1..5 {
        let started = thread::Builder::new().spawn(move || sum(seed, rounds));
        match started.map(thread::JoinHandle::join) {
            Ok(Ok(sum)) => say(&format!("thread {sum:x}")),
            Ok(Err(_)) => say("the thread panicked"),
            Err(error) => say(&format!("no thread: {:?}", error.kind())),
        }
    }
}

/// Starts threads that allocate for as long as the process lives.
pub(super) fn in_background(threads: usize) {
    for seed in 0..threads as u64 {
        thread::spawn(move || {
            loop {
                black_box(sum(seed, 500));
            }
        });
    }
}

/// Allocates in `threads` threads until somebody ends the process.
pub(super) fn until_killed(threads: usize) {
    in_background(threads);
    say("busy");
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// Allocates by `other` and by the program's own allocator in turns, in four threads.
pub(super) fn with_another(other: &(impl GlobalAlloc + Sync), rounds: usize) {
    let work = |seed: u64| {
        let mut numbers = Numbers::new(seed);
        let mut held: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let mut well = true;
        for _ in 0..rounds {
            let most = if numbers.below(9) == 0 { 20_000 } else { 24 };
            let size = 1 + numbers.below(most);
            let Ok(layout) = Layout::array::<u8>(size) else {
                continue;
            };
            // SAFETY: the size is not zero.
            let block = unsafe { other.alloc(layout) };
            let byte = numbers.draw() as u8;
            // SAFETY: the block is of this size.
            unsafe { block.write_bytes(byte, size) };
            held.push((block, layout, byte));
            black_box(vec![byte; 1 + numbers.below(24)]);
            if held.len() > 200 {
                let (block, layout, byte) = held.swap_remove(numbers.below(200));
                // SAFETY: written above, for this length.
                let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
                well &= bytes.iter().all(|other| *other == byte);
                // SAFETY: allocated above with this layout, and taken out of the list.
                unsafe { other.dealloc(block, layout) };
            }
        }
        for (block, layout, _) in held {
            // SAFETY: as above.
            unsafe { other.dealloc(block, layout) };
        }
        well && sum(seed, 500) == sum(seed, 500)
    };
    let well = thread::scope(|scope| {
        let others: Vec<_> = (1..4).map(|seed| scope.spawn(move || work(seed))).collect();
        let own = work(0);
        let others = others
            .into_iter()
            .map(|other| other.join().unwrap_or(false));
        others.fold(own, |well, other| well && other)
    });
    say(&format!("beside another: {well}"));
    say_sums(1_000);
}
