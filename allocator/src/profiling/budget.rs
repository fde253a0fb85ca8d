//! The interval in force: moved so that sampling stays within its share of the CPU.
//!
//! Once a tick the measured cost of the slow path is set against the process's CPU time since the
//! tick before. The cost of samples is inversely proportional to the interval, so the interval that
//! would have met the budget is `interval · cost / budget`; ticks cost the same at any interval, and
//! what they took is not the samples' to spend. A process that hardly uses the CPU would be blinded by a
//! share of next to nothing: at the default, samples may cost 0.1 % of one core in any case. The
//! interval also doubles when the live table
//! fills up. An interval that a user asks for while the process runs (the control file) stands as long
//! as it is asked for, whatever it costs. Estimates stay unbiased: every record carries the interval that it was drawn with.

use super::config::{Budget, Config, INTERVAL_MAX, INTERVAL_MIN};

/// Occupancies of the live table at which the interval doubles, in percent.
const OCCUPANCY_STEPS: [u64; 2] = [60, 80];
/// CPU time that a measurement needs, in nanoseconds.
const CPU_MIN_NS: u64 = 20_000_000;
/// Share of the budget that samples have in any case: a process that ticks cost dear is still
/// sampled.
const SAMPLES_MIN_PERCENT: u64 = 50;
/// What samples may cost at the default however little CPU the process uses: 0.1 % of one core, as one
/// part of this many of the time that has passed …
const ELAPSED_PER_COST: u64 = 1_000;
/// … of which this much counts at most: a burst after a long rest is held to the budget at once.
const ELAPSED_MAX_NS: u64 = 10_000_000_000;
/// A target is met when the cost lies between this many percent of it and the target itself.
const TARGET_FLOOR_PERCENT: u64 = 80;

/// What was measured since the last look.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measured {
    /// Of the passes through the slow path.
    pub(crate) samples_ns: u64,
    /// Of the ticks.
    pub(crate) ticks_ns: u64,
    /// Of the whole process.
    pub(crate) cpu_ns: u64,
    /// On the clock.
    pub(crate) elapsed_ns: u64,
    /// Slots of the live table in use, in percent.
    pub(crate) occupancy_percent: u64,
}

pub(crate) struct Controller {
    budget: Budget,
    start: u64,
    by_hand: bool,
    steps_taken: usize,
    pending: Measured,
    /// Interval before a user asked for another.
    before_asked: Option<u64>,
}

