//! The `riptide` command: prints and shows what the reader knows about running and dead Rust
//! services.
//!
//! | module | does |
//! |---|---|
//! | [`cli`] | one file per subcommand; errors and exit codes |
//! | [`app`], [`keys`], [`input`], [`filter`] | state of the dashboard and what changes it |
//! | [`look`], [`flame`] | what is shown beside a snapshot |
//! | [`settings`] | the user's colours, keys and files |
//! | [`view`], [`theme`], [`units`] | what it looks like: one file per screen |
//! | [`feed`], [`terminal`] | the reader's thread and the terminal around the app |
//! | [`config`] | the table of keys, in layers, with every error at once |
//! | `serve` | one or many targets over HTTP |
//! | [`alerts`] | rules, what is said of them when, and where it goes |
//! | `telemetry` | metrics, alerts and profiles by OTLP |
//! | `demo` | the bundled service with one leak |
//! | [`doctor`] | the checklist |
//!
//! **Invariants.** No unsafe code. The app and the views know no terminal, no clock and no process:
//! snapshots, input and time are handed in. Drawing happens only on input, resize or new data. The
//! terminal is restored on every way out.
//!
//! It does not know the region format: whatever it shows comes from the reader's snapshots.
#![forbid(unsafe_code)]

use std::process::ExitCode;

pub mod alerts;
pub mod app;
pub mod cli;
pub mod config;
#[cfg(feature = "demo")]
pub mod demo;
pub mod doctor;
pub mod feed;
pub mod filter;
pub mod flame;
pub mod input;
pub mod keys;
pub mod look;
#[cfg(test)]
mod sample;
#[cfg(feature = "serve")]
pub mod serve;
pub mod settings;
#[cfg(feature = "serve")]
pub mod telemetry;
pub mod terminal;
pub mod theme;
pub mod units;
pub mod view;

/// The reader itself is plain jemalloc; the demo's child asks for profiling through its environment.
#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::off_by_default();

/// The program.
pub fn main() -> ExitCode {
    cli::main()
}
