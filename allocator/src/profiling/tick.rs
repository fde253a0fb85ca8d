//! What happens now and then, on whichever thread enters the slow path when it is due: a sign of
//! life, the process's figures, new modules, the interval.
//!
//! No helper thread: the program's own are enough, and a process that allocates nothing has
//! nothing to tell. One thread at a time, by a try-lock that nobody waits for.

use core::sync::atomic::{AtomicU64, Ordering};

use riptide_region::{
    counters::{Counter, Gauge},
    status::Status,
};

use super::{
    budget::{Controller, Measured},
    config::Config,
    jemalloc_stats::JemallocStats,
    lanes::PREEMPTED_NS,
    map::CgroupMemory,
    profiler::{self, PAGE_ALIGNED_INTERVAL_MIN, Profiler},
    sampler, sys,
    try_lock::TryLock,
    unwind::modules::Modules,
};

const TICK_NS: u64 = 100_000_000;
/// Ticks come as rarely as this where they would cost too much of a process that does little.
const TICK_MAX_NS: u64 = 1_000_000_000;
/// CPU time of the process for one part of ticks: 0.125 %, a quarter of the default budget.
const CPU_PER_TICK_COST: u128 = 800;
const STATUS_NS: u64 = 1_000_000_000;
/// A profiler younger than this looks more often: programs allocate most when they start, and one
/// that then falls silent is not heard of again.
const YOUNG_NS: u64 = 1_000_000_000;
const YOUNG_TICK_NS: u64 = 20_000_000;
const YOUNG_STATUS_NS: u64 = 40_000_000;
const CGROUP_NS: u64 = 5_000_000_000;
/// Mappings are read anew this often, for those that have gone …
const MODULES_NS: u64 = 60_000_000_000;
/// … and at most this often when a stack leads outside the known ones.
const MODULES_MIN_NS: u64 = 1_000_000_000;
const PAGE_BYTES: u64 = 4096;

pub(crate) struct Ticker {
    due_ns: AtomicU64,
    state: TryLock<State>,
}

struct State {
    status: Status,
    status_due_ns: u64,
    status_ns: u64,
    cgroup_due_ns: u64,
    modules: Modules,
    modules_due_ns: u64,
    modules_allowed_ns: u64,
    jemalloc: JemallocStats,
    controller: Controller,
    start_cycles: u64,
    start_ns: u64,
    seen_cycles: u64,
    seen_cpu_ns: u64,
    tick_ns: u64,
    /// Time to the next tick.
    pause_ns: u64,
    seen_ns: u64,
    cost_ns: u64,
}

impl Ticker {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            due_ns: AtomicU64::new(0),
            state: TryLock::new(State {
                status: Status::default(),
                status_due_ns: 0,
                status_ns: 0,
                cgroup_due_ns: 0,
                modules: Modules::default(),
                modules_due_ns: 0,
                modules_allowed_ns: 0,
                jemalloc: JemallocStats::default(),
                controller: Controller::new(config),
                start_cycles: sys::cycles(),
                start_ns: sys::clock_ns(libc::CLOCK_MONOTONIC),
                seen_cycles: 0,
                seen_cpu_ns: cpu_ns(),
                tick_ns: 0,
                pause_ns: TICK_NS,
                seen_ns: sys::clock_ns(libc::CLOCK_MONOTONIC),
                cost_ns: 0,
            }),
        }
    }

    /// Whether the next tick is due.
    #[inline]
    pub(crate) fn is_due(&self, now_ns: u64) -> bool {
        // Relaxed: a hint; the lock decides.
        now_ns >= self.due_ns.load(Ordering::Relaxed)
    }

    /// Runs what is due, unless another thread is at it.
    pub(crate) fn run(&self, profiler: &Profiler, now_ns: u64) {
        self.run_under_lock(profiler, now_ns, false);
    }

    /// Reads the executable mappings, for a profiler that nobody uses yet.
    pub(crate) fn find_modules(&self, profiler: &Profiler) {
        self.under_lock(|state| state.find_modules(profiler, sys::now_coarse_ns()));
    }

    /// Runs everything: before the process ends.
    pub(crate) fn run_all(&self, profiler: &Profiler) {
        self.run_under_lock(profiler, sys::now_coarse_ns(), true);
    }

    #[cold]
    fn run_under_lock(&self, profiler: &Profiler, now_ns: u64, all: bool) {
        self.under_lock(|state| self.tick(state, profiler, now_ns, all));
    }

    /// Runs `body` unless another thread is at it.
    fn under_lock(&self, body: impl FnOnce(&mut State)) {
        if let Some(mut state) = self.state.try_lock() {
            body(&mut state);
        }
    }

    fn tick(&self, state: &mut State, profiler: &Profiler, now_ns: u64, all: bool) {
        let start = thread_cpu_ns();
        if all {
            state.status_due_ns = 0;
            state.cgroup_due_ns = 0;
            state.modules_due_ns = 0;
            state.jemalloc.hurry();
        }
        let young = now_ns.saturating_sub(state.start_ns) < YOUNG_NS;
        let tick_ns = if young { YOUNG_TICK_NS } else { state.pause_ns };
        // Relaxed: a hint.
        self.due_ns.store(now_ns + tick_ns, Ordering::Relaxed);
        state.status_ns = if young { YOUNG_STATUS_NS } else { STATUS_NS };
        state.tick(profiler, now_ns);
        state.tick_ns += thread_cpu_ns().saturating_sub(start);
    }
}

