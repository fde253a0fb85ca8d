//! The moment that others are compared with.

use std::{collections::HashMap, sync::Arc};

use riptide_reader::{
    estimate::{Sum, difference},
    profile::{Estimate, Live, Site, Snapshot},
};

use super::SiteKey;
use crate::{
    flame::Tree,
    look::{Grouping, Parts},
};

/// A base of comparison.
#[derive(Clone, Debug)]
pub struct Base {
    /// Seconds that the target had lived.
    pub uptime_seconds: Option<f64>,
    /// Seconds on the dashboard's clock.
    pub at_seconds: f64,
    /// The live heap then.
    pub live: Live,
    /// Its stacks.
    pub flame: Option<Arc<Tree>>,
    groups: [Option<HashMap<SiteKey, Estimate>>; Grouping::ALL.len()],
    /// What a site without a live sample may still have held.
    unseen: Estimate,
    /// Only the heaviest sites are known, of a moment long past.
    is_partial: bool,
}

fn by_key(sites: &[Site]) -> HashMap<SiteKey, Estimate> {
    sites
        .iter()
        .map(|site| (SiteKey::of(site), site.live_bytes))
        .collect()
}

impl Base {
    /// A moment as the base.
    #[must_use]
    pub fn of(snapshot: &Snapshot, parts: &Parts, at_seconds: f64, is_partial: bool) -> Self {
        let interval = snapshot.sampling.interval_bytes;
        let unseen = Sum {
            unseen: if interval > 1 { interval as f64 } else { 0.0 },
            ..Sum::default()
        };
        Self {
            uptime_seconds: snapshot.target.uptime_seconds,
            at_seconds,
            live: snapshot.live,
            flame: parts.flame.clone().filter(|_| !is_partial),
            groups: [
                Some(by_key(&snapshot.sites)),
                parts.functions.as_deref().map(by_key),
                parts.crates.as_deref().map(by_key),
                parts.thread_rows.as_deref().map(by_key),
            ],
            unseen: unseen.interval(),
            is_partial,
        }
    }

    /// How a row has changed since; `None` when the base does not know.
    #[must_use]
    pub fn change(&self, grouping: Grouping, site: &Site) -> Option<Estimate> {
        let group = self.groups.get(grouping as usize)?.as_ref()?;
        let then = match group.get(&SiteKey::of(site)) {
            Some(then) => *then,
            None if self.is_partial => return None,
            None => self.unseen,
        };
        Some(difference(&site.live_bytes, &then))
    }

    /// How the whole heap has changed since.
    #[must_use]
    pub fn change_of_all(&self, live: &Live) -> Estimate {
        difference(&live.bytes, &self.live.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::snapshot;

    #[test]
    fn what_was_not_there_grew_from_nothing_that_was_seen() {
        let mut now = snapshot();
        let gone = now.sites.remove(1);
        let base = Base::of(&now, &Parts::default(), 0.0, false);
        assert_eq!(
            base.change(Grouping::Site, &now.sites[0]).unwrap().estimate,
            0.0
        );
        let change = base.change(Grouping::Site, &gone).unwrap();
        assert_eq!(change.estimate, gone.live_bytes.estimate);
        // What was below one sample may have been there.
        assert!(change.low < gone.live_bytes.low);
        assert!(base.change(Grouping::Crate, &gone).is_none());
        let partial = Base::of(&now, &Parts::default(), 0.0, true);
        assert!(partial.change(Grouping::Site, &gone).is_none());
    }
}
