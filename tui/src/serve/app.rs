//! What every request may ask: the targets, the configuration in force, and counts of the server itself.

use std::sync::{Arc, atomic::AtomicU64};

use super::{fleet::Fleet, snapshots::Snapshots};
use crate::config::Config;

/// Figures of the server since its start; they outlive a reload.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: AtomicU64,
    pub(super) refused_concurrency: AtomicU64,
    pub(super) refused_rate: AtomicU64,
    pub(super) refused_token: AtomicU64,
    pub(super) refused_connections: AtomicU64,
    pub(super) refused_time: AtomicU64,
    pub(super) refused_size: AtomicU64,
    pub(super) reloads_ok: AtomicU64,
    pub(super) reloads_failed: AtomicU64,
}

/// What every request may ask; made anew at a reload.
pub(super) struct App {
    pub(super) fleet: Arc<Fleet>,
    pub(super) snapshots: Arc<Snapshots>,
    pub(super) config: Arc<Config>,
    pub(super) token: Option<String>,
    pub(super) counts: Arc<Counts>,
}
