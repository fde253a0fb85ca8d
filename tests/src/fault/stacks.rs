//! Stacks that are deep, large, tiny, or not the thread's own.
#![expect(
    unsafe_code,
    reason = "makes threads and contexts on stacks of its own"
)]

use std::{
    ffi::c_void,
    hint::black_box,
    ptr, thread,
    time::{Duration, Instant},
};

use super::work::sum;
use crate::victim::say;

/// Allocates at each of `depth` levels.
#[inline(never)]
fn recurse(depth: usize) -> u64 {
    let block = black_box(vec![depth as u8; 100 + depth]);
    let below = if depth == 0 { 0 } else { recurse(depth - 1) };
    below + block.iter().map(|byte| u64::from(*byte)).sum::<u64>()
}

/// The same with frames of 100 KiB.
#[inline(never)]
fn recurse_in_large_frames(depth: usize) -> u64 {
    let frame = black_box([depth as u8; 100 << 10]);
    let block = black_box(vec![depth as u8; 100 + depth]);
    let below = if depth == 0 {
        0
    } else {
        recurse_in_large_frames(depth - 1)
    };
    let kept = black_box(&frame)
        .iter()
        .step_by(4_096)
        .filter(|byte| **byte == depth as u8);
    below + kept.count() as u64 + block.len() as u64
}

/// 200 frames, 2,000 frames, and 200 frames of 100 KiB each.
pub(super) fn deep() {
    for round in 0..20 {
        black_box(recurse(round * 10));
    }
    let large = thread::Builder::new()
        .stack_size(64 << 20)
        .spawn(|| (recurse(200), recurse(2_000), recurse_in_large_frames(200)));
    let sums = large.map(|thread| thread.join().ok());
    say(&format!("{sums:?}"));
}

/// Long enough for whatever is done now and then.
const LONG: Duration = Duration::from_millis(120);

/// Computes the same sum for a while; whether it was right each time. It needs little stack.
fn work_for_long() -> bool {
    let start = Instant::now();
    let mut well = true;
    let right = sum(9, 20);
    while start.elapsed() < LONG {
        well &= sum(9, 20) == right;
    }
    well
}

/// Smallest stack of a thread.
const TINY: usize = 16 << 10;

extern "C" fn tiny_thread_that_exits(_: *mut c_void) -> *mut c_void {
    work_for_long();
    std::process::exit(4);
}

extern "C" fn tiny_thread(well: *mut c_void) -> *mut c_void {
    // SAFETY: whoever made the thread waits for it, and passed a place of its own.
    unsafe { *well.cast::<bool>() = work_for_long() };
    ptr::null_mut()
}

/// Starts a thread with 16 KiB of stack; `place` lives until it is joined.
fn start_tiny(
    body: extern "C" fn(*mut c_void) -> *mut c_void,
    place: *mut c_void,
) -> (i32, libc::pthread_t) {
    // SAFETY: zero is a value of the struct, which is initialised below.
    let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
    // SAFETY: a local struct.
    unsafe { libc::pthread_attr_init(&raw mut attributes) };
    // SAFETY: as above.
    unsafe { libc::pthread_attr_setstacksize(&raw mut attributes, TINY) };
    // SAFETY: zero is a value of the type.
    let mut thread = unsafe { std::mem::zeroed() };
    // SAFETY: the function takes what is passed.
    let failed =
        unsafe { libc::pthread_create(&raw mut thread, &raw const attributes, body, place) };
    (failed, thread)
}

/// Ends the process from a thread with 16 KiB of stack.
pub(super) fn exit_on_a_tiny_stack() {
    let (failed, _) = start_tiny(tiny_thread_that_exits, ptr::null_mut());
    say(&format!("made {failed}"));
    thread::sleep(LONG * 100);
}

/// Threads with 16 KiB of stack, some of them at a time.
pub(super) fn tiny() {
    for _ in 0..3 {
        let mut well = [false; 4];
        let threads: Vec<_> = well
            .iter_mut()
            .map(|well| start_tiny(tiny_thread, (&raw mut *well).cast()))
            .collect();
        for (failed, thread) in threads {
            say(&format!("made {failed}"));
            if failed == 0 {
                // SAFETY: made above and joined once.
                unsafe { libc::pthread_join(thread, ptr::null_mut()) };
            }
        }
        say(&format!("{well:?}"));
    }
}

/// Contexts on stacks of their own, entered from this thread: before it has its first sample, and
/// long enough for whatever is done now and then.
pub(super) fn contexts() {
    #[cfg(target_env = "gnu")]
    by_context::run();
}

/// Ends the process from a context on a stack inside a heap block.
pub(super) fn exit_on_a_foreign_stack() {
    #[cfg(target_env = "gnu")]
    by_context::exit();
}

