//! When a rule begins and ends to hold.
//!
//! A level must be reached for the holding time before it counts, and clearly left for the resolve time
//! before it no longer does.

use std::time::Duration;

use super::alert::Severity;

/// What a value says about the levels of its rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The highest level that is reached.
    pub(super) reached: Option<Severity>,
    /// The highest level that is reached or not clearly left.
    pub(super) kept: Option<Severity>,
}

/// The level in force of one rule on one target.
#[derive(Clone, Debug, Default)]
pub(super) struct Condition {
    level: Option<Severity>,
    /// Since when a higher level than that in force is reached, and the lowest one reached since.
    rising: Option<(Duration, Severity)>,
    /// Since when the level in force is clearly left, and the highest one kept since.
    falling: Option<(Duration, Option<Severity>)>,
}

impl Condition {
    /// The level in force.
    pub(super) fn level(&self) -> Option<Severity> {
        self.level
    }

    /// Whether nothing is in force and nothing begins.
    pub(super) fn is_quiet(&self) -> bool {
        self.level.is_none() && self.rising.is_none()
    }

    /// One more value, at a monotonic time.
    pub(super) fn step(
        &mut self,
        now: Duration,
        position: Position,
        hold: Duration,
        resolve_after: Duration,
    ) {
        self.rising = match position.reached {
            Some(reached) if Some(reached) > self.level => {
                let (since, lowest) = self.rising.unwrap_or((now, reached));
                Some((since, lowest.min(reached)))
            }
            _ => None,
        };
        if let Some((since, lowest)) = self.rising
            && now.saturating_sub(since) >= hold
        {
            self.level = Some(lowest);
            // What is above that has to be held on its own.
            self.rising = position
                .reached
                .filter(|reached| *reached > lowest)
                .map(|reached| (now, reached));
        }
        let kept = position.kept.max(position.reached);
        self.falling = if kept < self.level {
            let (since, highest) = self.falling.unwrap_or((now, kept));
            Some((since, highest.max(kept)))
        } else {
            None
        };
        if let Some((since, highest)) = self.falling
            && now.saturating_sub(since) >= resolve_after
        {
            self.level = highest;
            self.falling = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Severity::{Alert, Critical, Warning};

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn position(reached: Option<Severity>, kept: Option<Severity>) -> Position {
        Position { reached, kept }
    }

    #[test]
    fn a_level_counts_after_the_holding_time() {
        let mut condition = Condition::default();
        let high = position(Some(Alert), Some(Alert));
        condition.step(at(0), high, at(10), at(30));
        condition.step(at(9), high, at(10), at(30));
        assert_eq!(condition.level(), None);
        condition.step(at(10), high, at(10), at(30));
        assert_eq!(condition.level(), Some(Alert));
    }

    #[test]
    fn a_peak_within_the_holding_time_is_not_the_level() {
        let mut condition = Condition::default();
        condition.step(
            at(0),
            position(Some(Warning), Some(Warning)),
            at(10),
            at(30),
        );
        condition.step(
            at(5),
            position(Some(Critical), Some(Critical)),
            at(10),
            at(30),
        );
        condition.step(
            at(10),
            position(Some(Critical), Some(Critical)),
            at(10),
            at(30),
        );
        assert_eq!(condition.level(), Some(Warning));
        condition.step(
            at(20),
            position(Some(Critical), Some(Critical)),
            at(10),
            at(30),
        );
        assert_eq!(condition.level(), Some(Critical));
    }

    #[test]
    fn what_is_not_clearly_left_stays() {
        let mut condition = Condition::default();
        condition.step(at(0), position(Some(Alert), Some(Alert)), at(0), at(30));
        for seconds in 1..1_000 {
            condition.step(
                at(seconds),
                position(Some(Warning), Some(Alert)),
                at(0),
                at(30),
            );
        }
        assert_eq!(condition.level(), Some(Alert));
    }

    #[test]
    fn what_is_clearly_left_falls_to_the_highest_level_of_that_time() {
        let mut condition = Condition::default();
        condition.step(
            at(0),
            position(Some(Critical), Some(Critical)),
            at(0),
            at(30),
        );
        condition.step(at(10), position(None, None), at(0), at(30));
        condition.step(at(20), position(None, Some(Warning)), at(0), at(30));
        condition.step(at(39), position(None, None), at(0), at(30));
        assert_eq!(condition.level(), Some(Critical));
        condition.step(at(40), position(None, None), at(0), at(30));
        assert_eq!(condition.level(), Some(Warning));
        condition.step(at(41), position(None, None), at(0), at(30));
        condition.step(at(71), position(None, None), at(0), at(30));
        assert_eq!(condition.level(), None);
        assert!(condition.is_quiet());
    }
}
