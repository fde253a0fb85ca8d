//! How the benches of riptide measure: programs that differ in their allocator alone, run in turn.
//!
//! | module | does |
//! |---|---|
//! | `options` | the command line of a bench |
//! | `workload` | what the programs can do |
//! | `child` | runs one program once: CPU time, wall time, what it printed |
//! | `load` | the client of the measured server |
//! | `published` | builds a program of the crate registry with an allocator of ours to choose |
//! | `callgrind` | instructions of a run, and of functions in it |
//! | `layouts` | the same programs with their functions in another order |
//! | `paired` | runs several programs in turn, in every order |
//! | `session` | reads the regions that programs leave |
//! | `statistics` | medians and their intervals |
//! | `telemetry` | `riptide serve` beside a program, exporting to a sink |
//! | `terminal` | a program in a terminal of our own |
//! | `machine` | what was measured on |
//!
//! The workloads themselves are not here: see `workloads/mod.rs`.

pub mod callgrind;
pub mod child;
pub mod layouts;
pub mod load;
pub mod machine;
pub mod options;
pub mod paired;
pub mod published;
pub mod session;
pub mod statistics;
pub mod telemetry;
pub mod terminal;
pub mod workload;

/// What a bench ends with when it cannot measure.
pub type Error = Box<dyn std::error::Error>;
