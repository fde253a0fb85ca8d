//! The active alerts as Alertmanager's API (version 2) wants them.
//!
//! Alertmanager forgets what is not sent again, so this is a state and not a stream: all that is active
//! is sent when it changes and every minute, and is valid for four. What was sent and is no longer
//! active is sent once more as ended. Severity is a label, as routes and inhibitions use it, so an
//! escalation ends one alert and begins another.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;

use super::{Channel, Delivery, Http, Retry};
use crate::alerts::{Alert, Notification, rfc3339, words};

const NAME: &str = "alertmanager";
/// Resends that an alert outlives: three may fail.
const VALID_RESENDS: u32 = 4;
/// Letters of a label; some receivers refuse longer ones.
const LABEL_MAX: usize = 512;

/// Gives the alerts that are active now.
pub(crate) type ActiveAlerts = Arc<dyn Fn() -> Vec<Alert> + Send + Sync>;

/// Where and how.
#[derive(Clone, Debug)]
pub struct AlertmanagerSettings {
    /// The client.
    pub http: Http,
    /// Address without `/api/v2`.
    pub url: String,
    /// Name of this machine, as the label `instance`.
    pub instance: String,
    /// Between two sendings of what did not change.
    pub resend: Duration,
    /// Pauses after failures; it is tried for ever.
    pub retry: Retry,
}

#[derive(Debug, Default)]
struct State {
    delivery: Delivery,
    changed: bool,
    stop: Option<Instant>,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    woken: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The channel to an Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    shared: Arc<Shared>,
}

impl Alertmanager {
    /// Starts the thread. It ends with [`Channel::stop`].
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(settings: AlertmanagerSettings, active: ActiveAlerts) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.state().delivery.channel = NAME;
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("riptide-alertmanager".to_owned())
            .spawn(move || work(&of_thread, &settings, &active))?;
        Ok(Self { shared })
    }
}

impl Channel for Alertmanager {
    fn name(&self) -> &'static str {
        NAME
    }

    /// What it hears of is the set of active alerts; grouping and repeating are Alertmanager's own.
    fn send(&self, _: &Arc<Notification>) {}

    fn changed(&self) {
        self.shared.state().changed = true;
        self.shared.woken.notify_all();
    }

    fn delivery(&self) -> Delivery {
        self.shared.state().delivery.clone()
    }

    fn stop(&self, deadline: Instant) {
        let mut state = self.shared.state();
        state.stop = Some(deadline);
        self.shared.woken.notify_all();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.woken.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn work(shared: &Shared, settings: &AlertmanagerSettings, active: &ActiveAlerts) {
    let url = format!("{}/api/v2/alerts", settings.url.trim_end_matches('/'));
    let mut sent: BTreeMap<String, Posted> = BTreeMap::new();
    let mut failed = 0;
    let mut due = None;
    while let Some(last) = wait(shared, due, failed > 0) {
        let now = unix_now();
        let mut posted = active_as_posted(&active(), settings, now);
        let known: Vec<String> = posted.keys().cloned().collect();
        for (key, ended) in &sent {
            posted
                .entry(key.clone())
                .or_insert_with(|| ended.clone().ended(now));
        }
        if !posted.is_empty() {
            let all: Vec<&Posted> = posted.values().collect();
            let result = serde_json::to_vec(&all)
                .map_err(|error| error.to_string())
                .and_then(|body| {
                    let posted = settings.http.post(&url, "application/json", &[], &body);
                    posted.map_err(|error| error.to_string())
                });
            let mut state = shared.state();
            match result {
                Ok(_) => {
                    state.delivery.delivered += 1;
                    failed = 0;
                    posted.retain(|key, _| known.contains(key));
                    sent = posted;
                }
                Err(message) => {
                    failed += 1;
                    state.delivery.failed_attempts += 1;
                    state.delivery.failed += u64::from(last);
                    state.delivery.last_error = Some(message);
                }
            }
        }
        due = match failed {
            0 if sent.is_empty() => None,
            0 => Some(Instant::now() + settings.resend),
            failed => Some(Instant::now() + settings.retry.pause(failed)),
        };
        if last {
            break;
        }
    }
    shared.state().ended = true;
    shared.woken.notify_all();
}

/// Waits for something to send; says whether it is the last time. While it fails, a change has to wait
/// for the next try.
fn wait(shared: &Shared, due: Option<Instant>, fails: bool) -> Option<bool> {
    let mut state = shared.state();
    loop {
        if let Some(deadline) = state.stop {
            let worth = state.changed && Instant::now() < deadline;
            return worth.then_some(true);
        }
        let left = due.map(|due| due.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) || state.changed && !fails {
            state.changed = false;
            return Some(false);
        }
        state = match left {
            Some(left) => {
                let waited = shared.woken.wait_timeout(state, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let woken = shared.woken.wait(state);
                woken.unwrap_or_else(PoisonError::into_inner)
            }
        };
    }
}

/// An alert of the API.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: BTreeMap<&'static str, String>,
    annotations: BTreeMap<&'static str, String>,
    starts_at: String,
    ends_at: String,
}

impl Posted {
    fn ended(mut self, now: Duration) -> Self {
        self.ends_at = rfc3339(now);
        self
    }
}

fn active_as_posted(
    active: &[Alert],
    settings: &AlertmanagerSettings,
    now: Duration,
) -> BTreeMap<String, Posted> {
    let ends_at = rfc3339(now + settings.resend * VALID_RESENDS);
    active
        .iter()
        .map(|alert| {
            let key = format!("{} {}", alert.severity.word(), alert.id);
            let posted = Posted {
                labels: labels(alert, settings),
                annotations: annotations(alert),
                starts_at: rfc3339(alert.since),
                ends_at: ends_at.clone(),
            };
            (key, posted)
        })
        .collect()
}

fn labels(alert: &Alert, settings: &AlertmanagerSettings) -> BTreeMap<&'static str, String> {
    let name: String = alert.rule.word().split('-').map(capitalised).collect();
    let region = alert.target.region.rsplit('/').next().unwrap_or_default();
    let mut labels = BTreeMap::from([
        ("alertname", format!("Riptide{name}")),
        ("severity", alert.severity.word().to_owned()),
        ("category", alert.category.word().to_owned()),
        ("component", alert.component.word().to_owned()),
        ("process", alert.target.process.clone()),
        ("pid", alert.target.pid.to_string()),
        ("region", region.to_owned()),
        ("instance", settings.instance.clone()),
    ]);
    if alert.component == crate::alerts::Component::Site
        && let Some(site) = alert.evidence.sites.first()
    {
        labels.insert("site", site.place());
    }
    for value in labels.values_mut() {
        *value = value.chars().take(LABEL_MAX).collect();
    }
    labels
}

fn annotations(alert: &Alert) -> BTreeMap<&'static str, String> {
    let mut annotations = BTreeMap::from([
        ("summary", alert.summary.clone()),
        ("description", alert.evidence.statements.join(" ")),
        ("recommendation", alert.recommendations.join("\n")),
        ("metric", alert.metric.to_owned()),
        ("value", alert.value.to_string()),
        ("threshold", alert.threshold.to_string()),
    ]);
    let sites = alert.evidence.sites.iter().map(words::site_line);
    annotations.insert("sites", sites.collect::<Vec<_>>().join("\n"));
    if let Some(snapshot) = &alert.evidence.snapshot {
        annotations.insert("snapshot", snapshot.clone());
    }
    annotations
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).collect()
    })
}

fn unix_now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}
