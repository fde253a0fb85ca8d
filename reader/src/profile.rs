//! What is known about a target at one moment.

mod snapshot;

pub use snapshot::{
    Estimate, Frame, Live, Loss, Memory, Rates, Sampling, Site, Snapshot, TargetInfo, TargetState,
    UnwinderKind,
};
