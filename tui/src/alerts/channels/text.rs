//! stdout and log.

use std::io::{self, Write};

use super::{Failure, Sink};
use crate::alerts::{Change, Notification, Severity};

/// One line of JSON a notification, on stdout.
#[derive(Debug)]
pub struct Stdout;

impl Sink for Stdout {
    fn name(&self) -> &'static str {
        "stdout"
    }

    fn deliver(&mut self, notification: &Notification) -> Result<(), Failure> {
        let failure = |message: String| Failure {
            message,
            may_pass: false,
        };
        let mut line =
            serde_json::to_vec(notification).map_err(|error| failure(error.to_string()))?;
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        stdout
            .write_all(&line)
            .and_then(|()| stdout.flush())
            .map_err(|error| failure(error.to_string()))
    }
}

/// One entry an alert, in the log.
#[derive(Debug)]
pub struct Log;

impl Sink for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn deliver(&mut self, notification: &Notification) -> Result<(), Failure> {
        for notice in &notification.alerts {
            let alert = &notice.alert;
            let first = alert.recommendations.first();
            let sites = alert
                .evidence
                .sites
                .iter()
                .map(crate::alerts::words::site_line);
            let sites = sites.collect::<Vec<_>>().join("; ");
            macro_rules! log {
                ($level:ident) => {
                    tracing::$level!(
                        target: "riptide::alerts",
                        id = alert.id,
                        change = notice.change.word(),
                        severity = alert.severity.word(),
                        metric = alert.metric,
                        value = alert.value,
                        threshold = alert.threshold,
                        low = alert.evidence.low,
                        high = alert.evidence.high,
                        sites,
                        snapshot = alert.evidence.snapshot,
                        recommendation = first,
                        "{}",
                        alert.summary
                    )
                };
            }
            match (notice.change, alert.severity) {
                (Change::Resolved, _) => log!(info),
                (_, Severity::Warning) => log!(warn),
                _ => log!(error),
            }
        }
        Ok(())
    }
}
