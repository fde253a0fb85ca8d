//! Where the target and the picture are in their lives.

use riptide_reader::profile::Snapshot;

/// Seconds without any change after which a live target counts as quiet.
const QUIET_SECONDS: f64 = 3.0;
/// Seconds without a word from the shim after which moving figures count as stale.
const STALE_SECONDS: f64 = 10.0;

/// The mode of line 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// No target yet.
    Searching,
    /// Figures come in.
    Live,
    /// The target runs and nothing changes.
    Quiet,
    /// The process moves but its shim has not spoken for so many seconds.
    Stale(f64),
    /// The picture is held; the uptime it shows.
    Paused(Option<f64>),
    /// The past is shown; the uptime then.
    Replay(Option<f64>),
    /// Ended cleanly.
    Exited,
    /// Ended without a word.
    Killed,
    /// Ended, and a process of the same name runs in its place.
    Restarted,
    /// From another boot or pid namespace.
    Unknown,
    /// A region of another version or machine.
    Incompatible,
    /// Not allowed.
    Denied,
    /// Not readable for another reason.
    Unreadable,
}

/// What decides whether a live target is quiet or stale.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    last: Option<Print>,
    changed_at: f64,
    now: f64,
    heartbeat_age: Option<f64>,
}

/// What of a snapshot counts as a change: ages grow by themselves and do not.
#[derive(Clone, Debug, PartialEq)]
struct Print {
    live: riptide_reader::profile::Live,
    samples: u64,
    loss: riptide_reader::profile::Loss,
    state: riptide_reader::profile::TargetState,
    rss: Option<u64>,
    allocated: Option<u64>,
    pending_symbols: usize,
    sites: usize,
}

impl Print {
    fn of(snapshot: &Snapshot) -> Self {
        Self {
            live: snapshot.live,
            samples: snapshot.sampling.samples,
            loss: snapshot.loss,
            state: snapshot.target.state,
            rss: snapshot.memory.rss,
            allocated: snapshot.memory.allocated,
            pending_symbols: snapshot.pending_symbols,
            sites: snapshot.sites.len(),
        }
    }
}

impl Tracker {
    /// Takes a snapshot in; true when it has to be drawn. Until the target counts as quiet every
    /// snapshot is: rates still settle.
    pub(crate) fn observe(&mut self, snapshot: &Snapshot, now: f64) -> bool {
        let print = Print::of(snapshot);
        if self.last.as_ref() != Some(&print) {
            self.last = Some(print);
            self.changed_at = now;
        }
        self.now = now;
        self.heartbeat_age = snapshot.target.heartbeat_age_seconds;
        !self.is_quiet()
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.now - self.changed_at >= QUIET_SECONDS
    }

    pub(crate) fn of_live(&self) -> Mode {
        match self.heartbeat_age {
            _ if self.is_quiet() => Mode::Quiet,
            Some(age) if age >= STALE_SECONDS => Mode::Stale(age.floor()),
            _ => Mode::Live,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::snapshot;

    #[test]
    fn nothing_new_becomes_quiet_and_is_not_drawn() {
        let mut tracker = Tracker::default();
        let mut snapshot = snapshot();
        assert!(tracker.observe(&snapshot, 0.0));
        assert!(tracker.observe(&snapshot, 1.0));
        assert!(!tracker.observe(&snapshot, 3.0));
        assert_eq!(tracker.of_live(), Mode::Quiet);
        // Ages alone change nothing.
        snapshot.target.uptime_seconds = Some(99.0);
        snapshot.memory.age_seconds = Some(9.0);
        assert!(!tracker.observe(&snapshot, 4.0));
        snapshot.sampling.samples += 1;
        assert!(tracker.observe(&snapshot, 5.0));
        assert_eq!(tracker.of_live(), Mode::Live);
    }

    #[test]
    fn a_silent_shim_in_a_moving_process_is_stale() {
        let mut tracker = Tracker::default();
        let mut snapshot = snapshot();
        snapshot.target.heartbeat_age_seconds = Some(12.4);
        tracker.observe(&snapshot, 0.0);
        assert_eq!(tracker.of_live(), Mode::Stale(12.0));
    }
}
