//! A target that is followed: a snapshot a second, parts between them, and after its end a look-out for
//! the process that takes its place.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use riptide_reader::{
    Session,
    attach::discover,
    profile::{Snapshot, TargetInfo, TargetState},
};

use super::{Trouble, Update, parts::Maker};

/// Between two snapshots.
const SNAPSHOT: Duration = Duration::from_secs(1);
/// Between two snapshots while symbols arrive.
const SNAPSHOT_WHILE_SYMBOLS_ARRIVE: Duration = Duration::from_millis(250);
/// Between two searches for the process that took the place of one that ended.
pub(super) const SEARCH_FOR_SUCCESSOR: Duration = Duration::from_secs(2);

/// A session with what is made of it.
pub(super) struct Followed {
    pub(super) session: Session,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) maker: Maker,
    next_snapshot: Instant,
    /// Nothing more will come: the target is gone and all symbols are there.
    complete: bool,
    next_search: Instant,
    successor: Option<PathBuf>,
}

impl Followed {
    pub(super) fn new(session: Session, maker: Maker) -> Self {
        Self {
            session,
            snapshot: Arc::default(),
            maker,
            next_snapshot: Instant::now(),
            complete: false,
            next_search: Instant::now(),
            successor: None,
        }
    }

    /// Shows what there is at once, ended or not.
    pub(super) fn show_again(&mut self) {
        self.next_snapshot = Instant::now();
        self.complete = false;
        self.successor = None;
    }

    pub(super) fn is_done(&self) -> bool {
        self.complete && self.maker.is_complete()
    }

    pub(super) fn step(&mut self, send: &impl Fn(Update) -> bool) -> bool {
        if self.is_done() {
            return self.look_for_successor(send);
        }
        if !self.complete {
            self.session.poll();
        }
        let now = Instant::now();
        if !self.complete && now >= self.next_snapshot {
            return self.look(now, send);
        }
        if self.snapshot.schema_version != 0
            && self.maker.make_one(&mut self.session, &self.snapshot)
        {
            let region = self.snapshot.target.region.clone();
            return send(Update::Parts(region, self.maker.parts.clone()));
        }
        true
    }

    fn look(&mut self, now: Instant, send: &impl Fn(Update) -> bool) -> bool {
        let snapshot = self.session.snapshot();
        self.session.show_to(&mut self.maker.advisor, &snapshot);
        self.maker.watch(&snapshot);
        let symbols_arrive = snapshot.pending_symbols > 0;
        self.complete = snapshot.target.state != TargetState::Live && !symbols_arrive;
        if self.complete {
            // Once more, of the last moment.
            self.maker.make_anew(None);
        }
        self.next_snapshot = now
            + if symbols_arrive {
                SNAPSHOT_WHILE_SYMBOLS_ARRIVE
            } else {
                SNAPSHOT
            };
        self.snapshot = Arc::new(snapshot);
        if !send(Update::Snapshot(Arc::clone(&self.snapshot))) {
            return false;
        }
        match self.session.problem() {
            Some(problem) => {
                self.complete = true;
                send(Update::Trouble(Trouble::from(&problem)))
            }
            None => true,
        }
    }

    /// Whether a process of the same name runs in the place of the one that ended.
    fn look_for_successor(&mut self, send: &impl Fn(Update) -> bool) -> bool {
        if Instant::now() < self.next_search {
            return true;
        }
        self.next_search = Instant::now() + SEARCH_FOR_SUCCESSOR;
        let old = &self.snapshot.target;
        let successor = discover()
            .into_iter()
            .filter(|found| found.problem.is_none())
            .map(|found| found.info)
            .filter(|info| {
                info.state == TargetState::Live
                    && info.name == old.name
                    && info.executable == old.executable
                    && info.region != old.region
            })
            .min_by(|a, b| {
                let age = |info: &TargetInfo| info.uptime_seconds.unwrap_or(f64::INFINITY);
                age(a).total_cmp(&age(b))
            });
        match successor {
            Some(info) if self.successor.as_ref() != Some(&info.region) => {
                self.successor = Some(info.region.clone());
                send(Update::Restarted(info))
            }
            _ => true,
        }
    }
}
