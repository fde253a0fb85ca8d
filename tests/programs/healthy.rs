//! Programs that look as if they leaked, each real code that does the thing.
//!
//! `victim-healthy SCENARIO [KIB_PER_SECOND]` runs until the end of stdin; it prints the function that
//! may be suspected.

use std::{
    collections::{HashMap, VecDeque},
    process::ExitCode,
};

use riptide_tests::victim::{Numbers, argument, every_tick, say};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

const BLOCK: usize = 2_000;

#[inline(never)]
fn warm_up(cache: &mut HashMap<usize, Vec<u8>>, requests: usize, numbers: &mut Numbers) {
    // Uniform keys: the misses fall off as the cache fills.
    for _ in 0..requests {
        let key = numbers.below(20_000);
        cache.entry(key).or_insert_with(|| vec![1; BLOCK]);
    }
}

#[inline(never)]
fn history(ring: &mut VecDeque<Vec<u8>>, blocks: usize, capacity: usize) {
    for _ in 0..blocks {
        if ring.len() >= capacity {
            ring.pop_front();
        }
        ring.push_back(vec![2; BLOCK]);
    }
}

#[inline(never)]
fn batch(work: &mut Vec<Vec<u8>>, blocks: usize) {
    for _ in 0..blocks {
        work.push(vec![3; BLOCK]);
    }
}

#[inline(never)]
fn init(tables: &mut Vec<Vec<u8>>) {
    for _ in 0..20_000 {
        tables.push(vec![4; BLOCK]);
    }
}

#[inline(never)]
fn sessions(open: &mut Vec<(u64, Vec<u8>)>, now: u64, blocks: usize, numbers: &mut Numbers) {
    open.retain(|(until, _)| *until > now);
    for _ in 0..blocks {
        // Up to twenty seconds, in hundredths.
        let until = now + numbers.below(2_000) as u64;
        open.push((until, vec![5; BLOCK]));
    }
}

#[inline(never)]
fn growing_vector(samples: &mut Vec<u64>, count: usize, most: usize) {
    for number in 0..count {
        if samples.len() < most {
            samples.push(number as u64);
        }
    }
}

fn main() -> ExitCode {
    let scenario = std::env::args().nth(1).unwrap_or_default();
    let rate = argument(2, 2_048) * 1_024;
    let function = match scenario.as_str() {
        "warm-up" => "warm_up",
        "history" => "history",
        "sawtooth" => "batch",
        "late-init" => "init",
        "sessions" => "sessions",
        "doubling" => "growing_vector",
        other => {
            eprintln!("no scenario {other:?}");
            return ExitCode::from(2);
        }
    };
    say(&serde_json::json!({ "function": format!("victim_healthy::{function}") }).to_string());
    let mut numbers = Numbers::new(9);
    let mut cache = HashMap::new();
    let mut ring = VecDeque::new();
    let mut work = Vec::new();
    let mut open = Vec::new();
    let mut samples = Vec::new();
    every_tick(|tick, seconds| {
        let blocks = (rate as f64 * seconds / BLOCK as f64).round() as usize;
        match scenario.as_str() {
            "warm-up" => warm_up(&mut cache, blocks, &mut numbers),
            // Full after thirty seconds.
            "history" => history(&mut ring, blocks, 30 * rate / BLOCK),
            "sawtooth" => {
                if tick.is_multiple_of(1_500) {
                    work = Vec::new();
                }
                batch(&mut work, blocks);
            }
            "late-init" => {
                if tick == 2_000 {
                    init(&mut work);
                }
            }
            "sessions" => sessions(&mut open, tick, blocks, &mut numbers),
            _ => growing_vector(&mut samples, rate / 800, 4 * rate),
        }
    });
    ExitCode::SUCCESS
}
