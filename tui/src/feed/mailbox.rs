//! Between the reader's thread and the dashboard: of what is only worth its latest, no more than the
//! latest waits.
//!
//! A terminal that takes nothing more stops the dashboard, and the reader goes on: snapshots of a large
//! program would pile up, some megabytes each second.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::Update;

/// What waits to be taken in.
#[derive(Debug, Default)]
pub struct Mailbox(Mutex<Latest>);

#[derive(Debug, Default)]
struct Latest {
    targets: Option<Update>,
    snapshot: Option<Update>,
    parts: Option<Update>,
}

impl Latest {
    fn slot(&mut self, update: &Update) -> Option<&mut Option<Update>> {
        match update {
            Update::Targets(_) => Some(&mut self.targets),
            Update::Snapshot(_) => Some(&mut self.snapshot),
            Update::Parts(..) => Some(&mut self.parts),
            _ => None,
        }
    }

    fn take(&mut self) -> Vec<Update> {
        let latest = mem::take(self);
        // Parts lie beside a snapshot.
        let all = [latest.targets, latest.snapshot, latest.parts];
        all.into_iter().flatten().collect()
    }

    fn is_empty(&self) -> bool {
        self.targets.is_none() && self.snapshot.is_none() && self.parts.is_none()
    }
}

/// What the sender of an update has to do.
#[derive(Debug)]
pub enum Posted {
    /// It waits behind others that the receiver has been told of.
    Waits,
    /// Tell the receiver that something waits.
    Tell,
    /// Send these on, in this order: they are not to be missed.
    Send(Vec<Update>),
}

impl Mailbox {
    fn lock(&self) -> MutexGuard<'_, Latest> {
        // Whatever another thread did to it, it holds whole updates.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an update in, in the place of an older one of its kind.
    pub fn post(&self, update: Update) -> Posted {
        let mut latest = self.lock();
        let was_empty = latest.is_empty();
        match latest.slot(&update) {
            Some(slot) => {
                *slot = Some(update);
                if was_empty {
                    Posted::Tell
                } else {
                    Posted::Waits
                }
            }
            None => {
                let mut all = latest.take();
                all.push(update);
                Posted::Send(all)
            }
        }
    }

    /// What waits.
    pub fn take(&self) -> Vec<Update> {
        self.lock().take()
    }
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::Arc};

    use super::*;
    use crate::{look::Parts, sample};

    fn snapshot(samples: u64) -> Update {
        let mut snapshot = sample::snapshot();
        snapshot.sampling.samples = samples;
        Update::Snapshot(Arc::new(snapshot))
    }

    #[test]
    fn only_the_latest_waits_for_a_dashboard_that_stands_still() {
        let mailbox = Mailbox::default();
        assert!(matches!(mailbox.post(snapshot(1)), Posted::Tell));
        for samples in 2..1_000 {
            assert!(matches!(mailbox.post(snapshot(samples)), Posted::Waits));
            let parts = Update::Parts(PathBuf::new(), Parts::default());
            assert!(matches!(mailbox.post(parts), Posted::Waits));
        }
        let waiting = mailbox.take();
        assert_eq!(waiting.len(), 2);
        assert!(matches!(&waiting[0], Update::Snapshot(of) if of.sampling.samples == 999));
        assert!(mailbox.take().is_empty());
        assert!(matches!(mailbox.post(snapshot(1)), Posted::Tell));
    }

    #[test]
    fn what_is_not_to_be_missed_comes_behind_what_was_before_it() {
        let mailbox = Mailbox::default();
        mailbox.post(snapshot(1));
        let done = |text: &str| Update::Done(Ok(text.to_owned()));
        let Posted::Send(all) = mailbox.post(done("written")) else {
            panic!("it is kept back");
        };
        assert!(matches!(
            all.as_slice(),
            [Update::Snapshot(_), Update::Done(_)]
        ));
        let Posted::Send(all) = mailbox.post(done("written, too")) else {
            panic!("it is kept back");
        };
        assert_eq!(all.len(), 1);
    }
}
