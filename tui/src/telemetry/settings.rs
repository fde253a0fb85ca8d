//! Configuration and the variables `OTEL_*`, one over the other.
//!
//! A key set by a flag or by its own variable `RIPTIDE__TELEMETRY__…` counts more than `OTEL_*`, and
//! `OTEL_*` more than files and defaults: what is nearer to the process wins. A variable for one signal
//! counts more than the one for all. A variable that cannot be understood is passed over with a warning,
//! as the specification demands.

use std::{collections::BTreeMap, time::Duration};

use crate::config;

/// How OTLP is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC.
    Grpc,
    /// Protobuf over HTTP.
    Http,
}

/// Where and how one signal is exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// How it is spoken.
    pub protocol: Protocol,
    /// With scheme; over HTTP with path.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// How long an export may take.
    pub timeout: Duration,
}

/// What is exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Metrics; none when they are not exported.
    pub metrics: Option<Signal>,
    /// Alerts as log records.
    pub logs: Option<Signal>,
    /// Profiles.
    pub profiles: Option<Signal>,
    /// Between two exports of metrics and profiles.
    pub interval: Duration,
    /// `service.name`.
    pub service_name: String,
    /// Further attributes of every resource.
    pub attributes: BTreeMap<String, String>,
    /// Variables that were passed over, and why.
    pub warnings: Vec<String>,
}

impl Settings {
    /// Whether nothing is exported.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.metrics.is_none() && self.logs.is_none() && self.profiles.is_none()
    }

    /// Reads configuration and environment. `is_firm` says of a key whether it was set by a flag or by
    /// its own variable; `with_logs` whether alerts are to be exported.
    #[must_use]
    pub fn of(
        config: &config::Telemetry,
        with_logs: bool,
        is_firm: impl Fn(&str) -> bool,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let mut reading = Reading {
            config,
            is_firm,
            variable,
            warnings: Vec::new(),
        };
        reading.settings(with_logs)
    }
}

struct Reading<'a, Firm, Variable> {
    config: &'a config::Telemetry,
    is_firm: Firm,
    variable: Variable,
    warnings: Vec<String>,
}

