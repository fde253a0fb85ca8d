//! `/metrics`: figures of every target and of this process, as `OpenMetrics` or Prometheus text 0.0.4.
//!
//! Names are in base units, counters end in `_total`, labels are `pid` and `process`. Sites have series
//! only when `profiling.top_sites` asks for them. A figure that is not known has no sample.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, atomic::Ordering},
};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, prometheus_text, text},
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};
use riptide_reader::{leak::Verdict, profile::TargetState, self_stats::self_stats};

use super::{app::App, observer::OwnMetric, tick::Tick};
use crate::config::Severity;

/// How the figures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposition {
    OpenMetrics,
    Text,
}

impl Exposition {
    /// What an `Accept` header asks for: `OpenMetrics` when it is named and not refused.
    pub(super) fn of(accept: Option<&str>) -> Self {
        let asked = accept.unwrap_or_default().split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_it = parts.next() == Some("application/openmetrics-text");
            is_it && !parts.any(|part| matches!(part, "q=0" | "q=0.0"))
        });
        if asked { Self::OpenMetrics } else { Self::Text }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

type Labels = Vec<(&'static str, String)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Gauge,
    Counter,
    Info,
}

#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    kind: Kind,
    series: Vec<(Labels, f64)>,
}

/// All families of one scrape, in the order of their first series.
#[derive(Debug, Default)]
struct Families(Vec<Family>);

impl Families {
    fn add(
        &mut self,
        kind: Kind,
        name: &'static str,
        help: &'static str,
        labels: &Labels,
        value: f64,
    ) {
        let family = match self.0.iter_mut().find(|family| family.name == name) {
            Some(family) => family,
            None => {
                self.0.push(Family {
                    name,
                    help,
                    kind,
                    series: Vec::new(),
                });
                match self.0.last_mut() {
                    Some(family) => family,
                    None => return,
                }
            }
        };
        family.series.push((labels.clone(), value));
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, labels: &Labels, value: f64) {
        self.add(Kind::Gauge, name, help, labels, value);
    }

    /// A gauge, when there is something to say.
    fn some(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &Labels,
        value: Option<f64>,
    ) {
        if let Some(value) = value {
            self.gauge(name, help, labels, value);
        }
    }

