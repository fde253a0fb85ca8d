//! From live bytes to RSS, row by row, in the order of the contract: most "leaks" that users report
//! are one of these rows.
//!
//! | module | does |
//! |---|---|
//! | `mappings` | who mapped what of a live process's resident memory |
//! | `moment` | what was live when jemalloc's figures were taken |
//! | `fragmentation` | which sites keep slabs of jemalloc from being given back |
//!
//! **Invariants.** No row is a remainder except `unexplained`; what is not known is `None`. `live`,
//! `rounding` and `not_seen_by_shim` add up to `allocated`; `resident`, `other_allocators`,
//! `other_mappings` and `unexplained` to `rss`.
//!
//! jemalloc counts a page as resident once it has handed it out, whether it was touched or not. Of a
//! live process the kernel tells which pages really are: `resident` is then what is resident of
//! jemalloc's mappings, as far as jemalloc's own figures account for it.

use serde::Serialize;

use crate::profile::{Estimate, Memory, Snapshot, TargetState};

mod fragmentation;
mod mappings;
mod moment;

pub use fragmentation::{BinRow, Fragmentation, SiteWaste};
pub(crate) use mappings::group;
pub use mappings::{Group, Owner};
pub(crate) use moment::Moment;

/// Whether a row is a part of a sum or a sum that was measured itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowKind {
    /// A part of the next sum below.
    Part,
    /// Measured as a whole.
    Sum,
}

/// One row of `memory --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Name in the contract.
    pub name: &'static str,
    /// Bytes, `None` when not known. An estimated part may come out below 0.
    pub bytes: Option<i64>,
    /// Part or sum.
    pub kind: RowKind,
    /// Where the figure comes from.
    pub source: String,
    /// The 95 % interval of an estimated row.
    pub interval: Option<Estimate>,
    /// What the row is made of, where the kernel tells.
    pub groups: Vec<Group>,
}

impl Row {
    fn new(
        name: &'static str,
        kind: RowKind,
        bytes: Option<i64>,
        source: impl Into<String>,
    ) -> Self {
        Self {
            name,
            bytes,
            kind,
            source: source.into(),
            interval: None,
            groups: Vec::new(),
        }
    }

    fn estimated(name: &'static str, figure: Option<&Estimate>, source: &str) -> Self {
        let bytes = figure.map(|figure| figure.estimate.round() as i64);
        Self {
            interval: figure.copied(),
            ..Self::new(name, RowKind::Part, bytes, source)
        }
    }

    fn with_groups(mut self, groups: impl Iterator<Item = Group>) -> Self {
        self.groups = groups.collect();
        self
    }
}

