//! Programs run in turn, so that what the machine does meanwhile meets all of them.

use crate::{
    Error,
    child::{Program, Run},
    statistics::{self, Median},
    workload::Workload,
};

/// All runs of a few programs on one workload, round by round.
#[derive(Clone, Debug)]
pub struct Paired {
    rounds: Vec<Vec<Run>>,
}

impl Paired {
    /// Runs the programs of every round, `runs` rounds, each in another order.
    ///
    /// # Errors
    /// When a program fails or the programs do not print the same.
    pub fn measure(
        programs: impl Fn(usize) -> Vec<Program>,
        workload: &Workload,
        work: u64,
        runs: usize,
    ) -> Result<Self, Error> {
        let mut rounds = Vec::new();
        for number in 0..runs {
            let programs = programs(number);
            let mut round: Vec<(usize, Run)> = Vec::new();
            for index in order(programs.len(), number) {
                if let Some(program) = programs.get(index) {
                    round.push((index, program.run(workload, work)?));
                }
            }
            round.sort_by_key(|(index, _)| *index);
            let round: Vec<Run> = round.into_iter().map(|(_, run)| run).collect();
            if let Some(first) = round.first()
                && round.iter().any(|run| run.output != first.output)
            {
                return Err(format!("the programs disagree on {}", workload.name).into());
            }
            rounds.push(round);
        }
        Ok(Self { rounds })
    }

    /// Median of `figure` of program `b` over that of program `a`, taken round by round.
    #[must_use]
    pub fn ratio(&self, b: usize, a: usize, figure: impl Fn(&Run) -> f64) -> Median {
        self.compare(b, a, |b, a| figure(b) / figure(a))
    }

    /// Median of `figure` of program `b` less that of program `a`, taken round by round.
    #[must_use]
    pub fn difference(&self, b: usize, a: usize, figure: impl Fn(&Run) -> f64) -> Median {
        self.compare(b, a, |b, a| figure(b) - figure(a))
    }

    fn compare(&self, b: usize, a: usize, by: impl Fn(&Run, &Run) -> f64) -> Median {
        let values: Vec<f64> = self
            .rounds
            .iter()
            .filter_map(|round| Some(by(round.get(b)?, round.get(a)?)))
            .collect();
        statistics::median(&values)
    }

    /// Median of `figure` of one program.
    #[must_use]
    pub fn median(&self, program: usize, figure: impl Fn(&Run) -> f64) -> Median {
        let values: Vec<f64> = self
            .rounds
            .iter()
            .filter_map(|round| round.get(program).map(&figure))
            .collect();
        statistics::median(&values)
    }

    /// Every run: round by round, program by program.
    #[must_use]
    pub fn rounds(&self) -> &[Vec<Run>] {
        &self.rounds
    }
}

/// The order of round `number`: rotated by one each time, and turned round every other cycle.
fn order(programs: usize, number: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..programs).collect();
    if (number / programs.max(1)).is_multiple_of(2) {
        order.reverse();
    }
    order.rotate_left(number % programs.max(1));
    order
}

/// Rounds of work with which `program` takes about `seconds` of CPU time, and not much less.
///
/// # Errors
/// When the program fails.
pub fn calibrate(program: &Program, workload: &Workload, seconds: f64) -> Result<u64, Error> {
    let mut work = 1_u64;
    loop {
        let taken = program.run(workload, work)?.cpu_seconds;
        if taken >= 0.95 * seconds {
            return Ok(work);
        }
        // Short runs are mostly start-up: towards the aim by steps.
        let factor = (seconds * 1.05 / taken.max(0.001)).clamp(1.1, 20.0);
        work = (work as f64 * factor).ceil() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_comes_as_often_as_every_other() {
        let mut orders: Vec<Vec<usize>> = (0..6).map(|number| order(3, number)).collect();
        orders.sort();
        orders.dedup();
        assert_eq!(orders.len(), 6);
    }
}
