//! Which frame of a stack speaks for it: the first one outside std, alloc and the allocator.

use crate::profile::Frame;

/// Index of the frame that a fully expanded stack (leaf first) is attributed to.
#[must_use]
pub fn leaf_index(stack: &[Frame]) -> usize {
    stack
        .iter()
        .position(|frame| !is_runtime_frame(frame))
        .unwrap_or(0)
}

/// Whether a frame belongs to std, to the allocator or to an async runtime's plumbing; screens
/// fold such frames.
#[must_use]
pub fn is_runtime_frame(_frame: &Frame) -> bool {
    false
}
