//! The past in bounded memory: 1 s for 15 minutes, 10 s for 4 hours, 60 s for 48 hours.
//!
//! **Bound.** A history has at most 5,220 points of 32 bytes, 167 kB; a model keeps one for the whole
//! target and one for each of the [`STACKS_MAX`] heaviest stacks: 11 MB.

use std::collections::{HashMap, VecDeque};

use crate::estimate::Totals;

/// Stacks with a history of their own.
pub(crate) const STACKS_MAX: usize = 64;
/// Seconds a point, and points, of each tier.
pub(crate) const TIERS: [(u64, usize); 3] = [(1, 900), (10, 1_440), (60, 2_880)];

/// Figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Nanoseconds of the region's clock.
    pub time_ns: u64,
    /// Live requested bytes.
    pub live_bytes: f64,
    /// Live blocks.
    pub live_objects: f64,
    /// Bytes allocated since the process started.
    pub allocated_bytes: f64,
}

/// One series at three resolutions.
#[derive(Clone, Debug, Default)]
pub struct History {
    tiers: [VecDeque<Point>; TIERS.len()],
}

impl History {
    /// Takes note of a moment, not earlier than the last one. Of several within one step of a tier
    /// the last stays.
    pub fn note(&mut self, point: Point) {
        for (points, (seconds, most)) in self.tiers.iter_mut().zip(TIERS) {
            let step = |time_ns: u64| time_ns / (seconds * 1_000_000_000);
            match points.back_mut() {
                Some(last) if step(last.time_ns) == step(point.time_ns) => *last = point,
                _ => {
                    if points.len() >= most {
                        points.pop_front();
                    }
                    points.push_back(point);
                }
            }
        }
    }

    /// Points of the finest tier that reaches back `span_seconds` from the last one, oldest first; of
    /// the coarsest one when none does.
    #[must_use]
    pub fn last(&self, span_seconds: u64) -> Vec<Point> {
        let fits = |(seconds, most): &(u64, usize)| seconds * *most as u64 >= span_seconds;
        let tier = TIERS.iter().position(fits).unwrap_or(TIERS.len() - 1);
        let Some(points) = self.tiers.get(tier) else {
            return Vec::new();
        };
        let newest = points.back().map_or(0, |point| point.time_ns);
        let from = newest.saturating_sub(span_seconds.saturating_mul(1_000_000_000));
        let kept = points.iter().filter(|point| point.time_ns >= from);
        kept.copied().collect()
    }
}

/// The histories of one target.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    pub(crate) total: History,
    by_stack: HashMap<u32, History>,
}

impl Histories {
    /// Bytes kept.
    pub(crate) fn kept_bytes(&self) -> usize {
        let of = |history: &History| history.tiers.iter().map(VecDeque::capacity).sum::<usize>();
        let points = of(&self.total) + self.by_stack.values().map(of).sum::<usize>();
        points * size_of::<Point>()
    }

    /// Takes note of a moment. `order` has the stacks' places, the heaviest first.
    pub(crate) fn note(
        &mut self,
        time_ns: u64,
        order: &[u32],
        live: &[Totals],
        allocated: &[Totals],
    ) {
        let point = |live: &Totals, allocated: &Totals| Point {
            time_ns,
            live_bytes: live.bytes.estimate,
            live_objects: live.objects.estimate,
            allocated_bytes: allocated.bytes.estimate,
        };
        let mut all = Point {
            time_ns,
            ..Point::default()
        };
        for (live, allocated) in live.iter().zip(allocated) {
            let of = point(live, allocated);
            all.live_bytes += of.live_bytes;
            all.live_objects += of.live_objects;
            all.allocated_bytes += of.allocated_bytes;
        }
        self.total.note(all);
        let heaviest = order.get(..order.len().min(STACKS_MAX)).unwrap_or_default();
        let newcomers = heaviest
            .iter()
            .any(|place| !self.by_stack.contains_key(place));
        if newcomers {
            // What is no longer among the heaviest makes room.
            self.by_stack.retain(|place, _| heaviest.contains(place));
        }
        for place in heaviest {
            self.by_stack.entry(*place).or_default();
        }
        for (place, history) in &mut self.by_stack {
            let place = *place as usize;
            if let (Some(live), Some(allocated)) = (live.get(place), allocated.get(place)) {
                history.note(point(live, allocated));
            }
        }
    }

    /// The history of a stack, while it is among the heaviest.
    pub(crate) fn of_stack(&self, place: usize) -> Option<&History> {
        self.by_stack.get(&u32::try_from(place).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Point {
        Point {
            time_ns: second * 1_000_000_000,
            live_bytes: second as f64,
            ..Point::default()
        }
    }

    #[test]
    fn three_days_stay_within_the_bound_and_the_last_point_of_a_step_stands_for_it() {
        let mut history = History::default();
        for second in 0..3 * 86_400 {
            history.note(at(second));
        }
        let lengths: Vec<usize> = history.tiers.iter().map(VecDeque::len).collect();
        assert_eq!(lengths, [900, 1_440, 2_880]);
        assert_eq!(history.last(10).len(), 11);
        let hour = history.last(3_600);
        assert_eq!(hour.len(), 361);
        assert_eq!(hour[0].live_bytes % 10.0, 9.0);
        let days = history.last(48 * 3_600);
        assert_eq!(days[1].time_ns - days[0].time_ns, 60_000_000_000);
        assert_eq!(size_of::<Point>(), 32);
    }

    #[test]
    fn only_the_heaviest_stacks_have_a_history() {
        let mut histories = Histories::default();
        let sums = vec![Totals::default(); 200];
        let order: Vec<u32> = (0..200).collect();
        histories.note(1, &order, &sums, &sums);
        let others: Vec<u32> = (50..200).collect();
        histories.note(2_000_000_000, &others, &sums, &sums);
        assert_eq!(histories.by_stack.len(), STACKS_MAX);
        assert!(histories.of_stack(10).is_none());
        assert_eq!(histories.of_stack(60).unwrap().last(60).len(), 2);
        assert_eq!(histories.of_stack(113).unwrap().last(60).len(), 1);
    }
}
