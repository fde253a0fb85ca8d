//! speedscope's own JSON (<https://www.speedscope.app/file-format-schema.json>): one sampled profile
//! for each metric, over shared frames.

use std::{
    collections::HashMap,
    io::{self, Write},
};

use serde::Serialize;

use super::{Capture, Metric};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    exporter: String,
    active_profile_index: usize,
    shared: Shared<'a>,
    profiles: Vec<Sampled>,
}

#[derive(Serialize)]
struct Shared<'a> {
    frames: Vec<NamedFrame<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
struct NamedFrame<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sampled {
    r#type: &'static str,
    name: String,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    samples: Vec<Vec<usize>>,
    weights: Vec<u64>,
}

pub(super) fn write(capture: &Capture, metric: Metric, out: &mut dyn Write) -> io::Result<()> {
    let mut frames = Vec::new();
    let mut places = HashMap::new();
    let others = Metric::ALL.into_iter().filter(|other| *other != metric);
    let profiles = std::iter::once(metric)
        .chain(others)
        .map(|metric| {
            let mut profile = Sampled {
                r#type: "sampled",
                name: format!("{}: {}", capture.title(), metric.title()),
                unit: if metric.counts_bytes() {
                    "bytes"
                } else {
                    "none"
                },
                start_value: 0,
                end_value: 0,
                samples: Vec::new(),
                weights: Vec::new(),
            };
            for (stack, value) in capture.weighted(metric) {
                let path = stack.frames.iter().rev().map(|frame| {
                    let frame = NamedFrame {
                        name: &frame.function,
                        file: frame.file.as_deref(),
                        line: frame.line,
                    };
                    *places.entry(frame).or_insert_with(|| {
                        frames.push(frame);
                        frames.len() - 1
                    })
                });
                profile.samples.push(path.collect());
                profile.weights.push(value);
                profile.end_value = profile.end_value.saturating_add(value);
            }
            profile
        })
        .collect();
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        name: format!("{}; {}", capture.title(), capture.provenance().join("; ")),
        exporter: concat!("riptide ", env!("CARGO_PKG_VERSION")).to_owned(),
        active_profile_index: 0,
        shared: Shared { frames },
        profiles,
    };
    serde_json::to_writer(out, &file).map_err(io::Error::from)
}
