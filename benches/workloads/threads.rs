//! Many threads: blocks that another thread frees, and the same work split among more and more.

use std::{sync::mpsc, thread};

use super::{churn, malloc};

/// Batches of 256 boxes go from one thread to another, one batch a round.
pub(super) fn remote_free(rounds: u64) -> u64 {
    let (sender, receiver) = mpsc::sync_channel::<Vec<Box<[u64; 8]>>>(16);
    let consumer = thread::spawn(move || {
        receiver
            .into_iter()
            .map(|batch| {
                batch
                    .iter()
                    .map(|block| block.last().copied().unwrap_or(0))
                    .fold(0, u64::wrapping_add)
            })
            .fold(0, u64::wrapping_add)
    });
    for round in 0..rounds {
        let batch = (0..256).map(|n| Box::new([round + n; 8])).collect();
        if sender.send(batch).is_err() {
            break;
        }
    }
    drop(sender);
    consumer.join().unwrap_or(0)
}

/// Map operations, a thousand a round, split among `N` threads.
pub(super) fn maps<const N: u64>(rounds: u64) -> u64 {
    split::<N>(rounds, churn::one_thread::<2_000>)
}

/// Pairs of 64 B, ten thousand a round, split among `N` threads.
pub(super) fn pairs<const N: u64>(rounds: u64) -> u64 {
    split::<N>(rounds, |rounds, _| malloc::pair::<64>(rounds * 10_000))
}

/// Batches of a thousand boxes, split among `N` threads.
pub(super) fn boxes<const N: u64>(rounds: u64) -> u64 {
    split::<N>(rounds, |rounds, _| malloc::boxes(rounds))
}

fn split<const N: u64>(rounds: u64, work: fn(u64, u64) -> u64) -> u64 {
    let threads: Vec<_> = (0..N)
        .map(|number| {
            let rounds = rounds / N + u64::from(number < rounds % N);
            thread::spawn(move || work(rounds, number))
        })
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap_or(0))
        .fold(0, u64::wrapping_add)
}
