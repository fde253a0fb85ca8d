//! 200 threads that come and go. Each leaves some blocks behind for the program, and the last of
//! every ten frees blocks that others made.

use std::{
    hint::black_box,
    sync::{Mutex, PoisonError, mpsc},
    thread,
};

use riptide_tests::victim::{Numbers, Site, argument, report, wait};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

type Blocks = Vec<Box<[u8]>>;

static LEFT_BEHIND: Mutex<Blocks> = Mutex::new(Vec::new());

#[inline(never)]
fn leave_behind(numbers: &mut Numbers, blocks: &mut Blocks) {
    for _ in 0..LEFT_BY_EACH {
        let size = 1 + numbers.below(900);
        blocks.push(black_box(vec![5; size].into()));
    }
}

/// Blocks that die in the thread that made them.
#[inline(never)]
fn scratch(numbers: &mut Numbers) {
    for _ in 0..200 {
        let size = 1 + numbers.below(5_000);
        drop(black_box(vec![6_u8; size]));
    }
}

const LEFT_BY_EACH: usize = 50;
const AT_A_TIME: usize = 16;

fn visit(number: usize) -> Blocks {
    let mut numbers = Numbers::new(number as u64 + 1);
    let mut blocks = Vec::with_capacity(LEFT_BY_EACH);
    leave_behind(&mut numbers, &mut blocks);
    scratch(&mut numbers);
    blocks
}

fn main() {
    let threads = argument(1, 200);
    let mut left = LEFT_BEHIND.lock().unwrap_or_else(PoisonError::into_inner);
    left.reserve_exact(threads * LEFT_BY_EACH);
    let (sender, receiver) = mpsc::channel::<Blocks>();
    let mut next = 0;
    let mut running = 0;
    let mut freed = 0;
    while next < threads || running > 0 {
        while running < AT_A_TIME && next < threads {
            let sender = sender.clone();
            thread::spawn(move || {
                let _ = sender.send(visit(next));
            });
            next += 1;
            running += 1;
        }
        let Ok(mut blocks) = receiver.recv() else {
            break;
        };
        running -= 1;
        freed += 1;
        if freed % 10 == 0 {
            // Freed by a thread that did not make them.
            let _ = thread::spawn(move || drop(blocks)).join();
        } else {
            left.append(&mut blocks);
        }
    }
    let bytes = left.iter().map(|block| block.len()).sum();
    report(&[Site::new(leave_behind, bytes, left.len())]);
    wait();
}
