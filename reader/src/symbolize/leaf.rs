//! Which frame of a stack speaks for it: the first one outside std, alloc and the allocator.

use super::origin::{Origin, crate_name, origin};
use crate::profile::Frame;

/// Crates whose frames are plumbing between the application's.
const RUNTIME_CRATES: &[&str] = &[
    "tokio",
    "tokio_util",
    "tokio_stream",
    "futures",
    "futures_util",
    "futures_core",
    "futures_executor",
    "futures_channel",
    "hyper",
    "hyper_util",
    "h2",
    "tower",
    "tower_service",
    "tower_layer",
    "tower_http",
    "axum",
    "axum_core",
    "matchit",
    "mio",
    "async_std",
    "async_executor",
    "async_task",
    "smol",
    "rayon_core",
    "rayon",
    "crossbeam_utils",
    "tracing",
    "tracing_core",
    "parking_lot",
];
/// Where processes and threads start, in C.
const START_FUNCTIONS: &[&str] = &[
    "_start",
    "__rust_try",
    "__libc_start_main",
    "__libc_start_main_impl",
    "__libc_start_call_main",
    "start_thread",
    "clone",
    "clone3",
    "__clone3",
    "__clone",
    "main",
];

/// Index of the frame that a fully expanded stack (leaf first) is attributed to: the first that
/// is neither std's nor the allocator's; where there is none, the first that is not the
/// allocator's. 0 for an empty stack.
///
/// All up to the last allocator frame is skipped: nothing of the application runs inside one.
#[must_use]
pub fn leaf_index(stack: &[Frame]) -> usize {
    let origins: Vec<_> = stack.iter().map(origin).collect();
    let allocator_end = origins
        .iter()
        .rposition(|origin| *origin == Origin::Allocator)
        .map_or(0, |at| at + 1);
    let behind = || origins.iter().enumerate().skip(allocator_end);
    behind()
        .find(|(_, origin)| **origin == Origin::Other)
        .or_else(|| behind().next())
        .map_or(0, |(index, _)| index)
}

/// Whether a frame belongs to std, to the allocator, to an async runtime or a server's plumbing,
/// or to the start of a thread; screens fold such frames.
#[must_use]
pub fn is_runtime_frame(frame: &Frame) -> bool {
    if origin(frame) != Origin::Other {
        return true;
    }
    let name = frame.function.as_str();
    RUNTIME_CRATES.contains(&crate_name(name))
        || (START_FUNCTIONS.contains(&name)
            && frame
                .file
                .as_deref()
                .is_none_or(|file| !file.ends_with(".rs")))
}

#[cfg(test)]
#[path = "leaf_tests.rs"]
mod tests;
