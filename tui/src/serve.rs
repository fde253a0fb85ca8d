//! `riptide serve`: follows one or many targets and says over HTTP what it sees.
//!
//! | module | does |
//! |---|---|
//! | `tick` | what each look at a target yields |
//! | `target` | one target: looks, verdicts, captures |
//! | `observer` | the doors to rules and exports |
//!
//! **Invariants.** Whatever targets do, come, die or come back with the same pid, the server goes on.
//! All memory is bounded by the number of targets and their regions. No stack is given its name
//! unless somebody asks.

pub mod observer;
pub mod target;
pub mod tick;

pub use observer::{AlertsDocument, Observer, OwnMetric};
pub use target::Target;
pub use tick::{Cost, Identity, Tick, Verdicts};
