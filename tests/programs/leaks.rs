//! Leaks of different kinds, each real code that does the thing, at a known rate.
//!
//! `victim-leaks SCENARIO [KIB_PER_SECOND]` runs until the end of stdin; it prints the function that
//! leaks.

use std::{
    cell::RefCell,
    collections::HashMap,
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

/// Work that leaves nothing behind.
#[inline(never)]
fn churn(bytes: usize) -> usize {
    let mut sum = 0;
    for number in 0..bytes / 4_096 {
        let block = std::hint::black_box(vec![number as u8; 4_096]);
        sum += block.len();
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
    ExitCode::SUCCESS
}
