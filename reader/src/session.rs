//! One reader of one target: attach, poll, snapshot.
//!
//! [`Session::poll`] follows the journal and may be called ten times a second;
//! [`Session::snapshot`] reads the tables as well.
//!
//! **Invariants.** Nothing waits for symbols but [`Session::wait_for_symbols`]. A region is checked
//! anew at every look. Once it cannot be trusted (truncated, damaged) the last good figures stay and
//! [`Session::problem`] says why.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use riptide_region::{
    event::Event, header::Header, module_table::Module, ring::Account, stack_table::StackTotals,
    status::Status, view::View,
};

use crate::{
    advise::{Advice, Advisor},
    attach::{
        cgroup,
        process::Proc,
        region::Region,
        target::{Target, describe, last_sign_of_life_ns, printable},
    },
    clock::{Clock, SystemClock},
    error::ReaderError,
    ingest::{Counts, Ingest, LiveSample, Observation, StackBook},
    leak::Finding,
    profile::{Frame, FreshMemory, Model, Snapshot, StackProfile, TargetInfo, TargetState},
    symbolize::{SymbolConfig, Symbols},
    waterfall::{self, Fragmentation, Group, Row},
};

/// Between two looks at the target's mappings for its C heap.
const C_HEAP_EVERY: Duration = Duration::from_secs(10);
/// Between two looks at all mappings, as a multiple of what the last one took: the target's page
/// tables are walked under its lock.
const MAPPINGS_SPACING: u32 = 100;
/// The variable that Rust's jemalloc, whose names have a prefix, reads.
const JEMALLOC_OPTIONS: &str = "_RJEM_MALLOC_CONF";
const CGROUPS: &str = "/sys/fs/cgroup";

/// How a session reads.
#[derive(Clone, Default)]
pub struct SessionOptions {
    /// Begin with the oldest event still in the ring (for history) instead of the next one. Loss
    /// is counted from the moment of attaching in both cases.
    pub history: bool,
    /// Keep no history of the target in memory.
    pub forget_history: bool,
    /// Directories with debug files, searched by build-id.
    pub symbol_dirs: Vec<PathBuf>,
    /// The clock; the system's when `None`.
    pub clock: Option<Arc<dyn Clock>>,
}

/// One reader of one target.
pub struct Session {
    region: Region,
    header: Header,
    proc: Proc,
    clock: Arc<dyn Clock>,
    target: Target,
    ingest: Ingest,
    observation: Observation,
    /// Modules as the symboliser knows them.
    modules_known: Vec<Module>,
    model: Model,
    symbols: Symbols,
    symbol_config: SymbolConfig,
    pending_symbols: usize,
    /// Resident bytes of the target's C heap, and when they were counted.
    c_heap: Option<(Instant, Option<u64>)>,
    /// The target's mappings, and when they may be looked at again.
    mappings: Option<(Instant, Option<Vec<Group>>)>,
    /// Memory figures of the last snapshot that are not the target's own.
    fresh: FreshMemory,
    problem: Option<Problem>,
}

/// Why a region can no longer be trusted; a [`ReaderError`] is made of it when asked for.
#[derive(Clone, Copy, Debug)]
enum Problem {
    Truncated,
    Damaged(riptide_region::view::ViewError),
}

impl Problem {
    fn of(error: &ReaderError) -> Self {
        match error {
            ReaderError::Region { error, .. } => Self::Damaged(*error),
            _ => Self::Truncated,
        }
    }

    fn error(self, path: &Path) -> ReaderError {
        let path = path.to_owned();
        match self {
            Self::Truncated => ReaderError::TruncatedWhileMapped { path },
            Self::Damaged(error) => ReaderError::Region { path, error },
        }
    }
}

impl Session {
    /// Maps a region and reads it once, with default options.
    ///
    /// # Errors
    /// The file cannot be opened or is not a region that this version can read.
    pub fn attach(path: &Path) -> Result<Self, ReaderError> {
        Self::attach_with(path, SessionOptions::default())
    }