impl Controller {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            budget: config.budget,
            start: config.interval,
            by_hand: config.interval_is_explicit,
            steps_taken: 0,
            pending: Measured::default(),
            before_asked: None,
        }
    }

    /// The budget in parts per million of the CPU, 0 when the interval is fixed.
    pub(crate) fn budget_ppm(&self) -> u64 {
        match self.budget {
            _ if self.before_asked.is_some() => 0,
            Budget::Fixed => 0,
            Budget::AtMost(ppm) | Budget::Target(ppm) => ppm,
        }
    }

    /// The interval to use from now on; `asked` is what a user wants for the time being.
    pub(crate) fn next(&mut self, interval: u64, asked: Option<u64>, measured: Measured) -> u64 {
        if let Some(asked) = asked {
            self.before_asked.get_or_insert(interval);
            return asked;
        }
        if let Some(before) = self.before_asked.take() {
            // What the other interval has cost says nothing of this one.
            self.pending = Measured::default();
            return before;
        }
        let interval = self.by_occupancy(interval, measured.occupancy_percent);
        let (ppm, low, least) = match self.budget {
            Budget::Fixed => return interval,
            Budget::AtMost(ppm) => (ppm, self.start.max(INTERVAL_MIN), 1),
            Budget::Target(ppm) => (ppm, INTERVAL_MIN, 0),
        };
        self.pending.samples_ns += measured.samples_ns;
        self.pending.ticks_ns += measured.ticks_ns;
        self.pending.cpu_ns += measured.cpu_ns;
        self.pending.elapsed_ns += measured.elapsed_ns;
        if self.pending.cpu_ns < CPU_MIN_NS {
            return interval;
        }
        let Measured {
            samples_ns: cost_ns,
            ticks_ns,
            cpu_ns,
            elapsed_ns,
            ..
        } = core::mem::take(&mut self.pending);
        let budget_ns = (cpu_ns / 1_000_000).max(1) * ppm;
        let allowed_ns = budget_ns
            .saturating_sub(ticks_ns)
            .max(budget_ns * SAMPLES_MIN_PERCENT / 100)
            .max(least * elapsed_ns.min(ELAPSED_MAX_NS) / ELAPSED_PER_COST);
        if cost_ns <= allowed_ns && cost_ns * 100 >= allowed_ns * TARGET_FLOOR_PERCENT {
            return interval;
        }
        // Aims at the middle of the band that counts as met.
        let aim_ns = allowed_ns * (100 + TARGET_FLOOR_PERCENT) / 200;
        let wanted = u128::from(interval) * u128::from(cost_ns) / u128::from(aim_ns.max(1));
        let wanted = u64::try_from(wanted).unwrap_or(INTERVAL_MAX);
        let wanted = if cost_ns > allowed_ns {
            wanted
        } else {
            // Back down by halves: one quiet moment must not make the next burst dear.
            wanted.max(interval / 2)
        };
        // The live table's occupancy keeps its word.
        let low = low.max(if self.by_hand {
            0
        } else {
            self.start << self.steps_taken
        });
        wanted.clamp(low.min(INTERVAL_MAX), INTERVAL_MAX.max(self.start))
    }

    fn by_occupancy(&mut self, interval: u64, percent: u64) -> u64 {
        let due = OCCUPANCY_STEPS
            .get(self.steps_taken)
            .is_some_and(|step| percent >= *step);
        if self.by_hand || !due {
            return interval;
        }
        self.steps_taken += 1;
        interval.saturating_mul(2).min(INTERVAL_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn controller(budget: Budget, by_hand: bool) -> Controller {
        Controller {
            budget,
            start: 512 << 10,
            by_hand,
            steps_taken: 0,
            pending: Measured::default(),
            before_asked: None,
        }
    }

    /// Feeds the controller a load that costs `cost_at_start` ns a CPU second at 512 KiB.
    fn settle(controller: &mut Controller, cost_at_start: u64, ticks: usize) -> u64 {
        let mut interval = 512 << 10;
        for _ in 0..ticks {
            let samples_ns = cost_at_start * (512 << 10) / interval;
            interval = controller.next(
                interval,
                None,
                Measured {
                    samples_ns,
                    cpu_ns: 1_000_000_000,
                    ..Measured::default()
                },
            );
        }
        interval
    }

    #[test]
    fn the_default_budget_only_raises_the_interval() {
        let mut quiet = controller(Budget::AtMost(5_000), false);
        assert_eq!(settle(&mut quiet, 100_000, 10), 512 << 10);
        let mut busy = controller(Budget::AtMost(5_000), false);
        let interval = settle(&mut busy, 50_000_000, 10);
        let cost = 50_000_000.0 * (512 << 10) as f64 / interval as f64;
        assert!(
            (3_500_000.0..=5_000_000.0).contains(&cost),
            "{cost} ns a second"
        );
        assert_eq!(settle(&mut busy, 0, 20), 512 << 10, "falls back when quiet");
    }

    #[test]
    fn a_target_moves_the_interval_both_ways_within_its_bounds() {
        let mut target = controller(Budget::Target(5_000), true);
        let interval = settle(&mut target, 1_000_000, 20);
        assert!(interval < 512 << 10);
        assert_eq!(settle(&mut target, 0, 20), INTERVAL_MIN);
        let mut heavy = controller(Budget::Target(1), true);
        assert_eq!(settle(&mut heavy, 900_000_000, 20), INTERVAL_MAX);
    }

    #[test]
    fn a_filling_live_table_doubles_the_interval_twice() {
        let mut controller = controller(Budget::Fixed, false);
        let at = |percent| Measured {
            occupancy_percent: percent,
            ..Measured::default()
        };
        assert_eq!(controller.next(1 << 20, None, at(59)), 1 << 20);
        assert_eq!(controller.next(1 << 20, None, at(60)), 2 << 20);
        assert_eq!(controller.next(2 << 20, None, at(70)), 2 << 20);
        assert_eq!(controller.next(2 << 20, None, at(80)), 4 << 20);
        assert_eq!(controller.next(4 << 20, None, at(100)), 4 << 20);
    }

    #[test]
    fn what_a_user_asks_for_stands_until_it_is_taken_back() {
        let mut busy = controller(Budget::AtMost(5_000), false);
        let dear = Measured {
            samples_ns: 900_000_000,
            cpu_ns: 1_000_000_000,
            occupancy_percent: 90,
            ..Measured::default()
        };
        assert_eq!(busy.next(1 << 20, Some(4_096), dear), 4_096);
        assert_eq!(busy.budget_ppm(), 0, "nothing else moves the interval");
        assert_eq!(busy.next(4_096, Some(1), dear), 1);
        assert_eq!(busy.next(1, None, dear), 1 << 20, "as it was before");
        assert_eq!(busy.budget_ppm(), 5_000);
    }

    #[test]
    fn ticks_take_from_the_budget_but_do_not_blind() {
        let mut controller = controller(Budget::AtMost(5_000), false);
        let mut at = |samples_ns, ticks_ns| {
            controller.next(
                512 << 10,
                None,
                Measured {
                    samples_ns,
                    ticks_ns,
                    cpu_ns: 1_000_000_000,
                    ..Measured::default()
                },
            )
        };
        assert_eq!(at(4_900_000, 0), 512 << 10);
        assert!(at(4_900_000, 2_000_000) > 512 << 10, "less is left");
        assert_eq!(
            at(2_400_000, 900_000_000),
            512 << 10,
            "half is the samples' own"
        );
        assert!(at(2_600_000, 900_000_000) > 512 << 10);
    }

    #[test]
    fn a_process_that_hardly_uses_the_cpu_is_not_blinded() {
        let idle = |samples_ns| Measured {
            samples_ns,
            cpu_ns: 20_000_000,
            elapsed_ns: 5_000_000_000,
            ..Measured::default()
        };
        let mut by_default = controller(Budget::AtMost(5_000), false);
        assert_eq!(by_default.next(512 << 10, None, idle(4_900_000)), 512 << 10);
        assert!(by_default.next(512 << 10, None, idle(5_100_000)) > 512 << 10);
        let mut by_hand = controller(Budget::Target(5_000), false);
        assert!(by_hand.next(512 << 10, None, idle(4_900_000)) > 512 << 10);
        let burst = Measured {
            samples_ns: 11_000_000,
            cpu_ns: 20_000_000,
            elapsed_ns: 3_600_000_000_000,
            ..Measured::default()
        };
        assert!(by_default.next(512 << 10, None, burst) > 512 << 10);
    }
}
