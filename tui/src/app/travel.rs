//! Time travel: which moment of the past is shown, and how much of it charts show.

use std::{collections::VecDeque, sync::Arc};

use super::{App, Picture, Request};
use crate::{feed::Command, look::Parts};

/// Spans of time that charts can show, in seconds.
const WINDOWS: [f64; 10] = [
    30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 172_800.0,
];
/// The widest that is chosen without being asked for.
const WIDEST_BY_ITSELF: usize = 4;
/// Moments of the past whose parts are kept, and the least time between two.
const KEPT_MAX: usize = 16;
const KEPT_SECONDS: f64 = 10.0;
/// Sites that these moments have in all: the parts of 20,000 sites are tens of megabytes.
const KEPT_SITES: usize = 60_000;
/// However many sites there are, one can go back to a beginning and to a little while ago.
const KEPT_MIN: usize = 3;
/// Steps of a key across a chart.
const STEPS: f64 = 60.0;

/// What was made beside a snapshot.
#[derive(Debug)]
struct Kept {
    at_seconds: f64,
    parts: Parts,
}

/// Where in the past the picture is.
#[derive(Debug, Default)]
pub struct Travel {
    picture: Option<Picture>,
    /// Parts of past moments, oldest first.
    kept: VecDeque<Kept>,
    /// Index of the window that was chosen.
    zoom: Option<usize>,
    /// A range that was dragged.
    range: Option<(f64, f64)>,
}

impl Travel {
    /// The picture of the past, while one is shown.
    #[must_use]
    pub fn picture(&self) -> Option<&Picture> {
        self.picture.as_ref()
    }

    /// When it was.
    #[must_use]
    pub fn at_seconds(&self) -> Option<f64> {
        self.picture.as_ref().map(|picture| picture.at_seconds)
    }

    /// Puts the whole picture of a recording in place of the short one.
    pub(super) fn replace(&mut self, whole: &Picture) {
        if let Some(picture) = &mut self.picture {
            picture.snapshot = Arc::clone(&whole.snapshot);
            picture.parts = whole.parts.clone();
        }
    }

    /// Keeps what was made beside a snapshot, so that all screens can be shown of then.
    pub(super) fn keep(&mut self, picture: &Picture) {
        let at = picture.at_seconds;
        if let Some(last) = self.kept.back()
            && at - last.at_seconds < KEPT_SECONDS
        {
            return;
        }
        self.kept.push_back(Kept {
            at_seconds: at,
            parts: picture.parts.clone(),
        });
        let sites = picture.snapshot.sites.len().max(1);
        let most = (KEPT_SITES / sites).clamp(KEPT_MIN, KEPT_MAX);
        while self.kept.len() > most {
            // Of neighbours the closest give way, the older ones sooner: the past is kept more coarsely.
            let cost = |index: &usize| {
                let time = |index: usize| self.kept.get(index).map_or(0.0, |of| of.at_seconds);
                (time(index + 1) - time(index - 1)) / (at - time(*index)).max(1.0)
            };
            let closest = (1..self.kept.len() - 1).min_by(|a, b| cost(a).total_cmp(&cost(b)));
            match closest {
                Some(closest) => self.kept.remove(closest),
                None => break,
            };
        }
    }

    /// The kept parts nearest to a moment.
    fn kept_near(&self, at: f64) -> Option<&Kept> {
        let distance = |kept: &&Kept| (kept.at_seconds - at).abs();
        self.kept
            .iter()
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
    }
}

impl App {
    /// From when to when charts show: what was chosen, or all there is up to a quarter of an hour.
    #[must_use]
    pub fn chart_range(&self) -> (f64, f64) {
        if let Some(range) = self.travel.range {
            return range;
        }
        let shown = self.picture().map_or(0.0, |picture| picture.at_seconds);
        let (first, last) = self.history.span().unwrap_or((shown, shown));
        // The chart of a held picture stands still.
        let end = match &self.held {
            Some(held) if self.travel.picture.is_none() => held.at_seconds,
            _ => last,
        };
        let by_itself = || {
            let fits = WINDOWS.iter().position(|window| *window >= end - first);
            match self.recording {
                Some(_) => fits.unwrap_or(WINDOWS.len() - 1),
                None => fits.unwrap_or(WIDEST_BY_ITSELF).min(WIDEST_BY_ITSELF),
            }
        };
        let zoom = self.travel.zoom.unwrap_or_else(by_itself);
        let window = WINDOWS.get(zoom).copied().unwrap_or(900.0);
        let start = end - window;
        if shown < start {
            let start = shown - window * 0.1;
            return (start, start + window);
        }
        (start, end)
    }

