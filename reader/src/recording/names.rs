//! Names of a recording, as they were found when it was made.

use std::{collections::HashMap, sync::Arc};

use riptide_region::module_table::Module;

use super::{Numbers, recorder::mapping_of};
use crate::profile::{Frame, Resolver};

const NAMES_MAX: usize = 1 << 20;
/// Frames that were inlined at one address, and at all of them.
const INLINED_MAX: usize = 1_024;
const FRAMES_MAX: usize = 1 << 23;

/// Names as they were found when the recording was made.
#[derive(Debug, Default)]
pub(super) struct Names {
    frames: HashMap<(u64, u64), Arc<[Frame]>>,
    /// How many frames were read, those that others have replaced included.
    taken: usize,
    pub(super) modules: Vec<Module>,
}

impl Names {
    /// Takes a frame of names in; `None` when it makes no sense.
    pub(super) fn take(&mut self, numbers: &mut Numbers<'_>) -> Option<()> {
        while !numbers.0.is_empty() {
            let key = (numbers.get()?, numbers.get()?);
            let count = numbers.count().filter(|count| *count <= INLINED_MAX)?;
            self.taken += count;
            if self.taken > FRAMES_MAX {
                return None;
            }
            let some = |text: String| (!text.is_empty()).then_some(text);
            let mut frames = Vec::with_capacity(count);
            for _ in 0..count {
                frames.push(Frame {
                    function: numbers.text()?,
                    file: some(numbers.text()?),
                    line: match numbers.get()? {
                        0 => None,
                        line => Some(u32::try_from(line - 1).ok()?),
                    },
                    inlined: numbers.get()? != 0,
                    module: some(numbers.text()?),
                });
            }
            self.frames.insert(key, frames.into());
            if self.frames.len() > NAMES_MAX {
                return None;
            }
        }
        Some(())
    }
}

impl Resolver for Names {
    fn resolve(&mut self, return_address: u64, time_ns: u64) -> Option<Arc<[Frame]>> {
        let mapping = mapping_of(&self.modules, return_address, time_ns);
        let known = self.frames.get(&(return_address, mapping)).cloned();
        Some(known.unwrap_or_else(|| {
            Arc::new([Frame {
                function: format!("{:#x}", return_address.wrapping_sub(1)),
                file: None,
                line: None,
                inlined: false,
                module: None,
            }])
        }))
    }

    fn pending(&self) -> usize {
        0
    }

    fn version(&self) -> u64 {
        0
    }
}
