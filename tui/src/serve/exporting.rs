//! Hears of ticks for the OTLP exporter.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use super::{
    observer::{Observer, OwnMetric},
    target::Target,
    tick::{Identity, Tick},
};
use crate::{
    alerts::Channel as _,
    config::{Channel, Config, KEYS, Sources},
    telemetry::{Exporter, ServerFigures, Settings, Source, TargetFigures, TargetIdentity},
};

/// How long the end may wait for a collector.
const STOP: Duration = Duration::from_secs(5);

/// What was given to this process from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Given {
    /// Variables of the environment.
    variables: BTreeMap<String, String>,
    /// Keys set by flags.
    flags: Vec<String>,
}

impl Given {
    pub(super) fn of(sources: &Sources) -> Self {
        let variables = sources.variables.iter().filter_map(|(name, value)| {
            let (name, value) = (name.to_str()?, value.to_str()?);
            Some((name.to_owned(), value.to_owned()))
        });
        let flags = sources.flags.iter().map(|(_, key, _)| key.clone());
        Self {
            variables: variables.collect(),
            flags: flags.collect(),
        }
    }

    /// Whether a key was set by a flag or by its own variable.
    fn sets(&self, name: &str) -> bool {
        let key = KEYS.iter().find(|key| key.name == name);
        self.flags.iter().any(|flag| flag == name)
            || key.is_some_and(|key| self.variables.contains_key(&key.variable()))
    }
}

struct Followed {
    /// Since when.
    began: SystemTime,
    tick: Arc<Tick>,
    #[cfg_attr(
        not(feature = "otlp-profiles"),
        expect(dead_code, reason = "asked for profiles only")
    )]
    target: Arc<Target>,
}

/// What the exporter asks.
#[derive(Default)]
struct Board {
    followed: Mutex<BTreeMap<u64, Followed>>,
    /// Active alerts: warning, alert, critical.
    alerts: [AtomicU64; 3],
}

impl Board {
    fn followed(&self) -> MutexGuard<'_, BTreeMap<u64, Followed>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named(identity: &Identity) -> TargetIdentity {
    let file = identity.region.file_name().unwrap_or_default();
    TargetIdentity {
        pid: identity.pid,
        process: identity.process.clone(),
        region: file.to_string_lossy().into_owned(),
        executable: identity
            .executable
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned()),
    }
}

impl Source for Board {
    fn targets(&self) -> Vec<TargetFigures> {
        let followed = self.followed();
        let figures = followed.values().map(|of| {
            let mut figures = of.tick.figures.clone();
            // Over the last minutes, as alerts have it.
            figures.rates.growth_bytes_per_second = of.tick.growth_bytes_per_second;
            TargetFigures {
                identity: named(&of.tick.identity),
                began: of.began,
                at: of.tick.at,
                figures,
                shapes: of.tick.shapes,
            }
        });
        figures.collect()
    }

    fn server(&self) -> ServerFigures {
        let [warning, alert, critical] = &self.alerts;
        let words = [
            ("warning", warning),
            ("alert", alert),
            ("critical", critical),
        ];
        ServerFigures {
            targets: self.followed().len() as u64,
            // Relaxed: figures of their own.
            alerts: words
                .map(|(word, count)| (word, count.load(Ordering::Relaxed)))
                .into(),
        }
    }

    #[cfg(feature = "otlp-profiles")]
    fn captures(&self) -> Vec<(TargetIdentity, Arc<riptide_reader::export::Capture>)> {
        let targets: Vec<Arc<Target>> = {
            let followed = self.followed();
            followed.values().map(|of| Arc::clone(&of.target)).collect()
        };
        let captured = targets
            .iter()
            .map(|target| (named(target.identity()), target.capture()));
        captured.collect()
    }
}

/// The exporter, fed by ticks.
pub(super) struct Exporting {
    board: Arc<Board>,
    exporter: Arc<Exporter>,
    given: Given,
    settings: RwLock<Settings>,
}

impl Exporting {
    /// Starts the exporter's thread.
    pub(super) fn start(config: &Config, given: Given) -> io::Result<Self> {
        let board = Arc::new(Board::default());
        let settings = settings_of(config, &given);
        let source = Arc::clone(&board) as Arc<dyn Source>;
        Ok(Self {
            board,
            exporter: Arc::new(Exporter::start(settings.clone(), source)?),
            given,
            settings: RwLock::new(settings),
        })
    }

    /// As a channel of alerts.
    pub(super) fn exporter(&self) -> &Arc<Exporter> {
        &self.exporter
    }

    /// How many alerts are active: warning, alert, critical.
    pub(super) fn show_alerts(&self, counts: [u64; 3]) {
        for (shown, count) in self.board.alerts.iter().zip(counts) {
            // Relaxed: a figure of its own.
            shown.store(count, Ordering::Relaxed);
        }
    }
}

fn settings_of(config: &Config, given: &Given) -> Settings {
    let with_logs = config.alerts.channels.contains(&Channel::Otlp);
    let is_firm = |name: &str| given.sets(name);
    let variable = |name: &str| given.variables.get(name).cloned();
    let settings = Settings::of(&config.telemetry, with_logs, is_firm, variable);
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    if config.telemetry.profiles && !cfg!(feature = "otlp-profiles") {
        tracing::warn!(
            "telemetry.profiles is set and this riptide was built without the feature otlp-profiles"
        );
    }
    settings
}

impl Observer for Exporting {
    fn tick(&self, target: &Arc<Target>, tick: &Arc<Tick>) {
        let mut followed = self.board.followed();
        let known = followed
            .entry(tick.identity.id)
            .or_insert_with(|| Followed {
                began: tick.at,
                tick: Arc::clone(tick),
                target: Arc::clone(target),
            });
        known.tick = Arc::clone(tick);
    }

    fn gone(&self, _: &Arc<Target>, last: &Arc<Tick>) {
        self.board.followed().remove(&last.identity.id);
    }

    fn reload(&self, config: &Arc<Config>) {
        let settings = settings_of(config, &self.given);
        let mut known = self
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // Connections that are right are kept.
        if *known != settings {
            known.clone_from(&settings);
            self.exporter.configure(settings);
        }
    }

    fn stop(&self) {
        self.exporter.stop(Instant::now() + STOP);
    }

    fn metrics(&self) -> Vec<OwnMetric> {
        let stats = self.exporter.stats();
        let mut series = Vec::new();
        for (signal, counts) in [
            ("metrics", &stats.metrics),
            ("logs", &stats.logs),
            ("profiles", &stats.profiles),
        ] {
            for (outcome, count) in [("exported", counts.exported), ("failed", counts.failed)] {
                let labels = vec![
                    ("signal", signal.to_owned()),
                    ("outcome", outcome.to_owned()),
                ];
                series.push((labels, count as f64));
            }
        }
        vec![OwnMetric {
            name: "riptide_otlp_exports",
            help: "Requests to the OTLP endpoint, by signal and outcome.",
            is_counter: true,
            series,
        }]
    }
}
