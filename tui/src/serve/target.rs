//! One followed target: its session, its last tick, and what is worked out only when somebody asks.
//!
//! **Invariants.** A look costs no symbols: stacks get their names for verdicts, for captures and
//! for sites, when these are asked for. Whoever waits for symbols waits on a thread for that, never on
//! one that follows targets. What is asked for by many at once is worked out once.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use riptide_reader::{
    ReaderError, Session,
    export::Capture,
    profile::{Estimate, JournalShapes, Snapshot, TargetState},
};
use rustix::time::{ClockId, clock_gettime};

use super::tick::{Cost, Identity, SITES_KEPT, Tick, Verdicts};

/// Growth is measured over windows of this length; the last whole window counts until the current one
/// is long enough.
const GROWTH_WINDOW: Duration = Duration::from_secs(600);
const GROWTH_ENOUGH_SECONDS: f64 = 60.0;
/// A capture answers everybody who asks within this time.
const CAPTURE_FRESH: Duration = Duration::from_secs(1);
/// After this time without a question a capture is given up.
const CAPTURE_KEPT: Duration = Duration::from_secs(30);
/// How long a capture waits for symbols; what has none by then is written as addresses.
const SYMBOLS: Duration = Duration::from_secs(20);
const SYMBOLS_STEP: Duration = Duration::from_millis(20);

/// A followed target.
pub struct Target {
    identity: Arc<Identity>,
    following: Mutex<Following>,
    latest: Mutex<Arc<Tick>>,
    capture: Mutex<Option<(Instant, Arc<Capture>)>>,
}

struct Following {
    session: Session,
    shapes: JournalShapes,
    window: Window,
    lost: Lost,
    verdicts: Option<Arc<Verdicts>>,
    cost: Cost,
}

/// Growth over windows.
struct Window {
    began: Instant,
    last: Option<Estimate>,
}

/// Records and samples up to the last look.
#[derive(Clone, Copy, Default)]
struct Lost {
    delivered: u64,
    lost: u64,
    samples: u64,
    unrecorded: u64,
}

impl Target {
    pub(super) fn new(id: u64, mut session: Session) -> Self {
        let figures = session.figures();
        let info = &figures.target;
        let identity = Arc::new(Identity {
            id,
            pid: session.host_pid().unwrap_or(info.pid),
            inner_pid: info.pid,
            process: info.name.clone(),
            region: info.region.clone(),
            executable: info.executable.clone(),
        });
        let mut following = Following {
            lost: Lost::of(&session, &figures),
            session,
            shapes: JournalShapes::default(),
            window: Window {
                began: Instant::now(),
                last: None,
            },
            verdicts: None,
            cost: Cost::default(),
        };
        let tick = following.tick(&identity, figures);
        Self {
            identity,
            following: Mutex::new(following),
            latest: Mutex::new(Arc::new(tick)),
            capture: Mutex::new(None),
        }
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// The last tick.
    #[must_use]
    pub fn latest(&self) -> Arc<Tick> {
        Arc::clone(&lock(&self.latest))
    }

    /// Why its region can no longer be read, if so.
    #[must_use]
    pub fn problem(&self) -> Option<ReaderError> {
        lock(&self.following).session.problem()
    }

    /// The profile with all its sites, named as far as that is possible, as it is now. Waits for
    /// symbols.
    #[must_use]
    pub fn capture(&self) -> Arc<Capture> {
        let mut kept = lock(&self.capture);
        if let Some((at, capture)) = &*kept
            && at.elapsed() < CAPTURE_FRESH
            // Nobody wants to hear that a target lives which just died.
            && capture.snapshot.target.state == self.latest().figures.target.state
        {
            return Arc::clone(capture);
        }
        lock(&self.following).measured(|following| {
            following.session.snapshot();
            following.shapes.follow(following.session.events());
        });
        let deadline = Instant::now() + SYMBOLS;
        // In steps: those who follow the target come in between.
        while !lock(&self.following).session.wait_for_symbols(SYMBOLS_STEP)
            && Instant::now() < deadline
        {
            thread::sleep(SYMBOLS_STEP);
        }
        let capture = lock(&self.following).measured(|following| {
            let capture = Arc::new(Capture::of_last_look(&mut following.session));
            following.session.release_symbols();
            capture
        });
        *kept = Some((Instant::now(), Arc::clone(&capture)));
        capture
    }

    /// The sites that grow most, the most first, as they are now; at most `most`. Waits for symbols.
    #[must_use]
    pub fn growing_sites(&self, most: usize) -> Vec<riptide_reader::profile::Site> {
        let growth = |site: &riptide_reader::profile::Site| {
            let of = site.growth_bytes_per_second;
            of.map_or(0.0, |growth| growth.estimate)
        };
        let mut sites = self.capture().snapshot.sites.clone();
        sites.sort_by(|left, right| growth(right).total_cmp(&growth(left)));
        sites.truncate(most);
        sites
    }

    /// Follows the journal.
    pub(super) fn poll(&self) {
        // While it is locked somebody else looks, and follows the journal with it.
        if let Some(mut following) = try_lock(&self.following) {
            following.measured(|following| {
                following.session.poll();
                following.shapes.follow(following.session.events());
            });
        }
    }

    /// Whether the process ran at the last look at its journal.
    pub(super) fn is_running(&self) -> bool {
        try_lock(&self.following).is_none_or(|following| {
            let state = following.session.state();
            matches!(state, TargetState::Live | TargetState::Unknown)
                && following.session.problem().is_none()
        })
    }

    /// Looks at the tables. The tick is the latest from now on.
    pub(super) fn look(&self) -> Arc<Tick> {
        // Somebody else looks: the last figures stay until then, rather than to hold up a thread
        // that other targets need.
        let Some(mut following) = try_lock(&self.following) else {
            return self.latest();
        };
        let start = Instant::now();
        let figures = following.measured(|following| {
            let figures = following.session.figures();
            following.shapes.follow(following.session.events());
            figures
        });
        following.cost.looks += 1;
        following.cost.last_look_seconds = start.elapsed().as_secs_f64();
        let tick = Arc::new(following.tick(&self.identity, figures));
        drop(following);
        *lock(&self.latest) = Arc::clone(&tick);
        if let Some(mut kept) = try_lock(&self.capture)
            && kept
                .as_ref()
                .is_some_and(|(at, _)| at.elapsed() > CAPTURE_KEPT)
        {
            *kept = None;
        }
        tick
    }

    /// Judges the sites as of the last look; `None` while their names are being looked up. Never
    /// waits for them.
    pub(super) fn judge(&self) -> Option<Arc<Verdicts>> {
        let mut following = try_lock(&self.following)?;
        let verdicts = following.measured(|following| {
            let session = &mut following.session;
            let mut snapshot = session.snapshot_of_last_look();
            if session.pending_symbols() > 0 {
                return None;
            }
            snapshot.sites.truncate(SITES_KEPT);
            let findings = session.findings();
            // Idle ones held a gigabyte for 300 targets.
            session.release_symbols();
            Some(Arc::new(Verdicts {
                at: SystemTime::now(),
                findings,
                sites: snapshot.sites,
            }))
        })?;
        following.verdicts = Some(Arc::clone(&verdicts));
        Some(verdicts)
    }

    /// The profile of now for `top`: all sites, with their names. Waits for symbols.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.capture().snapshot.clone()
    }
}

