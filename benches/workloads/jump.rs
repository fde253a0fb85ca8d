//! A program whose rate of allocation jumps a hundredfold.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use super::Numbers;

/// Before the jump.
const CALM: Duration = Duration::from_secs(5);

/// Runs for so many seconds: five of them with one block for a stretch of arithmetic, the others
/// with a hundred.
pub(super) fn jump(seconds: u64) -> u64 {
    let start = Instant::now();
    let mut numbers = Numbers(8);
    let mut sum = 0;
    while start.elapsed() < Duration::from_secs(seconds) {
        let blocks = if start.elapsed() < CALM { 1 } else { 100 };
        for _ in 0..100 {
            sum = black_box(stretch(&mut numbers, blocks).wrapping_add(sum));
        }
    }
    // Not the sum, which depends on the machine's speed.
    seconds
}

/// The same by count instead of by the clock, for callgrind: only the calm or only the busy part.
pub(super) fn busy(rounds: u64) -> u64 {
    let mut numbers = Numbers(8);
    for _ in 0..rounds {
        black_box(stretch(&mut numbers, 100));
    }
    rounds
}

#[inline(never)]
fn stretch(numbers: &mut Numbers, blocks: u64) -> u64 {
    let mut sum = 0_u64;
    for _ in 0..2_000 {
        sum = sum.rotate_left(5) ^ numbers.next();
    }
    for _ in 0..blocks {
        let size = 64 + numbers.below(960);
        let block = black_box(Vec::<u8>::with_capacity(
            usize::try_from(size).unwrap_or(64),
        ));
        sum = sum.wrapping_add(block.capacity() as u64);
    }
    sum
}