    /// Maps a region and reads it once.
    ///
    /// # Errors
    /// As for [`Session::attach`].
    pub fn attach_with(path: &Path, options: SessionOptions) -> Result<Self, ReaderError> {
        let proc = Proc::default();
        let clock = options.clock.unwrap_or_else(|| Arc::new(SystemClock));
        let region = Region::open(path)?;
        let view = region.view()?;
        let header = view.header();
        let target = describe(&region, &view, &proc, clock.as_ref(), None);
        let ingest = Ingest::new(&view, options.history);
        let mut symbol_config = SymbolConfig::default();
        (symbol_config.pid, symbol_config.symbol_dirs) = (target.host_pid, options.symbol_dirs);
        let symbols = Symbols::spawn(symbol_config.clone());
        let mut session = Self {
            region,
            header,
            proc,
            clock,
            target,
            ingest,
            observation: Observation::default(),
            modules_known: Vec::new(),
            model: Model::default(),
            symbols,
            symbol_config,
            pending_symbols: 0,
            c_heap: None,
            mappings: None,
            fresh: FreshMemory::default(),
            problem: None,
        };
        if options.forget_history {
            session.model.forget_history();
        }
        session.observe();
        match session.problem() {
            Some(problem) => Err(problem),
            None => Ok(session),
        }
    }

    /// Reads the events since the last poll and the target's state. Cheap; never waits.
    pub fn poll(&mut self) {
        let Some(view) = checked_view(&self.region, &mut self.problem) else {
            return;
        };
        let target = describe(
            &self.region,
            &view,
            &self.proc,
            self.clock.as_ref(),
            self.target.host_pid,
        );
        // A process in a pid namespace that is not visible may still write.
        let writers_gone = matches!(target.info.state, TargetState::Exited | TargetState::Killed);
        self.ingest.drain(&view, writers_gone);
        self.ingest.learn_stacks(&view, &mut self.observation);
        self.model
            .follow(self.ingest.events(), &self.observation.stacks);
        self.target = target;
        self.check();
    }

    /// The profile as of now: all sites, sorted by live bytes. Names that are not known yet are
    /// addresses; they are asked for in the background.
    pub fn snapshot(&mut self) -> Snapshot {
        self.poll();
        self.observe();
        self.snapshot_of_last_look()
    }

    /// The profile as of the last look at the tables, with the names known by now: after
    /// [`Session::wait_for_symbols`] nothing in it is without its name.
    pub fn snapshot_of_last_look(&mut self) -> Snapshot {
        self.name(true);
        let fresh = self.fresh_memory();
        self.fresh = fresh;
        self.model.snapshot(
            &self.observation,
            self.target.info.clone(),
            fresh,
            self.pending_symbols,
        )
    }

    /// The profile as of now without its sites: no stack is given its name for it.
    pub fn figures(&mut self) -> Snapshot {
        self.poll();
        self.observe();
        self.fresh = self.fresh_memory();
        let info = self.target.info.clone();
        self.model.figures(&self.observation, info, self.fresh)
    }

    /// Stacks of the last look whose names are being looked up, the last time that they were asked for.
    #[must_use]
    pub fn pending_symbols(&self) -> usize {
        self.pending_symbols
    }

    /// Lets the symboliser go with its thread and all that it holds, once every stack of the last look
    /// has its names, which stay. The next new stack starts another.
    pub fn release_symbols(&mut self) {
        if self.pending_symbols == 0 {
            self.symbols = Symbols::spawn(self.symbol_config.clone());
            self.symbols.set_modules(&self.modules_known);
        }
    }

    /// Bytes that are kept for this target, to within what the allocator adds: what was read, the
    /// model and the names, without the symboliser's caches of files, which it gives back when idle.
    #[must_use]
    pub fn kept_bytes(&self) -> u64 {
        (self.ingest.kept_bytes() + self.observation.kept_bytes() + self.model.kept_bytes()) as u64
    }

    /// Waits until every stack of the last look has its names; false when the time ran out.
    pub fn wait_for_symbols(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            self.name(false);
            if self.pending_symbols == 0 {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // False only says that the time ran out, which the next round finds out itself.
            self.symbols.wait(left);
        }
    }

    /// Who the target is, with its state as of now.
    #[must_use]
    pub fn info(&self) -> TargetInfo {
        let Ok(view) = self.region.view() else {
            return self.target.info.clone();
        };
        let known = self.target.host_pid;
        describe(&self.region, &view, &self.proc, self.clock.as_ref(), known).info
    }

