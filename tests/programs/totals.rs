//! Counts every live block in an allocator of its own around riptide's, and prints the totals:
//! a second opinion on *all* live bytes, whoever asked for them.
//!
//! `victim-totals random [THREADS] [STEPS]`: threads allocate, grow, shrink and free blocks, also
//! each other's.
//! `victim-totals hoard BLOCKS`: only allocates.
#![expect(unsafe_code, reason = "an allocator that counts and forwards")]

use std::{
    alloc::{GlobalAlloc, Layout},
    cell::Cell,
    fmt::Write as _,
    hint::black_box,
    sync::{
        Mutex,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    thread,
};

use riptide_tests::victim::{Numbers, argument, command, say};

struct Counting(riptide_alloc::Riptide);

static BYTES: AtomicI64 = AtomicI64::new(0);
static BLOCKS: AtomicI64 = AtomicI64::new(0);

thread_local! {
    /// Whether the thread is inside riptide: what it asks for there is riptide's, not the program's.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Forwards one call and counts what it made (or took) when it succeeded.
fn counted<R>(forward: impl FnOnce() -> R, worth: impl FnOnce(&R) -> (i64, i64)) -> R {
    let outermost = !INSIDE.replace(true);
    let result = forward();
    if outermost {
        let (bytes, blocks) = worth(&result);
        BYTES.fetch_add(bytes, Relaxed);
        BLOCKS.fetch_add(blocks, Relaxed);
        INSIDE.set(false);
    }
    result
}

fn made(block: *mut u8, bytes: i64, blocks: i64) -> (i64, i64) {
    if block.is_null() {
        (0, 0)
    } else {
        (bytes, blocks)
    }
}

// SAFETY: forwards every call unchanged to an allocator that keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        counted(
            // SAFETY: the caller's contract is ours.
            || unsafe { self.0.alloc(layout) },
            |block| made(*block, layout.size() as i64, 1),
        )
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        counted(
            // SAFETY: the caller's contract is ours.
            || unsafe { self.0.alloc_zeroed(layout) },
            |block| made(*block, layout.size() as i64, 1),
        )
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        counted(
            // SAFETY: the caller's contract is ours.
            || unsafe { self.0.dealloc(block, layout) },
            |()| (-(layout.size() as i64), -1),
        );
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        counted(
            // SAFETY: the caller's contract is ours.
            || unsafe { self.0.realloc(block, layout, new_size) },
            |block| made(*block, new_size as i64 - layout.size() as i64, 0),
        )
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting(riptide_alloc::Riptide::new());

/// A vector whose bytes say what it is, so that a block that was moved or handed out twice shows.
struct Stamped {
    bytes: Vec<u8>,
    stamp: u8,
}

impl Stamped {
    fn new(size: usize, stamp: u8) -> Self {
        Self {
            bytes: black_box(vec![stamp; size]),
            stamp,
        }
    }

    fn check(&self) {
        assert!(
            self.bytes.iter().all(|byte| *byte == self.stamp),
            "somebody wrote into a block of {} bytes",
            self.bytes.len()
        );
    }

    fn resize(&mut self, size: usize) {
        self.check();
        self.bytes.resize(size, self.stamp);
        self.bytes.shrink_to_fit();
        self.check();
    }
}

fn size(numbers: &mut Numbers) -> usize {
    match numbers.below(100) {
        0..=69 => 1 + numbers.below(256),
        70..=94 => 1 + numbers.below(8_192),
        95..=98 => 1 + numbers.below(60_000),
        _ => 1 + numbers.below(600_000),
    }
}

/// Asks for what nobody can have, new and on top of a live block: refused, and nothing changes.
fn ask_for_too_much(block: Option<&mut Stamped>) {
    let too_much = isize::MAX as usize / 2;
    let mut new: Vec<u8> = Vec::new();
    assert!(
        new.try_reserve_exact(too_much).is_err(),
        "got {too_much} bytes"
    );
    if let Some(block) = block {
        assert!(block.bytes.try_reserve_exact(too_much).is_err());
        block.check();
    }
}

/// Blocks that any thread may free.
static PUBLIC: Mutex<Vec<Stamped>> = Mutex::new(Vec::new());

fn public() -> std::sync::MutexGuard<'static, Vec<Stamped>> {
    PUBLIC
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn random_thread(seed: u64, steps: usize) -> Vec<Stamped> {
    let mut numbers = Numbers::new(seed);
    let mut own: Vec<Stamped> = Vec::new();
    for _ in 0..steps {
        let stamp = numbers.draw() as u8;
        let at = numbers.below(own.len());
        if numbers.below(300) == 0 {
            ask_for_too_much(own.get_mut(at));
        }
        match numbers.below(10) {
            0..=4 => own.push(Stamped::new(size(&mut numbers), stamp)),
            5..=6 if !own.is_empty() => own.swap_remove(at).check(),
            7 => {
                if let Some(block) = own.get_mut(at) {
                    block.resize(size(&mut numbers));
                }
            }
            8 if !own.is_empty() => public().push(own.swap_remove(at)),
            _ => {
                let taken = public().pop();
                if let Some(block) = taken {
                    block.check();
                }
            }
        }
    }
    own
}

/// Prints the totals; from reading them to the end of the program nothing is allocated.
fn report(line: &mut String) {
    line.clear();
    let (bytes, blocks) = (BYTES.load(Relaxed), BLOCKS.load(Relaxed));
    let _ = write!(line, r#"{{"bytes":{bytes},"blocks":{blocks}}}"#);
    say(line);
}

fn main() {
    let mut line = String::with_capacity(256);
    // stdin and stdout make their buffers now.
    say("start");
    let mut first = String::with_capacity(64);
    let _ = std::io::stdin().read_line(&mut first);
    let kept: Vec<Vec<Stamped>> = match std::env::args().nth(1).as_deref() {
        Some("hoard") => {
            let blocks = argument(2, 10_000);
            let mut hoard = Vec::with_capacity(blocks);
            let mut numbers = Numbers::new(9);
            for _ in 0..blocks {
                hoard.push(Stamped::new(1 + numbers.below(300), 3));
            }
            vec![hoard]
        }
        _ => {
            let (threads, steps) = (argument(2, 4), argument(3, 10_000));
            let running: Vec<_> = (0..threads)
                .map(|thread| thread::spawn(move || random_thread(thread as u64 + 1, steps)))
                .collect();
            running
                .into_iter()
                .filter_map(|thread| thread.join().ok())
                .collect()
        }
    };
    report(&mut line);
    // `command` allocates its line, so the end of stdin is waited for with a line that is there.
    first.clear();
    let _ = std::io::stdin().read_line(&mut first);
    for block in kept.iter().flatten() {
        block.check();
    }
    drop(kept);
    public().clear();
    say("done");
    while command().is_some() {}
}
