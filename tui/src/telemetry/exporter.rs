//! The thread that exports, and its counts.
//!
//! It has a runtime of its own: connections live in it, and nothing that serves requests waits for a
//! collector.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime},
};

use tokio::{runtime, sync::Notify, time};

use super::{
    logs,
    metrics::{self, ServerFigures, TargetFigures},
    settings::{Settings, Signal},
    transport::{Export, ExportError, Transport},
};
use crate::alerts::{Channel, Delivery, Notification};

const NAME: &str = "otlp";
/// Notifications that wait for a collector; beyond that the oldest is dropped.
const LOGS_MAX: usize = 256;
/// Notifications in one request.
const LOGS_A_REQUEST: usize = 32;
/// Between two attempts to export logs: first and longest pause.
const LOGS_PAUSE: Duration = Duration::from_secs(1);
const LOGS_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What there is to export; asked on the exporter's thread.
pub trait Source: Send + Sync {
    /// The targets as of their last look.
    fn targets(&self) -> Vec<TargetFigures>;

    /// What riptide says of itself.
    fn server(&self) -> ServerFigures;

    /// Profiles of the targets. May take its time.
    #[cfg(feature = "otlp-profiles")]
    fn captures(&self) -> Vec<(super::TargetIdentity, Arc<riptide_reader::export::Capture>)>;
}

/// What became of the exports of one signal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests accepted.
    pub exported: u64,
    /// Requests that failed, also in part.
    pub failed: u64,
}

/// What became of all exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Metrics.
    pub metrics: Counts,
    /// Alerts as log records.
    pub logs: Counts,
    /// Profiles.
    pub profiles: Counts,
    /// Notifications dropped because too many waited.
    pub logs_dropped: u64,
    /// What went wrong last.
    pub last_error: Option<String>,
}

#[derive(Debug)]
struct State {
    settings: Arc<Settings>,
    logs: VecDeque<Arc<Notification>>,
    stats: Stats,
    /// Whether the last export of each signal failed: said when it changes.
    fails: [bool; 3],
    stop: Option<Instant>,
    ended: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    wake: Notify,
    ended: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Metrics,
    Logs,
    #[cfg(feature = "otlp-profiles")]
    Profiles,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Logs => "logs",
            #[cfg(feature = "otlp-profiles")]
            Self::Profiles => "profiles",
        }
    }
}

/// The exporter; as a channel of alerts it is called `otlp`.
#[derive(Debug)]
pub struct Exporter {
    shared: Arc<Shared>,
}

impl Exporter {
    /// Starts the thread. It ends with [`Channel::stop`].
    ///
    /// # Errors
    /// The system gives no thread or no event queue.
    pub fn start(settings: Settings, source: Arc<dyn Source>) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                settings: Arc::new(settings),
                logs: VecDeque::new(),
                stats: Stats::default(),
                fails: [false; 3],
                stop: None,
                ended: false,
            }),
            wake: Notify::new(),
            ended: Condvar::new(),
        });
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(1)
            .build()?;
        let of_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("riptide-otlp".to_owned())
            .spawn(move || {
                runtime.block_on(work(&of_thread, &source));
                // A request that hangs must not hold up the end.
                runtime.shutdown_background();
                of_thread.state().ended = true;
                of_thread.ended.notify_all();
            })?;
        Ok(Self { shared })
    }

    /// Exports otherwise from now on; what waits is kept.
    pub fn configure(&self, settings: Settings) {
        self.shared.state().settings = Arc::new(settings);
        self.shared.wake.notify_one();
    }

    /// What became of all exports.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.state().stats.clone()
    }
}