    /// Where the target was in its life at the last poll.
    #[must_use]
    pub fn state(&self) -> TargetState {
        self.target.info.state
    }

    /// Why figures are no longer refreshed, if so: the file was truncated or damaged while mapped.
    #[must_use]
    pub fn problem(&self) -> Option<ReaderError> {
        self.problem
            .map(|problem| problem.error(self.region.path()))
    }

    /// The target's pid in the reader's own pid namespace, while it lives.
    #[must_use]
    pub fn host_pid(&self) -> Option<u32> {
        self.target.host_pid
    }

    /// Verdicts as of the last snapshot, the worst first and then by growth.
    pub fn findings(&mut self) -> Vec<Finding> {
        self.name(true);
        self.model.verdicts(&self.observation, self.fresh)
    }

    /// The model, for groups, shapes and histories as of the last snapshot.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Begins the time watched (growth) anew with the next snapshot.
    pub fn restart_watch(&mut self) {
        self.model.restart_watch();
    }

    /// Seconds that the growth figures of the last snapshot cover.
    #[must_use]
    pub fn watched_seconds(&self) -> f64 {
        self.model.watched_seconds(self.observation.time_ns)
    }

    /// Every distinct stack with its figures, as of the last snapshot, heaviest live bytes first.
    pub fn stacks(&mut self) -> Vec<StackProfile> {
        self.name(true);
        self.model.stacks(&self.observation)
    }

    /// Growth in bytes a second of each of [`Session::stacks`]; empty before it is known.
    #[must_use]
    pub fn stack_growth(&self) -> Vec<f64> {
        self.model.stack_growth(&self.observation)
    }

    /// Names of the target's threads that run now, by their ids in its own pid namespace.
    #[must_use]
    pub fn thread_names(&self) -> HashMap<u32, String> {
        let host_pid = self.target.host_pid;
        host_pid.map_or_else(HashMap::new, |pid| self.proc.thread_names(pid))
    }

    /// jemalloc's options from the target's environment; `None` when it cannot be read.
    #[must_use]
    pub fn jemalloc_options(&self) -> Option<String> {
        self.proc
            .environment_variable(self.target.host_pid?, JEMALLOC_OPTIONS)
    }

    /// The rows of the memory waterfall of a snapshot. Of a live target all mappings are looked at,
    /// unless that was just done.
    pub fn waterfall(&mut self, snapshot: &Snapshot) -> Vec<Row> {
        let groups = self
            .target
            .host_pid
            .and_then(|pid| self.mapping_groups(pid))
            .filter(|_| snapshot.target.state == TargetState::Live);
        waterfall::rows(snapshot, groups)
    }

    /// What small blocks waste, by size class and by site.
    #[must_use]
    pub fn fragmentation(&self) -> Fragmentation {
        Fragmentation::of(&self.observation, |place| self.model.leaf_of(place))
    }

    /// Lets an advisor look at the target as of the last snapshot.
    pub fn show_to(&self, advisor: &mut Advisor, snapshot: &Snapshot) {
        advisor.look(&self.observation, snapshot);
    }

    /// What the advisor has to say about what it was shown.
    #[must_use]
    pub fn advice(&self, advisor: &Advisor) -> Vec<Advice> {
        let whole = |place| self.model.whole_stack(place, &self.observation);
        advisor.advise(&self.observation, &self.fragmentation(), whole)
    }

    fn mapping_groups(&mut self, pid: u32) -> Option<&[Group]> {
        let start = Instant::now();
        if self.mappings.as_ref().is_none_or(|(due, _)| start >= *due) {
            let region = self.region.path().file_name().unwrap_or_default();
            let overcommits = self.proc.overcommits();
            let groups = self
                .proc
                .smaps(pid)
                .map(|smaps| waterfall::group(&smaps, &region.to_string_lossy(), overcommits));
            let spacing = start.elapsed().saturating_mul(MAPPINGS_SPACING);
            self.mappings = Some((start + spacing, groups));
        }
        self.mappings.as_ref()?.1.as_deref()
    }