impl State {
    fn tick(&mut self, profiler: &Profiler, now_ns: u64) {
        let counters = profiler.counters();
        counters.add(Counter::Ticks, 1);
        counters.add(Counter::SkippedSetUp, profiler::take_missed());
        counters.set(Gauge::HeartbeatNs, now_ns);
        self.find_modules(profiler, now_ns);
        #[cfg(target_arch = "x86_64")]
        profiler.walker.dwarf.learn();
        self.control(profiler);
        if now_ns >= self.status_due_ns || self.jemalloc.are_outdated(&self.status, now_ns) {
            self.status_due_ns = now_ns + self.status_ns;
            self.describe(profiler, now_ns);
            profiler.view.publish_status(&self.status);
        }
    }

    fn find_modules(&mut self, profiler: &Profiler, now_ns: u64) {
        let missing = self.modules.misses_text(&profiler.view.stacks);
        let due = now_ns >= self.modules_due_ns || (missing && now_ns >= self.modules_allowed_ns);
        if !due {
            return;
        }
        self.modules_due_ns = now_ns + MODULES_NS;
        self.modules_allowed_ns = now_ns + MODULES_MIN_NS;
        profiler.walker.scratch.with(|scratch| {
            self.modules.scan(
                &profiler.view.modules,
                profiler.counters(),
                &profiler.walker.dwarf,
                scratch,
                now_ns,
            );
        });
    }

    /// Measures what sampling has cost since the last tick and moves the interval.
    fn control(&mut self, profiler: &Profiler) {
        let counters = profiler.counters();
        let now_ns = sys::clock_ns(libc::CLOCK_MONOTONIC);
        let elapsed_ns = now_ns.saturating_sub(self.start_ns).max(1);
        let elapsed_cycles = sys::cycles().wrapping_sub(self.start_cycles).max(1);
        let to_ns = |cycles: u64| {
            u64::try_from(u128::from(cycles) * u128::from(elapsed_ns) / u128::from(elapsed_cycles))
                .unwrap_or(u64::MAX)
        };
        if elapsed_ns > TICK_NS {
            let cycles = u128::from(PREEMPTED_NS) * u128::from(elapsed_cycles);
            let cycles = u64::try_from(cycles / u128::from(elapsed_ns)).unwrap_or(u64::MAX);
            profiler.lanes.set_preempted_cycles(cycles);
        }
        let cost = profiler.lanes.cost();
        let samples_ns = to_ns(cost.cycles.saturating_sub(self.seen_cycles));
        let ticks_ns = core::mem::take(&mut self.tick_ns);
        self.seen_cycles = cost.cycles;
        self.cost_ns += samples_ns + ticks_ns;
        let cpu = cpu_ns();
        let taken = profiler.records.taken();
        let used = taken.saturating_sub(profiler.lanes.stashed());
        let since_ns = now_ns.saturating_sub(core::mem::replace(&mut self.seen_ns, now_ns));
        let measured = Measured {
            samples_ns,
            ticks_ns,
            cpu_ns: cpu.saturating_sub(self.seen_cpu_ns),
            elapsed_ns: since_ns,
            occupancy_percent: u64::from(taken) * 100
                / u64::from(profiler.records.capacity().max(1)),
        };
        self.seen_cpu_ns = cpu;
        self.pause_ns = pause_ns(ticks_ns, since_ns, measured.cpu_ns);
        self.status.cpu_ns = Some(cpu);

        let interval = sampler::interval();
        let asked = asked_interval(profiler, now_ns);
        let next = self.controller.next(interval, asked, measured);
        if next != interval {
            sampler::set_interval(next);
        }
        let set = |counter, value: u64| {
            counters.add(counter, value.saturating_sub(counters.get(counter)));
        };
        set(Counter::SlowPathCalls, cost.calls);
        set(Counter::SlowPathNs, self.cost_ns);
        set(Counter::SlowPathPreempted, cost.preempted);
        for (gauge, value) in [
            (Gauge::IntervalBytes, next),
            (Gauge::BudgetPpm, self.controller.budget_ppm()),
            (Gauge::LiveSlotsUsed, u64::from(used)),
            (
                Gauge::CostPpb,
                u64::try_from(u128::from(self.cost_ns) * 1_000_000_000 / u128::from(cpu.max(1)))
                    .unwrap_or(u64::MAX),
            ),
        ] {
            counters.set(gauge, value);
        }
    }

