//! Which alerts are active, and what is said about them when.
//!
//! An alert is *active* from the moment its condition holds until it is clearly over. What is *said*
//! follows behind: changes of one target wait a little for each other and make one notification (a
//! critical one does not wait), and an alert that was spoken of stays unmentioned for the cooldown unless
//! it gets worse than was said. So a value that flaps gives at most one firing (and each of the two
//! escalations) and their end per cooldown, however often it crosses its threshold.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::Serialize;

use super::{
    alert::{Alert, Change, Evidence, Notice, Notification, Severity, TargetName},
    condition::{Condition, Position},
    reading::Reading,
    rules::{Measurement, Rule, Rules},
    words,
};

/// Version of the notification document.
const SCHEMA_VERSION: u32 = 1;
/// Conditions of one target.
const ENTRIES_MAX: usize = 256;
/// A moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Never goes back: what durations are measured with.
    pub monotonic: Duration,
    /// Since the Unix epoch: what people read.
    pub unix: Duration,
}

/// Times of the state machine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// Between two messages about one alert that says nothing new.
    pub cooldown: Duration,
    /// How long a level has to be left before it is over.
    pub resolve_after: Duration,
    /// How long changes of one target wait for each other.
    pub group_wait: Duration,
    /// By what share of the threshold a value has to leave it.
    pub hysteresis: f64,
    /// Alerts that are remembered after their end.
    pub history: usize,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            cooldown: Duration::from_secs(300),
            resolve_after: Duration::from_secs(30),
            group_wait: Duration::from_secs(5),
            hysteresis: 0.05,
            history: 1_000,
        }
    }
}

/// An active alert, and when it may be spoken of again.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActiveAlert {
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
    /// Seconds until it is repeated; none before it was spoken of.
    pub cooldown_left_seconds: Option<f64>,
}

/// One rule on one target (and site).
#[derive(Clone, Debug)]
struct Entry {
    rule: Rule,
    condition: Condition,
    /// The alert while it is active.
    alert: Option<Alert>,
    /// The alert that ended, until that is said.
    ended: Option<Alert>,
    /// Whether the beginning of what is active, or of what ended, was said.
    told: bool,
    /// When something was last said about it, its end excepted, and the worst that was said within
    /// that cooldown.
    said: Option<(Duration, Severity)>,
}

impl Entry {
    fn new(rule: Rule) -> Self {
        Self {
            rule,
            condition: Condition::default(),
            alert: None,
            ended: None,
            told: false,
            said: None,
        }
    }

    fn cooldown_left(&self, now: Duration, cooldown: Duration) -> Duration {
        self.said.map_or(Duration::ZERO, |(at, _)| {
            (at + cooldown).saturating_sub(now)
        })
    }

    /// What there is to say.
    fn wants(&self, now: Duration, cooldown: Duration) -> Option<Change> {
        let Some(alert) = &self.alert else {
            return self.ended.is_some().then_some(Change::Resolved);
        };
        let cooled = self.cooldown_left(now, cooldown).is_zero();
        let worse = self.said.is_none_or(|(_, worst)| alert.severity > worst);
        match (self.told, cooled, worse) {
            (false, true, _) | (false, _, true) => Some(Change::Fired),
            (true, _, true) => Some(Change::Escalated),
            (true, true, _) => Some(Change::Repeated),
            _ => None,
        }
    }

    /// Whether nothing of it has to be remembered.
    fn is_idle(&self, now: Duration, cooldown: Duration) -> bool {
        self.alert.is_none()
            && self.ended.is_none()
            && self.condition.is_quiet()
            && self.cooldown_left(now, cooldown).is_zero()
    }
}

#[derive(Debug, Default)]
struct Target {
    name: TargetName,
    entries: BTreeMap<String, Entry>,
    /// Since when there is something to say.
    wanting: Option<Duration>,
}

/// The alerts of all targets.
#[derive(Debug, Default)]
pub struct Engine {
    rules: Rules,
    timing: Timing,
    targets: BTreeMap<String, Target>,
    history: VecDeque<Alert>,
}

impl Engine {
    /// No target yet.
    #[must_use]
    pub fn new(rules: Rules, timing: Timing) -> Self {
        Self {
            rules,
            timing,
            ..Self::default()
        }
    }

