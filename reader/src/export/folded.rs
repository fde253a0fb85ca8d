//! Folded stacks: `root;…;leaf 123`, one line a stack.

use std::io::{self, Write};

use super::{Capture, Metric};
use crate::profile::StackProfile;

pub(super) fn write(capture: &Capture, metric: Metric, out: &mut dyn Write) -> io::Result<()> {
    for line in lines(capture, metric) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

pub(super) fn lines(capture: &Capture, metric: Metric) -> impl Iterator<Item = String> {
    capture
        .weighted(metric)
        .map(|(stack, value)| format!("{} {value}", path(stack)))
}

/// Frames from the root to the leaf.
fn path(stack: &StackProfile) -> String {
    let names: Vec<String> = stack
        .frames
        .iter()
        .rev()
        .map(|frame| plain(&frame.function))
        .collect();
    if names.is_empty() {
        return "[unknown]".to_owned();
    }
    names.join(";")
}

/// A name that cannot be taken for a separator or a line's end: the `;` of `[u8; 4]` becomes `,`.
fn plain(name: &str) -> String {
    name.chars()
        .map(|letter| match letter {
            ';' => ',',
            letter if letter.is_control() => char::REPLACEMENT_CHARACTER,
            letter => letter,
        })
        .collect()
}
