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
const TICKS_PER_SECOND: u64 = 100;

type Block = Vec<u8>;

/// Does a tick's work: its number, and the blocks that are due at the rate asked for.
type Work = Box<dyn FnMut(u64, usize)>;

/// Asks a cache for keys, and puts in what it has not.
#[inline(never)]
fn look_up(cache: &mut HashMap<usize, Block>, requests: usize, key: &mut dyn FnMut() -> usize) {
    for _ in 0..requests {
        cache.entry(key()).or_insert_with(|| vec![1; BLOCK]);
    }
}

/// A ring of the last blocks.
#[inline(never)]
fn history(ring: &mut VecDeque<Block>, blocks: usize, capacity: usize) {
    for _ in 0..blocks {
        if ring.len() >= capacity {
            ring.pop_front();
        }
        ring.push_back(vec![2; BLOCK]);
    }
}

/// Collects work until the caller throws it away.
#[inline(never)]
fn batch(work: &mut Vec<Block>, blocks: usize) {
    for _ in 0..blocks {
        work.push(vec![3; BLOCK]);
    }
}

#[inline(never)]
fn init(tables: &mut Vec<Block>, blocks: usize) {
    for _ in 0..blocks {
        tables.push(vec![4; BLOCK]);
    }
}

/// Opens sessions that end by themselves after the ticks that `length` draws.
#[inline(never)]
fn sessions(
    open: &mut Vec<(u64, Block)>,
    now: u64,
    blocks: usize,
    length: &mut dyn FnMut() -> u64,
) {
    open.retain(|(until, _)| *until > now);
    for _ in 0..blocks {
        open.push((now + length(), vec![5; BLOCK]));
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

/// A cache that drops what was used longest ago.
#[inline(never)]
fn lru(
    cache: &mut HashMap<usize, (u64, Block)>,
    order: &mut VecDeque<(usize, u64)>,
    key: usize,
    use_number: u64,
) {
    let entry = cache.entry(key).or_insert_with(|| (0, vec![6; BLOCK]));
    entry.0 = use_number;
    order.push_back((key, use_number));
    while cache.len() > 5_000 {
        let Some((oldest, number)) = order.pop_front() else {
            return;
        };
        // Otherwise it was used again since.
        if cache.get(&oldest).is_some_and(|(last, _)| *last == number) {
            cache.remove(&oldest);
        }
    }
    if order.len() > 4 * cache.len() {
        order.retain(|(key, number)| cache.get(key).is_some_and(|(last, _)| last == number));
    }
}

/// A cache that drops anything when it is full.
#[inline(never)]
fn put(slots: &mut [Option<Block>], place: usize) {
    if let Some(slot) = slots.get_mut(place) {
        *slot = Some(vec![7; BLOCK]);
    }
}

/// Chunks of an arena, which is emptied at once and keeps its first chunks.
#[inline(never)]
fn arena(chunks: &mut Vec<Box<[u8]>>, used: &mut usize, bytes: usize) {
    *used += bytes;
    while chunks.len() * 65_536 < *used {
        chunks.push(vec![8; 65_536].into_boxed_slice());
    }
}

/// Input buffers, each of which grows to what its client sends.
#[inline(never)]
fn read(buffers: &mut [Vec<u8>], client: usize, length: usize) {
    if let Some(buffer) = buffers.get_mut(client) {
        buffer.clear();
        buffer.resize(length, 9);
    }
}

/// A pool that connects when it must, and now and then replaces a connection.
#[inline(never)]
fn connect(pool: &mut Vec<[Block; 4]>, most: usize, place: usize) {
    let connection = || [(); 4].map(|()| vec![10; BLOCK]);
    if pool.len() < most {
        pool.push(connection());
    } else if let Some(old) = pool.get_mut(place) {
        *old = connection();
    }
}

/// A number of (0, 1].
fn share(numbers: &mut Numbers) -> f64 {
    (numbers.below(1_000_000) + 1) as f64 / 1e6
}

/// The function that may be suspected, and the work.
fn scenario(name: &str, rate: usize) -> Option<(&'static str, Work)> {
    let mut numbers = Numbers::new(9);
    let per_second = rate / BLOCK;
    let mut kept = Vec::new();
    let mut cache = HashMap::new();
    let mut ring = VecDeque::new();
    let mut open = Vec::new();
    let seconds = |ticks: u64| ticks as f64 / TICKS_PER_SECOND as f64;
    Some(match name {
        // The misses fall off as the cache fills.
        "warm-up" => (
            "look_up",
            Box::new(move |_, blocks| look_up(&mut cache, blocks, &mut || numbers.below(20_000))),
        ),
        "warm-up-skewed" => (
            "look_up",
            Box::new(move |_, blocks| {
                let mut key = || numbers.below(1_000) * numbers.below(1_000) / 25;
                look_up(&mut cache, blocks, &mut key);
            }),
        ),
        // Every request has a key of its own until there are no more.
        "filling" => {
            let mut number = 0;
            (
                "look_up",
                Box::new(move |_, blocks| {
                    let mut key = || {
                        number = (number + 1) % (25 * per_second);
                        number
                    };
                    look_up(&mut cache, blocks, &mut key);
                }),
            )
        }
        "history" => (
            "history",
            Box::new(move |_, blocks| history(&mut ring, blocks, 30 * per_second)),
        ),
        "lru" => {
            let mut order = VecDeque::new();
            let mut uses = 0;
            let mut cache = HashMap::new();
            (
                "lru",
                Box::new(move |_, blocks| {
                    for _ in 0..blocks {
                        uses += 1;
                        lru(&mut cache, &mut order, numbers.below(50_000), uses);
                    }
                }),
            )
        }
        "random-eviction" => {
            let mut slots = vec![None; 8_000];
            (
                "put",
                Box::new(move |_, blocks| {
                    for _ in 0..blocks {
                        put(&mut slots, numbers.below(8_000));
                    }
                }),
            )
        }
        "sawtooth" | "short-sawtooth" => {
            let period = if name == "sawtooth" { 1_500 } else { 200 };
            (
                "batch",
                Box::new(move |tick, blocks| {
                    if tick.is_multiple_of(period) {
                        kept = Vec::new();
                    }
                    batch(&mut kept, blocks);
                }),
            )
        }
        // What is in flight follows the load, which rises for thirty seconds.
        "load-ramp" => (
            "sessions",
            Box::new(move |tick, blocks| {
                let load = (seconds(tick) / 30.0).min(1.0);
                let blocks = (blocks as f64 * load) as usize;
                sessions(&mut open, tick, blocks, &mut || 200);
            }),
        ),
        // A day in forty seconds.
        "day" => (
            "sessions",
            Box::new(move |tick, blocks| {
                let load = 0.55 - 0.45 * (seconds(tick) / 40.0 * std::f64::consts::TAU).cos();
                let blocks = (blocks as f64 * load) as usize;
                sessions(&mut open, tick, blocks, &mut || 200);
            }),
        ),
        "late-init" | "three-inits" => {
            let times = if name == "late-init" { 1 } else { 3 };
            (
                "init",
                Box::new(move |tick, _| {
                    if (1..=times).any(|time| tick == time * 4_000 / (times + 1)) {
                        init(&mut kept, 20_000);
                    }
                }),
            )
        }
        "sessions" => (
            "sessions",
            Box::new(move |tick, blocks| {
                sessions(&mut open, tick, blocks, &mut || numbers.below(2_000) as u64);
            }),
        ),
        "sessions-exponential" => (
            "sessions",
            Box::new(move |tick, blocks| {
                let mut length = || (-500.0 * share(&mut numbers).ln()) as u64;
                sessions(&mut open, tick, blocks, &mut length);
            }),
        ),
        "heavy-tailed" => (
            "sessions",
            Box::new(move |tick, blocks| {
                // Pareto, from a tenth of a second.
                let mut length = || (10.0 * share(&mut numbers).powf(-0.7)) as u64;
                sessions(&mut open, tick, blocks, &mut length);
            }),
        ),
        "time-to-live" => (
            "sessions",
            Box::new(move |tick, blocks| sessions(&mut open, tick, blocks, &mut || 1_000)),
        ),
        "arena" => {
            let (mut chunks, mut used) = (Vec::new(), 0);
            (
                "arena",
                Box::new(move |tick, blocks| {
                    if tick.is_multiple_of(500) {
                        chunks.truncate(16);
                        used = 0;
                    }
                    arena(&mut chunks, &mut used, blocks * BLOCK);
                }),
            )
        }
        "doubling" => {
            let mut samples = Vec::new();
            (
                "growing_vector",
                Box::new(move |_, _| growing_vector(&mut samples, rate / 800, 4 * rate)),
            )
        }
        "doubling-anew" => {
            let mut samples = Vec::new();
            (
                "growing_vector",
                Box::new(move |tick, _| {
                    if tick.is_multiple_of(1_000) {
                        samples = Vec::new();
                    }
                    growing_vector(&mut samples, rate / 800, 4 * rate);
                }),
            )
        }
        "buffers" => {
            let mut buffers = vec![Vec::new(); 500];
            (
                "read",
                Box::new(move |_, blocks| {
                    for _ in 0..blocks.div_ceil(10) {
                        let length = (2_000.0 / share(&mut numbers)) as usize;
                        read(&mut buffers, numbers.below(500), length.min(100_000));
                    }
                }),
            )
        }
        "pool" => {
            let mut pool = Vec::new();
            (
                "connect",
                Box::new(move |tick, _| {
                    if tick.is_multiple_of(5) {
                        connect(&mut pool, 300, numbers.below(300));
                    }
                }),
            )
        }
        "churn" => (
            "batch",
            Box::new(move |_, blocks| {
                batch(&mut kept, blocks);
                kept.clear();
            }),
        ),
        _ => return None,
    })
}

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    let rate = argument(2, 2_048) * 1_024;
    let Some((function, mut work)) = scenario(&name, rate) else {
        eprintln!("no scenario {name:?}");
        return ExitCode::from(2);
    };
    say(&serde_json::json!({ "function": format!("victim_healthy::{function}") }).to_string());
    every_tick(|tick, seconds| {
        let blocks = (rate as f64 * seconds / BLOCK as f64).round() as usize;
        work(tick, blocks);
    });
    ExitCode::SUCCESS
}
