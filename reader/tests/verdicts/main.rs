//! Verdicts on labelled programs: how many leaks are found, in time and under the right name, and
//! whether a healthy program is ever called a leak.
//!
//! `RIPTIDE_LONG=1 cargo test --release -p riptide-reader --test verdicts -- --nocapture` runs 20 seeds
//! of every scenario and prints the tables of `reader/VERDICTS.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod engine;
mod scenarios;
mod score;
mod sources;
