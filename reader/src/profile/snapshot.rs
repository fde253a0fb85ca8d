//! The immutable snapshot: plain data, serialised as the JSON contract has it.
//!
//! Bytes are what the program requested unless a name says usable. `None` is unknown.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Serialize, Serializer};

/// Version of the JSON contract.
pub const SCHEMA_VERSION: u32 = 1;

/// An estimated figure with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Unbiased estimate.
    pub estimate: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

impl Estimate {
    /// Seconds until `headroom` bytes are used up at this rate in bytes a second; `None` for a rate that
    /// may be nothing or less.
    #[must_use]
    pub fn time_to_use_up(&self, headroom: f64) -> Option<Self> {
        (self.low > 0.0 && headroom >= 0.0).then(|| Self {
            estimate: headroom / self.estimate,
            low: headroom / self.high,
            high: headroom / self.low,
        })
    }
}

/// Where a target is in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetState {
    /// The process runs.
    Live,
    /// The process ended cleanly and left its region.
    Exited,
    /// The process is gone without a word, in the same boot.
    Killed,
    /// From another boot, or from a pid namespace that is not visible.
    #[default]
    Unknown,
}

/// Who the target is.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TargetInfo {
    /// Process id in the target's own pid namespace.
    pub pid: u32,
    /// Process name.
    pub name: String,
    /// Where it is in its life.
    pub state: TargetState,
    /// Path of the region file.
    #[serde(serialize_with = "path_as_text")]
    pub region: PathBuf,
    /// Seconds from the start of the process until now, or until its last sign of life.
    pub uptime_seconds: Option<f64>,
    /// Executable, as the target gave it.
    #[serde(serialize_with = "optional_path_as_text")]
    pub executable: Option<PathBuf>,
    /// Seconds since the target's last sign of life, while it lives.
    pub heartbeat_age_seconds: Option<f64>,
}

/// How stacks are walked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnwinderKind {
    /// Not decided yet.
    #[default]
    Undecided,
    /// Frame pointers.
    FramePointers,
    /// Unwind tables.
    Dwarf,
}

/// How the target samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sampling {
    /// Mean bytes between two samples now in force; 1 records every allocation.
    pub interval_bytes: u64,
    /// How stacks are walked.
    pub unwinder: UnwinderKind,
    /// Samples since the process started.
    pub samples: u64,
    /// Share of the process's CPU time that sampling has cost, as measured by the target.
    pub cost_fraction: f64,
}

/// What was lost, by cause.
///
/// The first three count ring records since this reader attached and never touch live figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Ring records replaced before they were read.
    pub overwritten: u64,
    /// Ring records that their writers gave up.
    pub dropped: u64,
    /// Ring records that were never finished.
    pub torn: u64,
    /// Sampled blocks without a record, since the process started: live figures are lower bounds.
    pub unrecorded_blocks: u64,
    /// Requested bytes of these blocks.
    pub unrecorded_bytes: u64,
    /// Sampling decisions skipped inside re-entrant code.
    pub skipped_reentrant: u64,
    /// Samples skipped while the target made its region, in the first milliseconds of its life.
    pub skipped_set_up: u64,
    /// Stacks that were cut at the root end.
    pub truncated_stacks: u64,
    /// Samples whose stack found no room in the target's stack table.
    pub stack_table_full: u64,
    /// Live records that their writer never finished.
    pub torn_live_records: u64,
}

impl Loss {
    /// Whether live figures are lower bounds, to be shown as `>=`.
    #[must_use]
    pub fn makes_live_a_lower_bound(&self) -> bool {
        self.unrecorded_blocks > 0
    }
}

/// Live heap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Live {
    /// Requested bytes.
    pub bytes: Estimate,
    /// Blocks.
    pub objects: Estimate,
}

