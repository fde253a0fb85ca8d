//! The table of keys. Each becomes a field of its section's struct and an entry of [`KEYS`].

use std::{net::SocketAddr, path::PathBuf};

use super::field::{
    Channel, Field, LogFormat, LogLevel, Protocol, Secret, Severity, Size, SnapshotFormat, Value,
};

/// What a value has to be beside its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Rule {
    /// Nothing.
    Any,
    /// A number from the first to the second, both included.
    Between(f64, f64),
    /// `http://…` or `https://…`.
    Url,
    /// Not empty.
    Filled,
    /// A bearer token: printable ASCII without spaces, long enough not to be guessed.
    Token,
}

impl Rule {
    /// What to go on with after "should be …".
    fn expected(&self) -> String {
        match self {
            Self::Any => String::new(),
            Self::Between(least, most) => format!(" from {least} to {most}"),
            Self::Url => " that begins with http:// or https:// and names a host".to_owned(),
            Self::Filled => " that is not empty".to_owned(),
            Self::Token => " of at least 16 printable ASCII characters without spaces".to_owned(),
        }
    }

    fn holds<T: Field>(&self, value: &T) -> bool {
        match self {
            Self::Any => true,
            Self::Between(least, most) => value
                .number()
                .is_some_and(|number| (*least..=*most).contains(&number)),
            Self::Url => value.texts().into_iter().all(is_url),
            Self::Filled => value.texts().iter().all(|text| !text.trim().is_empty()),
            Self::Token => value.texts().into_iter().all(is_token),
        }
    }
}

/// An endpoint without a scheme is taken for http, as collectors are named in practice.
fn is_url(text: &str) -> bool {
    let rest = match text.split_once("://") {
        Some(("http" | "https", rest)) => rest,
        Some(_) => return false,
        None => text,
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host_and_port = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = match host_and_port.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (host_and_port, None),
    };
    let is_host = !host.is_empty()
        && host
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-._[]:".contains(letter));
    is_host && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Whether a text can be a bearer token.
pub(crate) fn is_token(text: &str) -> bool {
    text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An entry of the table.
pub struct Key {
    /// `section.key`.
    pub name: &'static str,
    /// What it is for, in lines.
    pub doc: &'static str,
    rule: Rule,
    expected: fn() -> String,
    read: fn(&mut Config, &Value, &Rule) -> bool,
    show: fn(&Config) -> Option<String>,
    other: fn(&Config, &Rule) -> String,
}

impl Key {
    /// `RIPTIDE__SECTION__KEY`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!(
            "{VARIABLE_PREFIX}{}",
            self.name.replace('.', "__").to_ascii_uppercase()
        )
    }

    /// The part before the dot.
    #[must_use]
    pub fn section(&self) -> &'static str {
        self.name.split('.').next().unwrap_or_default()
    }

    /// The part behind the dot.
    #[must_use]
    pub fn short(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or_default()
    }

    /// What a value has to be, in words.
    #[must_use]
    pub fn expected(&self) -> String {
        (self.expected)() + &self.rule.expected()
    }

    /// Its value in `config`, as TOML; `None` when it is unset. Secrets are not shown.
    #[must_use]
    pub fn show(&self, config: &Config) -> Option<String> {
        (self.show)(config)
    }

    /// Another valid value, as plain text.
    #[must_use]
    pub fn other(&self, config: &Config) -> String {
        (self.other)(config, &self.rule)
    }

    /// Sets it; false when the value is not what it should be.
    pub(super) fn read(&self, config: &mut Config, value: &Value) -> bool {
        (self.read)(config, value, &self.rule)
    }
}

/// Variables of the environment that are keys begin so.
pub(super) const VARIABLE_PREFIX: &str = "RIPTIDE__";

