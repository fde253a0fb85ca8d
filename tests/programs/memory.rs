//! Memory of every kind: one kind a mode, of a size that the program knows.
//!
//! It prints what it holds, in bytes, by its own arithmetic: `heap` through the allocator,
//! `allocated` as jemalloc counts it, `c_heap` through the C library's `malloc`, `mapped` in files, `stacks` touched by threads.
#![expect(unsafe_code, reason = "calls the C library's malloc")]

use std::{fs, hint::black_box, io::Write, sync::mpsc, thread};

use riptide_tests::victim::{Numbers, argument, say, wait};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

const MIB: usize = 1 << 20;

/// What the program holds.
#[derive(Default)]
struct Held {
    heap: usize,
    c_heap: usize,
    mapped: usize,
    stacks: usize,
}

impl Held {
    fn report(&self) {
        let allocated = tikv_jemalloc_ctl::epoch::advance()
            .and_then(|_| tikv_jemalloc_ctl::stats::allocated::read())
            .ok();
        let line = serde_json::json!({
            "allocated": allocated,
            "heap": self.heap,
            "c_heap": self.c_heap,
            "mapped": self.mapped,
            "stacks": self.stacks,
        });
        say(&line.to_string());
    }
}

/// Blocks of mixed sizes, each page of them written.
fn plain(mib: usize, held: &mut Held) -> Vec<Vec<u8>> {
    let mut numbers = Numbers::new(7);
    let mut blocks = Vec::new();
    while held.heap < mib * MIB {
        let size = match numbers.below(10) {
            0..=6 => 16 + numbers.below(1_000),
            7..=8 => 1_000 + numbers.below(30_000),
            _ => 30_000 + numbers.below(300_000),
        };
        blocks.push(vec![numbers.draw() as u8 | 1; size]);
        held.heap += size;
    }
    blocks
}

/// Small blocks and one large one of the C library.
fn c_library(mib: usize, held: &mut Held) {
    let mut take = |size: usize| {
        // SAFETY: any size may be asked for.
        let block: *mut u8 = black_box(unsafe { libc::malloc(size) }).cast();
        if !block.is_null() {
            // SAFETY: the block is as long as was asked for, and stays for ever.
            unsafe { block.write_bytes(7, size) };
            held.c_heap += size;
        }
    };
    for _ in 0..mib * MIB / 2 / 1_000 {
        take(1_000);
    }
    take(mib * MIB / 2);
}

/// A file of which every page is read.
fn mapped_file(mib: usize, held: &mut Held) -> std::io::Result<memmap2::Mmap> {
    let path = std::env::temp_dir().join(format!("riptide-mapped-{}", std::process::id()));
    let mut file = fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    for _ in 0..mib {
        file.write_all(&[3; MIB])?;
    }
    // SAFETY: nobody else knows the file.
    let map = unsafe { memmap2::Mmap::map(&file) };
    fs::remove_file(&path)?;
    let map = map?;
    black_box(
        map.iter()
            .step_by(4_096)
            .map(|byte| u64::from(*byte))
            .sum::<u64>(),
    );
    held.mapped += map.len();
    Ok(map)
}

/// Threads that wait, each with some of its stack touched.
fn threads(count: usize, held: &mut Held) -> Vec<mpsc::Sender<()>> {
    const TOUCHED: usize = MIB / 2;
    let (ready, all_ready) = mpsc::channel();
    let stops = (0..count).map(|number| {
        let (stop, stopped) = mpsc::channel::<()>();
        let ready = ready.clone();
        thread::spawn(move || {
            let stack = black_box([number as u8 | 1; TOUCHED]);
            let _ = ready.send(());
            let _ = stopped.recv();
            black_box(stack);
        });
        stop
    });
    let stops: Vec<_> = stops.collect();
    for _ in 0..count {
        let _ = all_ready.recv();
    }
    held.stacks = count * TOUCHED;
    stops
}

fn main() -> std::io::Result<()> {
    let mode = std::env::args().nth(1).unwrap_or_default();
    let mib = argument(2, 64);
    let mut held = Held::default();
    let kept;
    let mut map = None;
    let mut stops = Vec::new();
    let mut untouched = Vec::new();
    match mode.as_str() {
        "c" => {
            kept = plain(mib / 4, &mut held);
            c_library(mib, &mut held);
        }
        "mapped" => {
            kept = plain(mib / 4, &mut held);
            map = Some(mapped_file(mib, &mut held)?);
        }
        "threads" => {
            kept = plain(mib / 4, &mut held);
            stops = threads(mib, &mut held);
        }
        "burst" => {
            // Twice what stays, and then most of it goes.
            drop(black_box(plain(2 * mib, &mut Held::default())));
            kept = plain(mib / 4, &mut held);
        }
        "untouched" => {
            kept = plain(mib / 4, &mut held);
            untouched = vec![0_u8; 4 * mib * MIB];
            held.heap += untouched.len();
        }
        // All of it at once and right at the end: nothing follows that would refresh a figure.
        "sudden" => {
            kept = (0..mib).map(|_| vec![1_u8; MIB]).collect();
            held.heap = mib * MIB;
        }
        _ => kept = plain(mib, &mut held),
    }
    held.report();
    wait();
    black_box((&kept, &map, &stops, &untouched));
    Ok(())
}
