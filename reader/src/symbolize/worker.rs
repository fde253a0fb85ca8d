//! The background thread: names of everything first, then lines in the order of the requests.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError},
    },
    time::{Duration, Instant},
};

use riptide_region::module_table::Module;

use super::{
    Counters, SymbolConfig,
    engine::{Engine, module_name, unresolved},
    modules::MappingId,
};
use crate::profile::Frame;

/// Names looked up before the queue is looked at again.
const NAMES_A_TURN: usize = 1024;
/// How long to wait for further requests before opening the DWARF of a file, which may take
/// seconds in which no name is found.
const SETTLE: Duration = Duration::from_millis(30);
/// How long requests that keep coming may hold it up.
const SETTLE_MAX: Duration = Duration::from_millis(300);

/// An instruction in a mapping of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// Address of the call (avma), which is one below the return address.
    pub(super) address: u64,
    pub(super) mapping: MappingId,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) key: Key,
    pub(super) module: Arc<Module>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) key: Key,
    pub(super) frames: Arc<[Frame]>,
}

/// A request whose name is known and whose lines are not.
struct Named {
    request: Request,
    name: Option<String>,
}

struct Worker {
    engine: Engine,
    requests: Receiver<Request>,
    answers: Sender<Answer>,
    counters: Arc<Counters>,
    unnamed: VecDeque<Request>,
    named: VecDeque<Named>,
    /// Since when the slow look into a file is held up.
    settling_since: Option<Instant>,
    idle: Duration,
    #[cfg(test)]
    dies_at: Option<u64>,
}

/// The other side is gone: nobody wants answers any more.
struct Abandoned;

/// Serves requests until the other side hangs up.
pub(super) fn run(
    config: SymbolConfig,
    requests: Receiver<Request>,
    answers: Sender<Answer>,
    counters: Arc<Counters>,
) {
    #[cfg(test)]
    let dies_at = config.dies_at;
    let idle = config.idle;
    let mut worker = Worker {
        engine: Engine::new(config, Arc::clone(&counters)),
        requests,
        answers,
        counters,
        unnamed: VecDeque::new(),
        named: VecDeque::new(),
        settling_since: None,
        idle,
        #[cfg(test)]
        dies_at,
    };
    while worker.turn().is_ok() {}
}

impl Worker {
    fn turn(&mut self) -> Result<(), Abandoned> {
        if self.unnamed.is_empty() && self.named.is_empty() {
            let request = self.next_request()?;
            self.unnamed.push_back(request);
        }
        self.accept()?;
        if !self.unnamed.is_empty() {
            return self.find_names();
        }
        if self.settles()? {
            return Ok(());
        }
        self.find_lines()
    }

    fn next_request(&mut self) -> Result<Request, Abandoned> {
        match self.requests.recv_timeout(self.idle) {
            Ok(request) => return Ok(request),
            Err(RecvTimeoutError::Timeout) => self.engine.rest(),
            Err(RecvTimeoutError::Disconnected) => return Err(Abandoned),
        }
        self.requests.recv().map_err(|_| Abandoned)
    }

    /// Before the slow first look into a file: whether a further request came in.
    fn settles(&mut self) -> Result<bool, Abandoned> {
        let next = self.named.front();
        if next.is_none_or(|next| self.engine.is_ready(&next.request.module)) {
            return Ok(false);
        }
        let since = *self.settling_since.get_or_insert_with(Instant::now);
        if since.elapsed() < SETTLE_MAX {
            match self.requests.recv_timeout(SETTLE) {
                Ok(request) => {
                    self.unnamed.push_back(request);
                    return Ok(true);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Abandoned),
            }
        }
        self.settling_since = None;
        Ok(false)
    }

    fn accept(&mut self) -> Result<(), Abandoned> {
        loop {
            match self.requests.try_recv() {
                Ok(request) => self.unnamed.push_back(request),
                Err(TryRecvError::Empty) => return Ok(()),
                Err(TryRecvError::Disconnected) => return Err(Abandoned),
            }
        }
    }

    fn find_names(&mut self) -> Result<(), Abandoned> {
        let mut groups: Vec<Vec<Request>> = Vec::new();
        let mut group_of = HashMap::new();
        for _ in 0..NAMES_A_TURN {
            let Some(request) = self.unnamed.pop_front() else {
                break;
            };
            #[cfg(test)]
            assert_ne!(self.dies_at, Some(request.key.address), "asked to die");
            let index = *group_of.entry(request.key.mapping).or_insert(groups.len());
            match groups.get_mut(index) {
                Some(group) => group.push(request),
                None => groups.push(vec![request]),
            }
        }
        for group in groups {
            self.name_group(group)?;
        }
        Ok(())
    }

    fn name_group(&mut self, group: Vec<Request>) -> Result<(), Abandoned> {
        let Some(first) = group.first() else {
            return Ok(());
        };
        let module = Arc::clone(&first.module);
        let addresses: Vec<_> = group.iter().map(|request| request.key.address).collect();
        let names = self.engine.names(&module, &addresses);
        let has_lines = self.engine.has_lines(&module);
        let module_name = module_name(&module);
        for (request, name) in group.into_iter().zip(names) {
            let frame = match &name {
                Some(name) => Frame {
                    function: name.clone(),
                    file: None,
                    line: None,
                    inlined: false,
                    module: module_name.clone(),
                },
                None => unresolved(Some(&module), request.key.address),
            };
            self.answer(request.key, Arc::new([frame]), !has_lines)?;
            if has_lines {
                self.named.push_back(Named { request, name });
            }
        }
        Ok(())
    }

    fn find_lines(&mut self) -> Result<(), Abandoned> {
        let Some(Named { request, name }) = self.named.pop_front() else {
            return Ok(());
        };
        let Request { key, module } = request;
        match self.engine.lines(&module, key.address, name.as_deref()) {
            Some(frames) => self.answer(key, frames.into(), true),
            None => {
                self.finish();
                Ok(())
            }
        }
    }

    fn answer(&self, key: Key, frames: Arc<[Frame]>, last: bool) -> Result<(), Abandoned> {
        let sent = self.answers.send(Answer { key, frames });
        // SYNC(symbols-version): Release; pairs with the Acquire in `Symbols::version`: who sees
        // the new version finds the answer in the channel.
        self.counters.version.fetch_add(1, Ordering::Release);
        if last {
            self.finish();
        }
        sent.map_err(|_| Abandoned)
    }

    fn finish(&self) {
        // SYNC(symbols-pending): Release; pairs with the Acquire in `Symbols::pending`: who sees
        // nothing pending finds all answers in the channel.
        self.counters.pending.fetch_sub(1, Ordering::Release);
    }
}
