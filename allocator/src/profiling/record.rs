//! The live record of a sampled block: a slot of the region's live table, and the way from the
//! block's address to its slot.
//!
//! The way is private memory: the shadow for blocks in the reserved range, a table of addresses
//! for all others. The free list of slots is private as well. What the region says is only ever
//! used for statistics.
//!
//! **Invariant.** A slot that is not [free](super::free_slots) is owned by the block whose address
//! leads to it. Only the owner of the block moves it, so slot, shadow entry and address entry of a
//! block need no lock.

use core::sync::atomic::{AtomicU64, Ordering};

use riptide_region::live_table::{LiveBlock, LiveTable, Slot};

use super::{arena::SampledArena, free_slots::FreeSlots, lanes::Lane, sys};

/// Why a block could not be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unrecorded {
    LiveTableFull,
    LargeTableFull,
}

/// A record that was taken out, to be released or put back.
pub(crate) struct Taken {
    slot: u32,
    address: usize,
    /// The block as the region had it; for statistics only.
    pub(crate) block: Option<LiveBlock>,
}

pub(crate) struct Records {
    live: LiveTable<'static>,
    free: FreeSlots<'static>,
    by_address: AddressTable,
}

impl Records {
    pub(crate) fn new(live: LiveTable<'static>) -> Option<Self> {
        let capacity = live.capacity();
        Some(Self {
            live,
            free: FreeSlots::new(sys::map_slice(capacity)?)?,
            by_address: AddressTable::new(capacity)?,
        })
    }

    /// Slots owned by blocks or lying in stashes.
    pub(crate) fn taken(&self) -> u32 {
        self.free.out()
    }

    /// Slots in all.
    pub(crate) fn capacity(&self) -> u32 {
        self.free.capacity()
    }

    /// Records a block that the caller owns.
    pub(crate) fn insert(
        &self,
        arena: Option<&SampledArena>,
        lane: &mut Lane<'_>,
        block: &LiveBlock,
    ) -> Result<(), Unrecorded> {
        let slot = lane
            .take_slot(&self.free)
            .ok_or(Unrecorded::LiveTableFull)?;
        self.live.publish(slot as usize, block);
        if let Some(next) = lane.next_slot() {
            sys::prefetch_to_write(self.live.place_of(next as usize));
        }
        if self.link(arena, block.address as usize, slot) {
            return Ok(());
        }
        self.live.clear(slot as usize);
        lane.give_slot(&self.free, slot);
        Err(Unrecorded::LargeTableFull)
    }

    /// Takes the record of a block out before the block is freed or moved; `None` when it has none.
    pub(crate) fn take(&self, arena: Option<&SampledArena>, address: usize) -> Option<Taken> {
        let slot = match arena.filter(|arena| arena.contains(address)) {
            Some(arena) => {
                let entry = arena.shadow(address)?;
                // Relaxed: whoever frees a block has been handed it by whoever allocated it, and
                // nobody else touches its entry; so no exchange either.
                let slot = entry.load(Ordering::Relaxed).checked_sub(1)?;
                entry.store(0, Ordering::Relaxed);
                slot
            }
            None => self.by_address.remove(address)?,
        };
        // What was allocated one after the other is often freed so, forwards or backwards.
        for neighbour in [slot.wrapping_add(1), slot.wrapping_sub(1)] {
            sys::prefetch_to_write(self.live.place_of(neighbour as usize));
        }
        let block = match self.live.read(slot as usize) {
            Slot::Live(block) if block.address == address as u64 => Some(block),
            // Scribbled over by somebody else.
            _ => None,
        };
        self.live.clear(slot as usize);
        Some(Taken {
            slot,
            address,
            block,
        })
    }

    /// Puts a record back: the block was not moved after all.
    pub(crate) fn put_back(&self, arena: Option<&SampledArena>, lane: &mut Lane<'_>, taken: Taken) {
        match taken.block {
            Some(block) if self.link(arena, taken.address, taken.slot) => {
                self.live.publish(taken.slot as usize, &block);
            }
            _ => lane.give_slot(&self.free, taken.slot),
        }
    }

