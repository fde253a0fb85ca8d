//! All followed targets: those that come, those that are looked at in turn, those that ended.
//!
//! A thread searches for region files; a few workers take the target that is due first. A target has
//! one place in the queue, so it is looked at by one worker at a time.
//!
//! **Invariants.** A region file is followed once, however many mount namespaces show it. What ended is
//! said once. A target that takes long to look at is looked at less often.

use std::{
    cmp::Ordering as Order,
    collections::{BTreeMap, BinaryHeap, HashMap, VecDeque},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use riptide_reader::{
    ReaderError, Session, SessionOptions,
    attach::{describe, directories, region_files},
    profile::{TargetInfo, TargetState},
};

use super::{
    observer::Observer,
    snapshots::Snapshots,
    target::{Target, thread_cpu_seconds},
    tick::{Identity, Tick},
};
use crate::config::Config;

/// Between two looks at a target, as a multiple of the CPU time that the last one took.
const SPACING: u32 = 20;
/// Targets whose names are looked up for verdicts at the same time: a symboliser at work holds the
/// symbols of its target's files.
const JUDGED_AT_ONCE: usize = 2;
/// Between two questions whether the names for a verdict are there, and how often it is asked.
const NAMES: Duration = Duration::from_millis(200);
const NAMES_ASKED_MAX: u32 = 150;
/// How long a region file may be unreadable before it is not looked at any more: it is on its way.
const UNREADABLE_MAX: Duration = Duration::from_secs(60);

/// Which targets are followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Every one of the host.
    All,
    /// The only one there is, now or later.
    Only,
    /// Those that are named by pid, by process name or by region file.
    Named(Vec<String>),
}

impl Wanted {
    fn wants(
        &self,
        path: &Path,
        info: &TargetInfo,
        host_pid: Option<u32>,
        followed: usize,
    ) -> bool {
        let runs = matches!(info.state, TargetState::Live | TargetState::Unknown);
        match self {
            Self::All => runs,
            Self::Only => runs && followed == 0,
            Self::Named(names) => names.iter().any(|name| {
                if Path::new(name) == path {
                    // A file that is named is followed whatever became of its process.
                    return true;
                }
                let executable = info.executable.as_deref().and_then(Path::file_name);
                let pid = name.parse().ok();
                let is_it = pid == Some(info.pid)
                    || (pid.is_some() && pid == host_pid)
                    || *name == info.name
                    || executable.is_some_and(|file| file == name.as_str());
                runs && is_it
            }),
        }
    }
}

/// Device, inode and path: the path alone may be another file a moment later.
type FileKey = (u64, u64, PathBuf);

enum Known {
    /// Followed, by this id, or followed until it ended.
    Followed,
    /// Not wanted, or dead when it was found.
    Passed,
    /// Its turn may come.
    Later,
    /// Could not be read since then.
    Unreadable(Instant),
}

/// Figures of the fleet itself.
#[derive(Debug, Default)]
pub struct FleetCounts {
    /// Targets that were followed, the present ones included.
    pub followed: AtomicU64,
    /// Targets that ended.
    pub ended: AtomicU64,
    /// Regions that could not be read.
    pub unreadable: AtomicU64,
    /// Targets that wait because there are too many.
    pub waiting: AtomicU64,
    /// Region files that the last search did not look at, as there are too many.
    pub left_out: AtomicU64,
    /// Searches.
    pub searches: AtomicU64,
}

/// All followed targets.
pub struct Fleet {
    wanted: Wanted,
    config: RwLock<Arc<Config>>,
    observers: RwLock<Vec<Arc<dyn Observer>>>,
    snapshots: Arc<Snapshots>,
    live: Mutex<BTreeMap<u64, Arc<Target>>>,
    dead: Mutex<VecDeque<(Instant, Arc<Target>)>>,
    queue: Mutex<BinaryHeap<Turn>>,
    changed: Condvar,
    stopped: AtomicBool,
    scanned: AtomicBool,
    judging: AtomicUsize,
    /// Figures of the fleet itself.
    pub counts: FleetCounts,
}

/// A target's place in the queue.
struct Turn {
    at: Instant,
    target: Arc<Target>,
    look_at: Instant,
    verdict_at: Instant,
    snapshot_at: Option<Instant>,
    /// How often the names for a verdict were asked for, while it is being judged.
    judging: Option<u32>,
}

// The earliest comes first out of the heap.
impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Order {
        other.at.cmp(&self.at)
    }
}
impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Order> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}
impl Eq for Turn {}