/// Figures of jemalloc, the kernel and the cgroup, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Memory {
    /// jemalloc `stats.allocated`.
    pub allocated: Option<u64>,
    /// jemalloc `stats.active`.
    pub active: Option<u64>,
    /// jemalloc `stats.resident`.
    pub resident: Option<u64>,
    /// jemalloc `stats.retained`.
    pub retained: Option<u64>,
    /// jemalloc `stats.metadata`.
    pub metadata: Option<u64>,
    /// Unused dirty pages.
    pub dirty: Option<u64>,
    /// Unused muzzy pages.
    pub muzzy: Option<u64>,
    /// Resident set size of the process.
    pub rss: Option<u64>,
    /// Virtual size of the process, the shim's reserved range taken out.
    pub r#virtual: Option<u64>,
    /// Limit of the memory cgroup.
    pub cgroup_limit: Option<u64>,
    /// Usage of the memory cgroup.
    pub cgroup_usage: Option<u64>,
    /// Part of the usage that the kernel takes back before it kills: file pages not used lately.
    pub cgroup_reclaimable: Option<u64>,
    /// Version of the cgroup hierarchy.
    pub cgroup_version: Option<u64>,
    /// The most that was ever resident, while `/proc` tells.
    pub peak_rss: Option<u64>,
    /// Free blocks in the caches of threads: part of `allocated`, and so of `not_seen_by_shim`.
    pub thread_caches: Option<u64>,
    /// `allocated` less the blocks, in usable size, that were live when jemalloc's figures were
    /// taken: what did not come through the shim. Its lower end leaves the caches of threads out.
    pub not_seen_by_shim: Option<Estimate>,
    /// Usable less requested bytes of the live blocks.
    pub rounding: Option<Estimate>,
    /// Resident pages of the C library's own heap (`brk`).
    pub c_heap: Option<u64>,
    /// Resident pages of files and shared memory.
    pub files_and_shared: Option<u64>,
    /// Seconds since jemalloc's figures were taken.
    pub age_seconds: Option<f64>,
    /// Usable bytes of blocks that came since, less those that went; an estimate.
    pub net_since: f64,
    /// The most by which live blocks exceeded those of then, at any time since, in usable bytes; an
    /// estimate.
    pub peak_since: f64,
    /// Upper end of the same.
    pub peak_since_high: f64,
}

impl Memory {
    /// Usage of the cgroup without what the kernel takes back before it kills.
    #[must_use]
    pub fn cgroup_in_use(&self) -> Option<u64> {
        let usage = self.cgroup_usage?;
        Some(usage.saturating_sub(self.cgroup_reclaimable.unwrap_or(0)))
    }

    /// Bytes left until the limit of the cgroup.
    #[must_use]
    pub fn cgroup_headroom(&self) -> Option<u64> {
        Some(self.cgroup_limit?.saturating_sub(self.cgroup_in_use()?))
    }
}

/// Rates over the last seconds; `None` before there are two looks at the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rates {
    /// Allocated bytes a second.
    pub allocated_bytes_per_second: Option<f64>,
    /// Allocations a second.
    pub allocations_per_second: Option<f64>,
    /// Growth of the live heap, from births and deaths.
    pub growth_bytes_per_second: Option<Estimate>,
}

/// A symbolised frame.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Frame {
    /// Demangled full path without hash; an address in hexadecimal while not known.
    pub function: String,
    /// Source file.
    pub file: Option<String>,
    /// Line in the source file.
    pub line: Option<u32>,
    /// Whether the function was inlined into the next frame.
    pub inlined: bool,
    /// File name of the mapping.
    pub module: Option<String>,
}

/// All that was allocated at one place: function, file and line of the leaf.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Site {
    /// Function of the leaf: the first frame outside std, alloc and the allocator.
    pub function: String,
    /// Source file of the leaf.
    pub file: Option<String>,
    /// Line of the leaf.
    pub line: Option<u32>,
    /// Live requested bytes.
    pub live_bytes: Estimate,
    /// Live blocks.
    pub live_objects: Estimate,
    /// Bytes allocated since the process started.
    pub allocated_bytes_total: Estimate,
    /// Growth of the live bytes, from births and deaths in the time watched.
    pub growth_bytes_per_second: Option<Estimate>,
    /// Allocations a second over the last seconds.
    pub allocations_per_second: Option<f64>,
    /// Median age of the live blocks.
    pub median_age_seconds: Option<f64>,
    /// Live samples behind the estimates.
    pub live_samples: u64,
    /// The heaviest stack, leaf first; shared, as thousands of sites are cloned with a snapshot.
    pub stack: Arc<[Frame]>,
}

/// A target at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Snapshot {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Who the target is.
    pub target: TargetInfo,
    /// How it samples.
    pub sampling: Sampling,
    /// What was lost.
    pub loss: Loss,
    /// Live heap.
    pub live: Live,
    /// Memory figures.
    pub memory: Memory,
    /// Rates.
    pub rates: Rates,
    /// Sites, sorted by live bytes.
    pub sites: Vec<Site>,
    /// Stacks that wait for their symbols.
    pub pending_symbols: usize,
}

/// One distinct stack with its figures: what exports and flame graphs are made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StackProfile {
    /// The whole symbolised stack, innermost frame first; runtime frames included.
    pub frames: Arc<[Frame]>,
    /// Index in `frames` of the leaf that the site is named for.
    pub leaf: usize,
    /// Return addresses, leaf first; empty for the unknown stack.
    pub addresses: Arc<[u64]>,
    /// Estimated live requested bytes.
    pub live_bytes: f64,
    /// Estimated live blocks.
    pub live_objects: f64,
    /// Estimated bytes allocated since the process started.
    pub allocated_bytes: f64,
    /// Estimated blocks allocated since the process started.
    pub allocated_objects: f64,
}

/// Paths are bytes, JSON is text: what is not UTF-8 is replaced, as a report must not fail for it.
fn path_as_text<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

fn optional_path_as_text<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => path_as_text(path, serializer),
        None => serializer.serialize_none(),
    }
}
