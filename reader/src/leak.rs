//! Verdicts: does a site leak, grow, turn over like a cache, warm up, or rest?
//!
//! | module | does |
//! |---|---|
//! | `evidence` | what is kept of each stack: ages of survivors and dead, levels, growth of buffers |
//! | `plateau` | survival without an end over a window |
//! | `judge` | the rules from evidence to verdict |
//! | `statistics` | the tests that they rest on, with their sources |
//! | `words` | evidence in sentences |
//! | `suppress` | suppressions in the syntax of `LeakSanitizer` |
//!
//! **Invariants.** Births and deaths decide, never a trend of the level alone: the same blocks are in
//! every point of a level, so Mann and Kendall's test on it finds trends in noise. No clock is read
//! here. A verdict always carries the figures that it was given for.

use std::sync::Arc;

use serde::Serialize;

use crate::profile::{Estimate, Frame};

pub(crate) mod evidence;
pub(crate) mod judge;
pub(crate) mod plateau;
pub mod statistics;
mod suppress;
pub(crate) mod words;

pub use suppress::{SuppressionError, Suppressions};

/// What a group of stacks does with memory, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Blocks are allocated all the time and stay for good.
    Leak,
    /// Births exceed deaths, now; whether for good cannot be said yet.
    Growing,
    /// Old blocks die and new ones take their place, at a level.
    CacheLike,
    /// Grew, and falls off towards a level or has reached it.
    WarmUp,
    /// Neither grows nor turns over.
    Healthy,
    /// Not enough was seen.
    TooEarly,
}

impl Verdict {
    /// The word of the JSON contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Leak => "leak",
            Self::Growing => "growing",
            Self::CacheLike => "cache-like",
            Self::WarmUp => "warm-up",
            Self::Healthy => "healthy",
            Self::TooEarly => "too-early",
        }
    }
}

/// The verdict on one site, or on one function when only its sites together say something.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What it does.
    pub verdict: Verdict,
    /// Probability that the verdict is right, 0–1.
    pub confidence: f64,
    /// Function of the leaf.
    pub function: String,
    /// Source file of the leaf; none for a function as a whole.
    pub file: Option<String>,
    /// Line of the leaf; none for a function as a whole.
    pub line: Option<u32>,
    /// Live requested bytes.
    pub live_bytes: Estimate,
    /// Live blocks.
    pub live_objects: Estimate,
    /// Growth, from births and deaths.
    pub growth_bytes_per_second: Option<Estimate>,
    /// Seconds until the memory limit is reached by this growth alone; none without a limit or when
    /// the growth may be nothing.
    pub time_to_limit_seconds: Option<Estimate>,
    /// Why, in sentences with figures.
    pub evidence: Vec<String>,
    /// The heaviest stack, leaf first.
    pub stack: Arc<[Frame]>,
}
