//! Makes what the screens show beside the snapshot, each part no more often than it is worth: what
//! is looked at takes at most a twelfth of one core, the rest together a few per cent.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use riptide_reader::{
    advise::Advisor,
    leak::Suppressions,
    profile::{Group, GroupBy, Site, Snapshot},
};

use super::{
    source::Source,
    watch::{AlertSettings, Watchman},
};
use crate::{
    app::SiteKey,
    flame::Tree,
    look::{Findings, Inspected, Jemalloc, Parts, Thread},
};

/// A part that is made at a time of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Verdicts.
    Findings,
    /// By function.
    Functions,
    /// By crate.
    Crates,
    /// By thread.
    Threads,
    /// Sizes and lifetimes.
    Shape,
    /// jemalloc.
    Jemalloc,
    /// The tree of stacks.
    Flame,
    /// Alerts.
    Alerts,
    /// The site asked for.
    Inspected,
}

impl Part {
    const ALL: [Self; 9] = [
        Self::Findings,
        Self::Alerts,
        Self::Inspected,
        Self::Flame,
        Self::Functions,
        Self::Crates,
        Self::Threads,
        Self::Shape,
        Self::Jemalloc,
    ];
}

/// Least time between two makings of a part that is looked at, and of others.
const LOOKED_AT: Duration = Duration::from_millis(900);
const OTHERS: Duration = Duration::from_secs(5);
/// The same as multiples of what the last making took.
const LOOKED_AT_TIMES: u32 = 30;
const OTHERS_TIMES: u32 = 300;

#[derive(Clone, Copy, Debug)]
struct Made {
    at: Instant,
    took: Duration,
}

/// What is made, and when.
pub(super) struct Maker {
    pub(super) parts: Parts,
    pub(super) suppressions: Suppressions,
    pub(super) advisor: Advisor,
    watchman: Watchman,
    pub(super) wanted: Option<Part>,
    pub(super) inspect: Option<SiteKey>,
    made: [Option<Made>; Part::ALL.len()],
}

impl Maker {
    pub(super) fn new(suppressions: Suppressions, alerts: AlertSettings) -> Self {
        Self {
            parts: Parts::default(),
            suppressions,
            advisor: Advisor::default(),
            watchman: Watchman::new(alerts),
            wanted: None,
            inspect: None,
            made: [None; Part::ALL.len()],
        }
    }

    /// Lets the rules of alerts look at a snapshot; what is new with them is due at once.
    pub(super) fn watch(&mut self, snapshot: &Snapshot) {
        let findings = self.parts.findings.as_deref();
        if self.watchman.look(snapshot, findings) {
            self.make_anew(Some(Part::Alerts));
        }
    }

    /// Forgets when parts were made: all are due.
    pub(super) fn make_anew(&mut self, part: Option<Part>) {
        for (slot, of) in self.made.iter_mut().zip(Part::ALL) {
            if part.is_none_or(|part| part == of) {
                *slot = None;
            }
        }
    }

    /// Whether every part was made since [`Maker::make_anew`].
    pub(super) fn is_complete(&self) -> bool {
        let mut parts = self.made.iter().zip(Part::ALL);
        parts
            .all(|(made, part)| made.is_some() || part == Part::Inspected && self.inspect.is_none())
    }

    fn is_due(&self, part: Part, now: Instant) -> bool {
        let made = Part::ALL.iter().position(|of| *of == part);
        let made = made.and_then(|at| self.made.get(at)).copied().flatten();
        let Some(made) = made else {
            return part != Part::Inspected || self.inspect.is_some();
        };
        let looked_at = self.wanted == Some(part) || part == Part::Inspected;
        let (least, times) = if looked_at {
            (LOOKED_AT, LOOKED_AT_TIMES)
        } else {
            (OTHERS, OTHERS_TIMES)
        };
        let wait = least.max(made.took.saturating_mul(times));
        now.saturating_duration_since(made.at) >= wait
    }

