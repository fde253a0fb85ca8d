//! Attaches to the region of a target read-only and turns it into profiles: attach → ingest →
//! profile → outputs.
//!
//! | module | does |
//! |---|---|
//! | [`attach`] | finds targets, maps a region, says where its process is in its life |
//! | [`ingest`] | reads everything out of a mapped region, checked, into plain data |
//! | [`estimate`] | from samples to unbiased figures with intervals |
//! | [`profile`] | the model: from observations to the immutable snapshot that every output shows |
//! | [`leak`] | verdicts on sites, with confidence and evidence |
//! | [`session`] | one reader of one target: attach, poll, snapshot |
//! | `export` | a moment in the formats of other tools |
//! | [`symbolize`] | turns return addresses into frames, in the background |
//! | [`waterfall`] | from live bytes to RSS, row by row; fragmentation by size class and site |
//! | [`advise`] | what would use less memory or fewer allocations, from what was measured |
//! | [`size_class`] | jemalloc's size classes |
//! | [`recording`] | a target's past in one file, and back into the model |
//! | [`post_mortem`] | why a target died, as far as the kernel tells; removes what the dead left |
//! | [`testing`] | lets a test assert that a block of code leaks nothing |
//! | [`control`] | asks a running process for another interval |
//! | [`clock`], [`error`], [`self_stats`] | time, what can go wrong, what the reader itself uses |
//!
//! **Invariants.** The reader never writes to a region; a control file beside it is all it writes, and
//! regions of the dead are removed only when asked. Whatever a region holds is hostile: it is
//! bounds-checked, costs bounded time and memory, and cannot make the reader panic; a file that is
//! truncated while mapped becomes a state, not a signal. The model never sees a process, a file or
//! a clock: it is fed [`ingest::Observation`]s, so a recording replays through the same code.
//!
//! The reader does not know how the target samples, only what it recorded; it does not know any
//! terminal, and no output format but the snapshot's JSON.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        reason = "tests fail by panicking"
    )
)]

pub mod advise;
pub mod attach;
pub mod clock;
pub mod control;
pub mod error;
pub mod estimate;
#[cfg(feature = "export")]
pub mod export;
pub mod ingest;
pub mod leak;
pub mod post_mortem;
pub mod profile;
pub mod recording;
pub mod self_stats;
pub mod session;
pub mod size_class;
pub mod symbolize;
pub mod testing;
pub mod waterfall;

pub use error::ReaderError;
pub use session::{Session, SessionOptions};
