//! A bounded cache: entries come and go all the time, their number stays.

use std::collections::{BTreeMap, HashMap};

#[derive(Debug)]
struct Entry {
    page: Vec<u8>,
    used_at: u64,
}

/// Least recently used entries give way.
#[derive(Debug)]
pub struct Lru {
    capacity: usize,
    clock: u64,
    entries: HashMap<u64, Entry>,
    by_use: BTreeMap<u64, u64>,
}

impl Lru {
    /// A cache of at most so many entries.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            clock: 0,
            entries: HashMap::with_capacity(capacity + 1),
            by_use: BTreeMap::new(),
        }
    }

    /// Entries held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Length of a page, if it is held; it then counts as used.
    pub fn get(&mut self, id: u64) -> Option<usize> {
        self.clock += 1;
        let entry = self.entries.get_mut(&id)?;
        self.by_use.remove(&entry.used_at);
        entry.used_at = self.clock;
        self.by_use.insert(self.clock, id);
        Some(entry.page.len())
    }

    /// Puts a page in; the one not used for the longest time goes when there are too many.
    #[inline(never)]
    pub fn insert(&mut self, id: u64, rendered: &[u8]) {
        self.clock += 1;
        let page = rendered.to_vec();
        let entry = Entry {
            page,
            used_at: self.clock,
        };
        if let Some(old) = self.entries.insert(id, entry) {
            self.by_use.remove(&old.used_at);
        }
        self.by_use.insert(self.clock, id);
        while self.entries.len() > self.capacity {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_bounded_and_keeps_what_is_used() {
        let mut cache = Lru::new(3);
        for id in 0..3 {
            cache.insert(id, b"page");
        }
        assert_eq!(cache.get(0), Some(4));
        for id in 3..5 {
            cache.insert(id, b"page");
        }
        assert_eq!(cache.len(), 3);
        assert!(cache.get(0).is_some());
        assert!(cache.get(1).is_none());
        cache.insert(0, b"longer page");
        assert_eq!(cache.get(0), Some(11));
        assert_eq!(cache.by_use.len(), cache.entries.len());
    }
}
