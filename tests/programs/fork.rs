//! Forks with live sampled blocks, then parent and child both go on allocating.
//!
//! The child frees, grows and moves blocks that it inherited, does the same work as its parent and
//! prints the same sum. Then it waits as its parent does.
#![expect(unsafe_code, reason = "fork and wait are system calls")]

use std::hint::black_box;

use riptide_tests::victim::{Numbers, Site, argument, report, say, wait};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

#[inline(never)]
fn before_fork(blocks: usize) -> Vec<Vec<u8>> {
    let mut kept = Vec::with_capacity(blocks);
    for number in 0..blocks {
        // Half of them so small that riptide had to make them larger than asked for.
        let size = 1 + number % if number % 2 == 0 { 8 } else { 3_000 };
        kept.push(black_box(vec![number as u8; size]));
    }
    kept
}

#[inline(never)]
fn after_fork(blocks: usize) -> Vec<Vec<u8>> {
    let mut kept = Vec::with_capacity(blocks);
    for number in 0..blocks {
        let size = 1 + number % if number % 2 == 0 { 16 } else { 20_000 };
        kept.push(black_box(vec![number as u8; size]));
    }
    kept
}

/// Work whose result depends on every byte that it allocates.
fn sum() -> u64 {
    let mut numbers = Numbers::new(11);
    let mut words: Vec<String> = Vec::new();
    for _ in 0..2_000 {
        words.push(format!("{:x}", numbers.draw()));
    }
    words.sort();
    words.concat().bytes().fold(7, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    })
}

/// Frees a third of the inherited blocks, grows a third, leaves a third.
fn use_inherited(blocks: &mut Vec<Vec<u8>>) {
    let mut place = 0;
    blocks.retain_mut(|block| {
        place += 1;
        let first = block.first().copied().unwrap_or_default();
        if place % 3 == 1 {
            block.resize(block.len() * 3, first);
            block.shrink_to_fit();
        }
        assert!(block.iter().all(|byte| *byte == first), "a block changed");
        place % 3 != 0
    });
}

/// Bytes of the vectors and of the vector that holds them: both are made in one function.
fn bytes_with_own(kept: &Vec<Vec<u8>>) -> usize {
    let inner: usize = kept.iter().map(Vec::capacity).sum();
    inner + kept.capacity() * size_of::<Vec<u8>>()
}

fn main() {
    let blocks = argument(1, 6_000);
    let mut kept = before_fork(blocks);
    // SAFETY: the program has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        use_inherited(&mut kept);
        let more = after_fork(blocks * 2);
        let bytes: usize = kept.iter().chain(&more).map(Vec::len).sum();
        for (number, block) in more.iter().enumerate() {
            let own = number as u8;
            assert!(block.iter().all(|byte| *byte == own), "a block changed");
        }
        say(&format!("child {} {bytes}", sum()));
        drop(more);
        drop(kept);
        say("child done");
        return;
    }
    let mut status = 0;
    // SAFETY: the status is a plain integer of ours.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    let more = after_fork(blocks);
    say(&format!(
        "parent {} {}",
        sum(),
        waited == child && status == 0
    ));
    report(&[
        Site::new(before_fork, bytes_with_own(&kept), kept.len() + 1),
        Site::new(after_fork, bytes_with_own(&more), more.len() + 1),
    ]);
    wait();
}
