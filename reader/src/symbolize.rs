//! Turns return addresses into frames, in the background.

use std::{path::PathBuf, sync::Arc, time::Duration};

use riptide_region::module_table::Module;

mod display;
mod leaf;

pub use display::display_name;
pub use leaf::{is_runtime_frame, leaf_index};

use crate::profile::Frame;

/// Where symbols may be found and how much may be kept of them.
#[derive(Clone, Debug, Default)]
pub struct SymbolConfig {
    /// The target, while it runs: for `/proc/PID/root`, `/proc/PID/exe` and `/proc/PID/map_files`.
    pub pid: Option<u32>,
    /// Directories searched by build-id: `.build-id/xx/yyyy.debug` and files whose build-id matches.
    pub symbol_dirs: Vec<PathBuf>,
}

/// Frames of return addresses, resolved by one background thread.
#[derive(Debug)]
pub struct Symbols {}

impl Symbols {
    /// Starts the worker.
    #[must_use]
    pub fn spawn(_config: SymbolConfig) -> Self {
        Self {}
    }

    /// Replaces what is known of the target's executable mappings.
    pub fn set_modules(&self, _modules: &[Module]) {}

    /// The frames of a return address, innermost inlined frame first, the function itself last;
    /// `None` while they are looked up.
    pub fn resolve(&mut self, _return_address: u64, _time_ns: u64) -> Option<Arc<[Frame]>> {
        None
    }

    /// Addresses without their final answer.
    #[must_use]
    pub fn pending(&self) -> usize {
        0
    }

    /// Grows when answers arrived or improved.
    #[must_use]
    pub fn version(&self) -> u64 {
        0
    }

    /// Waits until nothing is pending; false when the time ran out.
    pub fn wait(&mut self, _timeout: Duration) -> bool {
        true
    }
}
