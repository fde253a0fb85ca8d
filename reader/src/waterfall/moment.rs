//! What was live when jemalloc's figures were taken.
//!
//! A program that falls silent never refreshes them, and live records are always of now: comparing
//! the two as they are would call whatever was allocated meanwhile a difference.

use crate::{
    estimate::{Sum, weigh},
    ingest::{LiveSample, Observation, RecentEvent, is_after_epoch},
    profile::{Estimate, weigh_usable},
    size_class::usable_size,
};

/// Live blocks in usable size, then and now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Moment {
    /// Live when jemalloc's figures were taken.
    pub(crate) then: Estimate,
    /// What came since and is still there, less what was there and has gone.
    pub(crate) net_since: f64,
    /// The most by which live blocks exceeded those of then, at any time since.
    pub(crate) peak_since: f64,
    /// Upper end of the same.
    pub(crate) peak_since_high: f64,
}

impl Moment {
    /// What is carried on from old figures cannot fall below what is live now: where something came
    /// or went since, no more was live then than jemalloc counted.
    pub(crate) fn within(mut self, allocated: Option<u64>) -> Self {
        let allocated = allocated.map_or(f64::INFINITY, |bytes| bytes as f64);
        if self.net_since != 0.0 && self.then.estimate > allocated && self.then.low <= allocated {
            self.net_since += self.then.estimate - allocated;
            self.then.estimate = allocated;
        }
        self
    }

    /// Looks back from an observation whose live blocks sum up to `now`.
    pub(crate) fn of(observation: &Observation, now: &Sum) -> Self {
        let status = &observation.status;
        let is_new = |record: &&LiveSample| is_after_epoch(status, record.number).unwrap_or(false);
        let mut born = Sum::default();
        for record in observation.live.iter().filter(is_new) {
            born.add(&weigh_usable(record));
        }
        let kept = Sum {
            estimate: now.estimate - born.estimate,
            variance: (now.variance - born.variance).max(0.0),
            observed: now.observed - born.observed,
            unseen: now.unseen,
        };
        let Some(events) = observation.recent.since_epoch(status) else {
            // What was freed since is not known: between nothing, and as much as was born.
            let (now, kept) = (now.interval(), kept.interval());
            return Self {
                then: Estimate {
                    estimate: now.estimate,
                    low: now.low.min(kept.low),
                    high: now.high.max(kept.high),
                },
                net_since: 0.0,
                peak_since: 0.0,
                peak_since_high: high_of(&born) - born.estimate,
            };
        };
        let mut events: Vec<&RecentEvent> = events.collect();
        // Each ring is in order; rings are put together by time.
        events.sort_by_key(|event| event.time_ns);
        let mut then = kept;
        let mut all_born = Sum::default();
        let (mut level, mut peak) = (0.0_f64, 0.0_f64);
        for event in events {
            let usable = usable_of_event(event);
            if event.is_free {
                level -= usable.estimate;
            } else {
                level += usable.estimate;
                all_born.add(&usable);
            }
            peak = peak.max(level);
            if event.ends_older_block(status) {
                then.add(&usable);
            }
        }
        Self {
            then: then.interval(),
            net_since: now.estimate - then.estimate,
            peak_since: peak,
            peak_since_high: peak + high_of(&all_born) - all_born.estimate,
        }
    }
}

/// Upper end of a sum; nothing seen is nothing, as jemalloc's figures are of this very time then.
fn high_of(sum: &Sum) -> f64 {
    if sum.estimate > 0.0 {
        sum.interval().high
    } else {
        0.0
    }
}

/// The journal does not keep the alignment of a block.
fn usable_of_event(event: &RecentEvent) -> Sum {
    let weight = weigh(event.size, event.interval);
    let usable = usable_size(event.size) as f64;
    Sum {
        estimate: usable * weight.objects,
        variance: usable * usable * weight.objects_variance,
        observed: usable,
        unseen: usable * weight.unseen_objects,
    }
}

#[cfg(test)]
mod tests {
    use riptide_region::{
        event::{Event, EventKind},
        stack_table::StackId,
    };

    use super::*;
    use crate::ingest::StackIndex;

    /// An observation whose figures were taken when the ring stood at ticket 10.
    fn observation(live: &[(u64, u64)]) -> Observation {
        let mut observation = Observation::default();
        observation.status.ring_heads[0] = Some(10);
        observation.live = live
            .iter()
            .map(|(number, size)| LiveSample {
                size: *size,
                interval: 1,
                birth_ns: 0,
                number: *number,
                stack: StackIndex::UNKNOWN,
                thread: 1,
                align_log2: 0,
            })
            .collect();
        observation.recent.begin(vec![0]);
        observation
    }

    fn note(observation: &mut Observation, ticket: u64, kind: EventKind, number: u64, size: u64) {
        let event = Event {
            kind,
            address: 0,
            size,
            stack: StackId(1),
            thread: 1,
            time_ns: ticket,
            number,
            interval: 1,
        };
        observation.recent.note(0, ticket, &event);
    }

    fn moment(observation: &Observation) -> Moment {
        let mut now = Sum::default();
        for record in &observation.live {
            now.add(&weigh_usable(record));
        }
        Moment::of(observation, &now)
    }

    const FREE: EventKind = EventKind::Free { lifetime_ms: 0 };

    #[test]
    fn what_came_after_the_figures_was_not_there_then() {
        let mut observation = observation(&[(3, 1_024), (10, 4_096)]);
        note(&mut observation, 10, EventKind::Allocation, 0, 4_096);
        let found = moment(&observation);
        assert_eq!(found.then.estimate, 1_024.0);
        assert_eq!((found.net_since, found.peak_since), (4_096.0, 4_096.0));
    }

    #[test]
    fn what_went_after_the_figures_was_there_then() {
        let mut observation = observation(&[(3, 1_024)]);
        // Came and went before, came and went since, came before and went since.
        note(&mut observation, 9, FREE, 4, 64);
        note(&mut observation, 10, EventKind::Allocation, 0, 8_192);
        note(&mut observation, 11, FREE, 10, 8_192);
        note(&mut observation, 12, FREE, 5, 512);
        let found = moment(&observation);
        assert_eq!(found.then.estimate, 1_024.0 + 512.0);
        assert_eq!((found.net_since, found.peak_since), (-512.0, 8_192.0));
    }

    #[test]
    fn without_the_journal_the_interval_holds_both() {
        let mut observation = observation(&[(3, 1_024), (10, 4_096)]);
        observation.recent.lost(0, 12);
        let found = moment(&observation);
        assert!(found.then.low <= 1_024.0 && found.then.high >= 5_120.0);
        assert_eq!(found.net_since, 0.0);
        // A region of version 1.0 does not tell.
        observation.status.ring_heads[0] = None;
        assert_eq!(moment(&observation).then.estimate, 5_120.0);
    }

    #[test]
    fn no_more_was_live_than_jemalloc_counted() {
        let found = Moment {
            then: Estimate {
                estimate: 500.0,
                low: 100.0,
                high: 900.0,
            },
            net_since: -300.0,
            ..Moment::default()
        };
        let within = found.within(Some(400));
        assert_eq!((within.then.estimate, within.net_since), (400.0, -200.0));
        assert_eq!(found.within(Some(50)), found);
        assert_eq!(found.within(None), found);
    }
}