    /// Other thresholds and times; what is active stays so until its rule says otherwise.
    pub fn configure(&mut self, rules: Rules, timing: Timing) {
        (self.rules, self.timing) = (rules, timing);
    }

    /// One look at one target; what there is to say about it now, if anything.
    pub fn observe(&mut self, now: Now, reading: &Reading) -> Option<Notification> {
        let target = self
            .targets
            .entry(reading.target.region.clone())
            .or_default();
        target.name.clone_from(&reading.target);
        let measured = self.rules.measure(reading, self.timing.hysteresis);
        let mut ended = target.step(now, &measured, reading, &self.timing);
        let notification = target.speak(now, &self.timing);
        self.remember(&mut ended);
        notification
    }

    /// The target is gone: what is active ends, and that is said.
    pub fn forget(&mut self, now: Now, region: &str) -> Option<Notification> {
        let mut target = self.targets.remove(region)?;
        let mut ended = Vec::new();
        for entry in target.entries.values_mut() {
            if let Some(mut alert) = entry.alert.take() {
                alert.resolved = Some(now.unix);
                alert.summary = words::gone(entry.rule, &target.name);
                ended.push(alert.clone());
                entry.ended = entry.told.then_some(alert);
            }
        }
        target.wanting = None;
        let at_once = Timing {
            group_wait: Duration::ZERO,
            ..self.timing
        };
        let notification = target.speak(now, &at_once);
        self.remember(&mut ended);
        notification
    }

    /// What is active, the worst first and then the oldest.
    #[must_use]
    pub fn active(&self, now: Now) -> Vec<ActiveAlert> {
        let entries = self.targets.values().flat_map(|of| of.entries.values());
        let mut active: Vec<ActiveAlert> = entries
            .filter_map(|entry| {
                let alert = entry.alert.clone()?;
                let left = entry.cooldown_left(now.monotonic, self.timing.cooldown);
                Some(ActiveAlert {
                    alert,
                    cooldown_left_seconds: entry.said.map(|_| left.as_secs_f64()),
                })
            })
            .collect();
        active.sort_by_key(|of| (std::cmp::Reverse(of.alert.severity), of.alert.since));
        active
    }

    /// What ended, the newest first.
    pub fn history(&self) -> impl Iterator<Item = &Alert> {
        self.history.iter()
    }

    /// How many alerts are active at each severity.
    #[must_use]
    pub fn counts(&self) -> [(Severity, u64); 3] {
        Severity::ALL.map(|severity| {
            let entries = self.targets.values().flat_map(|of| of.entries.values());
            let active = entries.filter_map(|entry| entry.alert.as_ref());
            let count = active.filter(|alert| alert.severity == severity).count();
            (severity, count as u64)
        })
    }

    fn remember(&mut self, ended: &mut Vec<Alert>) {
        for alert in ended.drain(..) {
            self.history.push_front(alert);
        }
        self.history.truncate(self.timing.history);
    }
}

/// Names a rule on a target, and a site if it is about one.
fn id_of(made: &Measurement<'_>, target: &TargetName) -> String {
    let file = target.region.rsplit('/').next().unwrap_or_default();
    let rule = made.rule.word();
    match made.verdict {
        Some(leak) => format!("{file}/{rule}/{}", leak.site.place()),
        None => format!("{file}/{rule}"),
    }
}