/// What was asked for is not clear, or not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTarget {
    /// There is none.
    #[error("no target is followed")]
    None,
    /// There are several, and none was named.
    #[error("{0} targets are followed; say which with ?target=PID")]
    Several(usize),
    /// None is called so.
    #[error("no target {0} is followed")]
    Unknown(String),
}

impl Fleet {
    /// Nothing is followed yet.
    #[must_use]
    pub fn new(wanted: Wanted, config: Arc<Config>, snapshots: Arc<Snapshots>) -> Arc<Self> {
        Arc::new(Self {
            wanted,
            config: RwLock::new(config),
            observers: RwLock::default(),
            snapshots,
            live: Mutex::default(),
            dead: Mutex::default(),
            queue: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            scanned: AtomicBool::new(false),
            judging: AtomicUsize::new(0),
            counts: FleetCounts::default(),
        })
    }

    /// Begins to search and to look. `observers` hear of every tick.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        self: &Arc<Self>,
        observers: Vec<Arc<dyn Observer>>,
    ) -> std::io::Result<Vec<JoinHandle<()>>> {
        *self
            .observers
            .write()
            .unwrap_or_else(PoisonError::into_inner) = observers;
        let workers = self.config().profiling.workers;
        let named = |name: String| thread::Builder::new().name(name);
        let mut threads = Vec::new();
        let fleet = Arc::clone(self);
        threads.push(named("riptide-search".to_owned()).spawn(move || fleet.search_on())?);
        for number in 0..workers {
            let fleet = Arc::clone(self);
            let worker = named(format!("riptide-look-{number}"));
            threads.push(worker.spawn(move || fleet.work())?);
        }
        Ok(threads)
    }

    /// Ends all threads, soon.
    pub fn stop(&self) {
        // Release: whoever sees it sees all that was done before.
        self.stopped.store(true, Ordering::Release);
        let _queue = lock(&self.queue);
        self.changed.notify_all();
    }

    /// A new configuration is in force.
    pub fn reload(&self, config: Arc<Config>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        // Turns that were planned with the old intervals come now and are planned anew.
        let mut queue = lock(&self.queue);
        let now = Instant::now();
        let turns = std::mem::take(&mut *queue).into_iter().map(|mut turn| {
            turn.at = now;
            turn.look_at = now;
            turn.verdict_at = now;
            turn.snapshot_at = None;
            turn
        });
        *queue = turns.collect();
        self.changed.notify_all();
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the first search is done.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.scanned.load(Ordering::Acquire)
    }

    /// Targets that run, in the order in which they came.
    #[must_use]
    pub fn live(&self) -> Vec<Arc<Target>> {
        lock(&self.live).values().cloned().collect()
    }

    /// How many run.
    #[must_use]
    pub fn live_count(&self) -> usize {
        lock(&self.live).len()
    }

    /// Targets that ended a short while ago, the last one first.
    #[must_use]
    pub fn dead(&self) -> Vec<Arc<Target>> {
        let dead = lock(&self.dead);
        dead.iter()
            .rev()
            .map(|(_, target)| Arc::clone(target))
            .collect()
    }

    /// The target of that pid or process name; without one the only target, a live one first.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub fn find(&self, name: Option<&str>) -> Result<Arc<Target>, NoTarget> {
        let live = self.live();
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return match live.as_slice() {
                [one] => Ok(Arc::clone(one)),
                [] => match self.dead().as_slice() {
                    [one] => Ok(Arc::clone(one)),
                    [] => Err(NoTarget::None),
                    several => Err(NoTarget::Several(several.len())),
                },
                several => Err(NoTarget::Several(several.len())),
            };
        };
        let pid: Option<u32> = name.parse().ok();
        let by = |is_it: &dyn Fn(&Identity) -> bool| {
            let dead = self.dead();
            // The one that came last: a pid may have been somebody else's before.
            let found = live.iter().rev().chain(dead.iter());
            let mut found = found.filter(|target| is_it(target.identity())).cloned();
            found.next()
        };
        by(&|identity| pid == Some(identity.pid))
            .or_else(|| by(&|identity| pid == Some(identity.inner_pid)))
            .or_else(|| by(&|identity| identity.process == name))
            .ok_or_else(|| NoTarget::Unknown(name.to_owned()))
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn search_on(self: Arc<Self>) {
        let mut known = HashMap::new();
        let mut next_id = 0;
        while !self.is_stopped() {
            self.search(&mut known, &mut next_id);
            self.counts.searches.fetch_add(1, Ordering::Relaxed);
            self.scanned.store(true, Ordering::Release);
            self.bury();
            let pause = seconds(self.config().profiling.search_seconds);
            let until = Instant::now() + pause;
            while !self.is_stopped() && Instant::now() < until {
                thread::sleep(pause.min(Duration::from_millis(50)));
            }
        }
    }

    fn search(&self, known: &mut HashMap<FileKey, Known>, next_id: &mut u64) {
        let (mut files, left_out) = region_files(&directories());
        if self
            .counts
            .left_out
            .swap(left_out as u64, Ordering::Relaxed)
            == 0
            && left_out > 0
        {
            tracing::warn!(
                "{left_out} region files are not looked at: `riptide prune` removes those of the dead"
            );
        }
        if let Wanted::Named(names) = &self.wanted {
            // A region file may lie anywhere.
            let paths = names
                .iter()
                .map(PathBuf::from)
                .filter(|path| path.is_file());
            files.extend(
                paths
                    .filter(|path| !files.contains(path))
                    .collect::<Vec<_>>(),
            );
        }
        let mut inodes = std::collections::HashSet::new();
        let mut present = std::collections::HashSet::new();
        let mut waiting = 0;
        for path in files {
            let Ok(metadata) = std::fs::metadata(&path) else {
                continue;
            };
            // One shared memory can be mounted in many namespaces.
            if !inodes.insert((metadata.dev(), metadata.ino())) {
                continue;
            }
            let key: FileKey = (metadata.dev(), metadata.ino(), path);
            present.insert(key.clone());
            let is_new = match known.get(&key) {
                None | Some(Known::Later) => true,
                Some(Known::Unreadable(since)) => since.elapsed() < UNREADABLE_MAX,
                Some(_) => false,
            };
            if !is_new {
                continue;
            }
            if self.live_count() as u64 >= self.config().profiling.max_targets {
                waiting += 1;
                continue;
            }
            let outcome = self.meet(&key.2, next_id, known.get(&key));
            known.insert(key, outcome);
        }
        known.retain(|key, _| present.contains(key));
        self.counts.waiting.store(waiting, Ordering::Relaxed);
    }

    /// Looks into a region file that is new, and follows it if it is wanted.
    fn meet(&self, path: &Path, next_id: &mut u64, known: Option<&Known>) -> Known {
        // Whose it is first: a directory may hold thousands of regions of the dead, and to attach is to read
        // all of one.
        let (info, host_pid) = match describe(path) {
            Ok(described) => described,
            Err(error) => return self.cannot_read(path, &error, known),
        };
        if !self.wanted.wants(path, &info, host_pid, self.live_count()) {
            return match self.wanted {
                Wanted::Only if info.state == TargetState::Live => Known::Later,
                _ => Known::Passed,
            };
        }
        let options = SessionOptions {
            forget_history: true,
            symbol_dirs: self.config().profiling.symbols.clone(),
            ..SessionOptions::default()
        };
        let session = match Session::attach_with(path, options) {
            Ok(session) => session,
            Err(error) => return self.cannot_read(path, &error, known),
        };
        *next_id += 1;
        self.follow(*next_id, session);
        Known::Followed
    }

    fn cannot_read(&self, path: &Path, error: &ReaderError, known: Option<&Known>) -> Known {
        if matches!(
            error,
            ReaderError::NoSuchFile { .. } | ReaderError::NotAFile { .. }
        ) {
            return Known::Passed;
        }
        let since = match known {
            Some(Known::Unreadable(since)) => *since,
            _ => {
                self.counts.unreadable.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(region = %path.display(), "cannot read a region: {error}");
                Instant::now()
            }
        };
        Known::Unreadable(since)
    }

    /// Follows a target from now on.
    pub(super) fn follow(&self, id: u64, session: Session) {
        let target = Arc::new(Target::new(id, session));
        let identity = target.identity();
        tracing::info!(pid = identity.pid, process = identity.process, "following");
        self.counts.followed.fetch_add(1, Ordering::Relaxed);
        lock(&self.live).insert(id, Arc::clone(&target));
        let now = Instant::now();
        let verdict_after = self.config().profiling.verdict_seconds;
        self.plan(Turn {
            at: now,
            target,
            look_at: now,
            verdict_at: now + seconds(verdict_after),
            snapshot_at: None,
            judging: None,
        });
    }

    fn plan(&self, turn: Turn) {
        lock(&self.queue).push(turn);
        self.changed.notify_one();
    }

    fn work(self: Arc<Self>) {
        while let Some(mut turn) = self.next() {
            if self.look(&mut turn) {
                self.plan(turn);
            }
        }
    }

    /// The turn that is due first; waits for it. `None` when all is over.
    fn next(&self) -> Option<Turn> {
        let mut queue = lock(&self.queue);
        loop {
            if self.is_stopped() {
                return None;
            }
            let now = Instant::now();
            let wait = match queue.peek() {
                Some(turn) if turn.at <= now => return queue.pop(),
                Some(turn) => turn.at - now,
                None => Duration::from_secs(1),
            };
            queue = self
                .changed
                .wait_timeout(queue, wait)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Does what is due; false when the target has ended.
    fn look(&self, turn: &mut Turn) -> bool {
        let config = self.config();
        let profiling = &config.profiling;
        let start = Instant::now();
        if turn.judging.is_none() {
            turn.target.poll();
        }
        let is_running = turn.target.is_running();
        if start >= turn.look_at || !is_running {
            let before = thread_cpu_seconds();
            let tick = turn.target.look();
            // By CPU time: a machine that has none to spare must not make alerts late for minutes.
            let took = seconds((thread_cpu_seconds() - before).max(0.0));
            turn.look_at = start + seconds(profiling.interval_seconds).max(took * SPACING);
            for observer in self.observers() {
                observer.tick(&turn.target, &tick);
            }
            if !is_running {
                self.end(turn, &tick);
                return false;
            }
        }
        self.judge(turn, profiling.verdict_seconds);
        self.take_snapshot(turn, &config);
        let journal = start + seconds(profiling.journal_seconds).max(start.elapsed() * SPACING);
        turn.at = if turn.judging.is_some() {
            start + NAMES
        } else {
            turn.look_at.min(journal)
        };
        true
    }

    fn judge(&self, turn: &mut Turn, every: f64) {
        if every <= 0.0 || Instant::now() < turn.verdict_at {
            return;
        }
        let asked = match turn.judging {
            Some(asked) => asked,
            None => {
                let taken = self
                    .judging
                    .fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
                        (now < JUDGED_AT_ONCE).then_some(now + 1)
                    });
                if taken.is_err() {
                    return;
                }
                0
            }
        };
        let is_done = turn.target.judge().is_some() || asked >= NAMES_ASKED_MAX;
        turn.judging = (!is_done).then_some(asked + 1);
        if is_done {
            self.judging.fetch_sub(1, Ordering::AcqRel);
            turn.verdict_at = Instant::now() + seconds(every);
        }
    }

    fn take_snapshot(&self, turn: &mut Turn, config: &Config) {
        let every = config.snapshot.interval_seconds;
        if every <= 0.0 {
            return;
        }
        let now = Instant::now();
        let due = *turn.snapshot_at.get_or_insert(now + seconds(every));
        if now >= due {
            self.snapshots.request(&turn.target);
            turn.snapshot_at = Some(now + seconds(every));
        }
    }

    fn end(&self, turn: &mut Turn, last: &Arc<Tick>) {
        if turn.judging.take().is_some() {
            self.judging.fetch_sub(1, Ordering::AcqRel);
        }
        let identity = turn.target.identity();
        let state = last.figures.target.state;
        tracing::info!(
            pid = identity.pid,
            process = identity.process,
            ?state,
            "ended"
        );
        self.counts.ended.fetch_add(1, Ordering::Relaxed);
        lock(&self.live).remove(&identity.id);
        lock(&self.dead).push_back((Instant::now(), Arc::clone(&turn.target)));
        self.bury();
        for observer in self.observers() {
            observer.gone(&turn.target, last);
        }
    }

    /// Lets go of what ended long ago.
    fn bury(&self) {
        let config = self.config();
        let kept = seconds(config.profiling.keep_dead_seconds);
        let mut dead = lock(&self.dead);
        let named = |target: &Target| match &self.wanted {
            // A file that was asked for by its name stays.
            Wanted::Named(names) => names
                .iter()
                .any(|name| Path::new(name) == target.identity().region),
            _ => false,
        };
        dead.retain(|(at, target)| at.elapsed() <= kept || named(target));
        while dead.len() as u64 > config.profiling.keep_dead {
            dead.pop_front();
        }
    }

    /// Whoever hears of ticks.
    #[must_use]
    pub fn observers(&self) -> Vec<Arc<dyn Observer>> {
        self.observers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Seconds of the configuration, which has checked that they are a number within reason.
pub(super) fn seconds(of: f64) -> Duration {
    Duration::try_from_secs_f64(of).unwrap_or(Duration::from_secs(1))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