    /// Gives the slot of a freed or moved block back.
    pub(crate) fn release(&self, lane: &mut Lane<'_>, taken: &Taken) {
        lane.give_slot(&self.free, taken.slot);
    }

    fn link(&self, arena: Option<&SampledArena>, address: usize, slot: u32) -> bool {
        match arena.filter(|arena| arena.contains(address)) {
            Some(arena) => arena
                .shadow(address)
                // Relaxed: as in `take`.
                .map(|entry| entry.store(slot + 1, Ordering::Relaxed))
                .is_some(),
            None => self.by_address.insert(address, slot),
        }
    }
}

/// Page-aligned addresses of sampled blocks outside the range, and their slots.
///
/// A word holds the page number above and `1 +` the slot below. An address has a window of words
/// where it may stand; a removed one leaves 0. Only the block's owner inserts or removes its
/// address, so two threads never look for the same one, and a miss looks at one window.
struct AddressTable {
    words: &'static [AtomicU64],
}

const PAGE_SHIFT: u32 = 12;
const SLOT_BITS: u32 = 28;
const WINDOW: usize = 16;

impl AddressTable {
    fn new(slots: usize) -> Option<Self> {
        Some(Self {
            words: sys::map_slice((slots * 4).next_power_of_two().max(WINDOW))?,
        })
    }

    /// The window of a page: whole, as it begins at a multiple of its length.
    fn window(&self, page: u64) -> &'static [AtomicU64] {
        let hash = page.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let windows = self.words.len() / WINDOW;
        let start = (hash as usize & (windows - 1)) * WINDOW;
        self.words.get(start..start + WINDOW).unwrap_or_default()
    }

    fn page(address: usize) -> Option<u64> {
        let address = address as u64;
        let fits = address.is_multiple_of(1 << PAGE_SHIFT)
            && address >> (64 - SLOT_BITS + PAGE_SHIFT) == 0;
        fits.then_some(address >> PAGE_SHIFT)
    }

    fn insert(&self, address: usize, slot: u32) -> bool {
        let Some(page) = Self::page(address) else {
            return false;
        };
        if slot + 1 >= 1 << SLOT_BITS {
            return false;
        }
        let word = page << SLOT_BITS | u64::from(slot + 1);
        self.window(page).iter().any(|place| {
            // Relaxed: the entry is found by the block's next owner only, who was handed the block.
            place
                .compare_exchange(0, word, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        })
    }

    fn remove(&self, address: usize) -> Option<u32> {
        let page = Self::page(address)?;
        self.window(page).iter().find_map(|place| {
            // Relaxed: as in `insert`.
            let word = place.load(Ordering::Relaxed);
            if word >> SLOT_BITS != page {
                return None;
            }
            let slot = ((word & ((1 << SLOT_BITS) - 1)) as u32).checked_sub(1)?;
            place.store(0, Ordering::Relaxed);
            Some(slot)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_table_finds_what_it_holds_and_nothing_else() {
        let table = AddressTable::new(64).unwrap();
        assert!(table.insert(0x7000_0000_1000, 0));
        assert!(table.insert(0x7000_0000_2000, 41));
        assert_eq!(table.remove(0x7000_0000_3000), None);
        assert_eq!(table.remove(0x7000_0000_2000), Some(41));
        assert_eq!(table.remove(0x7000_0000_2000), None);
        assert_eq!(table.remove(0x7000_0000_1000), Some(0));
        assert!(!table.insert(0x7000_0000_1008, 1), "not page-aligned");
    }

    #[test]
    fn a_full_window_refuses_and_loses_nothing() {
        let table = AddressTable::new(1).unwrap();
        let address = |n: usize| 0x10_0000_0000 + n * 4096;
        let kept: Vec<usize> = (0..100)
            .filter(|n| table.insert(address(*n), *n as u32))
            .collect();
        assert_eq!(kept.len(), WINDOW);
        for n in kept {
            assert_eq!(table.remove(address(n)), Some(n as u32));
        }
    }
}
