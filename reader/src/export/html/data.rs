//! What the page's script draws: every stack once, over shared frames, and the past.

use std::collections::HashMap;

use serde::Serialize;

use super::super::{Capture, Metric, plain};
use crate::profile::Frame;

#[derive(Serialize)]
pub(super) struct Data {
    /// Shown first.
    metric: &'static str,
    names: Vec<String>,
    files: Vec<String>,
    /// Name, file or -1, line or 0, whether inlined.
    frames: Vec<(usize, i64, u32, u8)>,
    stacks: Vec<Row>,
    /// Milliseconds since the Unix epoch, live bytes, bytes allocated so far.
    history: Vec<(i64, u64, u64)>,
}

/// Frames from the leaf, the site's place among them, and the five metrics.
#[derive(Serialize)]
struct Row(Vec<usize>, usize, u64, u64, u64, u64, Option<i64>);

/// Numbers for texts that repeat.
#[derive(Default)]
struct Numbered {
    texts: Vec<String>,
    places: HashMap<String, usize>,
}

impl Numbered {
    fn number(&mut self, text: &str) -> usize {
        let text = plain(text);
        if let Some(place) = self.places.get(&text) {
            return *place;
        }
        let place = self.texts.len();
        self.texts.push(text.clone());
        self.places.insert(text, place);
        place
    }
}

impl Data {
    pub(super) fn of(capture: &Capture, metric: Metric) -> Self {
        let (mut names, mut files) = (Numbered::default(), Numbered::default());
        let mut frames = Vec::new();
        let mut places: HashMap<Frame, usize> = HashMap::new();
        let stacks = capture
            .stacks
            .iter()
            .enumerate()
            .map(|(place, stack)| {
                let growth = capture.growth.get(place);
                let path = stack.frames.iter().map(|frame| {
                    if let Some(place) = places.get(frame) {
                        return *place;
                    }
                    let file = frame.file.as_deref().map(|file| files.number(file));
                    frames.push((
                        names.number(&frame.function),
                        file.and_then(|file| i64::try_from(file).ok()).unwrap_or(-1),
                        frame.line.unwrap_or(0),
                        u8::from(frame.inlined),
                    ));
                    places.insert(frame.clone(), frames.len() - 1);
                    frames.len() - 1
                });
                Row(
                    path.collect(),
                    stack.leaf,
                    Metric::LiveBytes.of(stack),
                    Metric::LiveObjects.of(stack),
                    Metric::AllocatedBytes.of(stack),
                    Metric::AllocatedObjects.of(stack),
                    growth.map(|growth| growth.round() as i64),
                )
            })
            .collect();
        let newest_ns = capture.history.last().map_or(0, |point| point.time_ns);
        let history = capture.history.iter().map(|point| {
            let ago_ns = newest_ns.saturating_sub(point.time_ns).cast_signed();
            (
                capture.unix_ns.saturating_sub(ago_ns) / 1_000_000,
                point.live_bytes.round() as u64,
                point.allocated_bytes.round() as u64,
            )
        });
        Self {
            metric: metric.name(),
            history: history.collect(),
            names: names.texts,
            files: files.texts,
            frames,
            stacks,
        }
    }
}
