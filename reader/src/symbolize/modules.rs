//! Which mapping an address belonged to at a moment.

use std::sync::Arc;

use riptide_region::module_table::Module;

/// A mapping among all that the target ever had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct MappingId {
    text_start: u64,
    valid_from_ns: u64,
}

impl From<&Module> for MappingId {
    fn from(module: &Module) -> Self {
        Self {
            text_start: module.text_start,
            valid_from_ns: module.valid_from_ns,
        }
    }
}

#[derive(Debug)]
struct Entry {
    module: Arc<Module>,
    /// Highest `text_end` of this entry and all before it: where a backward search may stop.
    highest_end: u64,
}

/// All mappings, sorted by address.
#[derive(Debug, Default)]
pub(super) struct ModuleMap {
    entries: Vec<Entry>,
}

impl ModuleMap {
    pub(super) fn new(modules: &[Module]) -> Self {
        let mut sorted: Vec<_> = modules
            .iter()
            .filter(|module| module.text_start < module.text_end)
            .collect();
        sorted.sort_by_key(|module| module.text_start);
        let mut highest_end = 0;
        let entries = sorted
            .into_iter()
            .map(|module| {
                highest_end = module.text_end.max(highest_end);
                Entry {
                    module: Arc::new(*module),
                    highest_end,
                }
            })
            .collect();
        Self { entries }
    }

    /// The mapping that held `address` at `time_ns`.
    ///
    /// A mapping is used by the program before the target's tick sees it: when none was valid at
    /// the moment, the next one to be seen there is meant. One that was gone before is not.
    pub(super) fn find(&self, address: u64, time_ns: u64) -> Option<&Arc<Module>> {
        let behind = self
            .entries
            .partition_point(|entry| entry.module.text_start <= address);
        self.entries
            .get(..behind)?
            .iter()
            .rev()
            .take_while(|entry| address < entry.highest_end)
            .map(|entry| &entry.module)
            .filter(|module| address < module.text_end)
            .filter(|module| module.valid_to_ns == 0 || time_ns < module.valid_to_ns)
            .min_by_key(|module| {
                let seen_later = module.valid_from_ns > time_ns;
                (seen_later, module.valid_from_ns.abs_diff(time_ns))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(range: std::ops::Range<u64>, valid: (u64, u64)) -> Module {
        let mut module = Module::default();
        (module.text_start, module.text_end) = (range.start, range.end);
        (module.valid_from_ns, module.valid_to_ns) = valid;
        module
    }

    #[test]
    fn a_mapping_is_chosen_by_address_and_time() {
        let map = ModuleMap::new(&[
            module(0x1000..0x2000, (10, 0)),
            module(0x5000..0x6000, (10, 50)),
            module(0x5800..0x7000, (60, 0)),
            module(0x9000..0x9000, (0, 0)),
        ]);
        let found = |address, time| {
            map.find(address, time)
                .map(|module| (module.text_start, module.valid_from_ns))
        };
        assert_eq!(found(0xfff, 20), None);
        assert_eq!(found(0x1000, 20), Some((0x1000, 10)));
        assert_eq!(found(0x1fff, 20), Some((0x1000, 10)));
        assert_eq!(found(0x2000, 20), None);
        assert_eq!(
            found(0x1500, 5),
            Some((0x1000, 10)),
            "used before it was seen"
        );
        assert_eq!(found(0x5900, 20), Some((0x5000, 10)));
        assert_eq!(found(0x5900, 55), Some((0x5800, 60)));
        assert_eq!(found(0x5900, 70), Some((0x5800, 60)));
        assert_eq!(found(0x5100, 70), None, "gone");
        assert_eq!(found(0x9000, 20), None);
        assert_eq!(found(u64::MAX, 20), None);
    }

    #[test]
    fn of_two_mappings_never_marked_gone_the_younger_counts() {
        let map = ModuleMap::new(&[
            module(0x1000..0x2000, (10, 0)),
            module(0x1000..0x3000, (40, 0)),
        ]);
        let from = |time| map.find(0x1800, time).unwrap().valid_from_ns;
        assert_eq!((from(20), from(50)), (10, 40));
    }
}
