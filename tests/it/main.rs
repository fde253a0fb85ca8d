//! Everything from outside: victim programs with riptide in them, the `riptide` binary beside them.
//!
//! `RIPTIDE_LONG=1` runs the long campaigns. Seeds and kill times are printed; `RIPTIDE_TEST_SEED`
//! repeats the random ones.
#![cfg(not(riptide_passthrough))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod advise;
mod attach;
mod corpus;
mod crowd;
mod dashboard;
mod death;
mod diff;
mod exact;
mod faults;
mod fork;
mod gate;
mod harness;
mod hostile;
mod inputs;
mod limits;
mod memory;
mod oom;
mod pprof;
mod prune;
mod readers;
mod record;
mod refusals;
mod resource_limits;
mod ring;
mod run;
mod schemas;
mod screen;
mod set;
mod symbols;
mod threads;
mod truth;
mod verdicts;