    /// `name` is without `_total`.
    fn counter(&mut self, name: &'static str, help: &'static str, labels: &Labels, value: f64) {
        self.add(Kind::Counter, name, help, labels, value);
    }
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for family in &self.0 {
            let kind = match family.kind {
                Kind::Gauge => MetricType::Gauge,
                Kind::Counter => MetricType::Counter,
                Kind::Info => MetricType::Info,
            };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for (labels, value) in &family.series {
                match family.kind {
                    Kind::Info => metric.encode_info(labels)?,
                    Kind::Gauge if labels.is_empty() => metric.encode_gauge(value)?,
                    Kind::Gauge => metric.encode_family(labels)?.encode_gauge(value)?,
                    Kind::Counter if labels.is_empty() => {
                        metric.encode_counter(value, None::<&Exemplar<Labels, f64>>)?;
                    }
                    Kind::Counter => {
                        let mut one = metric.encode_family(labels)?;
                        one.encode_counter(value, None::<&Exemplar<Labels, f64>>)?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Everything, as text.
pub(super) fn render(app: &App, exposition: Exposition) -> Result<String, fmt::Error> {
    let mut families = Families::default();
    about_this_process(app, &mut families);
    let ticks: Vec<Arc<Tick>> = app
        .fleet
        .live()
        .iter()
        .map(|target| target.latest())
        .collect();
    for tick in unambiguous(&ticks) {
        about_a_target(tick, app.config.profiling.top_sites, &mut families);
    }
    for observer in app.fleet.observers() {
        for OwnMetric {
            name,
            help,
            is_counter,
            series,
        } in observer.metrics()
        {
            let kind = if is_counter {
                Kind::Counter
            } else {
                Kind::Gauge
            };
            for (labels, value) in series {
                families.add(kind, name, help, &labels, value);
            }
        }
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(families));
    let mut text = String::new();
    match exposition {
        Exposition::OpenMetrics => text::encode(&mut text, &registry)?,
        Exposition::Text => prometheus_text::encode(&mut text, &registry)?,
    }
    Ok(text)
}

/// Of several targets with the same labels the one that came last: two processes whose pid namespaces
/// are not visible can both be 1, and a scrape must not have a series twice.
fn unambiguous(ticks: &[Arc<Tick>]) -> impl Iterator<Item = &Tick> {
    let mut by_labels: BTreeMap<(u32, &str), &Tick> = BTreeMap::new();
    for tick in ticks {
        by_labels.insert((tick.identity.pid, &tick.identity.process), tick);
    }
    by_labels.into_values()
}

fn about_a_target(tick: &Tick, top_sites: u64, to: &mut Families) {
    let identity = &tick.identity;
    let labels: Labels = vec![
        ("pid", identity.pid.to_string()),
        ("process", identity.process.clone()),
    ];
    let and = |name: &'static str, value: &str| {
        let mut labels = labels.clone();
        labels.push((name, value.to_owned()));
        labels
    };
    let figures = &tick.figures;
    let live = &figures.live;
    let memory = &figures.memory;
    let bytes = |value: Option<u64>| value.map(|bytes| bytes as f64);

    to.gauge(
        "riptide_live_bytes",
        "Requested bytes of live blocks, estimated.",
        &labels,
        live.bytes.estimate,
    );
    to.gauge(
        "riptide_live_bytes_low",
        "Lower end of the 95 % interval of the live bytes.",
        &labels,
        live.bytes.low,
    );
    to.gauge(
        "riptide_live_bytes_high",
        "Upper end of the 95 % interval of the live bytes.",
        &labels,
        live.bytes.high,
    );
    to.gauge(
        "riptide_live_objects",
        "Live blocks, estimated.",
        &labels,
        live.objects.estimate,
    );
    to.some(
        "riptide_rss_bytes",
        "Resident set size.",
        &labels,
        bytes(memory.rss),
    );
    to.some(
        "riptide_virtual_bytes",
        "Virtual size without the range reserved for samples.",
        &labels,
        bytes(memory.r#virtual),
    );
    for (name, help, value) in [
        (
            "riptide_jemalloc_allocated_bytes",
            "jemalloc's stats.allocated.",
            memory.allocated,
        ),
        (
            "riptide_jemalloc_active_bytes",
            "jemalloc's stats.active.",
            memory.active,
        ),
        (
            "riptide_jemalloc_resident_bytes",
            "jemalloc's stats.resident.",
            memory.resident,
        ),
        (
            "riptide_jemalloc_retained_bytes",
            "jemalloc's stats.retained.",
            memory.retained,
        ),
        (
            "riptide_jemalloc_metadata_bytes",
            "jemalloc's stats.metadata.",
            memory.metadata,
        ),
        (
            "riptide_jemalloc_dirty_bytes",
            "Unused dirty pages of jemalloc.",
            memory.dirty,
        ),
        (
            "riptide_jemalloc_muzzy_bytes",
            "Unused muzzy pages of jemalloc.",
            memory.muzzy,
        ),
        (
            "riptide_cgroup_usage_bytes",
            "Memory in use of the cgroup.",
            memory.cgroup_usage,
        ),
        (
            "riptide_cgroup_limit_bytes",
            "Memory limit of the cgroup.",
            memory.cgroup_limit,
        ),
    ] {
        to.some(name, help, &labels, bytes(value));
    }
    to.some(
        "riptide_jemalloc_fragmentation_ratio",
        "Active memory of jemalloc that is not allocated.",
        &labels,
        tick.fragmentation,
    );
    let growth = tick.growth_bytes_per_second;
    to.some(
        "riptide_growth_bytes_per_second",
        "Growth of the live heap over the last minutes, from births and deaths.",
        &labels,
        growth.map(|of| of.estimate),
    );
    to.some(
        "riptide_growth_bytes_per_second_low",
        "Lower end of the 95 % interval of the growth.",
        &labels,
        growth.map(|of| of.low),
    );
    to.some(
        "riptide_growth_bytes_per_second_high",
        "Upper end of the 95 % interval of the growth.",
        &labels,
        growth.map(|of| of.high),
    );
    to.some(
        "riptide_time_to_limit_seconds",
        "Seconds until the growth reaches the limit of the cgroup.",
        &labels,
        tick.time_to_limit_seconds.map(|of| of.estimate),
    );
    to.some(
        "riptide_allocated_bytes_per_second",
        "Bytes allocated a second.",
        &labels,
        figures.rates.allocated_bytes_per_second,
    );
    to.some(
        "riptide_allocations_per_second",
        "Blocks allocated a second.",
        &labels,
        figures.rates.allocations_per_second,
    );

    let loss = &figures.loss;
    for (cause, lost) in [
        ("overwritten", loss.overwritten),
        ("dropped", loss.dropped),
        ("torn", loss.torn),
        ("unrecorded", loss.unrecorded_blocks),
        ("skipped_reentrant", loss.skipped_reentrant),
        ("skipped_set_up", loss.skipped_set_up),
        ("truncated_stack", loss.truncated_stacks),
        ("stack_table_full", loss.stack_table_full),
    ] {
        to.counter(
            "riptide_events_lost",
            "What was lost, by cause; only unrecorded blocks are missing in live figures.",
            &and("cause", cause),
            lost as f64,
        );
    }
    to.counter(
        "riptide_samples",
        "Samples that the target has taken.",
        &labels,
        figures.sampling.samples as f64,
    );
    to.gauge(
        "riptide_sampling_interval_bytes",
        "Mean bytes between two samples.",
        &labels,
        figures.sampling.interval_bytes as f64,
    );
    to.gauge(
        "riptide_sampling_cost_ratio",
        "Share of the target's CPU time that sampling has cost, as it measured it.",
        &labels,
        figures.sampling.cost_fraction,
    );
    to.some(
        "riptide_uptime_seconds",
        "Seconds since the target started.",
        &labels,
        figures.target.uptime_seconds,
    );
    let known = figures.target.state == TargetState::Live;
    to.gauge(
        "riptide_target_visible",
        "1 when the process is seen, 0 when its pid namespace is not visible.",
        &labels,
        f64::from(u8::from(known)),
    );

    if let Some(verdicts) = &tick.verdicts {
        for verdict in [
            Verdict::Leak,
            Verdict::Growing,
            Verdict::CacheLike,
            Verdict::WarmUp,
        ] {
            to.gauge(
                "riptide_sites_judged",
                "Sites by verdict.",
                &and("verdict", verdict.word()),
                verdicts.count(verdict) as f64,
            );
        }
        let most = usize::try_from(top_sites).unwrap_or(usize::MAX);
        let mut seen = BTreeMap::new();
        for site in verdicts.sites.iter().take(most) {
            let place = match (&site.file, site.line) {
                (Some(file), Some(line)) => format!("{file}:{line}"),
                (Some(file), None) => file.clone(),
                _ => String::new(),
            };
            *seen.entry((site.function.clone(), place)).or_insert(0.0) += site.live_bytes.estimate;
        }
        for ((function, place), bytes) in seen {
            let mut labels = and("function", &function);
            labels.push(("location", place));
            to.gauge(
                "riptide_site_live_bytes",
                "Live bytes of the sites that hold most, as of the last verdict.",
                &labels,
                bytes,
            );
        }
    }
    let cost = &tick.cost;
    to.counter(
        "riptide_serve_target_cpu_seconds",
        "CPU time of looking at the target.",
        &labels,
        cost.cpu_seconds,
    );
    to.gauge(
        "riptide_serve_target_memory_bytes",
        "Memory kept for the target.",
        &labels,
        cost.memory_bytes as f64,
    );
    to.counter(
        "riptide_serve_target_looks",
        "Looks at the target's tables.",
        &labels,
        cost.looks as f64,
    );
}

fn about_this_process(app: &App, to: &mut Families) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exposition_is_negotiated() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Exposition::of(Some(prometheus)), Exposition::OpenMetrics);
        for accept in [
            None,
            Some("*/*"),
            Some("text/plain"),
            Some("application/openmetrics-text; q=0"),
        ] {
            assert_eq!(Exposition::of(accept), Exposition::Text, "{accept:?}");
        }
    }

    #[test]
    fn a_hostile_name_stays_within_its_label() {
        let mut families = Families::default();
        let labels: Labels = vec![("process", "a\"} 1\nevil \\".to_owned())];
        families.gauge("riptide_live_bytes", "Help.", &labels, 1.5);
        families.counter("riptide_samples", "Help.", &Labels::new(), 2.0);
        let mut registry = Registry::default();
        registry.register_collector(Box::new(families));
        let mut text = String::new();
        prometheus_text::encode(&mut text, &registry).unwrap();
        assert!(
            text.contains("{process=\"a\\\"} 1\\nevil \\\\\"} 1.5\n"),
            "{text}"
        );
        assert!(
            text.contains("# TYPE riptide_samples_total counter\nriptide_samples_total 2.0\n"),
            "{text}"
        );
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        assert!(
            text.contains("{process=\"a\\\"} 1\\nevil \\\\\"} 1.5\n"),
            "{text}"
        );
        assert!(
            text.contains("# TYPE riptide_samples counter\nriptide_samples_total 2.0\n"),
            "{text}"
        );
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
