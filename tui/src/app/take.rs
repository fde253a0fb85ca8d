//! News from the feed.

use std::{path::PathBuf, sync::Arc};

use riptide_reader::profile::Snapshot;

use super::{App, Exit, History, Picture, Screen, SitesState, mode};
use crate::{
    feed::{Command, Target, Update},
    look::Parts,
};

use super::Request;

impl App {
    /// Takes news from the feed in; true when the screen has to be drawn.
    pub fn update(&mut self, update: Update, now_seconds: f64) -> bool {
        let drawn = match update {
            Update::Targets(targets) => self.take_targets(targets),
            Update::Snapshot(snapshot) => self.take_snapshot(snapshot, now_seconds),
            Update::Parts(region, parts) => self.take_parts(&region, parts),
            Update::Trouble(trouble) => {
                let new = self.trouble.as_ref() != Some(&trouble);
                self.trouble = Some(trouble);
                new
            }
            Update::Restarted(info) => {
                self.successor = Some(info);
                true
            }
            Update::Recording(history, length) => {
                self.history = *history;
                self.recording = Some(length);
                false
            }
            Update::Excerpt(excerpt) => {
                let new = self.excerpt.as_ref() != Some(&excerpt);
                self.excerpt = Some(excerpt);
                new && self.screen == Screen::Detail
            }
            Update::Done(outcome) => {
                match outcome {
                    Ok(text) => self.say(text),
                    Err(text) => self.complain(text),
                }
                true
            }
            Update::Died => {
                self.exit = Some(Exit::Failed);
                false
            }
        };
        self.settle();
        drawn
    }

    fn take_targets(&mut self, targets: Vec<Target>) -> bool {
        if self.screen != Screen::Picker {
            return false;
        }
        let selected = self
            .targets
            .get(self.picker.selected)
            .map(|target| target.info.region.clone());
        let changed = !same_targets(&self.targets, &targets);
        self.targets = targets;
        // The selection stays with its target when others come and go.
        if let Some(at) = self
            .targets
            .iter()
            .position(|target| Some(&target.info.region) == selected.as_ref())
        {
            self.picker.selected = at;
        }
        if !self.picked
            && let [only] = self.targets.as_slice()
        {
            let region = only.info.region.clone();
            self.follow(region);
            return true;
        }
        changed
    }

    fn take_snapshot(&mut self, snapshot: Arc<Snapshot>, now_seconds: f64) -> bool {
        if self.following.as_ref() != Some(&snapshot.target.region) {
            // From a target that was left in the meantime.
            return false;
        }
        let before = self.mode();
        let parts = self
            .live
            .take()
            .map(|picture| picture.parts)
            .unwrap_or_default();
        if self.recording.is_some() {
            return self.take_recorded(snapshot, parts);
        }
        let changed = self.mode.observe(&snapshot, now_seconds);
        self.history.record(now_seconds, &snapshot);
        self.live = Some(Picture {
            snapshot,
            parts,
            at_seconds: now_seconds,
        });
        if self.held.is_some() || self.travel.picture().is_some() || self.screen == Screen::Picker {
            return false;
        }
        changed || before != self.mode()
    }

    /// A moment of the recording, whole, in place of what was known of it in short.
    fn take_recorded(&mut self, snapshot: Arc<Snapshot>, parts: Parts) -> bool {
        let end = self.history.span().map_or(0.0, |(_, end)| end);
        let at_seconds = self.travel.at_seconds().unwrap_or(end);
        let picture = Picture {
            snapshot,
            parts,
            at_seconds,
        };
        self.travel.replace(&picture);
        self.live = Some(picture);
        self.screen != Screen::Picker
    }

    fn take_parts(&mut self, region: &std::path::Path, parts: Parts) -> bool {
        if self.following.as_deref() != Some(region) {
            return false;
        }
        let is_quiet = self.mode.is_quiet() && self.recording.is_none();
        let Some(live) = &mut self.live else {
            return false;
        };
        // Of a target in which nothing happens only ages would change.
        let is_first = is_new(&live.parts, &parts);
        live.parts = parts;
        if self.recording.is_some() {
            let picture = live.clone();
            self.travel.replace(&picture);
            return true;
        }
        self.travel.keep(live);
        let elsewhere = self.held.is_some() || self.travel.picture().is_some();
        let shown = !elsewhere && !matches!(self.screen, Screen::Picker);
        shown && (is_first || !is_quiet)
    }

    /// Follows a target from now on, or goes back to the one that was followed.
    pub(super) fn follow(&mut self, region: PathBuf) {
        if self.following.as_ref() != Some(&region) || self.trouble.is_some() {
            self.live = None;
            self.held = None;
            self.mode = mode::Tracker::default();
            self.sites = SitesState {
                hidden: std::mem::take(&mut self.sites.hidden),
                ..SitesState::default()
            };
            self.overview = super::ListCursor::default();
            self.flame = super::FlameState::default();
            self.base = None;
            self.history = History::default();
            self.travel = super::Travel::default();
            self.recording = None;
        }
        self.successor = None;
        self.trouble = None;
        self.picked = true;
        self.following = Some(region.clone());
        self.screen = Screen::Overview;
        self.requests.push(Request::Feed(Command::Attach(region)));
    }
}

fn alert_ids(parts: &Parts) -> Vec<(&str, crate::alerts::Severity)> {
    let active = parts.alerts.as_ref().map(|alerts| alerts.active.iter());
    active
        .into_iter()
        .flatten()
        .map(|of| (of.alert.id.as_str(), of.alert.severity))
        .collect()
}

/// Whether something is there that was not before.
fn is_new(old: &Parts, new: &Parts) -> bool {
    old.findings.is_none() && new.findings.is_some()
        || old.functions.is_none() && new.functions.is_some()
        || old.crates.is_none() && new.crates.is_some()
        || old.threads.is_none() && new.threads.is_some()
        || old.shape.is_none() && new.shape.is_some()
        || old.jemalloc.is_none() && new.jemalloc.is_some()
        || alert_ids(old) != alert_ids(new)
        || old.flame.is_none() && new.flame.is_some()
        || old.findings.as_ref().map(|findings| findings.ignored.len())
            != new.findings.as_ref().map(|findings| findings.ignored.len())
        || old.inspected.as_ref().map(|of| &of.key) != new.inspected.as_ref().map(|of| &of.key)
}

/// Whether two lists look the same, ages aside.
fn same_targets(left: &[Target], right: &[Target]) -> bool {
    let look = |target: &Target| {
        (
            target.info.region.clone(),
            target.info.state,
            target.trouble.clone(),
            target.info.uptime_seconds.map(|seconds| seconds as u64),
        )
    };
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|(left, right)| look(left) == look(right))
}
