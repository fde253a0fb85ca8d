//! Alerts and telemetry of `riptide serve` against the real things: a collector (rotel), an Alertmanager,
//! a decoder of OTLP that is not ours, programs with known figures.
//!
//! | module | does |
//! |---|---|
//! | [`stand`] | starts and stops the real things |
//! | [`otlp`] | every field of metrics, log records and profiles |
//! | [`outage`] | a collector that goes away and comes back |
//! | [`messages`] | cooldown, hysteresis, grouping, escalation, the end, on stdout, in the log, by webhook |
//! | [`alertmanager`] | from a leak through Alertmanager to a person's webhook, and back to quiet |
#![cfg(not(riptide_passthrough))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod alertmanager;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "the other end-to-end tests use the rest of it")]
mod harness;
mod messages;
mod otlp;
mod outage;
mod stand;