    fn describe(&mut self, profiler: &Profiler, now_ns: u64) {
        let status = &mut self.status;
        status.time_ns = Some(now_ns);
        let statm = statm();
        status.virtual_size = statm.map(|[bytes, ..]| bytes);
        status.rss = statm.map(|[_, bytes, _]| bytes);
        status.rss_shared = statm.map(|[.., bytes]| bytes);
        self.jemalloc.update(&profiler.view, status, now_ns);
        if let Some(arena) = &profiler.arena {
            status.reserved_range = Some(arena.reserved_bytes() as u64);
            status.committed_range = Some(arena.opened_bytes() as u64);
        }
        if now_ns >= self.cgroup_due_ns {
            self.cgroup_due_ns = now_ns + CGROUP_NS;
            let cgroup = CgroupMemory::read();
            status.cgroup_version = cgroup.as_ref().map(|cgroup| cgroup.version);
            status.cgroup_limit = cgroup.as_ref().and_then(|cgroup| cgroup.limit);
            status.cgroup_usage = cgroup.as_ref().and_then(|cgroup| cgroup.usage);
            status.cgroup_oom_kills = cgroup.as_ref().and_then(|cgroup| cgroup.oom_kills);
            status.set_cgroup_path(cgroup.as_ref().map_or(b"", |cgroup| cgroup.path()));
        }
    }
}

/// Time to the next tick, for ticks that cost `ticks_ns` of a process that used `cpu_ns` in the last
/// `since_ns`.
fn pause_ns(ticks_ns: u64, since_ns: u64, cpu_ns: u64) -> u64 {
    let cpu_needed_ns = u128::from(ticks_ns) * CPU_PER_TICK_COST;
    let pause_ns = cpu_needed_ns * u128::from(since_ns) / u128::from(cpu_ns.max(1));
    u64::try_from(pause_ns)
        .unwrap_or(u64::MAX)
        .clamp(TICK_NS, TICK_MAX_NS)
}

/// The interval that a user asks for, as far as this process can take it.
fn asked_interval(profiler: &Profiler, now_ns: u64) -> Option<u64> {
    let control = profiler.region.control()?;
    let lowest = if profiler.arena.is_some() {
        1
    } else {
        PAGE_ALIGNED_INTERVAL_MIN
    };
    (now_ns < control.until_ns).then(|| control.interval.max(lowest))
}

/// Virtual size, resident set, and what of it belongs to files and shared memory, in bytes.
fn statm() -> Option<[u64; 3]> {
    let mut buffer = [0; 128];
    let text = sys::read_file(c"/proc/self/statm", &mut buffer)?;
    let mut pages = text
        .split(|byte| *byte == b' ')
        .map_while(sys::parse_number);
    let mut next = || pages.next()?.checked_mul(PAGE_BYTES);
    Some([next()?, next()?, next()?])
}

fn cpu_ns() -> u64 {
    sys::clock_ns(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn thread_cpu_ns() -> u64 {
    sys::clock_ns(libc::CLOCK_THREAD_CPUTIME_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_does_little_is_looked_at_less_often() {
        let second = 1_000_000_000;
        // A core in use: 40 us a tick are 0.04 % at ten ticks a second.
        assert_eq!(pause_ns(40_000, second, second), TICK_NS);
        // A tenth of a core: 320 ms.
        assert_eq!(pause_ns(40_000, second, second / 10), 320_000_000);
        assert_eq!(pause_ns(40_000, second, second / 1_000), TICK_MAX_NS);
        assert_eq!(pause_ns(0, second, 0), TICK_NS);
    }
}
