//! Alerts as log records.

use opentelemetry_proto::tonic::{
    collector::logs::v1::ExportLogsServiceRequest,
    logs::v1::{LogRecord, ResourceLogs, ScopeLogs, SeverityNumber},
};

use super::{
    resource::{
        TargetIdentity, attribute, integer, list, map, nanoseconds, number, resource, scope, text,
    },
    settings::Settings,
};
use crate::alerts::{Change, Notice, Notification, Severity, SiteEvidence};

/// One request with everything that some notifications say.
pub(super) fn request(
    settings: &Settings,
    notifications: &[std::sync::Arc<Notification>],
) -> ExportLogsServiceRequest {
    let resource_logs = notifications
        .iter()
        .map(|notification| {
            let target = &notification.target;
            let region = target.region.rsplit('/').next().unwrap_or_default();
            let identity = TargetIdentity {
                pid: target.pid,
                process: target.process.clone(),
                region: region.to_owned(),
                executable: None,
            };
            let time = nanoseconds(notification.time);
            let records = notification.alerts.iter();
            ResourceLogs {
                resource: Some(resource(settings, Some(&identity))),
                scope_logs: vec![ScopeLogs {
                    scope: Some(scope()),
                    log_records: records.map(|notice| record(notice, time)).collect(),
                    ..ScopeLogs::default()
                }],
                ..ResourceLogs::default()
            }
        })
        .collect();
    ExportLogsServiceRequest { resource_logs }
}

fn record(notice: &Notice, time_unix_nano: u64) -> LogRecord {
    let alert = &notice.alert;
    let (severity, severity_text) = match (notice.change, alert.severity) {
        (Change::Resolved, _) => (SeverityNumber::Info, "INFO"),
        (_, Severity::Warning) => (SeverityNumber::Warn, "WARN"),
        (_, Severity::Alert) => (SeverityNumber::Error, "ERROR"),
        (_, Severity::Critical) => (SeverityNumber::Fatal, "FATAL"),
    };
    let evidence = &alert.evidence;
    let texts = |lines: &[String]| list(lines.iter().map(text).collect());
    let mut attributes = vec![
        attribute("alert.id", text(&alert.id)),
        attribute("alert.change", text(notice.change.word())),
        attribute("alert.rule", text(alert.rule.word())),
        attribute("alert.severity", text(alert.severity.word())),
        attribute("alert.category", text(alert.category.word())),
        attribute("alert.component", text(alert.component.word())),
        attribute("alert.metric", text(alert.metric)),
        attribute("alert.value", number(alert.value)),
        attribute("alert.threshold", number(alert.threshold)),
        attribute("alert.recommendations", texts(&alert.recommendations)),
        attribute("alert.evidence", texts(&evidence.statements)),
        attribute(
            "alert.sites",
            list(evidence.sites.iter().map(site).collect()),
        ),
    ];
    let low = evidence
        .low
        .map(|low| attribute("alert.value.low", number(low)));
    let high = evidence
        .high
        .map(|high| attribute("alert.value.high", number(high)));
    let snapshot = evidence.snapshot.as_ref();
    let snapshot = snapshot.map(|path| attribute("alert.snapshot", text(path)));
    attributes.extend(low.into_iter().chain(high).chain(snapshot));
    LogRecord {
        time_unix_nano,
        observed_time_unix_nano: time_unix_nano,
        severity_number: severity.into(),
        severity_text: severity_text.to_owned(),
        body: Some(text(&alert.summary)),
        attributes,
        event_name: "riptide.alert".to_owned(),
        ..LogRecord::default()
    }
}

fn site(site: &SiteEvidence) -> opentelemetry_proto::tonic::common::v1::AnyValue {
    let mut fields = vec![attribute("code.function.name", text(&site.function))];
    let file = site.file.as_ref();
    fields.extend(file.map(|file| attribute("code.file.path", text(file))));
    let line = site.line;
    fields.extend(line.map(|line| attribute("code.line.number", integer(i64::from(line)))));
    fields.push(attribute("live_bytes", number(site.live_bytes.estimate)));
    fields.push(attribute("live_bytes.low", number(site.live_bytes.low)));
    fields.push(attribute("live_bytes.high", number(site.live_bytes.high)));
    if let Some(growth) = site.growth_bytes_per_second {
        fields.push(attribute(
            "growth_bytes_per_second",
            number(growth.estimate),
        ));
    }
    map(fields)
}
