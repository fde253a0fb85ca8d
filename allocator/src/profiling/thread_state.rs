//! What the shim keeps for each thread, beside its [countdown](super::countdown).
//!
//! Const-initialised and without a destructor, so that it works before `main`, in destructors of
//! other thread-locals and after them, and touching it never allocates.

use core::cell::Cell;

pub(crate) struct ThreadState {
    /// Bytes of the current gap beyond the [countdown](super::countdown).
    pub(crate) rest: Cell<u64>,
    /// Interval with which the current gap was drawn; 0 before the thread is seeded.
    pub(crate) interval: Cell<u64>,
    /// State of the random numbers.
    pub(crate) random: Cell<u64>,
    /// Whether the thread is inside the shim.
    pub(crate) busy: Cell<bool>,
    /// Whether the shim itself uses the heap.
    pub(crate) own_heap: Cell<bool>,
    /// Kernel thread id, 0 when not asked yet.
    pub(crate) thread_id: Cell<u32>,
    /// `1 +` the [lane](super::lanes) of the thread, 0 before it has one.
    pub(crate) lane: Cell<u32>,
    /// Bounds of the thread's own stack, 0 when not known.
    pub(crate) stack_low: Cell<usize>,
    /// See `stack_low`.
    pub(crate) stack_high: Cell<usize>,
}

thread_local! {
    static STATE: ThreadState = const {
        ThreadState {
            rest: Cell::new(0),
            interval: Cell::new(0),
            random: Cell::new(0),
            busy: Cell::new(false),
            own_heap: Cell::new(false),
            thread_id: Cell::new(0),
            lane: Cell::new(0),
            stack_low: Cell::new(0),
            stack_high: Cell::new(0),
        }
    };
}

/// Runs a part of the shim that uses the heap: its blocks are not the program's to be counted.
pub(crate) fn with_own_heap<R>(body: impl FnOnce() -> R) -> R {
    let before = with(|state| state.own_heap.replace(true));
    let result = body();
    with(|state| state.own_heap.set(before));
    result
}

/// The calling thread's state.
#[inline]
pub(crate) fn with<R>(body: impl FnOnce(&ThreadState) -> R) -> R {
    STATE.with(body)
}