macro_rules! keys {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $Section:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident: $type:ty = $default:expr, $rule:expr;
            )+
        }
    )+) => {
        /// Everything that can be configured.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Config {
            $($(#[doc = $section_doc])+ pub $section: $Section,)+
        }

        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq)]
            pub struct $Section {
                $($(#[doc = $doc])+ pub $key: $type,)+
            }

            impl Default for $Section {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        /// Every key, by section.
        pub static KEYS: &[Key] = &[$($(
            Key {
                name: concat!(stringify!($section), ".", stringify!($key)),
                doc: concat!($($doc, "\n"),+),
                rule: $rule,
                expected: <$type as Field>::expected,
                read: |config, value, rule| match <$type as Field>::read(value) {
                    Some(value) if rule.holds(&value) => {
                        config.$section.$key = value;
                        true
                    }
                    _ => false,
                },
                show: |config| Field::show(&config.$section.$key),
                other: |config, rule| Field::other(&config.$section.$key, rule),
            },
        )+)+];

        /// Every section with what it is for.
        pub(super) static SECTIONS: &[(&str, &str)] =
            &[$((stringify!($section), concat!($($section_doc, "\n"),+)),)+];
    };
}

use Rule::{Any, Between, Filled, Token, Url};

const DAY: f64 = 86_400.0;

keys! {
    /// The HTTP server.
    http: Http {
        /// Address and port to listen on. Anything but loopback needs a token.
        addr: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 7070)), Any;
        /// Bearer token that every request but those for /, /livez and /readyz has to bring.
        token: Secret = Secret::default(), Token;
        /// File that holds the token, read at start and at reload.
        token_file: Option<PathBuf> = None, Any;
        /// Largest body of a request; no endpoint needs one.
        max_body_bytes: Size = Size(65_536), Between(0.0, 1_073_741_824.0);
        /// Largest head of a request: request line and headers.
        max_header_bytes: Size = Size(16_384), Between(8_192.0, 1_048_576.0);
        /// How long a client may take to send the head of a request, and to send the next one.
        header_timeout_seconds: f64 = 10.0, Between(0.1, 3_600.0);
        /// How long a request may take altogether, its body included.
        request_timeout_seconds: f64 = 60.0, Between(0.1, 3_600.0);
        /// Connections held open; further ones are answered with 503 and closed.
        max_connections: u64 = 4_096, Between(1.0, 1_000_000.0);
        /// How long requests under way may take to finish when the server stops.
        shutdown_seconds: f64 = 10.0, Between(0.0, 3_600.0);
    }

    /// How targets are found and followed.
    profiling: Profiling {
        /// Between two looks at a target's tables: figures, rules and metrics are as new as this.
        interval_seconds: f64 = 10.0, Between(0.1, 3_600.0);
        /// Between two looks at a target's journal, from which lifetimes come.
        journal_seconds: f64 = 1.0, Between(0.05, 3_600.0);
        /// Between two searches for targets that came or went.
        search_seconds: f64 = 5.0, Between(0.1, 3_600.0);
        /// Between two verdicts on the sites of a target, for which its stacks are given their
        /// names; 0 for verdicts only when somebody asks.
        verdict_seconds: f64 = 60.0, Between(0.0, DAY);
        /// Targets followed at once; further ones wait until others have ended.
        max_targets: u64 = 1_000, Between(1.0, 100_000.0);
        /// How long a target that ended can still be asked for.
        keep_dead_seconds: f64 = 300.0, Between(0.0, DAY);
        /// Targets that ended and can still be asked for, at most.
        keep_dead: u64 = 8, Between(0.0, 1_000.0);
        /// Threads that look at targets.
        workers: u64 = 2, Between(1.0, 64.0);
        /// Sites with the most live bytes that get a metric of their own; 0 for none, as labels by
        /// site make many series.
        top_sites: u64 = 0, Between(0.0, 100.0);
        /// Directories with debug files, searched by build-id.
        symbols: Vec<PathBuf> = Vec::new(), Any;
    }

    /// Heap snapshots on disk.
    snapshot: Snapshot {
        /// Between two snapshots of a target; 0 for none.
        interval_seconds: f64 = 0.0, Between(0.0, DAY);
        /// Directory for snapshots, those that alerts take as evidence too. Made when it is not there.
        directory: Option<PathBuf> = None, Any;
        /// What is written.
        formats: Vec<SnapshotFormat> = vec![SnapshotFormat::Pprof], Any;
        /// Files kept in the directory, the oldest are deleted; 0 for any number.
        keep_files: u64 = 100, Between(0.0, 1_000_000.0);
        /// Megabytes (of 1,000,000 bytes) kept in the directory, the oldest files are deleted; 0 for any number.
        keep_mb: f64 = 500.0, Between(0.0, 1e9);
    }

    /// Above which figures of a target an alert is raised. A threshold of 0 is off.
    thresholds: Thresholds {
        /// Live heap or RSS, in megabytes (of 1,000,000 bytes), for a warning.
        warning_mb: f64 = 0.0, Between(0.0, 1e9);
        /// The same, for an alert.
        alert_mb: f64 = 0.0, Between(0.0, 1e9);
        /// The same, for a critical alert.
        critical_mb: f64 = 0.0, Between(0.0, 1e9);
        /// Memory in use as a share of the cgroup's limit, in percent, for a warning.
        limit_warning_percent: f64 = 80.0, Between(0.0, 100.0);
        /// The same, for an alert.
        limit_alert_percent: f64 = 90.0, Between(0.0, 100.0);
        /// The same, for a critical alert.
        limit_critical_percent: f64 = 95.0, Between(0.0, 100.0);
        /// Growth of the live heap, in megabytes an hour, for a warning.
        growth_warning_mb_per_hour: f64 = 0.0, Between(0.0, 1e9);
        /// The same, for an alert.
        growth_alert_mb_per_hour: f64 = 0.0, Between(0.0, 1e9);
        /// The same, for a critical alert.
        growth_critical_mb_per_hour: f64 = 0.0, Between(0.0, 1e9);
        /// Minutes until the growth reaches the limit, for a warning: below it, not above.
        time_to_limit_warning_minutes: f64 = 240.0, Between(0.0, 1e6);
        /// The same, for an alert.
        time_to_limit_alert_minutes: f64 = 60.0, Between(0.0, 1e6);
        /// The same, for a critical alert.
        time_to_limit_critical_minutes: f64 = 15.0, Between(0.0, 1e6);
        /// Active memory of jemalloc that is not allocated, in percent, for a warning.
        fragmentation_warning_percent: f64 = 50.0, Between(0.0, 100.0);
        /// The same, for an alert.
        fragmentation_alert_percent: f64 = 75.0, Between(0.0, 100.0);
        /// The same, for a critical alert.
        fragmentation_critical_percent: f64 = 0.0, Between(0.0, 100.0);
        /// Active memory below which fragmentation is nobody's concern, in megabytes.
        fragmentation_min_mb: f64 = 100.0, Between(0.0, 1e9);
        /// Journal records lost and blocks without a record, in percent, for a warning.
        loss_warning_percent: f64 = 5.0, Between(0.0, 100.0);
        /// The same, for an alert.
        loss_alert_percent: f64 = 0.0, Between(0.0, 100.0);
        /// The same, for a critical alert.
        loss_critical_percent: f64 = 0.0, Between(0.0, 100.0);
        /// Whether the verdict `leak` on a site raises an alert.
        leak: bool = true, Any;
        /// How bad that is.
        leak_severity: Severity = Severity::Alert, Any;
        /// Confidence from which on a verdict counts, 0–1.
        leak_confidence: f64 = 0.8, Between(0.0, 1.0);
        /// Growth of a leak below which it raises no alert, in megabytes a day.
        leak_min_mb_per_day: f64 = 10.0, Between(0.0, 1e9);
    }

    /// What becomes of a figure above its threshold.
    alerts: Alerts {
        /// Whether rules are looked at.
        enabled: bool = true, Any;
        /// After an alert was delivered, how long nothing is said again of the same rule and target
        /// unless it gets worse.
        cooldown_seconds: f64 = 300.0, Between(0.0, DAY);
        /// How far a figure has to fall below its threshold before the alert is resolved, in percent
        /// of the threshold.
        hysteresis_percent: f64 = 5.0, Between(0.0, 90.0);
        /// How long a figure has to be above its threshold before the alert is raised; a minute at least for
        /// growth and the time to the limit, as every service grows when it starts.
        hold_seconds: f64 = 0.0, Between(0.0, DAY);
        /// How long a figure has to be back before the alert is resolved.
        resolve_seconds: f64 = 60.0, Between(0.0, DAY);
        /// Alerts that come within this time go out together.
        group_seconds: f64 = 5.0, Between(0.0, 3_600.0);
        /// Where alerts go: stdout, log, otlp, webhook, alertmanager.
        channels: Vec<Channel> = vec![Channel::Log], Any;
        /// Where the webhook is.
        webhook_url: Option<String> = None, Url;
        /// Where Alertmanager is, without /api/v2.
        alertmanager_url: Option<String> = None, Url;
        /// How long a delivery may take.
        timeout_seconds: f64 = 10.0, Between(0.1, 300.0);
        /// How often a delivery that failed is tried again.
        retries: u64 = 3, Between(0.0, 100.0);
        /// Sites given as evidence, those that grow most.
        evidence_sites: u64 = 5, Between(0.0, 100.0);
        /// Whether a snapshot file goes with an alert; needs snapshot.directory.
        evidence_snapshot: bool = true, Any;
        /// Alerts kept for /alerts after they were resolved.
        history: u64 = 1_000, Between(0.0, 100_000.0);
    }

    /// Limits on requests.
    limits: Limits {
        /// Requests under way at once, for all clients together; further ones are answered with 503. 0 for any number.
        max_concurrent: u64 = 1_000, Between(0.0, 1_000_000.0);
        /// Requests a second, for all clients together; further ones are answered with 429. 0 for any number.
        requests_per_second: u64 = 100, Between(0.0, 1_000_000.0);
        /// Requests that may come at once after a pause.
        burst: u64 = 100, Between(1.0, 1_000_000.0);
    }

    /// Export by OTLP. The variables OTEL_* count more than files and less than RIPTIDE__TELEMETRY__* and flags.
    telemetry: Telemetry {
        /// Whether metrics are exported.
        enabled: bool = true, Any;
        /// Where the collector is; one without a scheme is taken for http://.
        endpoint: String = "http://localhost:4317".to_owned(), Url;
        /// How it is spoken to: grpc (port 4317 as a rule) or http/protobuf (4318, which is taken for it).
        protocol: Protocol = Protocol::Grpc, Any;
        /// Between two exports.
        interval_seconds: f64 = 60.0, Between(0.1, DAY);
        /// How long an export may take.
        timeout_seconds: f64 = 10.0, Between(0.1, 300.0);
        /// The service that exports, as the attribute service.name.
        service_name: String = "riptide".to_owned(), Filled;
        /// Headers that go with each export, as name=value.
        headers: Vec<String> = Vec::new(), Any;
        /// Whether profiles are exported as well. Experimental.
        profiles: bool = false, Any;
    }

    /// The log, on stderr.
    log: Log {
        /// The least that is logged.
        level: LogLevel = LogLevel::Info, Any;
        /// How lines look.
        format: LogFormat = LogFormat::Text, Any;
    }
}
