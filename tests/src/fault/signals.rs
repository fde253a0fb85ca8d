//! Signal handlers that fire while the program allocates.
#![expect(unsafe_code, reason = "signal handlers and timers")]

use std::{
    ffi::{c_int, c_void},
    hint::black_box,
    ops::Range,
    ptr,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
};

use super::work::{self, sum};
use crate::victim::say;

type Handler = extern "C" fn(c_int);

fn handle(signal: c_int, handler: Handler, flags: c_int) {
    // SAFETY: zero is a value of the struct.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    action.sa_flags = libc::SA_RESTART | flags;
    // SAFETY: the handler has the type of one without SA_SIGINFO and only does what is allowed where it fires.
    unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
}

/// A signal in so many microseconds, of real time and of processor time; none for 0. Handlers set the timers
/// anew: by themselves they could leave the program no time between two signals.
fn timers(microseconds: i64) {
    let in_time = |tv_usec| libc::timeval { tv_sec: 0, tv_usec };
    let timer = libc::itimerval {
        it_interval: in_time(0),
        it_value: in_time(microseconds),
    };
    for which in [libc::ITIMER_REAL, libc::ITIMER_PROF] {
        // SAFETY: a timer of this process; the struct is a local.
        unsafe { libc::setitimer(which, &raw const timer, ptr::null_mut()) };
    }
}

static WALKED: AtomicU64 = AtomicU64::new(0);

/// A stack for handlers, and below it what a larger one would overwrite.
const STACK: usize = 16 << 10;
const CANARY: usize = 240 << 10;
const CANARY_BYTE: u8 = 0xc5;

/// Runs `body` with a stack for signal handlers inside a heap block; whether they kept to it.
fn on_stack_in_the_heap(body: impl FnOnce()) -> bool {
    let mut block = vec![CANARY_BYTE; CANARY + STACK];
    let stack = libc::stack_t {
        ss_sp: block.as_mut_ptr().wrapping_add(CANARY).cast(),
        ss_flags: 0,
        ss_size: STACK,
    };
    // SAFETY: zero is a value of the struct.
    let mut before: libc::stack_t = unsafe { std::mem::zeroed() };
    // SAFETY: the block outlives its use as a stack.
    unsafe { libc::sigaltstack(&raw const stack, &raw mut before) };
    body();
    // SAFETY: the stack that was there before.
    unsafe { libc::sigaltstack(&raw const before, ptr::null_mut()) };
    block.iter().take(CANARY).all(|byte| *byte == CANARY_BYTE)
}

/// Walks the stack as profilers do.
extern "C" fn walk(_: c_int) {
    let mut frames = 0;
    // SAFETY: the unwinder of the C runtime takes no lock of this library.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            frames += u64::from(!black_box(frame.ip()).is_null());
            true
        });
    }
    // Relaxed: a count.
    WALKED.fetch_add(u64::from(frames > 0), Ordering::Relaxed);
    go_on();
}

static GOING_ON: AtomicBool = AtomicBool::new(false);

/// Sets the timers for the next signal, until told to stop.
fn go_on() {
    // Relaxed: a mark of its own.
    if GOING_ON.load(Ordering::Relaxed) {
        timers(PAUSE_MICROSECONDS);
    }
}

fn start() {
    GOING_ON.store(true, Ordering::Relaxed);
    go_on();
}

fn stop() {
    GOING_ON.store(false, Ordering::Relaxed);
    timers(0);
}

const PAUSE_MICROSECONDS: i64 = 200;

/// Walks once: the unwinder of the C runtime finds its tables at its first use.
fn learn_to_walk() {
    walk(0);
}

/// A profiler by signal from the first moment on; allocates until it has seen `wanted` stacks.
pub(super) fn profiler(wanted: usize) {
    learn_to_walk();
    handle(libc::SIGPROF, walk, 0);
    handle(libc::SIGALRM, walk, 0);
    start();
    let right = sum(1, 300);
    // Alone at first, so that each signal comes to this thread.
    let mut well = until_walked(wanted / 2, right);
    let others: Vec<_> = (0..2)
        .map(|_| thread::spawn(move || until_walked(wanted, right)))
        .collect();
    well &= until_walked(wanted, right);
    for other in others {
        well &= other.join().unwrap_or(false);
    }
    stop();
    say(&format!("profiled {well}"));
}

