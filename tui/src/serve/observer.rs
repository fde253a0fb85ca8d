//! What hears of every tick, and what `/alerts` and the metrics ask: the doors between following
//! targets and whatever is made of it.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::{target::Target, tick::Tick};
use crate::config::{Config, Severity};

/// Hears of every tick. Called on the threads that follow targets, so it must not wait.
pub trait Observer: Send + Sync {
    /// A target was looked at. `target` is there to be asked for more: sites, a snapshot file.
    fn tick(&self, target: &Arc<Target>, tick: &Arc<Tick>);

    /// A target ended or its region is gone; `last` is what was seen last, with its state. No more
    /// ticks of it come.
    fn gone(&self, target: &Arc<Target>, last: &Arc<Tick>);

    /// A new configuration is in force.
    fn reload(&self, config: &Arc<Config>);

    /// The server stops: what is under way should be brought to its end. May wait for a few seconds.
    fn stop(&self);

    /// Alerts as `/alerts` shows them.
    fn alerts(&self) -> AlertsDocument {
        AlertsDocument::default()
    }

    /// How many alerts are active at each severity.
    fn active_alerts(&self) -> Vec<(Severity, u64)> {
        Vec::new()
    }

    /// Metrics of its own, added to those of `/metrics`.
    fn metrics(&self) -> Vec<OwnMetric> {
        Vec::new()
    }
}

/// The document of `/alerts`. Each alert has id, severity, category, component, metric, value,
/// threshold, recommendations, evidence and since.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AlertsDocument {
    /// Alerts that were raised and not resolved.
    pub active: Vec<Value>,
    /// Alerts that were resolved, the newest first.
    pub history: Vec<Value>,
    /// What became of the messages of each channel.
    pub delivery: Vec<Value>,
}

/// A metric of an [`Observer`]; its name is without `_total`.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnMetric {
    /// Name.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
    /// Whether it only grows.
    pub is_counter: bool,
    /// Label and value of each series, and its figure.
    pub series: Vec<(Vec<(&'static str, String)>, f64)>,
}