impl<Firm: Fn(&str) -> bool, Variable: Fn(&str) -> Option<String>> Reading<'_, Firm, Variable> {
    fn settings(&mut self, with_logs: bool) -> Settings {
        let off = self
            .get("OTEL_SDK_DISABLED")
            .is_some_and(|text| text.eq_ignore_ascii_case("true"));
        let config = self.config;
        let mut attributes = BTreeMap::new();
        if let Some(text) = self.get("OTEL_RESOURCE_ATTRIBUTES") {
            attributes.extend(self.pairs("OTEL_RESOURCE_ATTRIBUTES", &text));
        }
        let named = self
            .get("OTEL_SERVICE_NAME")
            .or_else(|| attributes.get("service.name").cloned());
        attributes.remove("service.name");
        let service_name = match named {
            Some(name) if !(self.is_firm)("telemetry.service_name") => name,
            _ => config.service_name.clone(),
        };
        let interval = self
            .milliseconds("OTEL_METRIC_EXPORT_INTERVAL")
            .filter(|interval| !interval.is_zero() && !(self.is_firm)("telemetry.interval_seconds"))
            .unwrap_or_else(|| seconds(config.interval_seconds));
        let metrics = config.enabled && !self.is_none("OTEL_METRICS_EXPORTER");
        let logs = with_logs && !self.is_none("OTEL_LOGS_EXPORTER");
        Settings {
            metrics: (metrics && !off).then(|| self.signal("METRICS", "v1/metrics")),
            logs: (logs && !off).then(|| self.signal("LOGS", "v1/logs")),
            profiles: (config.profiles && !off)
                .then(|| self.signal("PROFILES", "v1development/profiles")),
            interval,
            service_name,
            attributes,
            warnings: std::mem::take(&mut self.warnings),
        }
    }

    /// An empty variable is as good as none.
    fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name).filter(|text| !text.trim().is_empty())
    }

    fn is_none(&self, name: &str) -> bool {
        self.get(name).is_some_and(|text| text.trim() == "none")
    }

    /// The variable for one signal, or that for all; and whether it is the first.
    fn either(&self, signal: &str, what: &str) -> Option<(String, String, bool)> {
        let own = format!("OTEL_EXPORTER_OTLP_{signal}_{what}");
        if let Some(text) = self.get(&own) {
            return Some((own, text, true));
        }
        let general = format!("OTEL_EXPORTER_OTLP_{what}");
        self.get(&general).map(|text| (general, text, false))
    }

    fn signal(&mut self, signal: &str, path: &str) -> Signal {
        let config = self.config;
        let endpoint = self
            .either(signal, "ENDPOINT")
            .filter(|_| !(self.is_firm)("telemetry.endpoint"));
        let (address, is_whole) = match endpoint {
            Some((_, text, own)) => (text, own),
            None => (config.endpoint.clone(), false),
        };
        let address = with_scheme(&address);
        let protocol = self.protocol(signal, &address);
        let url = match protocol {
            Protocol::Http if is_whole => address,
            Protocol::Http => format!("{}/{path}", on_http_port(&address).trim_end_matches('/')),
            Protocol::Grpc => address,
        };
        let firm_headers = (self.is_firm)("telemetry.headers");
        let headers = match self.either(signal, "HEADERS").filter(|_| !firm_headers) {
            Some((name, text, _)) => self.pairs(&name, &text),
            None => {
                let pairs = config
                    .headers
                    .iter()
                    .filter_map(|text| text.split_once('='));
                pairs
                    .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
                    .collect()
            }
        };
        let timeout = match self.either(signal, "TIMEOUT") {
            Some((name, ..)) if !(self.is_firm)("telemetry.timeout_seconds") => {
                self.milliseconds(&name)
            }
            _ => None,
        };
        Signal {
            protocol,
            url,
            headers,
            timeout: timeout.unwrap_or_else(|| seconds(config.timeout_seconds)),
        }
    }

    fn protocol(&mut self, signal: &str, address: &str) -> Protocol {
        let configured = match self.config.protocol {
            config::Protocol::Grpc => Protocol::Grpc,
            config::Protocol::Http => Protocol::Http,
        };
        if (self.is_firm)("telemetry.protocol") {
            return configured;
        }
        match self.either(signal, "PROTOCOL") {
            Some((_, text, _)) if text.trim() == "grpc" => Protocol::Grpc,
            Some((_, text, _)) if text.trim() == "http/protobuf" => Protocol::Http,
            Some((name, text, _)) => {
                self.warnings.push(format!(
                    "{name} is {text:?}, which is not grpc or http/protobuf: passed over"
                ));
                configured
            }
            // The port that is for HTTP everywhere.
            None if port(address) == Some(4318) => Protocol::Http,
            None => configured,
        }
    }

    fn milliseconds(&mut self, name: &str) -> Option<Duration> {
        let text = self.get(name)?;
        let parsed = text.trim().parse().ok().map(Duration::from_millis);
        if parsed.is_none() {
            self.warnings.push(format!(
                "{name} is {text:?}, which is no number of milliseconds: passed over"
            ));
        }
        parsed
    }

    /// `key=value,key=value`, percent-encoded.
    fn pairs(&mut self, name: &str, text: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for item in text.split(',').filter(|item| !item.trim().is_empty()) {
            let decoded = item.split_once('=').and_then(|(key, value)| {
                let key = percent_encoding::percent_decode_str(key.trim());
                let value = percent_encoding::percent_decode_str(value.trim());
                let key = key.decode_utf8().ok()?.into_owned();
                let value = value.decode_utf8().ok()?.into_owned();
                (!key.is_empty()).then_some((key, value))
            });
            match decoded {
                Some(pair) => pairs.push(pair),
                // The value may be a secret: it is not shown.
                None => self.warnings.push(format!(
                    "an item of {name} is not of the form key=value: passed over"
                )),
            }
        }
        pairs
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX)
}

/// `localhost:4317` means plain HTTP, as collectors are named in practice; the clients take it for
/// something else.
fn with_scheme(address: &str) -> String {
    let address = address.trim();
    if address.contains("://") {
        address.to_owned()
    } else {
        format!("http://{address}")
    }
}

