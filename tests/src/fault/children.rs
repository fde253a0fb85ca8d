//! Processes made of this one while its threads allocate.
#![expect(unsafe_code, reason = "fork, clone and wait are system calls")]

use std::{
    ffi::{c_int, c_void},
    os::unix::process::CommandExt,
    process::Command,
    ptr,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::work::{self, sum};
use crate::victim::{Numbers, say};

/// A child that takes longer is taken for hung.
const DEADLINE_SECONDS: u32 = 60;

/// Forks; `body` runs in the child, which ends with 0 if it returns true.
fn fork(body: impl FnOnce() -> bool) -> libc::pid_t {
    // SAFETY: the child allocates, which jemalloc's handlers of fork allow, and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: a timer of the child's own.
        unsafe { libc::alarm(DEADLINE_SECONDS) };
        std::process::exit(if body() { 0 } else { 1 });
    }
    child
}

/// Whether the child ended with 0.
fn ended_well(child: libc::pid_t) -> bool {
    let mut status: c_int = -1;
    // SAFETY: the status is a local.
    let waited = unsafe { libc::waitpid(child, &raw mut status, 0) };
    waited == child && status == 0
}

/// Runs `body` while `threads` others allocate; says whether they computed what they always do.
fn beside(threads: usize, body: impl FnOnce()) {
    let over = AtomicBool::new(false);
    let right: Vec<u64> = (0..threads as u64).map(|seed| sum(seed, 300)).collect();
    let mistakes = AtomicU64::new(0);
    thread::scope(|scope| {
        for (seed, right) in right.iter().enumerate() {
            let (over, mistakes) = (&over, &mistakes);
            scope.spawn(move || {
                // Relaxed, here and below: a mark and a count of their own.
                while !over.load(Ordering::Relaxed) {
                    if sum(seed as u64, 300) != *right {
                        mistakes.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        body();
        over.store(true, Ordering::Relaxed);
    });
    say(&format!("{} mistakes", mistakes.load(Ordering::Relaxed)));
}

/// Forks at random points. Each child uses what it inherited and computes the sum of its number; every
/// tenth has a thread and a child of its own.
pub(super) fn forks(count: usize, threads: usize) {
    let inherited: Vec<Vec<u8>> = (0..400)
        .map(|n| vec![n as u8; 1 + n * 37 % 9_000])
        .collect();
    let right: Vec<u64> = (0..16).map(|seed| sum(seed, 200)).collect();
    let mut numbers = Numbers::new(u64::from(std::process::id()));
    let mut failed = 0;
    beside(threads, || {
        for number in 0..count {
            thread::sleep(Duration::from_micros(numbers.below(400) as u64));
            let seed = number % right.len();
            let is_right = |sum: u64| right.get(seed) == Some(&sum);
            let child = fork(|| {
                let mut blocks = inherited.clone();
                blocks.extend(inherited.iter().cloned());
                for (place, block) in blocks.iter_mut().enumerate().step_by(3) {
                    block.resize(block.len() * 2, (place % inherited.len()) as u8);
                }
                let whole = (0..).zip(&blocks).all(|(place, block)| {
                    let own = (place % inherited.len()) as u8;
                    block.iter().all(|byte| *byte == own)
                });
                drop(blocks);
                let mut well = whole && is_right(sum(seed as u64, 200));
                if number % 10 == 0 {
                    let other = thread::spawn(move || sum(seed as u64, 200));
                    well &= other.join().is_ok_and(is_right);
                    well &= ended_well(fork(|| is_right(sum(seed as u64, 200))));
                }
                well
            });
            failed += usize::from(!ended_well(child));
        }
    });
    say(&format!("{count} children, {failed} failed"));
}

/// Forks as fast as it can while another thread allocates for the first time.
pub(super) fn forks_at_start(count: usize) {
    let barrier = Barrier::new(2);
    let allocate = || {
        for number in 0..256 {
            std::hint::black_box(vec![number as u8; 64 << 10]);
        }
        true
    };
    let mut children = Vec::with_capacity(count);
    thread::scope(|scope| {
        scope.spawn(|| {
            barrier.wait();
            allocate();
        });
        barrier.wait();
        for _ in 0..count {
            children.push(fork(allocate));
        }
    });
    let failed = children.into_iter().filter(|child| !ended_well(*child));
    say(&format!("{count} children, {} failed", failed.count()));
}

const CLONE_STACK: usize = 256 << 10;
static CLONED: AtomicU64 = AtomicU64::new(0);

extern "C" fn in_clone(seed: *mut c_void) -> c_int {
    // Relaxed: the parent waits until this is over.
    CLONED.fetch_add(sum(seed as u64, 100), Ordering::Relaxed);
    0
}

/// Children that share this process's memory until they end, as `vfork`'s do, and allocate in it; and
/// programs started as `posix_spawn` does it.
pub(super) fn vforks(count: usize) {
    let flags = libc::PROT_READ | libc::PROT_WRITE;
    let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping disturbs nothing.
    let stack = unsafe { libc::mmap(ptr::null_mut(), CLONE_STACK, flags, kind, -1, 0) };
    if stack == libc::MAP_FAILED {
        return say("no stack");
    }
    let mut failed = 0;
    beside(4, || {
        for number in 0..count {
            let top = stack.wrapping_byte_add(CLONE_STACK);
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
            let seed = ptr::without_provenance_mut(number);
            // SAFETY: the stack is the child's alone: this thread stands still until the child has
            // ended.
            let child = unsafe { libc::clone(in_clone, top, flags, seed) };
            failed += usize::from(!ended_well(child));
            if number % 10 == 0 {
                let status = Command::new("true").status();
                failed += usize::from(!status.is_ok_and(|status| status.success()));
            }
        }
    });
    let sum = CLONED.load(Ordering::Relaxed);
    say(&format!("{count} children, {failed} failed, {sum:x}"));
}

/// Becomes the same program again, `count` times, while threads allocate.
pub(super) fn execs(count: usize) {
    work::in_background(4);
    thread::sleep(Duration::from_millis(5));
    say(&format!("{count} to go"));
    if count > 0 {
        let Ok(own) = std::env::current_exe() else {
            return say("no program");
        };
        let failed = Command::new(own)
            .args(["execs", &(count - 1).to_string()])
            .exec();
        say(&failed.to_string());
    }
}
