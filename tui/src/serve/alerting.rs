//! Lets the rules look at every tick, gathers evidence, and hands out what there is to say.
//!
//! Ticks only move the state machine. A thread of its own, the desk, waits for symbols and writes
//! snapshot files as evidence, and puts notifications into the channels' queues.

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use riptide_reader::profile::TargetState;
use serde_json::Value;

use super::{
    exporting::Exporting,
    observer::{AlertsDocument, Observer, OwnMetric},
    snapshots::Snapshots,
    target::Target,
    tick::Tick,
};
use crate::{
    alerts::{
        Alertmanager, AlertmanagerSettings, Channel, Engine, Http, Log, Notification, Now, Queue,
        Reading, Retry, SiteEvidence, Stdout, TargetName, VerdictReading, Webhook, rules_of,
        severity, timing_of,
    },
    config::{self, Config},
    telemetry::host,
};

/// Between two looks of the desk at what has waited long enough.
const DESK: Duration = Duration::from_millis(500);
/// How long a notification waits for symbols and a snapshot file.
const EVIDENCE: Duration = Duration::from_secs(20);
/// Between two sendings of what is active to Alertmanager.
const RESEND: Duration = Duration::from_secs(60);
/// How long the end may wait for the channels.
const STOP: Duration = Duration::from_secs(5);

/// A channel, and what it was made from.
struct Open {
    made_from: String,
    channel: Arc<dyn Channel>,
}

#[derive(Default)]
struct Desk {
    /// Said by the end of a target, not yet sent.
    outbox: Vec<Notification>,
    woken: bool,
    stopping: bool,
    ended: bool,
}

struct Shared {
    began: Instant,
    config: RwLock<Arc<Config>>,
    engine: Mutex<Engine>,
    targets: Mutex<HashMap<String, Arc<Target>>>,
    channels: RwLock<Vec<Open>>,
    desk: Mutex<Desk>,
    at_desk: Condvar,
    snapshots: Arc<Snapshots>,
    exporting: Arc<Exporting>,
}

/// The rules, fed by ticks.
pub(super) struct Alerting(Arc<Shared>);

