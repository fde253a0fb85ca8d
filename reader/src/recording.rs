//! Recordings: what a target's region held once a second, in one compact file.
//!
//! | module | does |
//! |---|---|
//! | `wire` | frames with checksums; numbers of variable length |
//! | `figures` | counters, status, totals as rows of numbers |
//! | `recorder` | from a session to a file |
//! | `index` | the frames of a file, without reading what is in them |
//! | `names` | names as they were found then |
//! | `replay` | from a file to the model, through the same code as a live target |
//!
//! A file is a header and frames. Definitions (target, mappings, stacks, names) are written once; looks
//! are written as what changed since the look before, and now and then whole (a key), so that a moment
//! is found without reading all looks.
//!
//! **Invariants.** A recording is hostile input: sizes are checked before memory is taken, and a number
//! from a frame with a wrong checksum is never used. A damaged look costs the looks up to the next key,
//! a damaged definition or frame header ends the recording there; both are said. A recorder that is
//! killed leaves a file that is whole up to its last whole frame.

mod figures;
mod index;
mod names;
mod recorder;
mod replay;
mod wire;

pub use recorder::Recorder;
pub use replay::{Replay, Span, is_recording};

use wire::{Kind, Numbers};

/// Version of the format; a reader knows one.
pub const VERSION: u32 = 1;

#[cfg(test)]
mod tests;
