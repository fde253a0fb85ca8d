//! From a session to a file.

use std::{
    collections::HashSet,
    io::{self, Write},
    sync::Arc,
};

use riptide_region::{event::EventKind, module_table::Module, stack_table::StackTotals};

use super::{
    Kind, VERSION,
    figures::{self, Figures, Row, SampleKey},
    wire,
};
use crate::{profile::Frame, session::Session};

/// Deaths of one look that are written one by one; the others are counted as lost, and told from the
/// totals as a reader does that was lapped.
pub(super) const DEATHS_MAX: usize = 4_096;
/// Looks between two keys, at least; also not before the changes are as large as a key.
const KEY_EVERY: u32 = 60;

/// Writes what a session sees.
#[derive(Debug)]
pub struct Recorder<W> {
    out: W,
    frames: u32,
    /// Of the last frame. A dead target's time is that of its last sign of life, which may lie before
    /// the last look; frames stay in order.
    time_ns: u64,
    bytes: u64,
    modules: Vec<Module>,
    /// Stacks written.
    stacks: usize,
    /// Stacks whose addresses are all asked for or written.
    named: HashSet<(u64, u64)>,
    unnamed: Vec<(u64, u64)>,
    deaths: Vec<(u32, u32)>,
    deaths_lost: u64,
    row: Vec<u64>,
    recent: Vec<u64>,
    samples: Vec<SampleKey>,
    totals: Vec<StackTotals>,
    generation: Option<u64>,
    looks_since_key: u32,
    bytes_since_key: u64,
    key_bytes: u64,
    has_key: bool,
}

impl<W: Write> Recorder<W> {
    /// Begins a recording of a session's target.
    ///
    /// # Errors
    /// The writer's own.
    pub fn begin(mut out: W, session: &Session) -> io::Result<Self> {
        let header = wire::file_header(VERSION);
        out.write_all(&header)?;
        let mut recorder = Self {
            out,
            frames: 0,
            time_ns: 0,
            bytes: header.len() as u64,
            modules: Vec::new(),
            stacks: 1,
            named: HashSet::new(),
            unnamed: Vec::new(),
            deaths: Vec::new(),
            deaths_lost: 0,
            row: Vec::new(),
            recent: Vec::new(),
            samples: Vec::new(),
            totals: Vec::new(),
            generation: None,
            looks_since_key: 0,
            bytes_since_key: 0,
            key_bytes: 0,
            has_key: false,
        };
        let info = session.info();
        let region = session.header();
        let mut payload = Vec::new();
        wire::put(&mut payload, u64::from(info.pid));
        wire::put_bytes(&mut payload, info.name.as_bytes());
        wire::put_bytes(&mut payload, info.region.as_os_str().as_encoded_bytes());
        let executable = info.executable.unwrap_or_default();
        wire::put_bytes(&mut payload, executable.as_os_str().as_encoded_bytes());
        wire::put(&mut payload, region.anchor_monotonic_ns);
        wire::put(&mut payload, region.anchor_realtime_ns);
        recorder.frame(Kind::Target, session.observation().time_ns, &payload)?;
        Ok(recorder)
    }

    /// Bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes note of what the session's last poll (or snapshot) has read from the journal.
    pub fn follow(&mut self, session: &Session) {
        let stacks = session.stack_book();
        for event in session.events() {
            let EventKind::Free { lifetime_ms } = event.kind else {
                continue;
            };
            if self.deaths.len() < DEATHS_MAX {
                let place = stacks.index_of(event.stack).number();
                self.deaths.push((place, lifetime_ms));
            } else {
                self.deaths_lost += 1;
            }
        }
    }

    /// Writes the session's last snapshot.
    ///
    /// # Errors
    /// The writer's own.
    pub fn look(&mut self, session: &mut Session) -> io::Result<()> {
        let time_ns = session.observation().time_ns;
        self.definitions(session, time_ns)?;
        self.names(session, time_ns, false)?;
        let key = !self.has_key
            || self.looks_since_key >= KEY_EVERY && self.bytes_since_key >= self.key_bytes;
        if key {
            self.row.clear();
            self.recent.clear();
            self.samples.clear();
            self.totals.clear();
        }
        let payload = self.look_payload(session);
        let kind = if key { Kind::Key } else { Kind::Look };
        let bytes = self.frame(kind, time_ns, &payload)?;
        if key {
            (self.has_key, self.key_bytes) = (true, bytes);
            (self.looks_since_key, self.bytes_since_key) = (0, 0);
        } else {
            self.looks_since_key += 1;
            self.bytes_since_key += bytes;
        }
        Ok(())
    }

