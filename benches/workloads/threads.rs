//! Blocks that another thread frees.

use std::{sync::mpsc, thread};

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