fn port(address: &str) -> Option<u16> {
    let authority = address.split("://").nth(1)?.split('/').next()?;
    authority.rsplit_once(':')?.1.parse().ok()
}

/// The default's port is that of gRPC.
fn on_http_port(address: &str) -> String {
    if address == "http://localhost:4317" {
        "http://localhost:4318".to_owned()
    } else {
        address.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(config: &config::Telemetry, firm: &[&str], variables: &[(&str, &str)]) -> Settings {
        Settings::of(
            config,
            true,
            |key| firm.contains(&key),
            |name| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            },
        )
    }

    #[test]
    fn the_default_is_grpc_on_this_machine() {
        let read = settings(&config::Telemetry::default(), &[], &[]);
        let metrics = read.metrics.unwrap();
        assert_eq!(metrics.protocol, Protocol::Grpc);
        assert_eq!(metrics.url, "http://localhost:4317");
        assert_eq!(read.interval, Duration::from_secs(60));
        assert_eq!(read.profiles, None);
    }

    #[test]
    fn http_has_its_own_port_and_paths() {
        let read = settings(
            &config::Telemetry::default(),
            &[],
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")],
        );
        assert_eq!(
            read.metrics.unwrap().url,
            "http://localhost:4318/v1/metrics"
        );
        assert_eq!(read.logs.unwrap().url, "http://localhost:4318/v1/logs");
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_plain_http_and_4318_speaks_http() {
        let read = settings(
            &config::Telemetry::default(),
            &[],
            &[
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
                (
                    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                    "http://other:4318/custom",
                ),
            ],
        );
        let metrics = read.metrics.unwrap();
        assert_eq!(metrics.url, "http://collector:4317");
        assert_eq!(metrics.protocol, Protocol::Grpc);
        let logs = read.logs.unwrap();
        assert_eq!(logs.protocol, Protocol::Http);
        assert_eq!(
            logs.url, "http://other:4318/custom",
            "an own endpoint is whole"
        );
    }

    #[test]
    fn flags_count_more_than_variables_and_those_more_than_files() {
        let config = config::Telemetry {
            endpoint: "http://file:4317".to_owned(),
            service_name: "file".to_owned(),
            headers: vec!["a=b".to_owned()],
            ..config::Telemetry::default()
        };
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://env:4317"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s%20ecret, x=y"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "2000"),
            ("OTEL_SERVICE_NAME", "env"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment=prod,service.name=no",
            ),
        ];
        let read = settings(&config, &[], &variables);
        let metrics = read.metrics.unwrap();
        assert_eq!(metrics.url, "https://env:4317");
        assert_eq!(metrics.timeout, Duration::from_millis(1_500));
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            metrics.headers,
            [pair("api-key", "s ecret"), pair("x", "y")]
        );
        assert_eq!(read.interval, Duration::from_secs(2));
        assert_eq!(read.service_name, "env");
        assert_eq!(
            read.attributes,
            BTreeMap::from([pair("deployment.environment", "prod")])
        );
        let firm = [
            "telemetry.endpoint",
            "telemetry.service_name",
            "telemetry.headers",
        ];
        let read = settings(&config, &firm, &variables);
        let metrics = read.metrics.unwrap();
        assert_eq!(metrics.url, "http://file:4317");
        assert_eq!(metrics.headers, [pair("a", "b")]);
        assert_eq!(read.service_name, "file");
    }

    #[test]
    fn it_can_be_switched_off() {
        let config = config::Telemetry::default();
        assert!(settings(&config, &[], &[("OTEL_SDK_DISABLED", "true")]).is_off());
        let read = settings(&config, &[], &[("OTEL_METRICS_EXPORTER", "none")]);
        assert!(read.metrics.is_none() && read.logs.is_some());
    }

    #[test]
    fn what_is_not_understood_is_passed_over_and_said() {
        let read = settings(
            &config::Telemetry::default(),
            &[],
            &[
                ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "soon"),
                ("OTEL_RESOURCE_ATTRIBUTES", "nonsense"),
            ],
        );
        assert_eq!(read.metrics.unwrap().protocol, Protocol::Grpc);
        assert_eq!(read.interval, Duration::from_secs(60));
        assert_eq!(read.warnings.len(), 3, "{:?}", read.warnings);
    }
}