#[cfg(target_env = "gnu")]
mod by_context {
    use std::{
        cell::Cell,
        mem::MaybeUninit,
        ptr,
        sync::atomic::{AtomicPtr, Ordering},
        thread,
    };

    use super::{say, work_for_long};

    /// A stack, and below it what a larger one would overwrite.
    const STACK: usize = 16 << 10;
    const CANARY: usize = 240 << 10;
    const CANARY_BYTE: u8 = 0xc5;

    struct Contexts {
        own: libc::ucontext_t,
        other: libc::ucontext_t,
        well: bool,
    }

    thread_local! {
        static CONTEXTS: Cell<*mut Contexts> = const { Cell::new(ptr::null_mut()) };
    }

    extern "C" fn on_other_stack() {
        let contexts = CONTEXTS.get();
        for _ in 0..2 {
            let well = work_for_long();
            // SAFETY: set by `visit`, which is still running.
            unsafe { (*contexts).well &= well };
            // SAFETY: as above.
            let from = unsafe { &raw mut (*contexts).other };
            // SAFETY: as above.
            let to = unsafe { &raw const (*contexts).own };
            // SAFETY: both contexts are those of this visit.
            unsafe { libc::swapcontext(from, to) };
        }
    }

    extern "C" fn exit_on_other_stack() {
        work_for_long();
        std::process::exit(5);
    }

    /// Enters `body` twice on the stack given, with work on the thread's own in between.
    fn visit(stack: *mut u8, bytes: usize, body: extern "C" fn()) -> bool {
        // SAFETY: zero is a value of these structs.
        let mut contexts: Contexts = unsafe { MaybeUninit::zeroed().assume_init() };
        contexts.well = true;
        // SAFETY: a local struct.
        unsafe { libc::getcontext(&raw mut contexts.other) };
        contexts.other.uc_stack.ss_sp = stack.cast();
        contexts.other.uc_stack.ss_size = bytes;
        CONTEXTS.set(&raw mut contexts);
        // SAFETY: the context was filled by `getcontext`; its stack is the caller's to give.
        unsafe { libc::makecontext(&raw mut contexts.other, body, 0) };
        for _ in 0..2 {
            // SAFETY: both contexts are of this visit, and the other comes back here.
            unsafe { libc::swapcontext(&raw mut contexts.own, &raw const contexts.other) };
            contexts.well &= work_for_long();
        }
        contexts.well
    }

    /// A stack in the middle of a heap block: nothing marks its end.
    fn in_the_heap() -> (bool, bool) {
        let mut block = vec![CANARY_BYTE; CANARY + STACK];
        let stack = block.as_mut_ptr().wrapping_add(CANARY);
        let well = visit(stack, STACK, on_other_stack);
        let canary = block.iter().take(CANARY);
        (well, canary.copied().all(|byte| byte == CANARY_BYTE))
    }

    static BLOCK: AtomicPtr<u8> = AtomicPtr::new(ptr::null_mut());

    extern "C" fn say_canary() {
        let block = BLOCK.load(Ordering::Relaxed);
        // SAFETY: set by `exit`, which does not return.
        let canary = unsafe { std::slice::from_raw_parts(block, CANARY) };
        let whole = canary.iter().all(|byte| *byte == CANARY_BYTE);
        say(&format!("canary {whole}"));
    }

    pub(super) fn exit() {
        // Before riptide's, so that it runs after it.
        // SAFETY: the handler takes nothing and does not unwind.
        unsafe { libc::atexit(say_canary) };
        let mut block = vec![CANARY_BYTE; CANARY + STACK];
        BLOCK.store(block.as_mut_ptr(), Ordering::Relaxed);
        let stack = block.as_mut_ptr().wrapping_add(CANARY);
        visit(stack, STACK, exit_on_other_stack);
    }

    /// A stack with a page below it that nobody can touch, as coroutine libraries make them.
    fn guarded(bytes: usize) -> bool {
        let flags = libc::PROT_READ | libc::PROT_WRITE;
        let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping disturbs nothing.
        let start = unsafe { libc::mmap(ptr::null_mut(), bytes + 4096, flags, kind, -1, 0) };
        // SAFETY: the first page of the mapping just made.
        unsafe { libc::mprotect(start, 4096, libc::PROT_NONE) };
        start != libc::MAP_FAILED
            && visit(start.wrapping_byte_add(4096).cast(), bytes, on_other_stack)
    }

    pub(super) fn run() {
        say(&format!("heap {:?}", in_the_heap()));
        say(&format!("guarded {}", guarded(STACK)));
        say(&format!("guarded {}", guarded(256 << 10)));
        let others: Vec<_> = (0..3).map(|_| thread::spawn(in_the_heap)).collect();
        for other in others {
            say(&format!("{:?}", other.join().ok()));
        }
    }
}
