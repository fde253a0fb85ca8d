//! Families of series, as the encoder takes them.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::DescriptorEncoder,
    metrics::{MetricType, exemplar::Exemplar},
};

pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
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
pub(super) struct Families(Vec<Family>);

impl Families {
    pub(super) fn add(
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

    pub(super) fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &Labels,
        value: f64,
    ) {
        self.add(Kind::Gauge, name, help, labels, value);
    }

    /// A gauge, when there is something to say.
    pub(super) fn some(
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
    pub(super) fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        labels: &Labels,
        value: f64,
    ) {
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

#[cfg(test)]
mod tests {
    use prometheus_client::{
        encoding::{prometheus_text, text},
        registry::Registry,
    };

    use super::*;

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
