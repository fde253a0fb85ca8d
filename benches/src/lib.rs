//! How the benches of riptide measure: programs that differ in their allocator alone, run in turn.
//!
//! | module | does |
//! |---|---|
//! | `options` | the command line of a bench |
//! | `child` | runs one program once: CPU time, wall time, what it printed |
//! | `layouts` | the same programs with their functions in another order |
//! | `paired` | runs several programs in turn, in every order |
//! | `statistics` | medians and their intervals |
//! | `machine` | what was measured on |
//!
//! The workloads themselves are not here: see `workloads/mod.rs`.

pub mod child;
pub mod layouts;
pub mod machine;
pub mod options;
pub mod paired;
pub mod statistics;

/// What a bench ends with when it cannot measure.
pub type Error = Box<dyn std::error::Error>;
