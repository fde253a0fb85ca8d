//! What one key demands of another.

use super::{
    field::{Channel, Secret},
    keys::Config,
    layers::Origins,
    problem::{Origin, Problem},
};

/// Everything that does not go together.
pub(super) fn check(config: &Config, origins: &Origins) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut complain = |key: &str, message: String, suggestion: &str| {
        problems.push(Problem {
            origin: origins.of(key),
            message,
            suggestion: suggestion.to_owned(),
        });
    };
    let http = &config.http;
    if !http.addr.ip().is_loopback() && http.token == Secret(None) && http.token_file.is_none() {
        complain(
            "http.addr",
            format!(
                "http.addr is {}, which others can reach, and there is no token",
                http.addr
            ),
            "set http.token_file to a file with a random token, or listen on 127.0.0.1",
        );
    }
    if http.token != Secret(None) && http.token_file.is_some() {
        complain(
            "http.token_file",
            "http.token and http.token_file are both set".to_owned(),
            "keep http.token_file and remove http.token",
        );
    }
    let limits = &config.limits;
    if limits.requests_per_second > 0
        && limits.burst > limits.requests_per_second.saturating_mul(3_600)
    {
        complain(
            "limits.burst",
            format!(
                "limits.burst is {}, an hour's worth of requests",
                limits.burst
            ),
            "use about as many as limits.requests_per_second",
        );
    }
    let alerts = &config.alerts;
    if alerts.enabled {
        for (channel, key, is_set) in [
            (
                Channel::Webhook,
                "alerts.webhook_url",
                alerts.webhook_url.is_some(),
            ),
            (
                Channel::Alertmanager,
                "alerts.alertmanager_url",
                alerts.alertmanager_url.is_some(),
            ),
        ] {
            if alerts.channels.contains(&channel) && !is_set {
                complain(
                    "alerts.channels",
                    format!(
                        "alerts.channels has {} and {key} is not set",
                        channel.word()
                    ),
                    &format!("set {key}, or take the channel out"),
                );
            }
        }
    }
    let snapshot = &config.snapshot;
    if snapshot.interval_seconds > 0.0 && snapshot.directory.is_none() {
        complain(
            "snapshot.interval_seconds",
            "snapshot.interval_seconds is set and snapshot.directory is not".to_owned(),
            "set snapshot.directory",
        );
    }
    for header in &config.telemetry.headers {
        if header
            .split_once('=')
            .is_none_or(|(name, _)| name.trim().is_empty())
        {
            complain(
                "telemetry.headers",
                "a header of telemetry.headers is not of the form name=value".to_owned(),
                "write it as \"name=value\"",
            );
        }
    }
    for (rising, triple) in ladders(config) {
        let set: Vec<_> = triple.iter().filter(|(_, value)| *value > 0.0).collect();
        for pair in set.windows(2) {
            let [(lower_key, lower), (upper_key, upper)] = pair else {
                continue;
            };
            let is_right = if rising { lower < upper } else { lower > upper };
            if !is_right {
                // Where the later of the two was set by hand.
                let key = match origins.of(upper_key) {
                    Origin::Default => lower_key,
                    _ => upper_key,
                };
                let relation = if rising { "above" } else { "below" };
                complain(
                    key,
                    format!("{upper_key} is {upper}, which is not {relation} {lower_key}, {lower}"),
                    &format!("put {upper_key} {relation} {lower_key}, or set one of them to 0"),
                );
            }
        }
    }
    problems
}

/// Keys and values of warning, alert and critical of each rule, and whether the worse is the larger.
type Ladder = (bool, [(&'static str, f64); 3]);

fn ladders(config: &Config) -> [Ladder; 6] {
    let of = &config.thresholds;
    [
        (
            true,
            [
                ("thresholds.warning_mb", of.warning_mb),
                ("thresholds.alert_mb", of.alert_mb),
                ("thresholds.critical_mb", of.critical_mb),
            ],
        ),
        (
            true,
            [
                ("thresholds.limit_warning_percent", of.limit_warning_percent),
                ("thresholds.limit_alert_percent", of.limit_alert_percent),
                (
                    "thresholds.limit_critical_percent",
                    of.limit_critical_percent,
                ),
            ],
        ),
        (
            true,
            [
                (
                    "thresholds.growth_warning_mb_per_hour",
                    of.growth_warning_mb_per_hour,
                ),
                (
                    "thresholds.growth_alert_mb_per_hour",
                    of.growth_alert_mb_per_hour,
                ),
                (
                    "thresholds.growth_critical_mb_per_hour",
                    of.growth_critical_mb_per_hour,
                ),
            ],
        ),
        (
            false,
            [
                (
                    "thresholds.time_to_limit_warning_minutes",
                    of.time_to_limit_warning_minutes,
                ),
                (
                    "thresholds.time_to_limit_alert_minutes",
                    of.time_to_limit_alert_minutes,
                ),
                (
                    "thresholds.time_to_limit_critical_minutes",
                    of.time_to_limit_critical_minutes,
                ),
            ],
        ),
        (
            true,
            [
                (
                    "thresholds.fragmentation_warning_percent",
                    of.fragmentation_warning_percent,
                ),
                (
                    "thresholds.fragmentation_alert_percent",
                    of.fragmentation_alert_percent,
                ),
                (
                    "thresholds.fragmentation_critical_percent",
                    of.fragmentation_critical_percent,
                ),
            ],
        ),
        (
            true,
            [
                ("thresholds.loss_warning_percent", of.loss_warning_percent),
                ("thresholds.loss_alert_percent", of.loss_alert_percent),
                ("thresholds.loss_critical_percent", of.loss_critical_percent),
            ],
        ),
    ]
}
