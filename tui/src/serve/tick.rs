//! What each look at a followed target yields: plain data for metrics, rules and exports.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use riptide_reader::{
    leak::{Finding, Verdict},
    profile::{Estimate, JournalShapes, Site, Snapshot, TargetState},
};

/// Who a followed target is. Two processes never have the same `id`, also when a pid is used again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Number of the target within this `serve`; never given twice.
    pub id: u64,
    /// Process id as this host sees it; in the target's own namespace when it is not visible here.
    pub pid: u32,
    /// Process id in the target's own pid namespace.
    pub inner_pid: u32,
    /// Process name.
    pub process: String,
    /// Its region file: unique for every process of a boot.
    pub region: PathBuf,
    /// Executable, as the target gave it.
    pub executable: Option<PathBuf>,
}

/// A followed target at one moment.
#[derive(Clone, Debug)]
pub struct Tick {
    /// Who it is.
    pub identity: Arc<Identity>,
    /// When.
    pub at: SystemTime,
    /// All figures; `sites` is empty, as no stack is given its name for a tick.
    pub figures: Snapshot,
    /// Growth of the live heap over the last minutes, from births and deaths.
    pub growth_bytes_per_second: Option<Estimate>,
    /// Seconds until that growth reaches the cgroup's limit; none without a limit or when the growth
    /// may be nothing.
    pub time_to_limit_seconds: Option<Estimate>,
    /// Active memory of jemalloc that is not allocated, 0–1.
    pub fragmentation: Option<f64>,
    /// Usage of the memory cgroup as a share of its limit, 0–1; file pages that the kernel takes back
    /// before it kills are left out.
    pub limit_share: Option<f64>,
    /// Journal records lost since the last tick, or samples without a record since then, as a share of
    /// all, 0–1; whichever is more.
    pub lost_share: f64,
    /// Sizes and lifetimes of blocks since the target is followed.
    pub shapes: JournalShapes,
    /// The last verdicts, once there are any.
    pub verdicts: Option<Arc<Verdicts>>,
    /// What following this target takes.
    pub cost: Cost,
}

impl Tick {
    /// Whether the process runs, or may: its pid namespace is not visible.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(
            self.figures.target.state,
            TargetState::Live | TargetState::Unknown
        )
    }
}

/// Verdicts with the sites as they were then.
#[derive(Clone, Debug)]
pub struct Verdicts {
    /// When.
    pub at: SystemTime,
    /// The worst first, then by growth.
    pub findings: Vec<Finding>,
    /// Sites, sorted by live bytes; at most [`SITES_KEPT`].
    pub sites: Vec<Site>,
}

/// Sites kept with verdicts.
pub const SITES_KEPT: usize = 100;

impl Verdicts {
    /// How many sites have a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        let of = self
            .findings
            .iter()
            .filter(|finding| finding.verdict == verdict);
        of.count()
    }
}

/// What following a target takes of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// CPU time of the threads that looked at it, since it is followed.
    pub cpu_seconds: f64,
    /// Bytes kept for it.
    pub memory_bytes: u64,
    /// Looks at its tables.
    pub looks: u64,
    /// How long the last look took.
    pub last_look_seconds: f64,
}
