//! Turns return addresses into frames, in the background.
//!
//! A request is queued and answered twice: first with the function's name from the symbol table,
//! which takes microseconds once the table is sorted, then with file, line and inlined functions
//! from DWARF. [`Symbols::resolve`] never waits and [`Symbols::version`] tells when to ask again.
//!
//! | module | does |
//! |---|---|
//! | `modules` | mapping of an address at a moment |
//! | `locate`, `symbol_dirs`, `elf` | file of a mapping, by build-id |
//! | `engine` | blazesym behind a guard |
//! | `inlined`, `closure_name`, `source_path` | full paths of inlined functions where line tables have bare names |
//! | `worker` | queue, order of work |
//! | `cache` | answers kept |
//! | `leaf`, `origin`, `display` | what frames mean to a reader of stacks |
//!
//! Invariants: symbols come only from a file with the mapping's build-id; a file that cannot be
//! parsed costs names and lines, never the process; all that is kept is bounded.
//!
//! It does not know regions, stacks or sites: addresses and mappings go in, frames come out.

use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use riptide_region::module_table::Module;

mod cache;
mod closure_name;
mod display;
mod elf;
mod engine;
mod inlined;
mod leaf;
mod locate;
mod modules;
mod origin;
mod source_path;
mod symbol_dirs;
mod worker;

pub use display::display_name;
pub use leaf::{is_runtime_frame, leaf_index};

use self::{
    cache::{AnswerCache, Lookup},
    modules::{MappingId, ModuleMap},
    worker::{Answer, Key, Request},
};
use crate::profile::Frame;

/// Name of the worker thread. A panic hook should be silent about it: panics of the parser of
/// debug information are caught and counted.
pub const WORKER_THREAD_NAME: &str = "riptide-symbols";

/// Deeply nested debug information is parsed by recursion.
const WORKER_STACK_BYTES: usize = 64 << 20;

/// Where symbols may be found and how much may be kept of them.
#[derive(Clone, Debug)]
pub struct SymbolConfig {
    /// The target, while it runs: for `/proc/PID/root`, `/proc/PID/exe` and `/proc/PID/map_files`.
    pub pid: Option<u32>,
    /// Directories searched by build-id: `.build-id/xx/yyyy.debug` and files whose build-id matches.
    pub symbol_dirs: Vec<PathBuf>,
    /// Addresses whose frames are kept; the least recently used go first.
    pub max_addresses: usize,
    /// Requests under way; while there are more, further ones wait to be asked for again.
    pub max_pending: usize,
    /// How many bytes the process may grow before the symboliser is made anew.
    pub max_growth_bytes: u64,
    /// After how long without a request the memory of the symboliser is given back.
    pub idle: Duration,
    #[cfg(test)]
    dies_at: Option<u64>,
}

impl Default for SymbolConfig {
    fn default() -> Self {
        Self {
            pid: None,
            symbol_dirs: Vec::new(),
            max_addresses: 131_072,
            max_pending: 65_536,
            max_growth_bytes: 512 << 20,
            idle: Duration::from_secs(10),
            #[cfg(test)]
            dies_at: None,
        }
    }
}

/// Counters of the worker.
#[derive(Debug, Default)]
struct Counters {
    version: AtomicU64,
    pending: AtomicUsize,
    renewals: AtomicU64,
    panics: AtomicU64,
    files_not_found: AtomicU64,
}

/// What went wrong or was given up, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SymbolStats {
    /// Times the symboliser was made anew because the process had grown.
    pub renewals: u64,
    /// Panics caught in the parser of debug information.
    pub panics: u64,
    /// Mappings without a file of the right build-id, counted at each search.
    pub files_not_found: u64,
    /// Addresses whose frames made room for others.
    pub evicted: u64,
    /// Whether the worker is gone: all that is not known by now stays unresolved.
    pub worker_died: bool,
}

/// The background thread, which is started by the first request: a reader of hundreds of targets asks
/// for the names of few.
#[derive(Debug)]
enum Background {
    /// Nothing was asked for yet; holds what the thread will need.
    Idle(Box<(SymbolConfig, Receiver<Request>, Sender<Answer>)>),
    Running(JoinHandle<()>),
    /// No thread could be started.
    Missing,
}

/// Frames of return addresses, resolved by one background thread.
#[derive(Debug)]
pub struct Symbols {
    modules: Mutex<Arc<ModuleMap>>,
    cache: AnswerCache,
    max_pending: usize,
    requests: Sender<Request>,
    answers: Receiver<Answer>,
    counters: Arc<Counters>,
    worker: Background,
    /// Whether the worker was seen to have hung up, which is before its thread has ended.
    hung_up: bool,
}

impl Symbols {
    /// Is ready for requests; the first one starts the worker.
    #[must_use]
    pub fn spawn(config: SymbolConfig) -> Self {
        let (requests, from_us) = mpsc::channel();
        let (to_us, answers) = mpsc::channel();
        Self {
            modules: Mutex::default(),
            cache: AnswerCache::new(config.max_addresses),
            max_pending: config.max_pending,
            requests,
            answers,
            counters: Arc::new(Counters::default()),
            worker: Background::Idle(Box::new((config, from_us, to_us))),
            hung_up: false,
        }
    }

    fn start(&mut self) {
        let counters = Arc::clone(&self.counters);
        self.worker = match std::mem::replace(&mut self.worker, Background::Missing) {
            Background::Idle(needs) => thread::Builder::new()
                .name(WORKER_THREAD_NAME.to_owned())
                .stack_size(WORKER_STACK_BYTES)
                .spawn(move || {
                    let (config, requests, answers) = *needs;
                    worker::run(config, requests, answers, counters);
                })
                .map_or(Background::Missing, Background::Running),
            other => other,
        };
    }

