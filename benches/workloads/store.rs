//! A key-value store whose entries expire: values of many sizes, written, read, extended, removed.

use std::{
    collections::{HashMap, VecDeque},
    hint::black_box,
};

use super::Numbers;

const KEYS: u64 = 20_000;
/// Writes after which an entry is removed, unless it was written again.
const AGE: u64 = 15_000;

struct Entry {
    value: Vec<u8>,
    written: u64,
}

/// A thousand operations a round, in one thread.
pub(super) fn churn(rounds: u64) -> u64 {
    let mut numbers = Numbers(7);
    let mut entries: HashMap<String, Entry> = HashMap::new();
    let mut by_age: VecDeque<(u64, String)> = VecDeque::new();
    let mut sum = 0_u64;
    for written in 0..rounds * 1000 {
        let number = numbers.next();
        let key = format!("user/{}/cart", number % KEYS);
        match number >> 60 {
            // Read, as a server does: a copy goes out.
            0..=7 => {
                if let Some(entry) = entries.get(&key) {
                    let copy = black_box(entry.value.clone());
                    sum = sum.wrapping_add(copy.len() as u64);
                }
            }
            8..=12 => {
                // From 16 B to 2 KiB, evenly over the powers of two.
                let magnitude = 4 + numbers.below(7);
                let size = (1 << magnitude) + numbers.below(1 << magnitude);
                let value = vec![number as u8; usize::try_from(size).unwrap_or(16)];
                by_age.push_back((written, key.clone()));
                entries.insert(key, Entry { value, written });
            }
            13 | 14 => {
                if let Some(entry) = entries.get_mut(&key) {
                    entry.value.extend_from_slice(&number.to_le_bytes());
                }
            }
            _ => {
                entries.remove(&key);
            }
        }
        while let Some((age, _)) = by_age.front()
            && age + AGE < written
            && let Some((age, key)) = by_age.pop_front()
        {
            if entries.get(&key).is_some_and(|entry| entry.written == age) {
                entries.remove(&key);
            }
        }
    }
    sum.wrapping_add(entries.len() as u64)
}
