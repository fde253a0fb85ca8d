//! Which alerts are active, and what is said about them when.
//!
//! An alert is *active* from the moment its condition holds until it is clearly over. What is *said*
//! follows behind: changes of one target wait a little for each other and for evidence, and make one
//! notification (a critical one does not wait for others), and an alert that was spoken of stays
//! unmentioned for the cooldown unless it gets worse than was said. So a value that flaps gives at most one firing (and each of the two
//! escalations) and their end per cooldown, however often it crosses its threshold.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::Serialize;

use super::{
    alert::{Alert, Change, Evidence, Notice, Notification, Severity, SiteEvidence, TargetName},
    condition::{Condition, Position},
    reading::Reading,
    rules::{Measurement, Rule, Rules},
    words,
};

/// Version of the notification document.
const SCHEMA_VERSION: u32 = 1;
/// Conditions of one target.
const ENTRIES_MAX: usize = 256;
/// Evidence is good for so long.
const EVIDENCE_FRESH: Duration = Duration::from_secs(30);

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
    /// How long a notification waits for evidence to be gathered; a critical one for the group's time
    /// only.
    pub evidence_wait: Duration,
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
            evidence_wait: Duration::ZERO,
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

/// Gathered for one target.
#[derive(Clone, Debug)]
struct Gathered {
    at: Duration,
    sites: Vec<SiteEvidence>,
    snapshot: Option<String>,
}

#[derive(Debug, Default)]
struct Target {
    /// As of the last look.
    reading: Reading,
    entries: BTreeMap<String, Entry>,
    /// Since when there is something to say.
    wanting: Option<Duration>,
    /// When evidence was last asked for.
    asked: Option<Duration>,
    gathered: Option<Gathered>,
}

/// The alerts of all targets.
#[derive(Debug, Default)]
pub struct Engine {
    rules: Rules,
    timing: Timing,
    targets: BTreeMap<String, Target>,
    history: VecDeque<Alert>,
    changes: u64,
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

    /// One look at one target.
    pub fn observe(&mut self, now: Now, reading: Reading) {
        let target = self
            .targets
            .entry(reading.target.region.clone())
            .or_default();
        target.reading = reading;
        let before = target.levels();
        let mut ended = target.step(now, &self.rules, &self.timing);
        if target.levels() != before {
            self.changes += 1;
        }
        // What waits does so from now on.
        let wants = |entry: &Entry| entry.wants(now.monotonic, self.timing.cooldown).is_some();
        if target.wanting.is_none() && target.entries.values().any(wants) {
            target.wanting = Some(now.monotonic);
        }
        self.remember(&mut ended);
    }

    /// The targets whose evidence is to be gathered now, by region; each is named once.
    pub fn wanting_evidence(&mut self, now: Now) -> Vec<String> {
        let timing = self.timing;
        let wanting = self.targets.iter_mut().filter_map(|(region, target)| {
            let is_due = target.wants_evidence(now.monotonic, &timing);
            is_due.then(|| {
                target.asked = Some(now.monotonic);
                region.clone()
            })
        });
        wanting.collect()
    }

    /// Evidence for what is active of a target.
    pub fn give_evidence(
        &mut self,
        now: Now,
        region: &str,
        sites: Vec<SiteEvidence>,
        snapshot: Option<String>,
    ) {
        if let Some(target) = self.targets.get_mut(region) {
            target.gathered = Some(Gathered {
                at: now.monotonic,
                sites,
                snapshot,
            });
            target.describe(now, &self.rules, &self.timing);
        }
    }

    /// What there is to say now: at most one notification a target.
    pub fn speak(&mut self, now: Now) -> Vec<Notification> {
        let timing = self.timing;
        let targets = self.targets.values_mut();
        targets
            .filter_map(|target| target.speak(now, &timing))
            .collect()
    }

    /// The target is gone, killed or by itself: what is active ends, and that is said at once.
    pub fn forget(&mut self, now: Now, region: &str, was_killed: bool) -> Option<Notification> {
        let mut target = self.targets.remove(region)?;
        let mut ended = Vec::new();
        for entry in target.entries.values_mut() {
            if let Some(mut alert) = entry.alert.take() {
                alert.resolved = Some(now.unix);
                alert.summary = words::gone(entry.rule, &target.reading.target, was_killed);
                ended.push(alert.clone());
                entry.ended = entry.told.then_some(alert);
            }
        }
        self.changes += u64::from(!ended.is_empty());
        let at_once = Timing {
            group_wait: Duration::ZERO,
            ..self.timing
        };
        let notification = target.speak(now, &at_once);
        self.remember(&mut ended);
        notification
    }