impl Alerting {
    /// Opens the channels and starts the desk.
    pub(super) fn start(
        config: &Arc<Config>,
        snapshots: Arc<Snapshots>,
        exporting: Arc<Exporting>,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            began: Instant::now(),
            config: RwLock::new(Arc::clone(config)),
            engine: Mutex::new(Engine::new(rules_of(config), timing_of(config, EVIDENCE))),
            targets: Mutex::default(),
            channels: RwLock::default(),
            desk: Mutex::default(),
            at_desk: Condvar::new(),
            snapshots,
            exporting,
        });
        shared.open_channels(config)?;
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("riptide-alerts".to_owned())
            .spawn(move || of_thread.work())?;
        Ok(Self(shared))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn now(&self) -> Now {
        Now {
            monotonic: self.began.elapsed(),
            unix: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn channels(&self) -> Vec<Arc<dyn Channel>> {
        let open = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        open.iter().map(|open| Arc::clone(&open.channel)).collect()
    }

    fn wake_desk(&self) {
        lock(&self.desk).woken = true;
        self.at_desk.notify_all();
    }

    /// Opens what is configured; what is open already and unchanged stays, with what waits in it.
    fn open_channels(self: &Arc<Self>, config: &Config) -> io::Result<()> {
        let alerts = &config.alerts;
        let mut kept = Vec::new();
        let mut open = self
            .channels
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for word in &alerts.channels {
            let made_from = match word {
                config::Channel::Webhook => format!(
                    "webhook {:?} {} {}",
                    alerts.webhook_url, alerts.timeout_seconds, alerts.retries
                ),
                config::Channel::Alertmanager => format!(
                    "alertmanager {:?} {}",
                    alerts.alertmanager_url, alerts.timeout_seconds
                ),
                word => word.word().to_owned(),
            };
            if kept.iter().any(|open: &Open| open.made_from == made_from) {
                continue;
            }
            if let Some(place) = open.iter().position(|open| open.made_from == made_from) {
                kept.push(open.swap_remove(place));
                continue;
            }
            let channel = self.open(*word, alerts)?;
            kept.push(Open { made_from, channel });
        }
        let closed = std::mem::replace(&mut *open, kept);
        drop(open);
        for open in closed {
            // On a thread of its own: a reload does not wait for what is still on its way. The exporter
            // goes on, as it has metrics to export.
            if open.channel.name() != "otlp" {
                let ends = thread::Builder::new().name("riptide-closing".to_owned());
                let _ = ends.spawn(move || open.channel.stop(Instant::now() + STOP));
            }
        }
        Ok(())
    }

    fn open(
        self: &Arc<Self>,
        word: config::Channel,
        alerts: &config::Alerts,
    ) -> io::Result<Arc<dyn Channel>> {
        let http = || Http::new(seconds(alerts.timeout_seconds));
        let retry = Retry {
            retries: alerts.retries,
            ..Retry::default()
        };
        Ok(match word {
            config::Channel::Stdout => Arc::new(Queue::start(Stdout, retry)?),
            config::Channel::Log => Arc::new(Queue::start(Log, retry)?),
            config::Channel::Otlp => Arc::clone(self.exporting.exporter()) as Arc<dyn Channel>,
            config::Channel::Webhook => {
                let url = alerts.webhook_url.clone().unwrap_or_default();
                Arc::new(Queue::start(Webhook { http: http(), url }, retry)?)
            }
            config::Channel::Alertmanager => {
                let settings = AlertmanagerSettings {
                    http: http(),
                    url: alerts.alertmanager_url.clone().unwrap_or_default(),
                    instance: host(),
                    resend: RESEND,
                    retry,
                };
                // Not an owner: the channel must not keep the engine that owns it.
                let shared = Arc::downgrade(self);
                let active = move || {
                    let Some(shared) = shared.upgrade() else {
                        return Vec::new();
                    };
                    let active = lock(&shared.engine).active(shared.now());
                    active.into_iter().map(|of| of.alert).collect()
                };
                Arc::new(Alertmanager::start(settings, Arc::new(active))?)
            }
        })
    }

    fn work(&self) {
        let mut told_changes = 0;
        loop {
            let (outbox, stopping) = self.wait();
            self.gather();
            let (mut notifications, changes, counts) = {
                let mut engine = lock(&self.engine);
                let now = self.now();
                (engine.speak(now), engine.changes(), engine.counts())
            };
            notifications.extend(outbox);
            let channels = self.channels();
            for notification in notifications {
                let notification = Arc::new(notification);
                for channel in &channels {
                    channel.send(&notification);
                }
            }
            self.exporting.show_alerts(counts.map(|(_, count)| count));
            if changes != told_changes {
                told_changes = changes;
                for channel in &channels {
                    channel.changed();
                }
            }
            if stopping {
                break;
            }
        }
        lock(&self.desk).ended = true;
        self.at_desk.notify_all();
    }

    fn wait(&self) -> (Vec<Notification>, bool) {
        let mut desk = lock(&self.desk);
        if !desk.woken && !desk.stopping {
            let waited = self.at_desk.wait_timeout(desk, DESK);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        desk.woken = false;
        (std::mem::take(&mut desk.outbox), desk.stopping)
    }

    /// Gathers the evidence that is wanted: sites with their names, and a snapshot file.
    fn gather(&self) {
        let wanting = lock(&self.engine).wanting_evidence(self.now());
        let config = self.config();
        for region in wanting {
            let target = lock(&self.targets).get(&region).cloned();
            let Some(target) = target.filter(|_| !lock(&self.desk).stopping) else {
                continue;
            };
            let most = usize::try_from(config.alerts.evidence_sites).unwrap_or(usize::MAX);
            let sites = if most > 0 {
                target.growing_sites(most)
            } else {
                Vec::new()
            };
            let wants_file = config.alerts.evidence_snapshot && config.snapshot.directory.is_some();
            // What went wrong is counted and said there.
            let files = wants_file.then(|| self.snapshots.write(&target).ok());
            let snapshot = files.flatten().and_then(|files| files.into_iter().next());
            lock(&self.engine).give_evidence(
                self.now(),
                &region,
                sites.iter().map(SiteEvidence::from).collect(),
                snapshot.map(path_text),
            );
        }
    }
}

fn path_text(path: PathBuf) -> String {
    path.to_string_lossy().into_owned()
}

fn seconds(of: f64) -> Duration {
    Duration::try_from_secs_f64(of).unwrap_or(Duration::MAX)
}

fn reading(tick: &Tick) -> Reading {
    let memory = &tick.figures.memory;
    let verdicts = tick.verdicts.as_ref();
    let findings = verdicts.map(|verdicts| verdicts.findings.as_slice());
    Reading {
        target: TargetName {
            pid: tick.identity.pid,
            process: tick.identity.process.clone(),
            region: tick.identity.region.to_string_lossy().into_owned(),
        },
        live: tick.figures.live.bytes,
        rss: memory.rss,
        cgroup_limit: memory.cgroup_limit,
        cgroup_in_use: memory.cgroup_in_use(),
        allocated: memory.allocated,
        active: memory.active,
        growth_bytes_per_second: tick.growth_bytes_per_second,
        time_to_limit_seconds: tick.time_to_limit_seconds,
        lost_share: tick.lost_share,
        unrecorded_blocks: tick.figures.loss.unrecorded_blocks,
        verdicts: findings
            .unwrap_or_default()
            .iter()
            .map(VerdictReading::from)
            .collect(),
        sites: Vec::new(),
        snapshot: None,
    }
}

impl Observer for Alerting {
    fn tick(&self, target: &Arc<Target>, tick: &Arc<Tick>) {
        let reading = reading(tick);
        let mut targets = lock(&self.0.targets);
        if !targets.contains_key(&reading.target.region) {
            targets.insert(reading.target.region.clone(), Arc::clone(target));
        }
        drop(targets);
        lock(&self.0.engine).observe(self.0.now(), reading);
        self.0.wake_desk();
    }

    fn gone(&self, target: &Arc<Target>, last: &Arc<Tick>) {
        let region = target.identity().region.to_string_lossy().into_owned();
        lock(&self.0.targets).remove(&region);
        let was_killed = last.figures.target.state == TargetState::Killed;
        let said = lock(&self.0.engine).forget(self.0.now(), &region, was_killed);
        lock(&self.0.desk).outbox.extend(said);
        self.0.wake_desk();
    }

    fn reload(&self, config: &Arc<Config>) {
        *self
            .0
            .config
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::clone(config);
        lock(&self.0.engine).configure(rules_of(config), timing_of(config, EVIDENCE));
        if let Err(error) = self.0.open_channels(config) {
            tracing::error!("cannot open the channels of alerts: {error}");
        }
    }

    fn stop(&self) {
        let deadline = Instant::now() + STOP;
        let mut desk = lock(&self.0.desk);
        desk.stopping = true;
        self.0.at_desk.notify_all();
        while !desk.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.0.at_desk.wait_timeout(desk, left);
            desk = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(desk);
        // All at once, so that one that hangs takes nothing from the others. The exporter still has
        // metrics to export, and is stopped by itself.
        let channels = self.0.channels();
        thread::scope(|scope| {
            for channel in channels.iter().filter(|channel| channel.name() != "otlp") {
                scope.spawn(|| channel.stop(deadline));
            }
        });
    }

    fn alerts(&self) -> AlertsDocument {
        let engine = lock(&self.0.engine);
        // Plain data always becomes JSON.
        fn json(of: impl serde::Serialize) -> Value {
            serde_json::to_value(of).unwrap_or(Value::Null)
        }
        let active = engine.active(self.0.now());
        AlertsDocument {
            active: active.iter().map(json).collect(),
            history: engine.history().map(json).collect(),
            delivery: self
                .0
                .channels()
                .iter()
                .map(|channel| json(channel.delivery()))
                .collect(),
        }
    }

    fn active_alerts(&self) -> Vec<(config::Severity, u64)> {
        let counts = lock(&self.0.engine).counts();
        let words = config::Severity::ALL.iter();
        words
            .map(|word| {
                let count = counts.iter().find(|(of, _)| *of == severity(*word));
                (*word, count.map_or(0, |(_, count)| *count))
            })
            .collect()
    }

    fn metrics(&self) -> Vec<OwnMetric> {
        let mut messages = Vec::new();
        let mut attempts = Vec::new();
        for channel in self.0.channels() {
            let delivery = channel.delivery();
            let label = |outcome: &str| {
                vec![
                    ("channel", delivery.channel.to_owned()),
                    ("outcome", outcome.to_owned()),
                ]
            };
            messages.push((label("delivered"), delivery.delivered as f64));
            messages.push((label("failed"), delivery.failed as f64));
            messages.push((label("dropped"), delivery.dropped as f64));
            let failed = vec![("channel", delivery.channel.to_owned())];
            attempts.push((failed, delivery.failed_attempts as f64));
        }
        vec![
            OwnMetric {
                name: "riptide_alert_messages",
                help: "Messages of alerts, by channel and outcome.",
                is_counter: true,
                series: messages,
            },
            OwnMetric {
                name: "riptide_alert_failed_attempts",
                help: "Attempts to deliver messages of alerts that failed, by channel.",
                is_counter: true,
                series: attempts,
            },
        ]
    }
}
