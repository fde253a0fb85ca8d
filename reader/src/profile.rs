//! What is known about a target at one moment.

mod snapshot;

pub use snapshot::{
    Estimate, Frame, Live, Loss, Memory, Rates, SCHEMA_VERSION, Sampling, Site, Snapshot,
    TargetInfo, TargetState, UnwinderKind,
};
