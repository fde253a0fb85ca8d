//! Telemetry by OTLP: metrics of every target, alerts as log records, and profiles (experimental).
//!
//! | module | does |
//! |---|---|
//! | `settings` | configuration and the variables `OTEL_*`, one over the other |
//! | `resource` | who a target is, in the words of OpenTelemetry |
//! | `metrics` | gauges, sums and histograms of a target |
//! | `logs` | alerts as log records |
//! | `profiles` | four heap profiles of a target; behind the feature `otlp-profiles` |
//! | `transport` | one export over gRPC or HTTP |
//! | `exporter` | the thread that exports, and its counts |
//!
//! The messages are those of `opentelemetry-proto`, filled here and not by the SDK: its histograms take
//! one value at a time, where a sample stands for thousands of blocks, and its exporters send one
//! resource, where each target is one.
//!
//! **Invariants.** An endpoint that is down costs a counter: metrics are cumulative, so the next export
//! carries everything; alerts wait in a bounded queue. Nothing waits in the threads that follow targets.
//! Only `transport` knows a client.

mod exporter;
mod logs;
mod metrics;
#[cfg(feature = "otlp-profiles")]
mod profiles;
mod resource;
mod settings;
mod transport;

pub use exporter::{Counts, Exporter, Source, Stats};
pub use metrics::{ServerFigures, TargetFigures};
pub use resource::TargetIdentity;
pub(crate) use resource::host;
pub use settings::{Protocol, Settings, Signal};
