//! Allocating thirty frames deep, which is where services allocate. Prints what a pair took.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

/// Rounds before the clock starts: set-up, the choice of an unwinder, caches.
const WARM_UP: u64 = 1_000_000;

/// Prints the thread's CPU time for a round in picoseconds, and returns the rounds.
pub(super) fn pairs(rounds: u64) -> u64 {
    let mut taken_ns = 0;
    Five::<Five<Five<Five<Five<Bottom>>>>>::call(&mut || {
        super::malloc::pair::<64>(WARM_UP);
        let start = cpu_ns();
        super::malloc::pair::<64>(rounds);
        taken_ns = cpu_ns() - start;
    });
    println!("{}", taken_ns * 1000 / rounds.max(1));
    rounds
}

fn cpu_ns() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    (now.tv_sec * 1_000_000_000 + now.tv_nsec).unsigned_abs()
}

type Five<T> = Frame<Frame<Frame<Frame<Frame<T>>>>>;

/// One frame above `T`'s: each is a function of its own, as in a real program.
struct Frame<T>(T);
struct Bottom;

trait Call {
    fn call(body: &mut dyn FnMut()) -> usize;
}

impl Call for Bottom {
    #[inline(never)]
    fn call(body: &mut dyn FnMut()) -> usize {
        body();
        black_box(1)
    }
}

impl<T: Call> Call for Frame<T> {
    #[inline(never)]
    fn call(body: &mut dyn FnMut()) -> usize {
        // Something to save across the call, so that frames have registers to restore.
        let (a, b) = (black_box(1), black_box(2));
        T::call(body) + black_box(a) * black_box(b)
    }
}
