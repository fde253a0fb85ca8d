//! From live bytes to RSS, row by row, in the order of the contract: most "leaks" that users report
//! are one of these rows.
//!
//! **Invariant.** No row is a remainder except `unexplained`; what is not known is `None`, and a
//! remainder of something unknown is unknown.

use serde::Serialize;

use crate::profile::{Estimate, Memory, Snapshot};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Name in the contract.
    pub name: &'static str,
    /// Bytes, `None` when not known. An estimated part may come out below 0.
    pub bytes: Option<i64>,
    /// Part or sum.
    pub kind: RowKind,
    /// Where the figure comes from.
    pub source: String,
}

/// The rows of a snapshot.
#[must_use]
pub fn rows(snapshot: &Snapshot) -> Vec<Row> {
    use RowKind::{Part, Sum};
    let memory = &snapshot.memory;
    let row = |name, bytes, kind, source| Row {
        name,
        bytes,
        kind,
        source: str::to_owned(source),
    };
    let known = |bytes: Option<u64>| bytes.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let estimate = |figure: Option<&Estimate>| figure.map(|figure| figure.estimate.round() as i64);
    let proc = "/proc/PID/status";
    let jemalloc = |name| match name {
        "allocated" => "jemalloc stats.allocated",
        "active" => "jemalloc stats.active",
        "metadata" => "jemalloc stats.metadata",
        "resident" => "jemalloc stats.resident",
        "retained" => "jemalloc stats.retained",
        "dirty" => "jemalloc stats.arenas.pdirty",
        _ => "jemalloc stats.arenas.pmuzzy",
    };
    vec![
        row(
            "live",
            estimate(Some(&snapshot.live.bytes)),
            Part,
            "live samples, requested bytes, estimated",
        ),
        row(
            "rounding",
            estimate(memory.rounding.as_ref()),
            Part,
            "live samples, size class less requested bytes, estimated",
        ),
        row(
            "not_seen_by_shim",
            estimate(memory.not_seen_by_shim.as_ref()),
            Part,
            "stats.allocated less live blocks in usable size, estimated",
        ),
        row(
            "allocated",
            known(memory.allocated),
            Sum,
            jemalloc("allocated"),
        ),
        row("active", known(memory.active), Sum, jemalloc("active")),
        row("dirty", known(memory.dirty), Part, jemalloc("dirty")),
        row("muzzy", known(memory.muzzy), Part, jemalloc("muzzy")),
        row(
            "metadata",
            known(memory.metadata),
            Part,
            jemalloc("metadata"),
        ),
        row(
            "resident",
            known(memory.resident),
            Sum,
            jemalloc("resident"),
        ),
        row(
            "retained",
            known(memory.retained),
            Part,
            jemalloc("retained"),
        ),
        row(
            "other_allocators",
            known(memory.c_heap),
            Part,
            "/proc/PID/pagemap, resident pages of [heap] (the C library's brk heap)",
        ),
        row(
            "other_mappings",
            known(memory.files_and_shared),
            Part,
            "/proc/PID/status, RssFile + RssShmem",
        ),
        row(
            "unexplained",
            unexplained(memory),
            Part,
            "rss less resident, other_allocators and other_mappings",
        ),
        row("rss", known(memory.rss), Sum, proc),
        row(
            "virtual",
            known(memory.r#virtual),
            Sum,
            "/proc/PID/status, VmSize less the profiler's reserved range",
        ),
        row(
            "cgroup_current",
            known(memory.cgroup_usage),
            Sum,
            "memory cgroup of the process",
        ),
        row(
            "cgroup_limit",
            known(memory.cgroup_limit),
            Sum,
            "memory cgroup of the process",
        ),
    ]
}

/// What of the RSS no other row accounts for: stacks of threads, anonymous mappings. Below 0 when
/// jemalloc's `resident`, which counts whole pages that it once touched, is above what is.
fn unexplained(memory: &Memory) -> Option<i64> {
    let signed = |bytes: Option<u64>| Some(i64::try_from(bytes?).unwrap_or(i64::MAX));
    let explained = signed(memory.resident)?
        .saturating_add(signed(memory.c_heap)?)
        .saturating_add(signed(memory.files_and_shared)?);
    Some(signed(memory.rss)?.saturating_sub(explained))
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
        let rows = rows(&Snapshot::default());
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
        let rows = rows(&snapshot);
        let bytes = |name: &str| rows.iter().find(|row| row.name == name).unwrap().bytes;
        let sum = ["live", "rounding", "not_seen_by_shim"].map(|name| bytes(name).unwrap());
        assert_eq!(Some(sum.iter().sum::<i64>()), bytes("allocated"));
        assert_eq!(bytes("unexplained"), Some(500));
    }
}
