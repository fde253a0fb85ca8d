//! The workloads by name.

use super::{churn, deep, json, jump, malloc, search, server, store, text, threads};

/// A workload by name.
pub(super) struct Workload {
    pub(super) name: &'static str,
    /// What `list` says of it: see `Kind` in the harness.
    pub(super) kind: &'static str,
    pub(super) what: &'static str,
    /// Runs it for so many rounds; the checksum of what it did.
    pub(super) run: fn(u64) -> u64,
}

type Run = fn(u64) -> u64;

/// Allocates and frees, in a single thread.
const fn micro(name: &'static str, what: &'static str, run: Run) -> Workload {
    Workload {
        name,
        kind: "micro",
        what,
        run,
    }
}

/// Does what programs do, in a single thread.
const fn real(name: &'static str, what: &'static str, run: Run) -> Workload {
    Workload {
        name,
        kind: "real",
        what,
        run,
    }
}

/// For the benches that ask for it by name.
const fn part(name: &'static str, what: &'static str, run: Run) -> Workload {
    Workload {
        name,
        kind: "part",
        what,
        run,
    }
}

const MAPS: &str = "operations on maps, split among threads";
const PAIRS: &str = "pairs of 64 B, split among threads";
const BOXES: &str = "batches of 64 B boxes, split among threads";

pub(super) const WORKLOADS: &[Workload] = &[
    micro("pair-16", "allocate and free 16 B", malloc::pair::<16>),
    micro("pair-64", "allocate and free 64 B", malloc::pair::<64>),
    micro(
        "pair-64-page",
        "allocate and free 64 B at the start of a page",
        malloc::pair_on_a_page::<64>,
    ),
    micro("pair-1k", "allocate and free 1 KiB", malloc::pair::<1024>),
    micro("pair-8k", "allocate and free 8 KiB", malloc::pair::<8192>),
    micro(
        "pair-64k",
        "allocate and free 64 KiB",
        malloc::pair::<65_536>,
    ),
    micro(
        "boxes-64",
        "1,000 boxes of 64 B, then drop them",
        malloc::boxes,
    ),
    micro(
        "batch-16",
        "100 blocks of 16 B, then drop them",
        malloc::batch::<16>,
    ),
    micro(
        "batch-1k",
        "100 blocks of 1 KiB, then drop them",
        malloc::batch::<1024>,
    ),
    micro(
        "batch-64k",
        "100 blocks of 64 KiB, then drop them",
        malloc::batch::<65_536>,
    ),
    micro(
        "blocks-mixed",
        "200 blocks of 16 B to 64 KiB, then drop them",
        malloc::mixed,
    ),
    micro(
        "vec-growth",
        "vectors grown to 1–256 KiB by doubling",
        malloc::growth,
    ),
    micro("zeroed", "zeroed blocks of 64 B to 64 KiB", malloc::zeroed),
    Workload {
        name: "remote-free",
        kind: "micro-threads",
        what: "one thread allocates 64 B boxes, another drops them",
        run: threads::remote_free,
    },
    real("json", "parse a document of 1 MB", json::parse),
    real("regex", "captures over a log of 1 MB", text::captures),
    Workload {
        name: "http",
        kind: "server",
        what: "an HTTP server (axum), JSON in and out",
        run: server::serve,
    },
    real("search", "build and ask a search index", search::index),
    real("store", "key-value store, entries expire", store::churn),
    Workload {
        name: "churn",
        kind: "real-threads",
        what: "4 threads insert into and remove from maps",
        run: churn::churn,
    },
    part("pair-256", "allocate and free 256 B", malloc::pair::<256>),
    part("pair-4k", "allocate and free 4 KiB", malloc::pair::<4096>),
    part(
        "realloc",
        "allocate 64 B, move to 1 KiB, free",
        malloc::realloc_pair,
    ),
    part(
        "zeroed-256",
        "allocate 256 B zeroed, free",
        malloc::zeroed_pair,
    ),
    part(
        "set-up",
        "allocate and free 1 MiB",
        malloc::pair::<1_048_576>,
    ),
    part(
        "deep",
        "allocate and free 64 B, 30 frames deep",
        deep::pairs,
    ),
    part("jump", "100 times the allocations after 5 s", jump::jump),
    part("busy", "the second part of jump, by rounds", jump::busy),
    part("maps-1", MAPS, threads::maps::<1>),
    part("maps-2", MAPS, threads::maps::<2>),
    part("maps-4", MAPS, threads::maps::<4>),
    part("maps-16", MAPS, threads::maps::<16>),
    part("maps-64", MAPS, threads::maps::<64>),
    part("pairs-1", PAIRS, threads::pairs::<1>),
    part("pairs-2", PAIRS, threads::pairs::<2>),
    part("pairs-4", PAIRS, threads::pairs::<4>),
    part("pairs-16", PAIRS, threads::pairs::<16>),
    part("pairs-64", PAIRS, threads::pairs::<64>),
    part("batches-1", BOXES, threads::boxes::<1>),
    part("batches-2", BOXES, threads::boxes::<2>),
    part("batches-4", BOXES, threads::boxes::<4>),
    part("batches-16", BOXES, threads::boxes::<16>),
    part("batches-64", BOXES, threads::boxes::<64>),
];
