//! One kind of waste, or the same work as the advice against it has it: `victim-waste KIND
//! wasteful|follows`.
//!
//! It prints a line when it is set up, and then for each command what it has allocated by its own
//! count: bytes as jemalloc counts them on the working thread, and blocks by arithmetic.

use std::{
    collections::VecDeque,
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use riptide_tests::victim::{command, say};
use tikv_jemalloc_ctl::thread::allocatedp;

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

const MIB: usize = 1 << 20;

/// What the working thread has allocated so far.
#[derive(Default)]
struct Work {
    bytes: AtomicU64,
    blocks: AtomicU64,
}

/// Runs `round` every millisecond, for ever; it says how many blocks it has allocated.
fn every_millisecond(work: &Arc<Work>, mut round: impl FnMut() -> u64 + Send + 'static) {
    let work = Arc::clone(work);
    thread::spawn(move || {
        let allocated = allocatedp::read().ok();
        let mut due = Instant::now();
        loop {
            let blocks = round();
            work.blocks.fetch_add(blocks, Relaxed);
            if let Some(allocated) = allocated {
                work.bytes.store(allocated.get(), Relaxed);
            }
            due += Duration::from_millis(1);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    });
}

/// A little of everything, none of it wasted: so that the program is not silent.
fn background() -> impl FnMut() -> u64 + Send {
    let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
    move || {
        kept.push_back(black_box(vec![1; 8_192]));
        if kept.len() > 2_000 {
            kept.pop_front();
        }
        1
    }
}

#[inline(never)]
fn above_a_class(size: usize) -> Vec<Box<[u8]>> {
    (0..20_000)
        .map(|_| vec![1_u8; size].into_boxed_slice())
        .collect()
}

#[inline(never)]
fn build(capacity: usize) -> Vec<u64> {
    let mut vec = Vec::with_capacity(capacity);
    for number in 0..16_384 {
        vec.push(black_box(number));
    }
    vec
}

#[inline(never)]
fn temporary() -> Vec<u8> {
    black_box(vec![1; 1_024])
}

/// Blocks of which every sixteenth stays, in slabs that it shares with the others or not.
#[inline(never)]
fn survivors(shared: bool) -> Vec<Box<[u8]>> {
    let block = |number: usize| vec![number as u8; 512].into_boxed_slice();
    let mut all: Vec<Box<[u8]>> = (0..200_000).map(block).collect();
    let mut number = 0;
    all.retain(|_| {
        number += 1;
        number % 16 == 1
    });
    all.shrink_to_fit();
    if shared {
        return all;
    }
    // Into one buffer first: new blocks would fill the holes of the batch, and keep it.
    let packed: Vec<u8> = all.iter().flat_map(|block| block.iter().copied()).collect();
    drop(all);
    packed.chunks(512).map(Box::from).collect()
}

/// Uses much memory for a moment.
#[inline(never)]
fn burst(mib: usize, times: usize) {
    for _ in 0..times {
        let blocks: Vec<Vec<u8>> = (0..mib * 16).map(|_| vec![1; MIB / 16]).collect();
        black_box(&blocks);
    }
}

/// Threads whose caches are as full as they get, and which then have nothing to do.
fn fill_caches(threads: usize) -> Vec<mpsc::Sender<()>> {
    let (ready, all_ready) = mpsc::channel();
    let stops: Vec<_> = (0..threads)
        .map(|_| {
            let (stop, stopped) = mpsc::channel::<()>();
            let ready = ready.clone();
            thread::spawn(move || {
                for size in [16_384, 20_480, 24_576, 28_672, 32_768] {
                    drop(black_box(
                        (0..16).map(|_| vec![1_u8; size]).collect::<Vec<_>>(),
                    ));
                }
                let _ = ready.send(());
                let _ = stopped.recv();
            });
            stop
        })
        .collect();
    for _ in 0..threads {
        let _ = all_ready.recv();
    }
    stops
}

fn main() {
    let kind = std::env::args().nth(1).unwrap_or_default();
    let wasteful = std::env::args().nth(2).as_deref() == Some("wasteful");
    let work = Arc::new(Work::default());
    let mut blocks = Vec::new();
    let mut boxes = Vec::new();
    let mut stops = Vec::new();
    match kind.as_str() {
        "size-class" => blocks = above_a_class(if wasteful { 4_097 } else { 4_096 }),
        "growing-buffers" => every_millisecond(&work, move || {
            black_box(build(if wasteful { 0 } else { 16_384 }));
            1
        }),
        "short-lived" => {
            let mut buffer = Vec::new();
            every_millisecond(&work, move || {
                for _ in 0..50 {
                    if wasteful {
                        drop(temporary());
                    } else {
                        buffer.clear();
                        buffer.resize(1_024, 1_u8);
                        black_box(&buffer);
                    }
                }
                if wasteful { 50 } else { 0 }
            });
        }
        "fragmentation" => boxes = survivors(wasteful),
        "burst" => {
            if wasteful {
                burst(240, 1);
            } else {
                burst(24, 10);
            }
        }
        // These two depend on the options of jemalloc alone.
        "dirty-pages" => {
            // The thread stays: the pages of an arena without threads are given back at once.
            let (ready, all_ready) = mpsc::channel();
            let (stop, stopped) = mpsc::channel::<()>();
            thread::spawn(move || {
                burst(64, 1);
                let _ = ready.send(());
                let _ = stopped.recv();
            });
            let _ = all_ready.recv();
            stops.push(stop);
        }
        "thread-caches" => stops = fill_caches(32),
        _ => {}
    }
    every_millisecond(&Arc::new(Work::default()), background());
    say("ready");
    while command().is_some() {
        let (bytes, blocks) = (work.bytes.load(Relaxed), work.blocks.load(Relaxed));
        say(&serde_json::json!({ "bytes": bytes, "blocks": blocks }).to_string());
    }
    black_box((&blocks, &boxes, &stops));
}
