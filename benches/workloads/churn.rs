//! Maps whose entries come and go, in four threads.

use std::{collections::HashMap, thread};

use super::Numbers;

const THREADS: u64 = 4;
const KEYS: u64 = 20_000;

/// A thousand operations in each thread a round.
pub(super) fn churn(rounds: u64) -> u64 {
    let threads: Vec<_> = (0..THREADS)
        .map(|seed| thread::spawn(move || one_thread::<KEYS>(rounds, seed)))
        .collect();
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap_or(0))
        .fold(0, u64::wrapping_add)
}

/// A thousand operations a round on a map of up to `KEYS` entries.
pub(super) fn one_thread<const KEYS: u64>(rounds: u64, seed: u64) -> u64 {
    let mut numbers = Numbers(100 + seed);
    let mut map: HashMap<String, Vec<u8>> = HashMap::new();
    let mut sum = 0_u64;
    for _ in 0..rounds * 1000 {
        let number = numbers.next();
        let key = format!("session/{:08}", number % KEYS);
        if number >> 63 == 0 {
            let size = 16 + (number >> 32 & 511) as usize;
            map.insert(key, vec![number as u8; size]);
        } else if let Some(value) = map.remove(&key) {
            sum = sum.wrapping_add(value.len() as u64);
        }
    }
    sum.wrapping_add(map.len() as u64)
}
