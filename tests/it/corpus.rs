//! The labelled programs: `tests/programs/leaks.rs` and `tests/programs/healthy.rs`.

/// Scenarios that leak, and the functions that do.
pub(crate) const LEAKS: [(&str, &str); 12] = [
    ("never-joined", "never_joined"),
    ("interner", "interner"),
    ("rc-cycle", "rc_cycle"),
    ("forgotten-entries", "forgotten_entries"),
    ("unbounded-channel", "unbounded_channel"),
    ("thread-local", "thread_local_growth"),
    ("mem-forget", "mem_forget"),
    ("log-buffer", "log_buffer"),
    ("large-rare", "large_rare"),
    ("realloc-chain", "realloc_chain"),
    ("spread", "keep"),
    ("slow-under-churn", "mem_forget"),
];

/// Scenarios that only look so.
pub(crate) const HEALTHY: [&str; 22] = [
    "sessions",
    "history",
    "warm-up",
    "warm-up-skewed",
    "filling",
    "lru",
    "random-eviction",
    "sawtooth",
    "short-sawtooth",
    "load-ramp",
    "day",
    "late-init",
    "three-inits",
    "sessions-exponential",
    "heavy-tailed",
    "time-to-live",
    "arena",
    "doubling",
    "doubling-anew",
    "buffers",
    "pool",
    "churn",
];
