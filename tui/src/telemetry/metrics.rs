//! Gauges, sums and histograms of a target.
//!
//! Sums and histograms are cumulative since the target is followed: an export that fails is made good
//! by the next one.

use std::time::SystemTime;

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
        ResourceMetrics, ScopeMetrics, Sum, metric::Data, number_data_point::Value,
    },
};
use riptide_reader::profile::{BUCKETS, Histogram as Buckets, JournalShapes, Snapshot};

use super::{
    resource::{TargetIdentity, attribute, integer, resource, scope, text, unix_ns},
    settings::Settings,
};

/// Resources in one request: collectors take 4 MiB at once.
const RESOURCES_A_REQUEST: usize = 200;

/// A target at one moment.
#[derive(Clone, Debug)]
pub struct TargetFigures {
    /// Who.
    pub identity: TargetIdentity,
    /// Since when it is followed.
    pub began: SystemTime,
    /// When these figures were taken.
    pub at: SystemTime,
    /// The figures.
    pub figures: Snapshot,
    /// Sizes and lifetimes since it is followed.
    pub shapes: JournalShapes,
}

/// What riptide says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerFigures {
    /// Targets followed.
    pub targets: u64,
    /// Active alerts by severity.
    pub alerts: Vec<(&'static str, u64)>,
}

/// All metrics of now, in requests of a size that collectors take.
pub(super) fn requests(
    settings: &Settings,
    targets: &[TargetFigures],
    server: &ServerFigures,
    now: SystemTime,
) -> Vec<ExportMetricsServiceRequest> {
    let own = of_resource(settings, None, of_server(server, now));
    let mut all: Vec<ResourceMetrics> = targets
        .iter()
        .map(|target| of_resource(settings, Some(&target.identity), of_target(target)))
        .collect();
    all.push(own);
    let mut requests = Vec::new();
    while !all.is_empty() {
        let rest = all.split_off(all.len().min(RESOURCES_A_REQUEST));
        requests.push(ExportMetricsServiceRequest {
            resource_metrics: std::mem::replace(&mut all, rest),
        });
    }
    requests
}

fn of_resource(
    settings: &Settings,
    target: Option<&TargetIdentity>,
    metrics: Vec<Metric>,
) -> ResourceMetrics {
    ResourceMetrics {
        resource: Some(resource(settings, target)),
        scope_metrics: vec![ScopeMetrics {
            scope: Some(scope()),
            metrics,
            ..ScopeMetrics::default()
        }],
        ..ResourceMetrics::default()
    }
}

/// Makes the points of one resource.
struct Points {
    began: u64,
    at: u64,
    attributes: Vec<KeyValue>,
}

impl Points {
    fn one(&self, value: Value, more: Option<KeyValue>) -> NumberDataPoint {
        NumberDataPoint {
            attributes: self.attributes.iter().cloned().chain(more).collect(),
            start_time_unix_nano: self.began,
            time_unix_nano: self.at,
            value: Some(value),
            ..NumberDataPoint::default()
        }
    }

    fn gauge(&self, name: &str, unit: &str, description: &str, value: Value) -> Metric {
        metric(
            name,
            unit,
            description,
            Data::Gauge(Gauge {
                data_points: vec![self.one(value, None)],
            }),
        )
    }

    /// Estimated counts are rounded; cumulative ones stay cumulative by that.
    fn histogram(
        &self,
        (name, unit, description): (&str, &str, &str),
        buckets: &Buckets,
        scale: f64,
    ) -> Metric {
        let counts: Vec<u64> = buckets
            .counts
            .iter()
            .map(|count| count.round() as u64)
            .collect();
        let bounds = (0..BUCKETS - 1).map(|power| scale * (1_u64 << power) as f64);
        let point = HistogramDataPoint {
            attributes: self.attributes.clone(),
            start_time_unix_nano: self.began,
            time_unix_nano: self.at,
            count: counts.iter().sum(),
            sum: Some(buckets.sum * scale),
            bucket_counts: counts,
            explicit_bounds: bounds.collect(),
            ..HistogramDataPoint::default()
        };
        let data = Data::Histogram(Histogram {
            data_points: vec![point],
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
        });
        metric(name, unit, description, data)
    }
}