    /// Makes the part that is looked at when it is due, or else one other; true when one was made.
    pub(super) fn make_one(&mut self, source: &mut dyn Source, snapshot: &Snapshot) -> bool {
        let now = Instant::now();
        let wanted = self.wanted.filter(|part| self.is_due(*part, now));
        let others = || Part::ALL.into_iter().find(|part| self.is_due(*part, now));
        let Some(part) = wanted.or_else(others) else {
            return false;
        };
        self.make(part, source, snapshot);
        let made = Made {
            at: now,
            took: now.elapsed(),
        };
        for (slot, of) in self.made.iter_mut().zip(Part::ALL) {
            if of == part {
                *slot = Some(made);
            }
        }
        true
    }

    fn make(&mut self, part: Part, source: &mut dyn Source, snapshot: &Snapshot) {
        let parts = &mut self.parts;
        match part {
            Part::Findings => {
                let (ignored, list) = source
                    .findings()
                    .into_iter()
                    .partition(|finding| self.suppressions.silence(&finding.stack));
                let watched = source.watched_seconds();
                parts.findings = Some(Arc::new(Findings::new(list, ignored, watched)));
            }
            Part::Functions => parts.functions = Some(groups(source, GroupBy::Function)),
            Part::Crates => parts.crates = Some(groups(source, GroupBy::Crate)),
            Part::Threads => {
                let names = source.thread_names();
                let threads: Arc<[Thread]> = source
                    .model()
                    .threads(source.observation())
                    .into_iter()
                    .map(|profile| Thread {
                        name: names.get(&profile.id).cloned(),
                        profile,
                    })
                    .collect();
                parts.thread_rows = Some(threads.iter().map(thread_row).collect());
                parts.threads = Some(threads);
            }
            Part::Shape => {
                let shape = source.model().heap_shape(source.observation());
                parts.shape = Some(Arc::new(shape));
            }
            Part::Jemalloc => {
                let status = &source.observation().status;
                let (arenas, epoch_ns) = (status.arenas, status.epoch_ns);
                parts.jemalloc = Some(Arc::new(Jemalloc {
                    arenas,
                    epoch_seconds: epoch_ns.map(|ns| ns as f64 / 1e9),
                    rows: source.rows(snapshot),
                    fragmentation: source.fragmentation(),
                    advice: source.advice(&self.advisor),
                    options: source.jemalloc_options(),
                }));
            }
            Part::Flame => {
                let (stacks, growth) = source.stacks();
                parts.flame = Some(Arc::new(Tree::of(&stacks, &growth)));
            }
            Part::Alerts => parts.alerts = Some(self.watchman.alerts()),
            Part::Inspected => {
                parts.inspected = self.inspect.as_ref().map(|key| {
                    Arc::new(Inspected {
                        inspection: source.model().inspect(
                            source.observation(),
                            &key.function,
                            key.file.as_deref(),
                            key.line,
                        ),
                        key: key.clone(),
                    })
                });
            }
        }
    }
}

fn groups(source: &dyn Source, by: GroupBy) -> Arc<[Site]> {
    let groups = source.model().groups(source.observation(), by);
    groups.into_iter().map(group_row).collect()
}

fn group_row(group: Group) -> Site {
    Site {
        function: group.name,
        file: None,
        line: None,
        live_bytes: group.live_bytes,
        live_objects: group.live_objects,
        allocated_bytes_total: group.allocated_bytes_total.unwrap_or_default(),
        growth_bytes_per_second: group.growth_bytes_per_second,
        allocations_per_second: group.allocations_per_second,
        median_age_seconds: group.median_age_seconds,
        live_samples: group.live_samples,
        stack: group.stack,
    }
}

fn thread_row(thread: &Thread) -> Site {
    let profile = &thread.profile;
    Site {
        function: thread.title(),
        live_bytes: profile.live_bytes,
        live_objects: profile.live_objects,
        median_age_seconds: profile.median_age_seconds,
        live_samples: profile.live_samples,
        stack: Arc::clone(&profile.stack),
        ..Site::default()
    }
}