impl Following {
    /// Does something and counts its CPU time.
    fn measured<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let before = thread_cpu_seconds();
        let result = work(self);
        self.cost.cpu_seconds += (thread_cpu_seconds() - before).max(0.0);
        result
    }

    fn tick(&mut self, identity: &Arc<Identity>, figures: Snapshot) -> Tick {
        let lost = Lost::of(&self.session, &figures);
        let lost_share = lost.share_since(&self.lost);
        self.lost = lost;
        self.cost.memory_bytes = self.session.kept_bytes();
        let growth = self.growth(&figures);
        let memory = &figures.memory;
        let limit = memory.cgroup_limit.zip(memory.cgroup_in_use());
        let jemalloc = memory.active.zip(memory.allocated);
        Tick {
            identity: Arc::clone(identity),
            at: SystemTime::now(),
            time_to_limit_seconds: growth
                .zip(memory.cgroup_headroom())
                .and_then(|(growth, headroom)| growth.time_to_use_up(headroom as f64)),
            growth_bytes_per_second: growth,
            fragmentation: jemalloc
                .filter(|(active, _)| *active > 0)
                .map(|(active, allocated)| active.saturating_sub(allocated) as f64 / active as f64),
            limit_share: limit
                .filter(|(limit, _)| *limit > 0)
                .map(|(limit, usage)| usage as f64 / limit as f64),
            lost_share,
            shapes: self.shapes,
            verdicts: self.verdicts.clone(),
            cost: self.cost,
            figures,
        }
    }

    /// Growth over the current window, or over the last one while this one is short.
    fn growth(&mut self, figures: &Snapshot) -> Option<Estimate> {
        let now = figures.rates.growth_bytes_per_second;
        let is_enough = self.session.watched_seconds() >= GROWTH_ENOUGH_SECONDS;
        let growth = if is_enough || self.window.last.is_none() {
            now
        } else {
            self.window.last
        };
        if self.window.began.elapsed() >= GROWTH_WINDOW && is_enough {
            self.window = Window {
                began: Instant::now(),
                last: now,
            };
            self.session.restart_watch();
        }
        growth
    }
}

impl Lost {
    fn of(session: &Session, figures: &Snapshot) -> Self {
        let account = session.account();
        let loss = &figures.loss;
        Self {
            delivered: account.delivered,
            lost: loss
                .overwritten
                .saturating_add(loss.dropped)
                .saturating_add(loss.torn),
            samples: figures.sampling.samples,
            unrecorded: loss.unrecorded_blocks,
        }
    }

    fn share_since(&self, before: &Self) -> f64 {
        let share = |part: u64, rest: u64| {
            let whole = part.saturating_add(rest);
            if whole == 0 {
                0.0
            } else {
                part as f64 / whole as f64
            }
        };
        let lost = self.lost.saturating_sub(before.lost);
        let delivered = self.delivered.saturating_sub(before.delivered);
        let unrecorded = self.unrecorded.saturating_sub(before.unrecorded);
        let samples = self.samples.saturating_sub(before.samples);
        share(lost, delivered).max(share(unrecorded, samples.saturating_sub(unrecorded)))
    }
}

/// CPU time that this thread has used.
pub(super) fn thread_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// A panic of another thread leaves figures that are looked at anew each time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(std::sync::TryLockError::WouldBlock) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_share_of_loss_counts_and_only_what_is_new() {
        let before = Lost {
            delivered: 100,
            lost: 100,
            samples: 100,
            unrecorded: 100,
        };
        assert_eq!(before.share_since(&before), 0.0);
        let after = Lost {
            delivered: 109,
            lost: 101,
            samples: 110,
            unrecorded: 105,
        };
        assert_eq!(after.share_since(&before), 0.5);
    }
}
