//! Allocating and freeing, and nothing else.

use std::hint::black_box;

use super::Numbers;

/// One block of `N` bytes a round.
pub(super) fn pair<const N: usize>(rounds: u64) -> u64 {
    for _ in 0..rounds {
        drop(black_box(Box::<[u8; N]>::new_uninit()));
    }
    rounds
}

/// The same on a block that begins a page, as one in sixty-four does without anybody's doing: where
/// sampled blocks are told by that, each free looks closer.
pub(super) fn pair_on_a_page<const N: usize>(rounds: u64) -> u64 {
    let mut others = Vec::new();
    // Should none come, it is an ordinary pair.
    for _ in 0..10_000 {
        let block = Box::<[u8; N]>::new_uninit();
        if block.as_ptr().addr().is_multiple_of(4096) {
            // The block freed last is the next one given out.
            drop(block);
            break;
        }
        others.push(block);
    }
    pair::<N>(rounds)
}

/// A hundred blocks of `N` bytes a round, all dropped at its end.
pub(super) fn batch<const N: usize>(rounds: u64) -> u64 {
    let mut held: Vec<Vec<u8>> = Vec::with_capacity(100);
    let mut sum = 0_u64;
    for round in 0..rounds {
        for _ in 0..100 {
            let mut block = Vec::with_capacity(N);
            block.push(round as u8);
            held.push(block);
        }
        sum += black_box(&held).len() as u64;
        held.clear();
    }
    sum
}

/// A thousand boxes a round, all dropped at its end.
pub(super) fn boxes(rounds: u64) -> u64 {
    let mut held: Vec<Box<[u64; 8]>> = Vec::with_capacity(1000);
    let mut sum = 0_u64;
    for round in 0..rounds {
        for n in 0..1000 {
            held.push(Box::new([round ^ n; 8]));
        }
        sum = black_box(&held)
            .iter()
            .map(|block| block.last().copied().unwrap_or(0))
            .fold(sum, u64::wrapping_add);
        held.clear();
    }
    sum
}

/// 200 blocks a round whose sizes are spread evenly over the powers of two.
pub(super) fn mixed(rounds: u64) -> u64 {
    let mut numbers = Numbers(1);
    let mut sum = 0;
    let mut held: Vec<Vec<u8>> = Vec::with_capacity(200);
    for _ in 0..rounds {
        for _ in 0..200 {
            let magnitude = 4 + numbers.below(12);
            let size = (1 << magnitude) + numbers.below(1 << magnitude);
            let mut block = Vec::with_capacity(usize::try_from(size).unwrap_or(64));
            block.push(size as u8);
            held.push(block);
        }
        sum += black_box(&held)
            .iter()
            .flatten()
            .map(|byte| u64::from(*byte))
            .sum::<u64>();
        held.clear();
    }
    sum
}

/// One vector a round, filled by small pieces.
pub(super) fn growth(rounds: u64) -> u64 {
    let mut numbers = Numbers(2);
    let piece = black_box([7_u64; 8]);
    let mut sum = 0;
    for _ in 0..rounds {
        let pieces = 16 << numbers.below(9);
        let mut vector: Vec<u64> = Vec::new();
        for _ in 0..pieces {
            vector.extend_from_slice(&piece);
        }
        sum += black_box(&vector).len() as u64;
    }
    sum
}

/// Eleven zeroed blocks a round, one of each power of two.
pub(super) fn zeroed(rounds: u64) -> u64 {
    let mut sum = 0;
    for _ in 0..rounds {
        for magnitude in 6..=16 {
            let block = vec![0_u8; black_box(1 << magnitude)];
            sum += black_box(&block)
                .last()
                .map_or(0, |byte| u64::from(*byte) + 1);
        }
    }
    sum
}

/// A block that moves to another size class once.
pub(super) fn realloc_pair(rounds: u64) -> u64 {
    for _ in 0..rounds {
        let mut block = black_box(Vec::<u8>::with_capacity(64));
        block.extend_from_slice(&[1]);
        block.reserve_exact(1023);
        drop(black_box(block));
    }
    rounds
}

/// A zeroed block.
pub(super) fn zeroed_pair(rounds: u64) -> u64 {
    for _ in 0..rounds {
        drop(black_box(vec![0_u8; 256]));
    }
    rounds
}
