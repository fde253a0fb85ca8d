//! Interned stacks as the reader keeps them: read once, merged by content.
//!
//! The target may hold one stack under two ids (two writers raced, or a probe window was full).

use std::{collections::HashMap, sync::Arc};

use riptide_region::stack_table::{MAX_FRAMES, StackId, StackTable};

/// Place of a stack in a [`StackBook`]: stays the same for the life of the book.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackIndex(u32);

impl StackIndex {
    /// The place of all blocks whose stack is not known.
    pub const UNKNOWN: Self = Self(0);

    /// The place as a number of a recording.
    pub(crate) fn number(self) -> u32 {
        self.0
    }

    /// The place of that number.
    pub(crate) fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// The place as an index into slices that hold one element a stack.
    #[must_use]
    pub fn place(self) -> usize {
        self.0 as usize
    }
}

/// One distinct stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// Return addresses, leaf first; empty for the unknown stack.
    pub addresses: Arc<[u64]>,
    /// Whether the root end was cut.
    pub truncated: bool,
    /// Nanoseconds of the region's clock at the first sample: tells mappings at one address apart.
    pub first_seen_ns: u64,
}

/// An entry whose frames could not be read (yet).
const NOT_READY: u32 = u32::MAX;

/// All stacks of a region, each content once. The first one stands for the unknown stack.
#[derive(Debug)]
pub struct StackBook {
    stacks: Vec<Stack>,
    by_content: HashMap<Arc<[u64]>, u32>,
    /// Place of each id of the region (id 1 first).
    by_id: Vec<u32>,
}

impl Default for StackBook {
    fn default() -> Self {
        Self {
            stacks: vec![Stack {
                addresses: Arc::new([]),
                truncated: false,
                first_seen_ns: 0,
            }],
            by_content: HashMap::new(),
            by_id: Vec::new(),
        }
    }
}

impl StackBook {
    /// Bytes kept; a stack's frames are shared by its two places.
    pub(super) fn kept_bytes(&self) -> usize {
        let frames: usize = self
            .stacks
            .iter()
            .map(|stack| stack.addresses.len() * 8)
            .sum();
        let entry = size_of::<Stack>() + size_of::<(Arc<[u64]>, u32)>() + 2 * size_of::<usize>();
        frames + self.stacks.capacity() * entry + self.by_id.capacity() * size_of::<u32>()
    }

    /// Stacks, the unknown one included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stacks.len()
    }

    /// Never: the unknown stack is always there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }

    /// A stack.
    #[must_use]
    pub fn get(&self, index: StackIndex) -> Option<&Stack> {
        self.stacks.get(index.place())
    }

    /// All stacks, by place.
    #[must_use]
    pub fn all(&self) -> &[Stack] {
        &self.stacks
    }

    /// The place of a region's stack id; that of the unknown stack for an id that leads nowhere.
    #[must_use]
    pub fn index_of(&self, id: StackId) -> StackIndex {
        self.ready_index(id).unwrap_or(StackIndex::UNKNOWN)
    }

    /// The place of a region's stack id whose frames have been read.
    pub(crate) fn ready_index(&self, id: StackId) -> Option<StackIndex> {
        let place = self.by_id.get(id.0.checked_sub(1)? as usize)?;
        (*place != NOT_READY).then_some(StackIndex(*place))
    }

    /// Ids looked at so far: `1..=ids()`.
    pub(crate) fn ids(&self) -> u32 {
        u32::try_from(self.by_id.len()).unwrap_or(u32::MAX)
    }

    /// Adds a stack unless its content is there already.
    pub fn add(&mut self, addresses: &[u64], truncated: bool, first_seen_ns: u64) -> StackIndex {
        if addresses.is_empty() {
            return StackIndex::UNKNOWN;
        }
        if let Some(place) = self.by_content.get(addresses) {
            return StackIndex(*place);
        }
        let Ok(place) = u32::try_from(self.stacks.len()) else {
            return StackIndex::UNKNOWN;
        };
        let addresses: Arc<[u64]> = addresses.into();
        self.by_content.insert(Arc::clone(&addresses), place);
        self.stacks.push(Stack {
            addresses,
            truncated,
            first_seen_ns,
        });
        StackIndex(place)
    }

    /// Adds the next stack of a recording, whose ids are places; false when it is there already, which
    /// no recorder writes.
    pub(crate) fn add_recorded(
        &mut self,
        addresses: &[u64],
        truncated: bool,
        first_seen_ns: u64,
    ) -> bool {
        let place = self.stacks.len();
        let index = self.add(addresses, truncated, first_seen_ns);
        self.by_id.push(index.0);
        index.place() == place
    }

    /// Reads the entries of a region that are new, or were not ready before.
    pub(crate) fn update(&mut self, table: &StackTable<'_>) {
        let len = table.len().max(self.by_id.len());
        self.by_id.resize(len, NOT_READY);
        let mut frames = [0; MAX_FRAMES];
        for number in 0..len {
            if self.by_id.get(number) != Some(&NOT_READY) {
                continue;
            }
            let Some(id) = u32::try_from(number + 1).ok().map(StackId) else {
                return;
            };
            let Some((depth, truncated)) = table.frames(id, &mut frames) else {
                continue;
            };
            let first_seen = table.totals(id).map_or(0, |totals| totals.first_seen_ns);
            let addresses = frames.get(..depth).unwrap_or_default();
            let index = self.add(addresses, truncated, first_seen);
            if let Some(place) = self.by_id.get_mut(number) {
                *place = index.0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_contents_share_a_place() {
        let mut book = StackBook::default();
        let a = book.add(&[1, 2], false, 5);
        let b = book.add(&[1, 2, 3], false, 6);
        assert_eq!(book.add(&[1, 2], true, 9), a);
        assert_ne!(a, b);
        assert_eq!(book.add(&[], false, 0), StackIndex::UNKNOWN);
        assert_eq!(book.len(), 3);
    }

    #[test]
    fn ids_that_lead_nowhere_are_the_unknown_stack() {
        let book = StackBook::default();
        for id in [0, 1, u32::MAX] {
            assert_eq!(book.index_of(StackId(id)), StackIndex::UNKNOWN);
        }
    }
}
