//! Published programs that we did not write, with riptide in them by one line: a command-line tool
//! on a long input, a server under load, and a server of more than 100 MB with debug information.
//! What they print stays the same, byte for byte, and their profile names their own functions.
//!
//! | module | does |
//! |---|---|
//! | [`program`] | gets the sources through cargo, changes the one line, builds |
//! | [`corpus`] | the long input |
//! | [`server`], [`http`] | a running server, its answers, its load |
//! | [`profile`] | holds the functions, files and lines of a profile against the sources |
//! | [`journey`] | from a start of the dashboard to the line that leaks |
//! | [`screen`] | the dashboard in a terminal |
//!
//! The first run takes some minutes to build them, under `target/published`; later runs build
//! nothing. Figures of time are printed and never asserted.
#![cfg(not(riptide_passthrough))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod command_line;
mod corpus;
mod first_light;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "the other end-to-end tests use the rest of it")]
mod harness;
mod http;
mod journey;
mod profile;
mod program;
#[path = "../it/screen.rs"]
#[allow(dead_code, reason = "the other end-to-end tests use the rest of it")]
mod screen;
mod server;
mod web_server;

/// Prints a figure past the test runner, which keeps what passing tests print to itself.
fn report(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "published: {line}");
}