    /// Events that the last poll (or snapshot) read.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.ingest.events()
    }

    /// What became of ring records since attaching.
    #[must_use]
    pub fn account(&self) -> Account {
        self.ingest.account()
    }

    /// Live records of the last snapshot.
    #[must_use]
    pub fn live_samples(&self) -> &[LiveSample] {
        &self.observation.live
    }

    /// All stacks seen so far.
    #[must_use]
    pub fn stack_book(&self) -> &StackBook {
        &self.observation.stacks
    }

    /// Totals of each stack since the process started, by place in the stack book.
    #[must_use]
    pub fn stack_totals(&self) -> &[StackTotals] {
        &self.observation.totals
    }

    /// Counters and gauges as of the last snapshot.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.observation.counts
    }

    /// The target's last status, as of the last snapshot.
    #[must_use]
    pub fn status(&self) -> &Status {
        &self.observation.status
    }

    /// Executable mappings of the target.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.observation.modules
    }

    /// The header (flags, versions, executable).
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Everything the last snapshot was made of: what a recording keeps.
    #[must_use]
    pub fn observation(&self) -> &Observation {
        &self.observation
    }

    /// Memory figures of the last snapshot that are not the target's own.
    pub(crate) fn last_fresh_memory(&self) -> FreshMemory {
        self.fresh
    }

    /// Who the target was at the last poll.
    pub(crate) fn last_info(&self) -> &TargetInfo {
        &self.target.info
    }

    /// Frames of a return address as far as they are known; asked for if they are not.
    pub(crate) fn frames_of(&mut self, address: u64, time_ns: u64) -> Option<Arc<[Frame]>> {
        self.symbols.resolve(address, time_ns)
    }

    /// The symboliser.
    #[must_use]
    pub fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    /// What was wrong with the target's environment, one message a line.
    #[must_use]
    pub fn config_error(&self) -> Option<String> {
        let text = self.header.config_error();
        let lines = text.split(|byte| *byte == b'\n').map(printable);
        let text = lines.collect::<Vec<_>>().join("\n");
        (!text.is_empty()).then_some(text)
    }

    /// Notes a truncation that was found while reading.
    fn check(&mut self) {
        if self.problem.is_none() && self.region.truncated() {
            self.problem = Some(Problem::Truncated);
        }
    }

    /// Reads the tables and feeds the model, unless the region turns out to be damaged.
    fn observe(&mut self) {
        let Some(view) = checked_view(&self.region, &mut self.problem) else {
            return;
        };
        self.observation.time_ns = if self.target.info.state == TargetState::Live {
            self.clock.monotonic_ns()
        } else {
            last_sign_of_life_ns(&view, &self.header)
        };
        let initial_interval = self.header.initial_interval;
        self.ingest
            .read_tables(&view, initial_interval, &mut self.observation);
        self.check();
        if self.problem.is_some() {
            return;
        }
        if self.modules_known != self.observation.modules {
            self.modules_known.clone_from(&self.observation.modules);
            self.symbols.set_modules(&self.modules_known);
        }
        self.model.observe(&self.observation);
    }

    fn name(&mut self, hurry: bool) {
        let unsettled = self.model.name(&self.observation, &mut self.symbols, hurry);
        self.pending_symbols = unsettled;
    }

    fn fresh_memory(&mut self) -> FreshMemory {
        let Some(pid) = self.target.host_pid else {
            return FreshMemory::default();
        };
        let now = Instant::now();
        let due = self
            .c_heap
            .is_none_or(|(at, _)| now.duration_since(at) >= C_HEAP_EVERY);
        if due {
            self.c_heap = Some((now, self.proc.c_heap_rss(pid)));
        }
        let memory = self.proc.memory(pid);
        FreshMemory {
            rss: memory.rss,
            virtual_size: memory.virtual_size,
            c_heap: self.c_heap.and_then(|(_, bytes)| bytes),
            files_and_shared: memory.rss_file_and_shmem,
            peak_rss: memory.peak_rss,
            cgroup: cgroup::memory_of(&self.proc, Path::new(CGROUPS), pid),
        }
    }
}

/// The region's tables; `None`, and the problem noted, when they cannot be trusted.
fn checked_view<'a>(region: &'a Region, problem: &mut Option<Problem>) -> Option<View<'a>> {
    if problem.is_some() {
        return None;
    }
    region
        .view()
        .map_err(|error| *problem = Some(Problem::of(&error)))
        .ok()
}
