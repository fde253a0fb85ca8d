//! `/metrics`: figures of every target and of this process, as `OpenMetrics` or Prometheus text 0.0.4.
//!
//! Names are in base units, counters end in `_total`, labels are `pid` and `process`. Sites have series
//! only when `profiling.top_sites` asks for them. A figure that is not known has no sample.

mod families;
mod own;
mod target;

use std::{collections::BTreeMap, fmt, sync::Arc};

use prometheus_client::{
    encoding::{prometheus_text, text},
    registry::Registry,
};

use self::{
    families::{Families, Kind},
    own::about_this_process,
    target::about_a_target,
};
use super::{app::App, observer::OwnMetric, tick::Tick};

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
}