    /// Replaces what is known of the target's executable mappings.
    pub fn set_modules(&self, modules: &[Module]) {
        let map = Arc::new(ModuleMap::new(modules));
        *self.modules.lock().unwrap_or_else(PoisonError::into_inner) = map;
    }

    /// The frames of a return address seen at `time_ns` of the region's clock: innermost inlined
    /// function first, the function that holds the code last. `None` while they are looked up.
    /// Never blocks.
    pub fn resolve(&mut self, return_address: u64, time_ns: u64) -> Option<Arc<[Frame]>> {
        self.drain();
        // A call may be the last instruction of its function: look at the call itself.
        let address = return_address.wrapping_sub(1);
        let modules = Arc::clone(&self.modules.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(module) = modules.find(address, time_ns) else {
            return Some(Arc::new([engine::unresolved(None, address)]));
        };
        let mapping = MappingId::from(module.as_ref());
        let key = Key { address, mapping };
        match self.cache.get(&key) {
            Lookup::Known(frames) => return Some(frames),
            Lookup::Pending => return None,
            Lookup::Unknown => {}
        }
        if self.pending() >= self.max_pending {
            return None;
        }
        self.start();
        // Relaxed: the channel orders it before the worker's subtraction.
        self.counters.pending.fetch_add(1, Ordering::Relaxed);
        let module = Arc::clone(module);
        self.cache.request(key, &module);
        if self.requests.send(Request { key, module }).is_err() {
            self.give_up();
            return match self.cache.get(&key) {
                Lookup::Known(frames) => Some(frames),
                Lookup::Pending | Lookup::Unknown => None,
            };
        }
        None
    }

    /// Addresses without their final answer; those with a name only are among them.
    #[must_use]
    pub fn pending(&self) -> usize {
        if self.worker_died() {
            return 0;
        }
        // SYNC(symbols-pending): Acquire; pairs with the Release in `Worker::finish`.
        self.counters.pending.load(Ordering::Acquire)
    }

    /// Grows when answers arrived or improved.
    #[must_use]
    pub fn version(&self) -> u64 {
        // SYNC(symbols-version): Acquire; pairs with the Release in `Worker::answer`.
        self.counters.version.load(Ordering::Acquire)
    }

    /// Waits until nothing is pending; false when the time ran out.
    pub fn wait(&mut self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            if self.pending() == 0 {
                self.drain();
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            // The last request may end without an answer, so look up now and then.
            match self
                .answers
                .recv_timeout(left.min(Duration::from_millis(5)))
            {
                Ok(answer) => self.cache.answer(answer.key, answer.frames),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.give_up(),
            }
        }
    }

    /// What went wrong or was given up.
    #[must_use]
    pub fn stats(&self) -> SymbolStats {
        // Relaxed: statistics.
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SymbolStats {
            renewals: read(&self.counters.renewals),
            panics: read(&self.counters.panics),
            files_not_found: read(&self.counters.files_not_found),
            evicted: self.cache.evicted(),
            worker_died: self.worker_died(),
        }
    }

    fn worker_died(&self) -> bool {
        self.hung_up
            || match &self.worker {
                Background::Idle(_) => false,
                Background::Running(worker) => worker.is_finished(),
                Background::Missing => true,
            }
    }

    fn drain(&mut self) {
        loop {
            match self.answers.try_recv() {
                Ok(answer) => self.cache.answer(answer.key, answer.frames),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => return self.give_up(),
            }
        }
    }

    /// The worker is gone: what it owed stays unresolved.
    fn give_up(&mut self) {
        self.hung_up = true;
        // Relaxed: there is no other thread any more.
        if self.cache.give_up() {
            self.counters.version.fetch_add(1, Ordering::Relaxed);
        }
        self.counters.pending.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module() -> Module {
        let mut module = Module::default();
        (module.text_start, module.text_end) = (0x1000, 0x9000);
        module.set_path(b"/nowhere/app");
        module
    }

    #[test]
    fn a_dead_worker_leaves_nothing_pending() {
        let mut symbols = Symbols::spawn(SymbolConfig {
            dies_at: Some(0x2000),
            ..SymbolConfig::default()
        });
        symbols.set_modules(&[module()]);
        assert_eq!(symbols.resolve(0x2001, 0), None);
        assert!(symbols.wait(Duration::from_secs(60)));
        assert!(symbols.stats().worker_died);
        assert!(symbols.version() > 0);
        let owed = symbols.resolve(0x2001, 0).unwrap();
        assert_eq!(owed.first().unwrap().function, "0x2000");
        assert_eq!(owed.first().unwrap().module.as_deref(), Some("app"));
        let later = symbols.resolve(0x3001, 0).unwrap();
        assert_eq!(later.first().unwrap().function, "0x3000");
        assert_eq!(symbols.pending(), 0);
    }

    #[test]
    fn symbols_can_move_to_another_thread() {
        fn moves<T: Send>(_: &T) {}
        moves(&Symbols::spawn(SymbolConfig::default()));
    }

    #[test]
    fn requests_beyond_the_limit_wait_to_be_asked_again() {
        let mut symbols = Symbols::spawn(SymbolConfig {
            max_pending: 0,
            ..SymbolConfig::default()
        });
        symbols.set_modules(&[module()]);
        assert_eq!(symbols.resolve(0x2001, 0), None);
        assert_eq!(symbols.pending(), 0);
    }
}
