//! `riptide serve` from outside: real targets, and what its users run beside it — Prometheus, promtool,
//! `go tool pprof`, load generators, a browser, a service on PostgreSQL.
//!
//! | module | does |
//! |---|---|
//! | [`server`] | a running `riptide serve` |
//! | [`http`] | requests as they are written |
//! | [`configuration`] | check-config, gen-config, reload, what it refuses to start with |
//! | [`endpoints`] | what is answered, and to whom |
//! | [`prometheus`] | a real scrape, every expression of the dashboard, rules |
//! | [`pprof`] | `go tool pprof` over HTTP |
//! | [`beside`] | what a service notices of it |
//! | [`load`] | limits, and clients that mean no good |
//! | [`fleet`] | targets that come, die and come back; hundreds |
//! | [`page`] | the live page in a browser |
//! | [`postgres`] | a service that we did not write, on a real database |
//! | [`operations`] | what is in `ops/` |
//!
//! `RIPTIDE_LONG=1` runs the long forms.
#![cfg(not(riptide_passthrough))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod beside;
mod configuration;
mod endpoints;
mod fleet;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "the other end-to-end tests use the rest of it")]
mod harness;
mod http;
mod load;
mod operations;
mod page;
mod postgres;
mod pprof;
#[path = "../published/program.rs"]
#[allow(dead_code, reason = "the programs of the other tests are in it too")]
mod program;
mod prometheus;
mod server;

/// Prints a figure past the test runner, which keeps what passing tests print to itself.
fn report(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "serve: {line}");
}