/// The rows of a snapshot. `groups` are the mappings of a live process, where they can be read.
#[must_use]
pub fn rows(snapshot: &Snapshot, groups: Option<&[Group]>) -> Vec<Row> {
    use RowKind::{Part, Sum};
    let memory = &snapshot.memory;
    let known = |bytes: Option<u64>| bytes.map(signed);
    let is_live = snapshot.target.state == TargetState::Live;
    let proc = if is_live {
        "/proc/PID/status, VmRSS"
    } else {
        "VmRSS at the last status of the target"
    };
    let aged = |name: &str| match memory.age_seconds {
        Some(age) if age >= 1.0 => format!("jemalloc {name}, {age:.0} s old"),
        _ => format!("jemalloc {name}"),
    };
    let resident = Resident::of(memory, groups);
    let other = OtherRows::of(memory, groups);
    let unexplained = memory.rss.map(|rss| {
        let explained = signed(resident.bytes.unwrap_or(0))
            .saturating_add(signed(other.allocators.unwrap_or(0)))
            .saturating_add(signed(other.mappings.unwrap_or(0)));
        signed(rss).saturating_sub(explained)
    });
    let cgroup = match memory.cgroup_version {
        Some(version) => format!("memory cgroup of the process, version {version}"),
        None => "memory cgroup of the process".to_owned(),
    };
    vec![
        Row::estimated(
            "live",
            Some(&snapshot.live.bytes),
            "live samples, requested bytes, estimated",
        ),
        Row::estimated(
            "rounding",
            memory.rounding.as_ref(),
            "live samples, size class less requested bytes, estimated",
        ),
        Row::estimated(
            "not_seen_by_shim",
            memory.not_seen_by_shim.as_ref(),
            &not_seen_source(memory),
        ),
        Row::new(
            "allocated",
            Sum,
            carried_on(memory.allocated, memory),
            with_net(aged("stats.allocated"), memory),
        ),
        Row::new(
            "active",
            Sum,
            carried_on(memory.active, memory),
            with_net(aged("stats.active"), memory),
        ),
        dirty(memory, groups, aged("stats.arenas.pdirty")),
        Row::new(
            "muzzy",
            Part,
            known(memory.muzzy),
            aged("stats.arenas.pmuzzy"),
        ),
        Row::new(
            "metadata",
            Part,
            known(memory.metadata),
            aged("stats.metadata"),
        ),
        Row::new("resident", Sum, known(resident.bytes), resident.source)
            .with_groups(groups_of(groups, |owner| owner == Owner::Jemalloc)),
        Row::new(
            "retained",
            Part,
            known(memory.retained),
            aged("stats.retained, address space only"),
        ),
        Row::new(
            "other_allocators",
            Part,
            known(other.allocators),
            other.allocators_source,
        )
        .with_groups(groups_of(groups, Owner::is_other_allocator)),
        Row::new(
            "other_mappings",
            Part,
            known(other.mappings),
            other.mappings_source,
        )
        .with_groups(groups_of(groups, is_other_mapping)),
        Row::new(
            "unexplained",
            Part,
            unexplained,
            "rss less resident, other_allocators and other_mappings",
        ),
        Row::new("rss", Sum, known(memory.rss), proc),
        Row::new(
            "virtual",
            Sum,
            known(memory.r#virtual),
            "VmSize less the profiler's reserved range",
        ),
        Row::new(
            "cgroup_current",
            Sum,
            known(memory.cgroup_usage),
            cgroup.clone(),
        ),
        Row::new("cgroup_limit", Sum, known(memory.cgroup_limit), cgroup),
    ]
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// jemalloc's figure of a moment ago, with what was allocated and freed since.
fn carried_on(bytes: Option<u64>, memory: &Memory) -> Option<i64> {
    Some(signed(bytes?).saturating_add(memory.net_since.round() as i64))
}

fn with_net(source: String, memory: &Memory) -> String {
    if memory.net_since.round() == 0.0 {
        source
    } else {
        format!("{source}, and what samples say came and went since")
    }
}

/// Unused pages: those of jemalloc's figures, and of blocks that came and went since. Only of a live
/// process is it known whether the latter are still there.
fn dirty(memory: &Memory, groups: Option<&[Group]>, source: String) -> Row {
    let went_since = memory.peak_since - memory.net_since;
    let kept = groups.map(|groups| {
        let mapped = resident_of(groups, |owner| owner == Owner::Jemalloc);
        let used = carried_on(memory.active, memory).unwrap_or(0);
        let metadata = signed(memory.metadata.unwrap_or(0));
        let unused = signed(mapped).saturating_sub(used.saturating_add(metadata));
        let known = signed(memory.dirty.unwrap_or(0));
        (went_since.round() as i64).min(unused.saturating_sub(known))
    });
    match (memory.dirty, kept) {
        (Some(dirty), Some(kept)) if kept > 0 => Row::new(
            "dirty",
            RowKind::Part,
            Some(signed(dirty).saturating_add(kept)),
            format!("{source}, and what samples say came and went since and is resident"),
        ),
        (dirty, _) => Row::new("dirty", RowKind::Part, dirty.map(signed), source),
    }
}

fn not_seen_source(memory: &Memory) -> String {
    let cached = memory.thread_caches.map_or_else(String::new, |bytes| {
        format!("; {bytes} bytes of it are free in thread caches")
    });
    format!("stats.allocated less blocks live at its time in usable size, estimated{cached}")
}

fn groups_of(
    groups: Option<&[Group]>,
    belongs: impl Fn(Owner) -> bool,
) -> impl Iterator<Item = Group> {
    let groups = groups.unwrap_or_default().iter().copied();
    groups.filter(move |group| belongs(group.owner))
}

fn is_other_mapping(owner: Owner) -> bool {
    owner != Owner::Jemalloc && !owner.is_other_allocator()
}

fn resident_of(groups: &[Group], belongs: impl Fn(Owner) -> bool) -> u64 {
    let resident = groups_of(Some(groups), belongs).map(|group| group.resident_bytes);
    resident.fold(0, u64::saturating_add)
}

/// The row `resident`.
struct Resident {
    bytes: Option<u64>,
    source: String,
}

impl Resident {
    fn of(memory: &Memory, groups: Option<&[Group]>) -> Self {
        let Some(groups) = groups else {
            // What is anonymous is a bound: pages that were never touched are not in it.
            let anonymous = memory
                .rss
                .zip(memory.files_and_shared)
                .map_or(u64::MAX, |(rss, shared)| rss.saturating_sub(shared));
            return Self {
                bytes: memory.resident.map(|bytes| bytes.min(anonymous)),
                source: "jemalloc stats.resident, at most the anonymous part of the RSS".to_owned(),
            };
        };
        let mapped = resident_of(groups, |owner| owner == Owner::Jemalloc);
        let Some(claimed) = memory.resident else {
            return Self {
                bytes: Some(mapped),
                source: "/proc/PID/smaps, mappings of jemalloc".to_owned(),
            };
        };
        // Muzzy pages are the kernel's to take back, and until then they are there. So are those of
        // blocks that came since, gone again or not.
        let accounted = claimed
            .saturating_add(memory.muzzy.unwrap_or(0))
            .saturating_add(memory.peak_since_high.max(0.0) as u64);
        Self {
            bytes: Some(mapped.min(accounted)),
            source: match claimed.checked_sub(mapped) {
                Some(untouched) if untouched > 0 => format!(
                    "/proc/PID/smaps, mappings of jemalloc; stats.resident has {untouched} bytes more, \
                     pages that were never touched"
                ),
                _ => "/proc/PID/smaps, mappings of jemalloc, as far as stats.resident and younger \
                      samples account for them"
                    .to_owned(),
            },
        }
    }
}

/// The rows of all that is not jemalloc's.
struct OtherRows {
    allocators: Option<u64>,
    allocators_source: &'static str,
    mappings: Option<u64>,
    mappings_source: &'static str,
}

impl OtherRows {
    fn of(memory: &Memory, groups: Option<&[Group]>) -> Self {
        match groups {
            Some(groups) => Self {
                allocators: Some(resident_of(groups, Owner::is_other_allocator)),
                allocators_source: "/proc/PID/smaps, the C library's heaps and large blocks, and \
                                    anonymous memory mapped by hand",
                mappings: Some(resident_of(groups, is_other_mapping)),
                mappings_source: "/proc/PID/smaps, programs, files, shared memory, stacks, the profiler",
            },
            None => Self {
                allocators: memory.c_heap,
                allocators_source: "/proc/PID/pagemap, resident pages of [heap] (the C library's brk heap)",
                mappings: memory.files_and_shared,
                mappings_source: "files and shared memory; stacks are not known",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Live;

    const ORDER: [&str; 17] = [
        "live",
        "rounding",
        "not_seen_by_shim",
        "allocated",
        "active",
        "dirty",
        "muzzy",
        "metadata",
        "resident",
        "retained",
        "other_allocators",
        "other_mappings",
        "unexplained",
        "rss",
        "virtual",
        "cgroup_current",
        "cgroup_limit",
    ];

    #[test]
    fn rows_are_in_the_order_of_the_contract() {
        let rows = rows(&Snapshot::default(), None);
        assert_eq!(rows.iter().map(|row| row.name).collect::<Vec<_>>(), ORDER);
        // Nothing is known but the (zero) live heap.
        assert!(rows.iter().skip(1).all(|row| row.bytes.is_none()));
    }

    #[test]
    fn parts_add_up_to_their_sums() {
        let exact = |bytes: f64| Estimate {
            estimate: bytes,
            low: bytes,
            high: bytes,
        };
        let snapshot = Snapshot {
            live: Live {
                bytes: exact(600.0),
                objects: exact(6.0),
            },
            memory: Memory {
                allocated: Some(1_000),
                resident: Some(5_000),
                rss: Some(9_000),
                c_heap: Some(1_000),
                files_and_shared: Some(2_500),
                rounding: Some(exact(40.0)),
                not_seen_by_shim: Some(exact(360.0)),
                ..Memory::default()
            },
            ..Snapshot::default()
        };
        let rows = rows(&snapshot, None);
        let bytes = |name: &str| rows.iter().find(|row| row.name == name).unwrap().bytes;
        let sum = ["live", "rounding", "not_seen_by_shim"].map(|name| bytes(name).unwrap());
        assert_eq!(Some(sum.iter().sum::<i64>()), bytes("allocated"));
        assert_eq!(bytes("unexplained"), Some(500));
    }

    #[test]
    fn pages_that_were_never_touched_are_not_resident() {
        let group = |owner, resident_bytes| Group {
            owner,
            mappings: 1,
            virtual_bytes: 1 << 30,
            resident_bytes,
            swapped_bytes: 0,
        };
        let groups = [
            group(Owner::Jemalloc, 3_000),
            group(Owner::CHeap, 400),
            group(Owner::Stacks, 80),
            group(Owner::Files, 20),
        ];
        let bytes = |memory: Memory, name: &str| {
            let snapshot = Snapshot {
                memory,
                ..Snapshot::default()
            };
            let rows = rows(&snapshot, Some(&groups));
            rows.iter().find(|row| row.name == name).unwrap().bytes
        };
        let memory = Memory {
            resident: Some(100_000),
            rss: Some(3_500),
            ..Memory::default()
        };
        assert_eq!(bytes(memory, "resident"), Some(3_000));
        assert_eq!(bytes(memory, "other_allocators"), Some(400));
        assert_eq!(bytes(memory, "other_mappings"), Some(100));
        assert_eq!(bytes(memory, "unexplained"), Some(0));
        // What jemalloc does not account for is nobody's, unless it is younger than its figures.
        let memory = Memory {
            resident: Some(1_000),
            muzzy: Some(100),
            ..memory
        };
        assert_eq!(bytes(memory, "resident"), Some(1_100));
        assert_eq!(bytes(memory, "unexplained"), Some(1_900));
        let memory = Memory {
            peak_since_high: 1_500.0,
            ..memory
        };
        assert_eq!(bytes(memory, "unexplained"), Some(400));
    }

    #[test]
    fn old_figures_are_carried_on_to_now() {
        let exact = |bytes: f64| Estimate {
            estimate: bytes,
            low: bytes,
            high: bytes,
        };
        let snapshot = Snapshot {
            live: Live {
                bytes: exact(900.0),
                objects: exact(1.0),
            },
            memory: Memory {
                allocated: Some(400),
                rounding: Some(exact(100.0)),
                not_seen_by_shim: Some(exact(100.0)),
                net_since: 700.0,
                age_seconds: Some(12.0),
                ..Memory::default()
            },
            ..Snapshot::default()
        };
        let rows = rows(&snapshot, None);
        let row = |name: &str| rows.iter().find(|row| row.name == name).unwrap();
        assert_eq!(row("allocated").bytes, Some(1_100));
        assert!(row("allocated").source.contains("12 s old"));
    }
}