fn until_walked(wanted: usize, right: u64) -> bool {
    let mut well = true;
    // Relaxed: a count.
    while WALKED.load(Ordering::Relaxed) < wanted as u64 {
        well &= sum(1, 300) == right;
    }
    well
}

/// Where jemalloc's code lies.
static JEMALLOC: OnceLock<Vec<Range<usize>>> = OnceLock::new();
static HANDLED: AtomicUsize = AtomicUsize::new(0);
static WRONG: AtomicUsize = AtomicUsize::new(0);
/// What the handler must come to.
static RIGHT: AtomicU64 = AtomicU64::new(0);

/// Allocates, unless the signal came while the thread was inside jemalloc, which no handler may enter
/// again.
extern "C" fn allocate(_: c_int) {
    let Some(jemalloc) = JEMALLOC.get() else {
        return;
    };
    let (mut inside, mut whole) = (false, false);
    // SAFETY: as in `walk`.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            let address = frame.ip() as usize;
            inside |= jemalloc.iter().any(|range| range.contains(&address));
            whole |= frame.symbol_address() == until_handled as *mut c_void;
            true
        });
    }
    if !inside && whole {
        // Relaxed, here and below: counts.
        if sum(2, 40) != RIGHT.load(Ordering::Relaxed) {
            WRONG.fetch_add(1, Ordering::Relaxed);
        }
        HANDLED.fetch_add(1, Ordering::Relaxed);
    }
    go_on();
}

#[inline(never)]
fn until_handled(wanted: usize) {
    while HANDLED.load(Ordering::Relaxed) < wanted {
        // Blocks that live on while the handler fires, and are freed by turns.
        black_box(sum(3, 200));
    }
    black_box(());
}

/// Where this program was loaded.
fn bias() -> usize {
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _: libc::size_t,
        bias: *mut c_void,
    ) -> c_int {
        // SAFETY: the C library passes a valid struct, of the program itself first.
        let address = unsafe { (*info).dlpi_addr };
        // SAFETY: the caller below passes a number of its own.
        unsafe { *bias.cast::<usize>() = address as usize };
        1
    }
    let mut bias = 0_usize;
    // SAFETY: the callback takes what is passed.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut bias).cast()) };
    bias
}

/// `COUNT START-END…`: handlers that allocate, until so many have; the ranges, in hexadecimal, are
/// those of jemalloc's code in the file.
pub(super) fn handlers(arguments: &[String]) {
    let wanted = arguments.first().and_then(|text| text.parse().ok());
    let bias = bias();
    let number = |text: &str| Some(usize::from_str_radix(text, 16).ok()? + bias);
    let ranges: Vec<_> = arguments
        .iter()
        .skip(1)
        .filter_map(|range| {
            let (start, end) = range.split_once('-')?;
            Some(number(start)?..number(end)?)
        })
        .collect();
    say(&format!("{} ranges", ranges.len()));
    let _ = JEMALLOC.set(ranges);
    RIGHT.store(sum(2, 40), Ordering::Relaxed);
    learn_to_walk();
    handle(libc::SIGPROF, allocate, 0);
    handle(libc::SIGALRM, allocate, 0);
    start();
    let wanted = wanted.unwrap_or(500);
    let other = thread::spawn(move || until_handled(wanted));
    until_handled(wanted);
    let joined = other.join().is_ok();
    say(&format!(
        "{joined}, {} wrong",
        WRONG.load(Ordering::Relaxed)
    ));
    HANDLED.store(0, Ordering::Relaxed);
    handle(libc::SIGPROF, allocate, libc::SA_ONSTACK);
    handle(libc::SIGALRM, allocate, libc::SA_ONSTACK);
    let kept = on_stack_in_the_heap(|| until_handled(wanted));
    stop();
    say(&format!("{kept}, {} wrong", WRONG.load(Ordering::Relaxed)));
    work::say_sums(500);
}