fn metric(name: &str, unit: &str, description: &str, data: Data) -> Metric {
    Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        description: description.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn whole(value: u64) -> Value {
    Value::AsInt(i64::try_from(value).unwrap_or(i64::MAX))
}

fn of_target(target: &TargetFigures) -> Vec<Metric> {
    let points = Points {
        began: unix_ns(target.began),
        at: unix_ns(target.at),
        attributes: vec![
            attribute("pid", integer(i64::from(target.identity.pid))),
            attribute("process", text(&target.identity.process)),
        ],
    };
    let figures = &target.figures;
    let (bytes, objects) = (figures.live.bytes, figures.live.objects);
    let mut metrics = Vec::new();
    for (name, unit, description, value) in [
        (
            "riptide.live",
            "By",
            "Live requested bytes, estimated",
            bytes.estimate,
        ),
        (
            "riptide.live.low",
            "By",
            "Lower end of the 95 % interval of riptide.live",
            bytes.low,
        ),
        (
            "riptide.live.high",
            "By",
            "Upper end of the 95 % interval of riptide.live",
            bytes.high,
        ),
        (
            "riptide.live.objects",
            "{object}",
            "Live blocks, estimated",
            objects.estimate,
        ),
        (
            "riptide.sampling.cost",
            "1",
            "Share of the target's CPU time that sampling has cost",
            figures.sampling.cost_fraction,
        ),
    ] {
        metrics.push(points.gauge(name, unit, description, Value::AsDouble(value)));
    }
    let growth = figures.rates.growth_bytes_per_second;
    metrics.extend(growth.map(|growth| {
        let value = Value::AsDouble(growth.estimate);
        points.gauge(
            "riptide.growth",
            "By/s",
            "Growth of the live heap, estimated",
            value,
        )
    }));
    let memory = &figures.memory;
    for (name, description, value) in [
        ("riptide.rss", "Resident set size", memory.rss),
        (
            "riptide.virtual",
            "Virtual size without the allocator's reserved range",
            memory.r#virtual,
        ),
        (
            "riptide.jemalloc.allocated",
            "jemalloc stats.allocated",
            memory.allocated,
        ),
        (
            "riptide.jemalloc.active",
            "jemalloc stats.active",
            memory.active,
        ),
        (
            "riptide.jemalloc.resident",
            "jemalloc stats.resident",
            memory.resident,
        ),
        (
            "riptide.jemalloc.retained",
            "jemalloc stats.retained",
            memory.retained,
        ),
        (
            "riptide.jemalloc.metadata",
            "jemalloc stats.metadata",
            memory.metadata,
        ),
        (
            "riptide.cgroup.limit",
            "Limit of the memory cgroup",
            memory.cgroup_limit,
        ),
        (
            "riptide.cgroup.usage",
            "Usage of the memory cgroup",
            memory.cgroup_usage,
        ),
    ] {
        metrics.extend(value.map(|value| points.gauge(name, "By", description, whole(value))));
    }
    metrics.push(lost(&points, figures));
    metrics.push(points.histogram(
        (
            "riptide.allocation.size",
            "By",
            "Requested sizes of allocated blocks, estimated",
        ),
        &target.shapes.sizes_bytes,
        1.0,
    ));
    metrics.push(points.histogram(
        (
            "riptide.allocation.lifetime",
            "s",
            "Lifetimes of freed blocks, estimated",
        ),
        &target.shapes.lifetimes_ms,
        0.001,
    ));
    metrics
}

fn lost(points: &Points, figures: &Snapshot) -> Metric {
    let loss = &figures.loss;
    let causes = [
        ("overwritten", loss.overwritten),
        ("dropped", loss.dropped),
        ("torn", loss.torn),
        ("unrecorded_blocks", loss.unrecorded_blocks),
        ("skipped_reentrant", loss.skipped_reentrant),
    ];
    let data_points = causes
        .into_iter()
        .map(|(cause, count)| points.one(whole(count), Some(attribute("cause", text(cause)))))
        .collect();
    metric(
        "riptide.events.lost",
        "{event}",
        "Samples and journal records lost, by cause",
        Data::Sum(Sum {
            data_points,
            aggregation_temporality: AggregationTemporality::Cumulative.into(),
            is_monotonic: true,
        }),
    )
}

fn of_server(server: &ServerFigures, now: SystemTime) -> Vec<Metric> {
    let points = Points {
        began: 0,
        at: unix_ns(now),
        attributes: Vec::new(),
    };
    let alerts = server.alerts.iter().map(|(severity, count)| {
        points.one(whole(*count), Some(attribute("severity", text(*severity))))
    });
    let data_points = alerts.collect();
    vec![
        points.gauge(
            "riptide.targets",
            "{target}",
            "Targets followed",
            whole(server.targets),
        ),
        metric(
            "riptide.alerts.active",
            "{alert}",
            "Active alerts, by severity",
            Data::Gauge(Gauge { data_points }),
        ),
    ]
}
