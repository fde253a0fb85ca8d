//! What was live when jemalloc's figures were taken.
//!
//! A program that falls silent never refreshes them, and live records are always of now: comparing
//! the two as they are would call whatever was allocated meanwhile a difference.

use crate::{
    estimate::{Sum, weigh},
    ingest::{LiveSample, Observation, is_after_epoch},
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
    /// Upper end of what came since and is still there.
    pub(crate) born_since_high: f64,
}

impl Moment {
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
        let born_since_high = if born.estimate > 0.0 {
            born.interval().high
        } else {
            0.0
        };
        let Some(frees) = observation.recent_frees.of_epoch(status) else {
            // What was freed since is not known: between nothing, and as much as was born.
            let (now, kept) = (now.interval(), kept.interval());
            return Self {
                then: Estimate {
                    estimate: now.estimate,
                    low: now.low.min(kept.low),
                    high: now.high.max(kept.high),
                },
                net_since: 0.0,
                born_since_high,
            };
        };
        let mut then = kept;
        for freed in frees {
            then.add(&usable_of_freed(freed.size, freed.interval));
        }
        Self {
            then: then.interval(),
            net_since: now.estimate - then.estimate,
            born_since_high,
        }
    }
}

/// The journal does not keep the alignment of a block.
fn usable_of_freed(size: u64, interval: u64) -> Sum {
    let weight = weigh(size, interval);
    let usable = usable_size(size) as f64;
    Sum {
        estimate: usable * weight.objects,
        variance: usable * usable * weight.objects_variance,
        observed: usable,
        unseen: usable * weight.unseen_objects,
    }
}
