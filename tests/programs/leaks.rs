//! Leaks of different kinds, each real code that does the thing, at a known rate.
//!
//! `victim-leaks SCENARIO [KIB_PER_SECOND]` runs until the end of stdin; it prints the function that
//! leaks.

use std::{
    cell::RefCell,
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    process::ExitCode,
    rc::Rc,
    sync::mpsc::{Sender, channel},
};

use riptide_tests::victim::{Numbers, argument, every_tick, say};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

/// A node of a cycle.
struct Node {
    next: RefCell<Option<Rc<Node>>>,
    payload: [u64; 28],
}

#[inline(never)]
fn rc_cycle(bytes: usize) {
    for number in 0..bytes / 512 {
        let one = Rc::new(Node {
            next: RefCell::new(None),
            payload: [number as u64; 28],
        });
        let other = Rc::new(Node {
            next: RefCell::new(Some(Rc::clone(&one))),
            payload: one.payload,
        });
        *one.next.borrow_mut() = Some(other);
    }
}

#[inline(never)]
fn forgotten_entries(map: &mut HashMap<u64, Vec<u8>>, bytes: usize, numbers: &mut Numbers) {
    for _ in 0..bytes / 400 {
        let key = numbers.draw();
        map.insert(key, vec![1; 400]);
        // Answers come for one request in two only; the others are never taken out.
        let answered = numbers.draw();
        map.insert(answered, vec![2; 400]);
        map.remove(&answered);
    }
}

#[inline(never)]
fn unbounded_channel(sender: &Sender<Box<[u8]>>, bytes: usize) {
    for _ in 0..bytes / 1_000 {
        // The receiver is slower than the sender: it never receives at all.
        let _ = sender.send(vec![3; 1_000].into_boxed_slice());
    }
}

#[inline(never)]
fn never_joined(tasks: &mut Vec<Box<dyn FnOnce() -> usize>>, bytes: usize) {
    for _ in 0..bytes / 800 {
        let state = vec![4_u8; 800];
        tasks.push(Box::new(move || state.len()));
    }
}

