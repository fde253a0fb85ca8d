//! Attaches to the region of a target read-only and turns it into profiles: attach → ingest →
//! profile → outputs.
//!
//! | module | does |
//! |---|---|
//! | [`profile`] | the immutable snapshot that every output shows |
//! | [`symbolize`] | turns return addresses into frames, in the background |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests fail by panicking"))]

pub mod profile;
pub mod symbolize;
