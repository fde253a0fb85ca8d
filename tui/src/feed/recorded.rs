//! A recording as a target: once through it for the history, then one moment at a time.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use riptide_reader::{
    ReaderError,
    profile::Snapshot,
    recording::{Replay, Span},
};

use super::{Update, parts::Maker};
use crate::app::History;

/// Moments that the history of a recording is made of at most: each costs a snapshot.
const MOMENTS_MAX: f64 = 600.0;

/// An open recording at one of its moments.
pub(super) struct Recorded {
    path: PathBuf,
    pub(super) replay: Replay,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) maker: Maker,
    length: f64,
    is_shown: bool,
}

impl Recorded {
    /// Reads the whole; the moment is the last one.
    pub(super) fn open(path: &Path, maker: Maker) -> Result<(Self, History, f64), ReaderError> {
        let mut history = History::default();
        let mut next = 0.0;
        let replay = Replay::play(path, None, &mut |replay| {
            let moment = replay.moment().as_secs_f64();
            if moment < next {
                return;
            }
            next = moment + (replay.length().as_secs_f64() / MOMENTS_MAX).max(0.9);
            replay.name_stacks();
            history.record(moment, &Arc::new(replay.snapshot()));
        })?;
        let length = replay.length().as_secs_f64();
        let mut recorded = Self {
            path: path.to_owned(),
            replay,
            snapshot: Arc::default(),
            maker,
            length,
            is_shown: false,
        };
        recorded.look();
        Ok((recorded, history, length))
    }

    pub(super) fn is_of(&self, path: &Path) -> bool {
        self.path == path
    }

    pub(super) fn show_again(&mut self) {
        self.is_shown = false;
    }

    pub(super) fn is_done(&self) -> bool {
        self.is_shown && self.maker.is_complete()
    }

    fn look(&mut self) {
        let mut snapshot = self.replay.snapshot();
        // It is followed by this name.
        snapshot.target.region.clone_from(&self.path);
        self.replay.show_to(&mut self.maker.advisor, &snapshot);
        self.maker.watch(&snapshot);
        self.snapshot = Arc::new(snapshot);
        self.maker.make_anew(None);
        self.is_shown = false;
    }

    /// Goes to a moment.
    pub(super) fn seek(&mut self, seconds: f64) -> Result<(), ReaderError> {
        let at = Duration::from_secs_f64(seconds.clamp(0.0, self.length));
        self.replay = Replay::open(&self.path, Some(at), Span::Past)?;
        self.look();
        Ok(())
    }

    pub(super) fn step(&mut self, send: &impl Fn(Update) -> bool) -> bool {
        if !self.is_shown {
            self.is_shown = true;
            return send(Update::Snapshot(Arc::clone(&self.snapshot)));
        }
        if !self.maker.is_complete() && self.maker.make_one(&mut self.replay, &self.snapshot) {
            return send(Update::Parts(self.path.clone(), self.maker.parts.clone()));
        }
        true
    }
}
