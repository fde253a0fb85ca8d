//! Time as the reader needs it: the region's clock, and the one that process start times are on.

use std::sync::atomic::{AtomicU64, Ordering};

use rustix::time::{ClockId, clock_gettime};

/// Sources of time. Implemented by the system, and by hand in tests and replays.
pub trait Clock: Send + Sync {
    /// Nanoseconds of `CLOCK_MONOTONIC`: the clock of every time in a region.
    fn monotonic_ns(&self) -> u64;
    /// Nanoseconds of `CLOCK_BOOTTIME`: the clock of start times in `/proc/PID/stat`, which also
    /// runs while the machine sleeps.
    fn boottime_ns(&self) -> u64;
}

/// The clocks of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn monotonic_ns(&self) -> u64 {
        read(ClockId::Monotonic)
    }

    fn boottime_ns(&self) -> u64 {
        read(ClockId::Boottime)
    }
}

fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(nanoseconds)
}

/// A clock that stands still until it is told otherwise; both clocks show the same time.
#[derive(Debug, Default)]
pub struct ManualClock {
    now_ns: AtomicU64,
}

impl ManualClock {
    /// A clock at `now_ns`.
    #[must_use]
    pub fn new(now_ns: u64) -> Self {
        Self {
            now_ns: AtomicU64::new(now_ns),
        }
    }

    /// Sets the time.
    pub fn set(&self, now_ns: u64) {
        // Relaxed: a figure of its own.
        self.now_ns.store(now_ns, Ordering::Relaxed);
    }

    /// Moves the time on.
    pub fn advance(&self, by: std::time::Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        // Relaxed: a figure of its own.
        self.now_ns.fetch_add(by, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn monotonic_ns(&self) -> u64 {
        // Relaxed: a figure of its own.
        self.now_ns.load(Ordering::Relaxed)
    }

    fn boottime_ns(&self) -> u64 {
        self.monotonic_ns()
    }
}