impl Target {
    /// Moves every condition on; returns what ended.
    fn step(
        &mut self,
        now: Now,
        measured: &[Measurement<'_>],
        reading: &Reading,
        timing: &Timing,
    ) -> Vec<Alert> {
        let mut by_id: BTreeMap<String, &Measurement<'_>> = BTreeMap::new();
        for made in measured {
            by_id.insert(id_of(made, &self.name), made);
        }
        for (id, made) in &by_id {
            let worth = made.position.reached.is_some() && self.entries.len() < ENTRIES_MAX;
            if worth && !self.entries.contains_key(id) {
                self.entries.insert(id.clone(), Entry::new(made.rule));
            }
        }
        let mut ended = Vec::new();
        for (id, entry) in &mut self.entries {
            let made = by_id.get(id).copied();
            let (position, hold) = made.map_or((Position::default(), Duration::ZERO), |made| {
                (made.position, made.hold)
            });
            entry
                .condition
                .step(now.monotonic, position, hold, timing.resolve_after);
            match (entry.condition.level(), made) {
                (Some(severity), Some(made)) => {
                    let began = entry.alert.as_ref().map(|alert| alert.since);
                    entry.ended = None;
                    entry.alert = Some(describe(
                        id,
                        made,
                        severity,
                        began.unwrap_or(now.unix),
                        reading,
                    ));
                }
                // Not measured just now, and not over: it stands as it was.
                (Some(_), None) => {}
                (None, made) => {
                    if let Some(mut alert) = entry.alert.take() {
                        alert.resolved = Some(now.unix);
                        alert.summary = words::ended(entry.rule, made, &self.name);
                        if let Some(made) = made {
                            alert.value = made.value;
                        }
                        ended.push(alert.clone());
                        entry.ended = entry.told.then_some(alert);
                    }
                }
            }
        }
        self.entries
            .retain(|_, entry| !entry.is_idle(now.monotonic, timing.cooldown));
        ended
    }

    /// What there is to say, when it has waited long enough for more to come.
    fn speak(&mut self, now: Now, timing: &Timing) -> Option<Notification> {
        let mut wanted = false;
        let mut urgent = false;
        for entry in self.entries.values() {
            let Some(change) = entry.wants(now.monotonic, timing.cooldown) else {
                continue;
            };
            wanted = true;
            let critical = entry
                .alert
                .as_ref()
                .is_some_and(|alert| alert.severity == Severity::Critical);
            urgent |= critical && change != Change::Repeated;
        }
        if !wanted {
            self.wanting = None;
            return None;
        }
        let since = *self.wanting.get_or_insert(now.monotonic);
        if !urgent && now.monotonic.saturating_sub(since) < timing.group_wait {
            return None;
        }
        self.wanting = None;
        let mut alerts = Vec::new();
        for entry in self.entries.values_mut() {
            let Some(change) = entry.wants(now.monotonic, timing.cooldown) else {
                continue;
            };
            let cooled = entry
                .cooldown_left(now.monotonic, timing.cooldown)
                .is_zero();
            let Some(alert) = entry.alert.clone().or_else(|| entry.ended.take()) else {
                continue;
            };
            entry.told = change != Change::Resolved;
            if entry.told {
                let worst = entry.said.filter(|_| !cooled).map(|(_, worst)| worst);
                let worst = worst.map_or(alert.severity, |worst| worst.max(alert.severity));
                entry.said = Some((now.monotonic, worst));
            }
            alerts.push(Notice { change, alert });
        }
        alerts.sort_by_key(|notice| {
            let ended = notice.change == Change::Resolved;
            (ended, std::cmp::Reverse(notice.alert.severity))
        });
        let over = alerts.iter().all(|of| of.change == Change::Resolved);
        Some(Notification {
            schema_version: SCHEMA_VERSION,
            status: if over { "resolved" } else { "firing" },
            time: now.unix,
            target: self.name.clone(),
            text: words::text(&alerts),
            alerts,
        })
    }
}

fn describe(
    id: &str,
    made: &Measurement<'_>,
    severity: Severity,
    since: Duration,
    reading: &Reading,
) -> Alert {
    let sites = match made.verdict {
        Some(leak) => vec![leak.site.clone()],
        None => reading.sites.clone(),
    };
    Alert {
        id: id.to_owned(),
        rule: made.rule,
        severity,
        category: made.rule.category(),
        component: made.rule.component(),
        metric: made.rule.metric(),
        value: made.value,
        threshold: made.levels.of(severity).unwrap_or_default(),
        summary: words::summary(made, severity, &reading.target),
        recommendations: words::recommendations(made, reading),
        evidence: Evidence {
            low: made.interval.map(|(low, _)| low),
            high: made.interval.map(|(_, high)| high),
            statements: words::statements(made, reading),
            sites,
            snapshot: reading.snapshot.clone(),
        },
        target: reading.target.clone(),
        since,
        resolved: None,
    }
}