thread_local! {
    static SEEN: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

#[inline(never)]
fn thread_local_growth(bytes: usize) {
    SEEN.with_borrow_mut(|seen| {
        for _ in 0..bytes / 256 {
            seen.push(vec![5; 256].into_boxed_slice());
        }
    });
}

#[inline(never)]
fn interner(names: &mut HashMap<String, u32>, bytes: usize, numbers: &mut Numbers) {
    for _ in 0..bytes / 96 {
        let name = format!("{:096}", numbers.draw());
        let id = names.len() as u32;
        names.entry(name).or_insert(id);
    }
}

#[inline(never)]
fn mem_forget(bytes: usize) {
    std::mem::forget(vec![6_u8; bytes]);
}

#[inline(never)]
fn log_buffer(log: &mut Vec<u8>, bytes: usize) {
    // One vector that doubles: a flat number of blocks.
    for _ in 0..bytes / 100 {
        log.extend_from_slice(&[b'x'; 100]);
    }
}

#[inline(never)]
fn large_rare(blocks: &mut Vec<Vec<u8>>, bytes: usize) {
    blocks.push(vec![7; bytes]);
}

#[inline(never)]
fn realloc_chain(chains: &mut Vec<Vec<u8>>, bytes: usize) {
    // Messages that come in pieces of 200 bytes, are whole at 8 KB, and are never dropped.
    for _ in 0..bytes / 200 {
        if chains.last().is_none_or(|chain| chain.len() >= 8_000) {
            chains.push(Vec::new());
        }
        if let Some(chain) = chains.last_mut() {
            chain.extend_from_slice(&[8; 200]);
        }
    }
}

/// Keeps a block that was asked for by one of fifty callers.
#[inline(never)]
fn keep(kept: &mut Vec<Box<[u8]>>) {
    kept.push(vec![9; 500].into_boxed_slice());
}

#[inline(never)]
fn caller<const NUMBER: usize>(kept: &mut Vec<Box<[u8]>>) -> usize {
    keep(kept);
    // So that the compiler does not make one function of all.
    std::hint::black_box(NUMBER)
}

macro_rules! callers {
    ($($tens:literal)*) => {
        [$(
            caller::<{ $tens * 10 }>, caller::<{ $tens * 10 + 1 }>, caller::<{ $tens * 10 + 2 }>,
            caller::<{ $tens * 10 + 3 }>, caller::<{ $tens * 10 + 4 }>, caller::<{ $tens * 10 + 5 }>,
            caller::<{ $tens * 10 + 6 }>, caller::<{ $tens * 10 + 7 }>, caller::<{ $tens * 10 + 8 }>,
            caller::<{ $tens * 10 + 9 }>,
        )*]
    };
}

type Caller = fn(&mut Vec<Box<[u8]>>) -> usize;

const CALLERS: [Caller; 50] = callers!(0 1 2 3 4);

fn spread(kept: &mut Vec<Box<[u8]>>, bytes: usize, numbers: &mut Numbers) {
    for _ in 0..bytes / 500 {
        if let Some(caller) = CALLERS.get(numbers.below(CALLERS.len())) {
            caller(kept);
        }
    }
}

/// Work that leaves nothing behind: messages that are written, read and dropped.
#[inline(never)]
fn churn(bytes: usize) -> u64 {
    let mut sum = 0;
    for number in 0..bytes / 4_096 {
        let message = std::hint::black_box(vec![number as u8; 4_096]);
        let mut hasher = DefaultHasher::new();
        message.hash(&mut hasher);
        sum ^= hasher.finish();
    }
    sum
}

fn main() -> ExitCode {
    let scenario = std::env::args().nth(1).unwrap_or_default();
    let rate = argument(2, 2_048) * 1_024;
    let mut numbers = Numbers::new(7);
    let mut map = HashMap::new();
    let mut names = HashMap::new();
    let mut tasks: Vec<Box<dyn FnOnce() -> usize>> = Vec::new();
    let mut blocks = Vec::new();
    let mut log = Vec::new();
    let (mut chains, mut kept) = (Vec::new(), Vec::new());
    let (sender, receiver) = channel();
    let function = match scenario.as_str() {
        "rc-cycle" => "rc_cycle",
        "forgotten-entries" => "forgotten_entries",
        "unbounded-channel" => "unbounded_channel",
        "never-joined" => "never_joined",
        "thread-local" => "thread_local_growth",
        "interner" => "interner",
        "mem-forget" => "mem_forget",
        "log-buffer" => "log_buffer",
        "large-rare" => "large_rare",
        "realloc-chain" => "realloc_chain",
        "spread" => "keep",
        "slow-under-churn" => "mem_forget",
        other => {
            eprintln!("no scenario {other:?}");
            return ExitCode::from(2);
        }
    };
    say(&serde_json::json!({ "function": format!("victim_leaks::{function}") }).to_string());
    let mut owed = 0;
    every_tick(|tick, seconds| {
        let bytes = (rate as f64 * seconds) as usize;
        match scenario.as_str() {
            "rc-cycle" => rc_cycle(bytes),
            "forgotten-entries" => forgotten_entries(&mut map, bytes, &mut numbers),
            "unbounded-channel" => unbounded_channel(&sender, bytes),
            "never-joined" => never_joined(&mut tasks, bytes),
            "thread-local" => thread_local_growth(bytes),
            "interner" => interner(&mut names, bytes, &mut numbers),
            "mem-forget" => mem_forget(bytes),
            "log-buffer" => log_buffer(&mut log, bytes),
            "realloc-chain" => realloc_chain(&mut chains, bytes),
            "spread" => spread(&mut kept, bytes, &mut numbers),
            "large-rare" => {
                owed += bytes;
                if tick.is_multiple_of(100) {
                    large_rare(&mut blocks, owed);
                    owed = 0;
                }
            }
            _ => {
                std::hint::black_box(churn((500_000_000.0 * seconds) as usize));
                owed += bytes;
                if owed >= 2_048 {
                    mem_forget(owed);
                    owed = 0;
                }
            }
        }
    });
    drop(receiver);
    // On its way out it tidies up for some seconds.
    while !tasks.is_empty() {
        tasks.truncate(tasks.len() * 3 / 4);
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    ExitCode::SUCCESS
}
