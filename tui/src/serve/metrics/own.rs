//! The series of `riptide serve` itself.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use riptide_reader::self_stats::self_stats;

use super::{
    super::app::App,
    families::{Families, Kind, Labels},
};
use crate::config::Severity;

pub(super) fn about_this_process(app: &App, to: &mut Families) {
    let none = Labels::new();
    let one = |name: &'static str, value: &str| -> Labels { vec![(name, value.to_owned())] };
    to.add(
        Kind::Info,
        "riptide_build",
        "Version of riptide.",
        &one("version", env!("CARGO_PKG_VERSION")),
        1.0,
    );
    let mut active: BTreeMap<Severity, u64> = Severity::ALL.iter().map(|of| (*of, 0)).collect();
    for observer in app.fleet.observers() {
        for (severity, count) in observer.active_alerts() {
            *active.entry(severity).or_default() += count;
        }
    }
    for (severity, count) in active {
        to.gauge(
            "riptide_alerts_active",
            "Alerts that are raised.",
            &one("severity", severity.word()),
            count as f64,
        );
    }
    let counts = &app.fleet.counts;
    // Relaxed: figures on their own.
    let read = |of: &std::sync::atomic::AtomicU64| of.load(Ordering::Relaxed) as f64;
    to.gauge(
        "riptide_serve_targets",
        "Targets followed.",
        &none,
        app.fleet.live_count() as f64,
    );
    to.gauge(
        "riptide_serve_targets_waiting",
        "Targets not followed because there are too many.",
        &none,
        read(&counts.waiting),
    );
    to.counter(
        "riptide_serve_targets_followed",
        "Targets followed since the start.",
        &none,
        read(&counts.followed),
    );
    to.counter(
        "riptide_serve_targets_ended",
        "Targets that ended.",
        &none,
        read(&counts.ended),
    );
    to.counter(
        "riptide_serve_regions_unreadable",
        "Regions that could not be read.",
        &none,
        read(&counts.unreadable),
    );
    to.counter(
        "riptide_serve_searches",
        "Searches for targets.",
        &none,
        read(&counts.searches),
    );
    let own = self_stats();
    to.counter(
        "riptide_serve_cpu_seconds",
        "CPU time of this process.",
        &none,
        own.cpu_seconds,
    );
    to.some(
        "riptide_serve_rss_bytes",
        "Resident set size of this process.",
        &none,
        own.rss_bytes.map(|bytes| bytes as f64),
    );
    let snapshots = &app.snapshots;
    to.counter(
        "riptide_serve_snapshots_written",
        "Snapshot files written.",
        &none,
        read(&snapshots.written),
    );
    to.counter(
        "riptide_serve_snapshots_failed",
        "Snapshots that could not be written.",
        &none,
        read(&snapshots.failed),
    );
    to.counter(
        "riptide_serve_snapshots_deleted",
        "Snapshot files deleted to make room.",
        &none,
        read(&snapshots.deleted),
    );
    let http = &app.counts;
    for (reason, count) in [
        ("concurrency", &http.refused_concurrency),
        ("rate", &http.refused_rate),
        ("token", &http.refused_token),
        ("connections", &http.refused_connections),
        ("time", &http.refused_time),
        ("size", &http.refused_size),
    ] {
        to.counter(
            "riptide_serve_requests_refused",
            "Requests that were refused, by reason.",
            &one("reason", reason),
            read(count),
        );
    }
    to.counter(
        "riptide_serve_requests",
        "Requests answered, refused ones included.",
        &none,
        read(&http.requests),
    );
    for (result, count) in [("ok", &http.reloads_ok), ("failed", &http.reloads_failed)] {
        to.counter(
            "riptide_serve_reloads",
            "Reloads of the configuration.",
            &one("result", result),
            read(count),
        );
    }
}