    /// Rises whenever an alert begins, ends or gets another severity.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
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
    /// The severities in force.
    fn levels(&self) -> Vec<(String, Severity)> {
        let entries = self.entries.iter();
        entries
            .filter_map(|(id, entry)| Some((id.clone(), entry.alert.as_ref()?.severity)))
            .collect()
    }

    /// Moves every condition on; returns what ended.
    fn step(&mut self, now: Now, rules: &Rules, timing: &Timing) -> Vec<Alert> {
        let reading = self.reading.clone();
        let measured = by_id(rules, timing, &reading);
        for (id, made) in &measured {
            let worth = made.position.reached.is_some() && self.entries.len() < ENTRIES_MAX;
            if worth && !self.entries.contains_key(id) {
                self.entries.insert(id.clone(), Entry::new(made.rule));
            }
        }
        let mut ended = Vec::new();
        for (id, entry) in &mut self.entries {
            let made = measured.get(id);
            let (position, hold) = made.map_or((Position::default(), Duration::ZERO), |made| {
                (made.position, made.hold)
            });
            entry
                .condition
                .step(now.monotonic, position, hold, timing.resolve_after);
            if entry.condition.level().is_none()
                && let Some(mut alert) = entry.alert.take()
            {
                alert.resolved = Some(now.unix);
                alert.summary = words::ended(entry.rule, made, &reading.target);
                alert.value = made.map_or(alert.value, |made| made.value);
                ended.push(alert.clone());
                entry.ended = entry.told.then_some(alert);
            }
        }
        self.describe(now, rules, timing);
        self.entries
            .retain(|_, entry| !entry.is_idle(now.monotonic, timing.cooldown));
        ended
    }

    /// Puts what is active into words, as of the last look.
    fn describe(&mut self, now: Now, rules: &Rules, timing: &Timing) {
        let is_active = |entry: &Entry| entry.condition.level().is_some();
        if !self.entries.values().any(is_active) {
            return;
        }
        let mut reading = self.reading.clone();
        if let Some(gathered) = &self.gathered {
            if !gathered.sites.is_empty() {
                reading.sites.clone_from(&gathered.sites);
            }
            reading.snapshot.clone_from(&gathered.snapshot);
        }
        let measured = by_id(rules, timing, &reading);
        for (id, entry) in &mut self.entries {
            // What is not measured just now and not over stands as it was.
            if let (Some(severity), Some(made)) = (entry.condition.level(), measured.get(id)) {
                let began = entry.alert.as_ref().map(|alert| alert.since);
                let since = began.unwrap_or(now.unix);
                entry.ended = None;
                entry.alert = Some(describe(id, made, severity, since, &reading));
            }
        }
    }

    fn wants_evidence(&self, now: Duration, timing: &Timing) -> bool {
        let is_recent = |at: Option<Duration>| {
            at.is_some_and(|at| now.saturating_sub(at) < EVIDENCE_FRESH.max(timing.evidence_wait))
        };
        if timing.evidence_wait.is_zero() || is_recent(self.asked) {
            return false;
        }
        let mut wants = self.entries.values().filter_map(|entry| {
            let change = entry.wants(now, timing.cooldown)?;
            Some(change != Change::Resolved)
        });
        wants.any(|wants| wants)
    }

    /// What there is to say, when it has waited long enough for more to come.
    fn speak(&mut self, now: Now, timing: &Timing) -> Option<Notification> {
        let mut wanted = false;
        let mut urgent = false;
        let mut begins = false;
        for entry in self.entries.values() {
            let Some(change) = entry.wants(now.monotonic, timing.cooldown) else {
                continue;
            };
            wanted = true;
            begins |= change != Change::Resolved;
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
        let waited = now.monotonic.saturating_sub(since);
        let is_gathered = self
            .gathered
            .as_ref()
            .is_some_and(|of| now.monotonic.saturating_sub(of.at) < EVIDENCE_FRESH);
        let patience = match (urgent, begins && !is_gathered) {
            (true, false) => Duration::ZERO,
            (true, true) => timing.group_wait.min(timing.evidence_wait),
            (false, false) => timing.group_wait,
            (false, true) => timing.group_wait.max(timing.evidence_wait),
        };
        if waited < patience {
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
            target: self.reading.target.clone(),
            text: words::text(&alerts),
            alerts,
        })
    }
}

fn by_id<'a>(
    rules: &Rules,
    timing: &Timing,
    reading: &'a Reading,
) -> BTreeMap<String, Measurement<'a>> {
    let measured = rules.measure(reading, timing.hysteresis).into_iter();
    measured
        .map(|made| (id_of(&made, &reading.target), made))
        .collect()
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
