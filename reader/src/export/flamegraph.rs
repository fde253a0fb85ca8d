//! The flame graph that inferno makes of folded stacks.

use std::io::{self, Write};

use inferno::flamegraph::{self, Options};

use super::{Capture, Metric, folded};

pub(super) fn write(capture: &Capture, metric: Metric, out: &mut dyn Write) -> io::Result<()> {
    let lines: Vec<String> = folded::lines(capture, metric).collect();
    let mut options = Options::default();
    options.title = format!("{}: {}", capture.title(), metric.title());
    options.subtitle = Some(capture.provenance().join("; "));
    options.count_name = if metric.counts_bytes() {
        "bytes".to_owned()
    } else {
        "objects".to_owned()
    };
    options.deterministic = true;
    if lines.is_empty() {
        // inferno takes a profile without stacks for an error.
        return flamegraph::from_lines(&mut options, ["[nothing] 1"], out);
    }
    flamegraph::from_lines(&mut options, lines.iter().map(String::as_str), out)
}
