//! Rules and times as the configuration has them.

use std::time::Duration;

use super::{
    alert::Severity,
    engine::Timing,
    rules::{LeakRule, Levels, Rules},
};
use crate::config::{self, Config};

const MB: f64 = 1e6;

fn seconds(of: f64) -> Duration {
    Duration::try_from_secs_f64(of).unwrap_or(Duration::MAX)
}

/// A word of the configuration.
#[must_use]
pub fn severity(of: config::Severity) -> Severity {
    match of {
        config::Severity::Warning => Severity::Warning,
        config::Severity::Alert => Severity::Alert,
        config::Severity::Critical => Severity::Critical,
    }
}

/// The rules that a configuration asks for.
#[must_use]
pub fn rules_of(config: &Config) -> Rules {
    let of = &config.thresholds;
    if !config.alerts.enabled {
        return Rules::default();
    }
    Rules {
        bytes: Levels::scaled([of.warning_mb, of.alert_mb, of.critical_mb], MB),
        limit_percent: Levels::scaled(
            [
                of.limit_warning_percent,
                of.limit_alert_percent,
                of.limit_critical_percent,
            ],
            1.0,
        ),
        growth_bytes_per_hour: Levels::scaled(
            [
                of.growth_warning_mb_per_hour,
                of.growth_alert_mb_per_hour,
                of.growth_critical_mb_per_hour,
            ],
            MB,
        ),
        time_to_limit_seconds: Levels::scaled(
            [
                of.time_to_limit_warning_minutes,
                of.time_to_limit_alert_minutes,
                of.time_to_limit_critical_minutes,
            ],
            60.0,
        ),
        fragmentation_percent: Levels::scaled(
            [
                of.fragmentation_warning_percent,
                of.fragmentation_alert_percent,
                of.fragmentation_critical_percent,
            ],
            1.0,
        ),
        fragmentation_min_bytes: of.fragmentation_min_mb * MB,
        loss_percent: Levels::scaled(
            [
                of.loss_warning_percent,
                of.loss_alert_percent,
                of.loss_critical_percent,
            ],
            1.0,
        ),
        leak: of.leak.then(|| LeakRule {
            severity: severity(of.leak_severity),
            confidence: of.leak_confidence,
            bytes_per_day: of.leak_min_mb_per_day * MB,
        }),
        hold: seconds(config.alerts.hold_seconds),
    }
}

/// Its times; a notification waits so long for evidence.
#[must_use]
pub fn timing_of(config: &Config, evidence_wait: Duration) -> Timing {
    let alerts = &config.alerts;
    Timing {
        cooldown: seconds(alerts.cooldown_seconds),
        resolve_after: seconds(alerts.resolve_seconds),
        group_wait: seconds(alerts.group_seconds),
        evidence_wait,
        hysteresis: alerts.hysteresis_percent / 100.0,
        history: usize::try_from(alerts.history).unwrap_or(usize::MAX),
    }
}
