//! Answers kept, least recently used out first.

use std::{collections::HashMap, sync::Arc};

use riptide_region::module_table::Module;

use super::{engine::unresolved, worker::Key};
use crate::profile::Frame;

/// What is known of an address.
#[derive(Debug, PartialEq)]
pub(super) enum Lookup {
    /// Its frames, final or not.
    Known(Arc<[Frame]>),
    /// It was asked for.
    Pending,
    /// Nothing.
    Unknown,
}

#[derive(Debug)]
enum State {
    Requested(Arc<Module>),
    Answered(Arc<[Frame]>),
}

#[derive(Debug)]
struct Entry {
    state: State,
    used: u64,
}

/// Frames by address. Holds at most its capacity of answers; requests are bounded by their own
/// limit.
#[derive(Debug)]
pub(super) struct AnswerCache {
    entries: HashMap<Key, Entry>,
    capacity: usize,
    requested: usize,
    clock: u64,
    evicted: u64,
}

impl AnswerCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity: capacity.max(1),
            requested: 0,
            clock: 0,
            evicted: 0,
        }
    }

    pub(super) fn get(&mut self, key: &Key) -> Lookup {
        self.clock += 1;
        match self.entries.get_mut(key) {
            None => Lookup::Unknown,
            Some(entry) => {
                entry.used = self.clock;
                match &entry.state {
                    State::Requested(_) => Lookup::Pending,
                    State::Answered(frames) => Lookup::Known(Arc::clone(frames)),
                }
            }
        }
    }

    /// Notes that `key` was asked for.
    pub(super) fn request(&mut self, key: Key, module: &Arc<Module>) {
        let state = State::Requested(Arc::clone(module));
        let used = self.clock;
        self.requested += 1;
        self.entries.insert(key, Entry { state, used });
    }

    /// Stores an answer or a better one. One that was evicted meanwhile is dropped.
    pub(super) fn answer(&mut self, key: Key, frames: Arc<[Frame]>) {
        if let Some(entry) = self.entries.get_mut(&key) {
            if matches!(entry.state, State::Requested(_)) {
                self.requested = self.requested.saturating_sub(1);
            }
            entry.state = State::Answered(frames);
        }
        if self.entries.len().saturating_sub(self.requested) > self.capacity {
            self.evict();
        }
    }

    /// Answers all that is owed with the address; whether there was any.
    pub(super) fn give_up(&mut self) -> bool {
        if self.requested == 0 {
            return false;
        }
        for (key, entry) in &mut self.entries {
            if let State::Requested(module) = &entry.state {
                let frame = unresolved(Some(module), key.address);
                entry.state = State::Answered(Arc::new([frame]));
            }
        }
        self.requested = 0;
        true
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Removes the quarter of the answers that was not used for the longest time.
    fn evict(&mut self) {
        let mut used: Vec<_> = self
            .entries
            .values()
            .filter(|entry| matches!(entry.state, State::Answered(_)))
            .map(|entry| entry.used)
            .collect();
        let quarter = used.len() / 4;
        let (_, last, _) = used.select_nth_unstable(quarter);
        let last = *last;
        let before = self.entries.len();
        self.entries
            .retain(|_, entry| entry.used > last || matches!(entry.state, State::Requested(_)));
        self.evicted += (before - self.entries.len()) as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(address: u64) -> Key {
        Key {
            address,
            mapping: (&Module::default()).into(),
        }
    }

    fn fill(cache: &mut AnswerCache, addresses: std::ops::Range<u64>) {
        let module = Arc::new(Module::default());
        for address in addresses {
            assert_eq!(cache.get(&key(address)), Lookup::Unknown);
            cache.request(key(address), &module);
            cache.answer(key(address), Arc::new([unresolved(None, address)]));
        }
    }

    #[test]
    fn the_least_recently_used_answers_make_room() {
        let mut cache = AnswerCache::new(100);
        fill(&mut cache, 0..100);
        for address in 0..10 {
            assert!(matches!(cache.get(&key(address)), Lookup::Known(_)));
        }
        fill(&mut cache, 100..101);
        assert_eq!(cache.evicted(), 26);
        assert!(matches!(cache.get(&key(9)), Lookup::Known(_)));
        assert_eq!(cache.get(&key(10)), Lookup::Unknown);
        fill(&mut cache, 1_000..100_000);
        assert!(cache.entries.len() <= 100);
    }

    #[test]
    fn what_is_owed_is_not_evicted() {
        let mut cache = AnswerCache::new(4);
        cache.request(key(7), &Arc::new(Module::default()));
        fill(&mut cache, 100..200);
        assert_eq!(cache.get(&key(7)), Lookup::Pending);
        assert!(cache.give_up());
        assert!(matches!(cache.get(&key(7)), Lookup::Known(_)));
        assert!(!cache.give_up());
    }
}
