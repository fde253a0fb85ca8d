//! riptide's own JSON: the document of `top` with every site, and beside it every stack.

use std::io::{self, Write};

use serde::Serialize;

use super::Capture;
use crate::profile::{Snapshot, StackProfile};

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    snapshot: &'a Snapshot,
    /// Nanoseconds since the Unix epoch.
    time_unix_ns: i64,
    stacks: &'a [StackProfile],
    modules: Vec<ModuleRow>,
}

#[derive(Serialize)]
struct ModuleRow {
    path: String,
    build_id: String,
    start: u64,
    end: u64,
    file_offset: u64,
}

pub(super) fn write(capture: &Capture, out: &mut dyn Write) -> io::Result<()> {
    let document = Document {
        snapshot: &capture.snapshot,
        time_unix_ns: capture.unix_ns,
        stacks: &capture.stacks,
        modules: capture
            .modules
            .iter()
            .map(|module| ModuleRow {
                path: String::from_utf8_lossy(module.path()).into_owned(),
                build_id: module
                    .build_id()
                    .iter()
                    .map(|byte| format!("{byte:02x}"))
                    .collect(),
                start: module.text_start,
                end: module.text_end,
                file_offset: module.file_offset,
            })
            .collect(),
    };
    serde_json::to_writer(&mut *out, &document).map_err(io::Error::from)?;
    writeln!(out)
}
