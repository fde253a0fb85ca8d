//! Summaries and recommendations.
//!
//! MB are 10^6 bytes here, as in the thresholds, so that a text and the configuration agree.

use super::{
    alert::{Change, Notice, Severity, TargetName},
    reading::Reading,
    rules::{MB, Measurement, NEVER_SECONDS, Rule},
};
use crate::units;

/// `1234.5 MB`, and `12.3 GB` from ten of these on.
fn megabytes(bytes: f64) -> String {
    match bytes / MB {
        large if large.abs() >= 10_000.0 => format!("{:.1} GB", large / 1_000.0),
        amount => format!("{amount:.1} MB"),
    }
}

/// A figure of a rule with its unit.
fn figure(rule: Rule, value: f64) -> String {
    match rule {
        Rule::Live | Rule::Rss => megabytes(value),
        Rule::Growth => format!("{} an hour", megabytes(value)),
        Rule::Leak => format!("{} a day", megabytes(value)),
        Rule::TimeToLimit if value >= NEVER_SECONDS => "never".to_owned(),
        Rule::TimeToLimit => units::duration(value),
        Rule::LimitShare | Rule::Fragmentation | Rule::Loss => format!("{value:.1} %"),
    }
}

fn subject(rule: Rule) -> &'static str {
    match rule {
        Rule::Live => "live heap",
        Rule::Rss => "RSS",
        Rule::LimitShare => "share of the memory limit in use",
        Rule::Growth => "growth of the live heap",
        Rule::TimeToLimit => "time to the memory limit",
        Rule::Fragmentation => "unused share of jemalloc's pages",
        Rule::Loss => "share of records lost",
        Rule::Leak => "growth of the leak",
    }
}

/// What it is, in one sentence.
pub(super) fn summary(made: &Measurement<'_>, severity: Severity, target: &TargetName) -> String {
    let TargetName { process, pid, .. } = target;
    if let Some(leak) = made.verdict {
        return format!(
            "{process} ({pid}): {} leaks {}",
            leak.site.place(),
            figure(made.rule, made.value)
        );
    }
    let threshold = made.levels.of(severity).unwrap_or_default();
    let passed = if made.rule == Rule::TimeToLimit {
        "at or below"
    } else {
        "at or above"
    };
    format!(
        "{process} ({pid}): {} is {}, {passed} the {} threshold of {}",
        subject(made.rule),
        figure(made.rule, made.value),
        severity.word(),
        figure(made.rule, threshold)
    )
}

/// That it is over, in one sentence; `made` is the rule's view of now, if it still has one.
pub(super) fn ended(rule: Rule, made: Option<&Measurement<'_>>, target: &TargetName) -> String {
    let TargetName { process, pid, .. } = target;
    match made {
        Some(made) => format!(
            "{process} ({pid}): {} is {} again",
            subject(rule),
            figure(rule, made.value)
        ),
        None => format!("{process} ({pid}): {} is no longer high", subject(rule)),
    }
}

/// That its target is gone.
pub(super) fn gone(rule: Rule, target: &TargetName, was_killed: bool) -> String {
    let TargetName { process, pid, .. } = target;
    let how = if was_killed {
        "was killed; its region file keeps the evidence"
    } else {
        "has ended"
    };
    format!(
        "{process} ({pid}): {} is over, as the process {how}",
        subject(rule)
    )
}

/// What it rests on, in sentences.
pub(super) fn statements(made: &Measurement<'_>, reading: &Reading) -> Vec<String> {
    let mut said = Vec::new();
    if let Some((low, high)) = made.interval {
        said.push(format!(
            "{} is {} (95 % interval {} to {}).",
            capitalised(subject(made.rule)),
            figure(made.rule, made.value),
            figure(made.rule, low),
            figure(made.rule, high)
        ));
    }
    match made.rule {
        Rule::LimitShare | Rule::TimeToLimit => {
            if let Some((limit, usage)) = reading.cgroup_limit.zip(reading.cgroup_in_use) {
                said.push(format!(
                    "The cgroup uses {} of {}, without file pages that the kernel can take back.",
                    megabytes(usage as f64),
                    megabytes(limit as f64)
                ));
            }
        }
        Rule::Fragmentation => {
            if let Some((allocated, active)) = reading.allocated.zip(reading.active) {
                said.push(format!(
                    "jemalloc holds {} in pages with blocks, of which blocks use {}.",
                    megabytes(active as f64),
                    megabytes(allocated as f64)
                ));
            }
        }
        _ => {}
    }
    if let Some(leak) = made.verdict {
        said.push(format!(
            "Verdict {} with confidence {:.2}.",
            leak.verdict.word(),
            leak.confidence
        ));
        said.extend(leak.evidence.iter().cloned());
    }
    said
}

