//! What an alert is, and the notification that tells of it.

use std::time::{Duration, UNIX_EPOCH};

use riptide_reader::profile::Estimate;
use serde::{Serialize, Serializer};

use super::rules::Rule;

/// The end of the year 9999: RFC 3339 has no later one.
const LAST_TIME: Duration = Duration::from_secs(253_402_300_799);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth a look in working hours.
    Warning,
    /// Somebody should look now.
    Alert,
    /// The service is about to fail.
    Critical,
}

impl Severity {
    /// All of them, the mildest first.
    pub const ALL: [Self; 3] = [Self::Warning, Self::Alert, Self::Critical];

    /// The word of the JSON contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Alert => "alert",
            Self::Critical => "critical",
        }
    }
}

/// What kind of trouble it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Category {
    /// A level is high.
    Usage,
    /// A level rises.
    Growth,
    /// Memory is never given back.
    Leak,
    /// Memory is held without use.
    Fragmentation,
    /// Figures are less sure than usual.
    DataLoss,
}

impl Category {
    /// The word of the JSON contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::Growth => "growth",
            Self::Leak => "leak",
            Self::Fragmentation => "fragmentation",
            Self::DataLoss => "data-loss",
        }
    }
}

/// Where the trouble is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    /// The live blocks.
    Heap,
    /// The process as the kernel sees it.
    Process,
    /// The memory cgroup.
    Cgroup,
    /// The allocator below.
    Jemalloc,
    /// One place in the program.
    Site,
    /// riptide itself.
    Profiler,
}

impl Component {
    /// The word of the JSON contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Process => "process",
            Self::Cgroup => "cgroup",
            Self::Jemalloc => "jemalloc",
            Self::Site => "site",
            Self::Profiler => "profiler",
        }
    }
}

/// Whom it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TargetName {
    /// Process id as this host sees it.
    pub pid: u32,
    /// Process name.
    pub process: String,
    /// Path of the region file.
    pub region: String,
}

/// A site that an alert points at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SiteEvidence {
    /// Function of the leaf.
    pub function: String,
    /// Source file.
    pub file: Option<String>,
    /// Line.
    pub line: Option<u32>,
    /// Live requested bytes.
    pub live_bytes: Estimate,
    /// Growth of the live bytes.
    pub growth_bytes_per_second: Option<Estimate>,
}

impl SiteEvidence {
    /// `function (file:line)`.
    #[must_use]
    pub fn place(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{} ({file}:{line})", self.function),
            (Some(file), None) => format!("{} ({file})", self.function),
            _ => self.function.clone(),
        }
    }
}

/// What an alert rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Evidence {
    /// Lower end of the value's 95 % interval; none when the value is no estimate.
    pub low: Option<f64>,
    /// Upper end of the same.
    pub high: Option<f64>,
    /// In sentences with figures.
    pub statements: Vec<String>,
    /// The sites that grow most; the largest ones when nothing grows.
    pub sites: Vec<SiteEvidence>,
    /// The newest heap snapshot on disk, when they are written.
    pub snapshot: Option<String>,
}

/// One rule that one target breaks.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Alert {
    /// The same for as long as target, rule and site are.
    pub id: String,
    /// The rule.
    pub rule: Rule,
    /// How bad it is now.
    pub severity: Severity,
    /// What kind of trouble.
    pub category: Category,
    /// Where the trouble is.
    pub component: Component,
    /// What is measured, with its unit at the end.
    pub metric: &'static str,
    /// The value, in the metric's unit.
    pub value: f64,
    /// The threshold that it passed, in the metric's unit.
    pub threshold: f64,
    /// In one sentence.
    pub summary: String,
    /// What to do, the most useful first.
    pub recommendations: Vec<String>,
    /// What it rests on.
    pub evidence: Evidence,
    /// Whom it is about.
    pub target: TargetName,
    /// Since when it is active.
    #[serde(serialize_with = "time_as_text")]
    pub since: Duration,
    /// When it ended; none while it is active.
    #[serde(serialize_with = "optional_time_as_text")]
    pub resolved: Option<Duration>,
}

/// What a notification says about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It began.
    Fired,
    /// It got worse.
    Escalated,
    /// It goes on.
    Repeated,
    /// It ended.
    Resolved,
}

impl Change {
    /// The word of the JSON contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Fired => "fired",
            Self::Escalated => "escalated",
            Self::Repeated => "repeated",
            Self::Resolved => "resolved",
        }
    }
}

/// One alert in a notification.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notice {
    /// What is new about it.
    pub change: Change,
    /// The alert as it is now.
    #[serde(flatten)]
    pub alert: Alert,
}

/// All there is to say about one target at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Notification {
    /// Version of this document.
    pub schema_version: u32,
    /// `firing`, or `resolved` when nothing in it is active any more.
    pub status: &'static str,
    /// When.
    #[serde(serialize_with = "time_as_text")]
    pub time: Duration,
    /// Whom it is about.
    pub target: TargetName,
    /// Everything in plain text: chat webhooks show this field.
    pub text: String,
    /// The alerts, the worst first.
    pub alerts: Vec<Notice>,
}

/// A time since the Unix epoch as `2026-11-23T12:00:00.000Z`.
#[must_use]
pub fn rfc3339(unix: Duration) -> String {
    let time = UNIX_EPOCH + unix.min(LAST_TIME);
    humantime::format_rfc3339_millis(time).to_string()
}

fn time_as_text<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*time))
}

fn optional_time_as_text<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => time_as_text(time, serializer),
        None => serializer.serialize_none(),
    }
}