    /// Goes so many steps through the past; true when the picture is another one.
    pub(super) fn travel_by(&mut self, steps: f64) -> bool {
        let (start, end) = self.chart_range();
        let step = ((end - start) / STEPS).max(1.0);
        let Some(shown) = self.picture().map(|picture| picture.at_seconds) else {
            return false;
        };
        let Some((first, last)) = self.history.span() else {
            return false;
        };
        let to = shown + steps * step;
        if to >= last - 0.5 {
            return self.travel_to_now();
        }
        if shown <= first && steps < 0.0 {
            return false;
        }
        self.travel_to(to.max(first))
    }

    /// Shows the moment nearest to a time.
    pub(super) fn travel_to(&mut self, at: f64) -> bool {
        let Some(live) = &self.live else {
            return false;
        };
        let Some(moment) = self.history.nearest(at) else {
            return false;
        };
        let at_seconds = moment.at_seconds;
        let snapshot = Arc::new(self.history.snapshot(moment, &live.snapshot));
        let parts = match self.travel.kept_near(at_seconds) {
            Some(kept) if self.recording.is_none() => kept.parts.clone(),
            _ => live.parts.clone(),
        };
        if self.recording.is_some() {
            self.requests.push(Request::Feed(Command::Seek(at_seconds)));
        }
        self.travel.picture = Some(Picture {
            snapshot,
            parts,
            at_seconds,
        });
        true
    }

    /// Shows the present again, or the end of the recording.
    pub(super) fn travel_to_now(&mut self) -> bool {
        let was = self.travel.picture.take().is_some();
        let had_range = self.travel.range.take().is_some();
        if was && let Some(length) = self.recording {
            self.requests.push(Request::Feed(Command::Seek(length)));
        }
        was || had_range
    }

    /// When what is shown beside the figures of the past was made, if not then.
    #[must_use]
    pub fn parts_are_of(&self) -> Option<f64> {
        let picture = self.travel.picture.as_ref()?;
        if self.recording.is_some() {
            return None;
        }
        let kept = self.travel.kept_near(picture.at_seconds)?;
        let off = kept.at_seconds - picture.at_seconds;
        (off.abs() >= 1.0).then_some(off)
    }

    /// Makes charts show a shorter or a longer time.
    pub(super) fn zoom_chart(&mut self, closer: bool) -> bool {
        let (start, end) = self.chart_range();
        self.travel.range = None;
        let window = end - start;
        let now = WINDOWS.iter().position(|of| *of >= window - 0.5);
        let now = now.unwrap_or(WINDOWS.len() - 1);
        let next = if closer {
            now.saturating_sub(1)
        } else {
            (now + 1).min(WINDOWS.len() - 1)
        };
        let changed = self.travel.zoom != Some(next);
        self.travel.zoom = Some(next);
        changed
    }

    /// Makes charts show a range that was dragged.
    pub(super) fn show_range(&mut self, from: f64, to: f64) -> bool {
        let (from, to) = if from <= to { (from, to) } else { (to, from) };
        if to - from < 2.0 {
            return false;
        }
        self.travel.range = Some((from, to));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn kept_of(sites: usize) -> Vec<f64> {
        let mut snapshot = sample::snapshot();
        let site = snapshot.sites[0].clone();
        snapshot.sites.resize(sites, site);
        let snapshot = Arc::new(snapshot);
        let mut travel = Travel::default();
        for second in 0..2_000 {
            travel.keep(&Picture {
                snapshot: Arc::clone(&snapshot),
                parts: Parts::default(),
                at_seconds: f64::from(second),
            });
        }
        travel.kept.iter().map(|kept| kept.at_seconds).collect()
    }

    #[test]
    fn less_of_the_past_is_kept_the_more_sites_there_are() {
        let few = kept_of(20);
        assert_eq!(few.len(), KEPT_MAX);
        let many = kept_of(20_000);
        assert_eq!(many.len(), KEPT_MIN);
        for kept in [few, many] {
            // From the beginning to now, more closely the younger.
            assert_eq!(kept.first(), Some(&0.0));
            assert_eq!(kept.last(), Some(&1_990.0));
            assert!(kept.is_sorted());
        }
    }
}