/// What to do, the most useful first.
pub(super) fn recommendations(made: &Measurement<'_>, reading: &Reading) -> Vec<String> {
    let pid = reading.target.pid;
    let grows = reading
        .sites
        .iter()
        .find(|site| site.growth_bytes_per_second.is_some_and(|of| of.low > 0.0))
        .map(|site| {
            let hourly = site.growth_bytes_per_second.map(|of| of.estimate * 3_600.0);
            format!(
                "Look first at {}: it holds {} and grows by {} an hour.",
                site.place(),
                megabytes(site.live_bytes.estimate),
                megabytes(hourly.unwrap_or_default())
            )
        });
    let largest = || {
        let site = reading.sites.first()?;
        Some(format!(
            "Look first at {}: it holds {}.",
            site.place(),
            megabytes(site.live_bytes.estimate)
        ))
    };
    let mut said: Vec<String> = Vec::new();
    match made.rule {
        Rule::Live => {
            said.extend(grows.or_else(largest));
            said.push(format!(
                "`riptide top {pid} --once` lists the sites that hold memory."
            ));
        }
        Rule::Rss | Rule::LimitShare => {
            said.extend(grows.or_else(largest));
            said.push(format!(
                "`riptide memory {pid}` shows what lies between live heap and RSS."
            ));
            if made.rule == Rule::LimitShare {
                said.push(
                    "Raise the limit, or shed load, before the kernel kills the process."
                        .to_owned(),
                );
            }
        }
        Rule::Growth => {
            said.extend(grows.or_else(largest));
            said.push(format!(
                "`riptide leaks {pid}` says whether it is a leak, a cache or a warm-up."
            ));
        }
        Rule::TimeToLimit => {
            said.extend(grows);
            said.push(
                "Restart the service or raise its limit before the time is over; the region file \
                 keeps the evidence."
                    .to_owned(),
            );
            said.push(format!("`riptide leaks {pid}` names what leaks."));
        }
        Rule::Fragmentation => {
            said.push(format!(
                "`riptide advise {pid}` names the sites whose blocks keep half-empty pages."
            ));
            said.push(format!(
                "`riptide memory {pid}` shows jemalloc's part of the RSS."
            ));
        }
        Rule::Loss => {
            said.push(format!(
                "`riptide set {pid} --interval 2MiB` samples less often; a larger \
                 RIPTIDE_REGION_SIZE, at the next start of the service, holds more."
            ));
            said.push(
                if reading.unrecorded_blocks > 0 {
                    "Live figures are lower bounds until then."
                } else {
                    "Live figures are right; rates and lifetimes miss what was lost."
                }
                .to_owned(),
            );
        }
        Rule::Leak => {
            let place = made
                .verdict
                .map(|leak| leak.site.place())
                .unwrap_or_default();
            said.push(format!(
                "Look at {place}: find what should free or bound what it allocates."
            ));
            said.push(format!(
                "`riptide leaks {pid}` shows its stack; a line `leak:FUNCTION` in a suppressions \
                 file silences what is meant to grow."
            ));
        }
    }
    said
}

/// A notification in plain text.
pub(super) fn text(notices: &[Notice]) -> String {
    let mut text = String::new();
    for notice in notices {
        let alert = &notice.alert;
        let head = match notice.change {
            Change::Fired => alert.severity.word().to_uppercase(),
            Change::Escalated => format!("{} (escalated)", alert.severity.word().to_uppercase()),
            Change::Repeated => format!("{} (goes on)", alert.severity.word().to_uppercase()),
            Change::Resolved => "RESOLVED".to_owned(),
        };
        text.push_str(&format!("{head} {}\n", alert.summary));
        if notice.change == Change::Resolved {
            continue;
        }
        for line in alert.recommendations.iter().take(2) {
            text.push_str(&format!("  {line}\n"));
        }
    }
    text
}

/// One site in a line.
#[cfg(feature = "serve")]
pub(super) fn site_line(site: &super::alert::SiteEvidence) -> String {
    let growth = site.growth_bytes_per_second.map_or(String::new(), |of| {
        format!(
            ", {} an hour ({} to {})",
            megabytes(of.estimate * 3_600.0),
            megabytes(of.low * 3_600.0),
            megabytes(of.high * 3_600.0)
        )
    });
    format!(
        "{}: {} live ({} to {}){growth}",
        site.place(),
        megabytes(site.live_bytes.estimate),
        megabytes(site.live_bytes.low),
        megabytes(site.live_bytes.high)
    )
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