    /// Writes the names that are known by now and hands on what is buffered.
    ///
    /// # Errors
    /// The writer's own.
    pub fn finish(mut self, session: &mut Session) -> io::Result<W> {
        let time_ns = session.observation().time_ns;
        self.names(session, time_ns, true)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn frame(&mut self, kind: Kind, time_ns: u64, payload: &[u8]) -> io::Result<u64> {
        self.time_ns = self.time_ns.max(time_ns);
        let bytes = wire::write_frame(&mut self.out, kind, self.frames, self.time_ns, payload)?;
        self.frames += 1;
        self.bytes += bytes;
        Ok(bytes)
    }

    /// Mappings when they have changed, and stacks that are new.
    fn definitions(&mut self, session: &Session, time_ns: u64) -> io::Result<()> {
        if self.modules != session.modules() {
            self.modules = session.modules().to_vec();
            let mut payload = Vec::new();
            for module in &self.modules {
                for number in [
                    module.text_start,
                    module.text_end,
                    module.file_offset,
                    module.bias,
                    module.valid_from_ns,
                    module.valid_to_ns,
                ] {
                    wire::put(&mut payload, number);
                }
                wire::put_bytes(&mut payload, module.build_id());
                wire::put_bytes(&mut payload, module.path());
            }
            self.frame(Kind::Modules, time_ns, &payload)?;
        }
        let all = session.stack_book().all();
        let new = all.get(self.stacks..).unwrap_or_default();
        if new.is_empty() {
            return Ok(());
        }
        let mut payload = Vec::new();
        wire::put(&mut payload, self.stacks as u64);
        for stack in new {
            wire::put(&mut payload, u64::from(stack.truncated));
            wire::put(&mut payload, stack.first_seen_ns);
            wire::put(&mut payload, stack.addresses.len() as u64);
            let mut before = 0;
            for address in stack.addresses.iter() {
                wire::put_difference(&mut payload, before, *address);
                before = *address;
                let key = (
                    *address,
                    mapping_of(&self.modules, *address, stack.first_seen_ns),
                );
                if self.named.insert(key) {
                    self.unnamed.push((*address, stack.first_seen_ns));
                }
            }
        }
        self.stacks = all.len();
        self.frame(Kind::Stacks, time_ns, &payload)?;
        Ok(())
    }

    /// Names of addresses, once they are final; `at_the_end` those that there are.
    fn names(&mut self, session: &mut Session, time_ns: u64, at_the_end: bool) -> io::Result<()> {
        if self.unnamed.is_empty() {
            return Ok(());
        }
        let answers: Vec<Option<Arc<[Frame]>>> = self
            .unnamed
            .iter()
            .map(|(address, seen_ns)| session.frames_of(*address, *seen_ns))
            .collect();
        if !at_the_end && (session.symbols().pending() > 0 || answers.iter().any(Option::is_none)) {
            return Ok(());
        }
        let mut payload = Vec::new();
        for ((address, seen_ns), frames) in self.unnamed.drain(..).zip(answers) {
            let Some(frames) = frames else {
                continue;
            };
            wire::put(&mut payload, address);
            wire::put(&mut payload, mapping_of(&self.modules, address, seen_ns));
            wire::put(&mut payload, frames.len() as u64);
            for frame in frames.iter() {
                wire::put_bytes(&mut payload, frame.function.as_bytes());
                wire::put_bytes(&mut payload, frame.file.as_deref().unwrap_or("").as_bytes());
                wire::put(
                    &mut payload,
                    frame.line.map_or(0, |line| u64::from(line) + 1),
                );
                wire::put(&mut payload, u64::from(frame.inlined));
                wire::put_bytes(
                    &mut payload,
                    frame.module.as_deref().unwrap_or("").as_bytes(),
                );
            }
        }
        self.frame(Kind::Names, time_ns, &payload)?;
        Ok(())
    }

    fn look_payload(&mut self, session: &Session) -> Vec<u8> {
        let observation = session.observation();
        let info = session.last_info();
        let mut figures = Figures {
            time_ns: observation.time_ns,
            generation: observation.generation,
            torn_live_records: observation.torn_live_records,
            counts: observation.counts,
            status: observation.status,
            bins: observation.bins,
            account: observation.account,
            fresh: session.last_fresh_memory(),
            state: info.state,
            uptime_seconds: info.uptime_seconds,
            heartbeat_age_seconds: info.heartbeat_age_seconds,
        };
        figures.account.dropped = figures.account.dropped.saturating_add(self.deaths_lost);
        let mut payload = Vec::new();
        let mut row = Vec::new();
        figures.pass(&mut Row::Write(&mut row));
        figures::put_row(&mut payload, &self.row, &row);
        self.row = row;
        wire::put_bytes(&mut payload, observation.status.cgroup_path());
        let recent = observation.recent.to_words();
        wire::put(&mut payload, u64::from(recent != self.recent));
        if recent != self.recent {
            figures::put_row(&mut payload, &[], &recent);
            self.recent = recent;
        }
        wire::put(&mut payload, self.deaths.len() as u64);
        for (place, lifetime_ms) in self.deaths.drain(..) {
            wire::put(&mut payload, u64::from(place));
            wire::put(&mut payload, u64::from(lifetime_ms));
        }
        // Unchanged since the last look: nothing is compared.
        let same = self.generation == Some(observation.generation) && !self.totals.is_empty();
        wire::put(&mut payload, u64::from(!same));
        if !same {
            self.generation = Some(observation.generation);
            self.put_live(session, &mut payload);
            self.put_totals(&observation.totals, &mut payload);
        }
        payload
    }

    /// Which blocks of the look before are gone, and which are new.
    fn put_live(&mut self, session: &Session, payload: &mut Vec<u8>) {
        let live = session.live_samples();
        let mut samples: Vec<SampleKey> = live.iter().map(figures::key_of).collect();
        samples.sort_unstable();
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        let mut old = self.samples.iter().enumerate().peekable();
        for sample in &samples {
            while let Some((place, _)) = old.next_if(|(_, old)| *old < sample) {
                gone.push(place);
            }
            if old.next_if(|(_, old)| *old == sample).is_none() {
                new.push(*sample);
            }
        }
        gone.extend(old.map(|(place, _)| place));
        wire::put(payload, gone.len() as u64);
        let mut before = 0;
        for place in gone {
            wire::put_difference(payload, before, place as u64);
            before = place as u64;
        }
        wire::put(payload, new.len() as u64);
        let mut before = SampleKey::default();
        for sample in new {
            figures::put_sample(payload, &before, &sample);
            before = sample;
        }
        self.samples = samples;
    }

    fn put_totals(&mut self, totals: &[StackTotals], payload: &mut Vec<u8>) {
        self.totals.resize(totals.len(), StackTotals::default());
        let changed = self.totals.iter().zip(totals).enumerate();
        let changed: Vec<_> = changed
            .filter(|(_, (old, new))| old != new)
            .map(|(place, (old, new))| (place, *old, *new))
            .collect();
        wire::put(payload, totals.len() as u64);
        wire::put(payload, changed.len() as u64);
        for (place, mut old, mut new) in changed {
            wire::put(payload, place as u64);
            let (mut before, mut after) = (Vec::new(), Vec::new());
            figures::totals(&mut old, &mut Row::Write(&mut before));
            figures::totals(&mut new, &mut Row::Write(&mut after));
            figures::put_row(payload, &before, &after);
        }
        self.totals = totals.to_vec();
    }
}

/// The mapping of an address at a moment, told from others at that address by when it was first seen; 0
/// for none.
pub(super) fn mapping_of(modules: &[Module], return_address: u64, time_ns: u64) -> u64 {
    let address = return_address.wrapping_sub(1);
    modules
        .iter()
        .filter(|module| (module.text_start..module.text_end).contains(&address))
        .filter(|module| module.valid_to_ns == 0 || time_ns < module.valid_to_ns)
        .min_by_key(|module| {
            let seen_later = module.valid_from_ns > time_ns;
            (seen_later, module.valid_from_ns.abs_diff(time_ns))
        })
        .map_or(0, |module| module.valid_from_ns.max(1))
}
