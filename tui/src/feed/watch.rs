//! The rules of alerts over the target that is shown: the same engine as that of `riptide serve`, which
//! here speaks to the screen alone.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use riptide_reader::profile::{Site, Snapshot};

use crate::{
    alerts::{Engine, Now, Reading, Rules, SiteEvidence, TargetName, Timing, VerdictReading},
    look::{Alerts, Findings, is_listed},
};

/// Sites that an alert points at.
const EVIDENCE_SITES: usize = 5;

/// What the rules are and how they speak.
#[derive(Clone, Debug, Default)]
pub struct AlertSettings {
    /// The rules.
    pub rules: Rules,
    /// Cooldown and the like.
    pub timing: Timing,
    /// Where `riptide serve` with the same configuration would send them.
    pub channels: Vec<String>,
    /// Why the defaults are in force, if the configuration cannot be used.
    pub problem: Option<String>,
}

/// The rules and what is known by them.
pub(super) struct Watchman {
    engine: Engine,
    settings: AlertSettings,
    began: Instant,
}

impl Watchman {
    pub(super) fn new(settings: AlertSettings) -> Self {
        Self {
            engine: Engine::new(settings.rules.clone(), settings.timing),
            settings,
            began: Instant::now(),
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic: self.began.elapsed(),
            unix: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }

    /// Lets the rules look at a moment; true when an alert began, ended or got worse.
    pub(super) fn look(&mut self, snapshot: &Snapshot, findings: Option<&Findings>) -> bool {
        let before = self.engine.changes();
        let now = self.now();
        self.engine.observe(now, reading(snapshot, findings));
        for region in self.engine.wanting_evidence(now) {
            let sites = growing(snapshot)
                .into_iter()
                .map(SiteEvidence::from)
                .collect();
            self.engine.give_evidence(now, &region, sites, None);
        }
        // Said to nobody but the screen, which shows what is active; it starts the cooldowns.
        self.engine.speak(now);
        self.engine.changes() != before
    }

    /// What is active and what was.
    pub(super) fn alerts(&self) -> Arc<Alerts> {
        let now = self.now();
        Arc::new(Alerts {
            active: self.engine.active(now),
            history: self.engine.history().cloned().collect(),
            channels: self.settings.channels.clone(),
            problem: self.settings.problem.clone(),
            unix_now: now.unix,
        })
    }
}

fn growing(snapshot: &Snapshot) -> Vec<&Site> {
    let mut sites = crate::app::growing(&snapshot.sites);
    if sites.is_empty() {
        sites.extend(&snapshot.sites);
    }
    sites.truncate(EVIDENCE_SITES);
    sites
}

fn reading(snapshot: &Snapshot, findings: Option<&Findings>) -> Reading {
    let memory = &snapshot.memory;
    let growth = snapshot.rates.growth_bytes_per_second;
    let loss = &snapshot.loss;
    let share = |lost: u64| {
        let all = (lost + snapshot.sampling.samples) as f64;
        if all > 0.0 { lost as f64 / all } else { 0.0 }
    };
    let records = loss.overwritten + loss.dropped + loss.torn;
    let list = findings.map(|findings| findings.list.as_slice());
    Reading {
        target: TargetName {
            pid: snapshot.target.pid,
            process: snapshot.target.name.clone(),
            region: snapshot.target.region.to_string_lossy().into_owned(),
        },
        live: snapshot.live.bytes,
        rss: memory.rss,
        cgroup_limit: memory.cgroup_limit,
        cgroup_in_use: memory.cgroup_in_use(),
        allocated: memory.allocated,
        active: memory.active,
        growth_bytes_per_second: growth,
        time_to_limit_seconds: growth
            .zip(memory.cgroup_headroom())
            .and_then(|(growth, headroom)| growth.time_to_use_up(headroom as f64)),
        lost_share: share(records).max(share(loss.unrecorded_blocks)),
        unrecorded_blocks: loss.unrecorded_blocks,
        verdicts: list
            .unwrap_or_default()
            .iter()
            // Of thousands of healthy sites, which come last, no rule has anything to say.
            .take_while(|finding| is_listed(finding))
            .map(VerdictReading::from)
            .collect(),
        sites: growing(snapshot)
            .into_iter()
            .map(SiteEvidence::from)
            .collect(),
        snapshot: None,
    }
}

/// How long ago a time since the Unix epoch was.
pub(crate) fn ago(now: Duration, then: Duration) -> f64 {
    now.saturating_sub(then).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{alerts::Levels, sample};

    #[test]
    fn a_level_above_its_threshold_is_active_and_has_evidence() {
        let mut settings = AlertSettings::default();
        settings.rules.bytes = Levels::scaled([1.0, 2.0, 0.0], 1e6);
        settings.timing.group_wait = Duration::ZERO;
        let mut watchman = Watchman::new(settings);
        let snapshot = sample::snapshot();
        let parts = sample::parts(&snapshot);
        for _ in 0..3 {
            watchman.look(&snapshot, parts.findings.as_deref());
        }
        let alerts = watchman.alerts();
        assert!(!alerts.active.is_empty());
        let first = &alerts.active[0].alert;
        assert!(first.value > first.threshold);
        assert!(!first.evidence.sites.is_empty(), "{first:?}");
    }
}