impl Channel for Exporter {
    fn name(&self) -> &'static str {
        NAME
    }

    fn send(&self, notification: &Arc<Notification>) {
        let mut state = self.shared.state();
        // Nobody would ever take it.
        if state.settings.logs.is_none() {
            return;
        }
        if state.logs.len() >= LOGS_MAX {
            state.logs.pop_front();
            state.stats.logs_dropped += 1;
        }
        state.logs.push_back(Arc::clone(notification));
        drop(state);
        self.shared.wake.notify_one();
    }

    fn delivery(&self) -> Delivery {
        let state = self.shared.state();
        Delivery {
            channel: NAME,
            delivered: state.stats.logs.exported,
            failed_attempts: state.stats.logs.failed,
            failed: 0,
            dropped: state.stats.logs_dropped,
            queued: state.logs.len() as u64,
            last_error: state.stats.last_error.clone(),
        }
    }

    fn stop(&self, deadline: Instant) {
        let mut state = self.shared.state();
        state.stop = Some(deadline);
        self.shared.wake.notify_one();
        while !state.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.shared.ended.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// The ways to the endpoints of one configuration.
struct Ways {
    metrics: Option<Result<Transport, ExportError>>,
    logs: Option<Result<Transport, ExportError>>,
    #[cfg(feature = "otlp-profiles")]
    profiles: Option<Result<Transport, ExportError>>,
}

impl Ways {
    fn of(settings: &Settings) -> Self {
        let way = |signal: &Option<Signal>| signal.as_ref().map(Transport::new);
        Self {
            metrics: way(&settings.metrics),
            logs: way(&settings.logs),
            #[cfg(feature = "otlp-profiles")]
            profiles: way(&settings.profiles),
        }
    }
}

async fn work(shared: &Shared, source: &Arc<dyn Source>) {
    let mut settings = Arc::clone(&shared.state().settings);
    let mut ways = Ways::of(&settings);
    let mut due = Instant::now() + settings.interval;
    let mut logs_due = Instant::now();
    let mut logs_pause = LOGS_PAUSE;
    loop {
        let (current, stop, waiting) = {
            let state = shared.state();
            (
                Arc::clone(&state.settings),
                state.stop,
                !state.logs.is_empty(),
            )
        };
        if let Some(deadline) = stop {
            let left = deadline.saturating_duration_since(Instant::now());
            // What is not exported by then is lost with the process.
            let _ = time::timeout(left, last(shared, &settings, &ways, source)).await;
            return;
        }
        if !Arc::ptr_eq(&current, &settings) {
            settings = current;
            ways = Ways::of(&settings);
            due = due.min(Instant::now() + settings.interval);
            logs_due = Instant::now();
        }
        let now = Instant::now();
        if waiting && now >= logs_due {
            if export_logs(shared, &settings, &ways).await {
                logs_pause = LOGS_PAUSE;
            } else {
                logs_due = Instant::now() + logs_pause;
                logs_pause = logs_pause.saturating_mul(2).min(LOGS_PAUSE_MAX);
            }
            continue;
        }
        if now >= due {
            export_metrics(shared, &settings, &ways, source).await;
            #[cfg(feature = "otlp-profiles")]
            export_profiles(shared, &settings, &ways, source).await;
            // Not made up for when it took longer than the interval.
            due = Instant::now().max(due + settings.interval);
            continue;
        }
        let until = if waiting { due.min(logs_due) } else { due };
        let _ = time::timeout_at(until.into(), shared.wake.notified()).await;
    }
}

/// Everything once more, before the end.
async fn last(shared: &Shared, settings: &Settings, ways: &Ways, source: &Arc<dyn Source>) {
    while !shared.state().logs.is_empty() {
        if !export_logs(shared, settings, ways).await {
            break;
        }
    }
    export_metrics(shared, settings, ways, source).await;
}

async fn export_metrics(
    shared: &Shared,
    settings: &Settings,
    ways: &Ways,
    source: &Arc<dyn Source>,
) {
    let Some(way) = &ways.metrics else {
        return;
    };
    let (targets, server) = (source.targets(), source.server());
    for request in metrics::requests(settings, &targets, &server, SystemTime::now()) {
        let result = export(way, request).await;
        count(shared, Kind::Metrics, &result);
        if result.is_err() {
            return;
        }
    }
}

/// Whether it is worth to go on at once.
async fn export_logs(shared: &Shared, settings: &Settings, ways: &Ways) -> bool {
    let batch: Vec<Arc<Notification>> = {
        let state = shared.state();
        state.logs.iter().take(LOGS_A_REQUEST).cloned().collect()
    };
    let Some(way) = &ways.logs else {
        shared.state().logs.clear();
        return true;
    };
    let result = export(way, logs::request(settings, &batch)).await;
    count(shared, Kind::Logs, &result);
    let is_done = match &result {
        Ok(()) => true,
        // It would be refused again.
        Err(error) => !error.may_pass(),
    };
    if is_done {
        let mut state = shared.state();
        // The oldest may have been dropped meanwhile.
        state
            .logs
            .retain(|waiting| !batch.iter().any(|sent| Arc::ptr_eq(waiting, sent)));
        if result.is_err() {
            state.stats.logs_dropped += batch.len() as u64;
        }
    }
    is_done
}

#[cfg(feature = "otlp-profiles")]
async fn export_profiles(
    shared: &Shared,
    settings: &Settings,
    ways: &Ways,
    source: &Arc<dyn Source>,
) {
    let Some(way) = &ways.profiles else {
        return;
    };
    let asked = Arc::clone(source);
    let Ok(captures) = tokio::task::spawn_blocking(move || asked.captures()).await else {
        return;
    };
    // One target a request: a profile may be megabytes.
    for (identity, capture) in captures {
        let result = export(way, super::profiles::request(settings, &identity, &capture)).await;
        count(shared, Kind::Profiles, &result);
        if result.is_err() {
            return;
        }
    }
}

async fn export<T: Export>(
    way: &Result<Transport, ExportError>,
    message: T,
) -> Result<(), ExportError> {
    match way {
        Ok(transport) => transport.export(message).await,
        Err(error) => Err(ExportError::Settings(error.to_string())),
    }
}

/// Counts, and says when it begins or ends to fail.
fn count(shared: &Shared, kind: Kind, result: &Result<(), ExportError>) {
    let mut state = shared.state();
    let State { stats, fails, .. } = &mut *state;
    let [metrics, logs, profiles] = fails;
    let (counts, failed) = match kind {
        Kind::Metrics => (&mut stats.metrics, metrics),
        Kind::Logs => (&mut stats.logs, logs),
        #[cfg(feature = "otlp-profiles")]
        Kind::Profiles => (&mut stats.profiles, profiles),
    };
    #[cfg(not(feature = "otlp-profiles"))]
    let _ = profiles;
    let failed_before = std::mem::replace(failed, result.is_err());
    match result {
        Ok(()) => {
            counts.exported += 1;
            if failed_before {
                tracing::info!("OTLP: {} are exported again", kind.word());
            }
        }
        Err(error) => {
            counts.failed += 1;
            let message = error.to_string();
            if !failed_before {
                tracing::warn!(
                    "OTLP: cannot export {}: {message}; said once until it works again",
                    kind.word()
                );
            }
            stats.last_error = Some(message);
        }
    }
}
