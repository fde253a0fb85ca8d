//! From a file to the model.

use std::{
    collections::HashMap,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use riptide_region::{
    event::{Event, EventKind},
    module_table::Module,
    stack_table::{MAX_FRAMES, StackId, StackTotals},
};

use super::{
    Kind, Numbers,
    figures::{self, Figures, Row, SampleKey, TOTALS_WORDS},
    index::{Index, Place, begins_as_one, damaged},
    recorder::mapping_of,
};
use crate::{
    error::ReaderError,
    ingest::{LiveSample, Observation, RecentEvents, StackIndex},
    leak::Finding,
    profile::{Frame, Model, Resolver, Snapshot, StackProfile, TargetInfo},
    waterfall::{self, Fragmentation},
};

/// Live blocks and stacks of a look: more than any region has room for.
const BLOCKS_MAX: usize = 1 << 23;
const STACKS_MAX: usize = 1 << 18;
const MODULES_MAX: usize = 4_096;
const NAMES_MAX: usize = 1 << 20;
/// Frames that were inlined at one address.
const INLINED_MAX: usize = 1_024;

/// Whether a file is a recording, as far as its first bytes tell.
#[must_use]
pub fn is_recording(path: &Path) -> bool {
    begins_as_one(path)
}

/// How much of a recording goes into the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// One look: figures of a moment.
    Moment,
    /// All looks up to it: growth, verdicts.
    Past,
}

/// A target at one moment of its recording.
pub struct Replay {
    observation: Observation,
    model: Model,
    names: Names,
    info: TargetInfo,
    fresh: crate::profile::FreshMemory,
    anchor: (u64, u64),
    events: Vec<Event>,
    row: Vec<u64>,
    samples: Vec<SampleKey>,
    looks: u64,
    skipped: u64,
    problem: Option<String>,
    length: Duration,
}

impl Replay {
    /// Reads a recording up to `at` after its beginning, or to its end.
    ///
    /// # Errors
    /// It cannot be read, is of another version, or nothing of it is whole.
    pub fn open(path: &Path, at: Option<Duration>, span: Span) -> Result<Self, ReaderError> {
        let mut index = Index::open(path)?;
        let looks = || {
            index
                .frames
                .iter()
                .map(|place| place.header)
                .filter(|h| h.kind.is_look())
        };
        let first_ns = looks().next().map(|header| header.time_ns);
        let last_ns = looks().next_back().map(|header| header.time_ns);
        let (Some(first_ns), Some(last_ns)) = (first_ns, last_ns) else {
            let problem = index.problem.clone();
            return Err(damaged(
                path,
                &problem.unwrap_or_else(|| "nothing was recorded".into()),
            ));
        };
        let length = Duration::from_nanos(last_ns.saturating_sub(first_ns));
        if at.is_some_and(|at| at > length) {
            return Err(ReaderError::RecordingTooShort {
                path: path.to_owned(),
                seconds: length.as_secs_f64(),
            });
        }
        let until_ns = at.map_or(u64::MAX, |at| {
            first_ns.saturating_add(u64::try_from(at.as_nanos()).unwrap_or(u64::MAX))
        });
        let mut replay = Self {
            observation: Observation::default(),
            model: Model::default(),
            names: Names::default(),
            info: TargetInfo::default(),
            fresh: crate::profile::FreshMemory::default(),
            anchor: (0, 0),
            events: Vec::new(),
            row: Vec::new(),
            samples: Vec::new(),
            looks: 0,
            skipped: 0,
            problem: index.problem.clone(),
            length,
        };
        replay.read(&mut index, until_ns, span);
        if replay.looks == 0 {
            let problem = replay.problem.unwrap_or_else(|| "no look is whole".into());
            return Err(damaged(index.path(), &problem));
        }
        replay.name();
        Ok(replay)
    }

    fn read(&mut self, index: &mut Index, until_ns: u64, span: Span) {
        let frames = std::mem::take(&mut index.frames);
        let last = frames
            .iter()
            .rposition(|place| place.header.kind.is_look() && place.header.time_ns <= until_ns);
        let upto = |last: usize| frames.get(..=last).unwrap_or_default();
        let before = last.map(upto).unwrap_or_default();
        let key = match span {
            Span::Past => 0,
            // Looks before it are not read at all.
            Span::Moment => before
                .iter()
                .rposition(|place| place.header.kind == Kind::Key)
                .unwrap_or(0),
        };
        let mut in_step = false;
        for (number, place) in frames.iter().enumerate() {
            let kind = place.header.kind;
            let is_wanted = match kind {
                Kind::Target | Kind::Modules | Kind::Stacks => number < before.len(),
                // A name that was found later is as right.
                Kind::Names => true,
                Kind::Key => (key..before.len()).contains(&number),
                Kind::Look => (key..before.len()).contains(&number) && in_step,
            };
            if !is_wanted {
                if kind == Kind::Look && (key..before.len()).contains(&number) {
                    self.skipped += 1;
                }
                continue;
            }
            let Some(payload) = index.payload(place) else {
                // What was read before stays as it is.
                match kind {
                    Kind::Key | Kind::Look => {
                        in_step = false;
                        self.skipped += 1;
                        continue;
                    }
                    Kind::Names => {
                        self.problem =
                            Some(format!("frame {number} is damaged: names are missing"));
                        continue;
                    }
                    Kind::Target | Kind::Modules | Kind::Stacks => {
                        // Later frames build on it.
                        self.problem = Some(format!("frame {number} is damaged"));
                        break;
                    }
                }
            };
            if self.take(place, &payload).is_none() {
                // No recorder writes this: nothing of it is worth showing.
                self.problem = Some(format!("frame {number} makes no sense"));
                self.looks = 0;
                return;
            }
            if kind.is_look() {
                in_step = true;
                self.looks += 1;
                if span == Span::Past {
                    self.feed();
                }
            }
        }
        if span == Span::Moment && self.looks > 0 {
            self.feed();
        }
    }

    fn take(&mut self, place: &Place, payload: &[u8]) -> Option<()> {
        let mut numbers = Numbers(payload);
        match place.header.kind {
            Kind::Target => self.take_target(&mut numbers),
            Kind::Modules => self.take_modules(&mut numbers),
            Kind::Stacks => self.take_stacks(&mut numbers),
            Kind::Names => self.names.take(&mut numbers),
            Kind::Key => {
                self.row.clear();
                self.samples.clear();
                self.observation.totals.clear();
                self.take_look(&mut numbers)
            }
            Kind::Look => self.take_look(&mut numbers),
        }
    }

    fn take_target(&mut self, numbers: &mut Numbers<'_>) -> Option<()> {
        let path = |bytes: &[u8]| PathBuf::from(OsStr::from_bytes(bytes));
        self.info.pid = u32::try_from(numbers.get()?).ok()?;
        self.info.name = numbers.text()?;
        self.info.region = path(numbers.bytes()?);
        let executable = numbers.bytes()?;
        self.info.executable = (!executable.is_empty()).then(|| path(executable));
        self.anchor = (numbers.get()?, numbers.get()?);
        Some(())
    }

    fn take_modules(&mut self, numbers: &mut Numbers<'_>) -> Option<()> {
        let mut modules = Vec::new();
        while !numbers.0.is_empty() {
            let mut module = Module::default();
            for number in [
                &mut module.text_start,
                &mut module.text_end,
                &mut module.file_offset,
                &mut module.bias,
                &mut module.valid_from_ns,
                &mut module.valid_to_ns,
            ] {
                *number = numbers.get()?;
            }
            module.set_build_id(numbers.bytes()?);
            module.set_path(numbers.bytes()?);
            modules.push(module);
            if modules.len() > MODULES_MAX {
                return None;
            }
        }
        self.names.modules.clone_from(&modules);
        self.observation.modules = modules;
        Some(())
    }

    fn take_stacks(&mut self, numbers: &mut Numbers<'_>) -> Option<()> {
        let stacks = &mut self.observation.stacks;
        if numbers.get()? != stacks.len() as u64 {
            return None;
        }
        while !numbers.0.is_empty() {
            let truncated = numbers.get()? != 0;
            let first_seen_ns = numbers.get()?;
            let depth = numbers.count().filter(|depth| *depth <= MAX_FRAMES)?;
            let mut addresses = Vec::with_capacity(depth);
            let mut before = 0;
            for _ in 0..depth {
                before = numbers.difference(before)?;
                addresses.push(before);
            }
            let is_new = stacks.add_recorded(&addresses, truncated, first_seen_ns);
            if !is_new || stacks.len() > STACKS_MAX {
                return None;
            }
        }
        Some(())
    }

    fn take_look(&mut self, numbers: &mut Numbers<'_>) -> Option<()> {
        let row = figures::get_row(numbers, &self.row)?;
        let mut figures = Figures::default();
        figures.pass(&mut Row::Read(&mut row.iter().copied()));
        self.row = row;
        figures.status.set_cgroup_path(numbers.bytes()?);
        self.info.state = figures.state;
        self.info.uptime_seconds = figures.uptime_seconds;
        self.info.heartbeat_age_seconds = figures.heartbeat_age_seconds;
        self.fresh = figures.fresh;
        figures.apply(&mut self.observation);
        if numbers.get()? == 1 {
            let words = figures::get_row(numbers, &[])?;
            self.observation.recent = RecentEvents::from_words(&words)?;
        }
        self.events.clear();
        for _ in 0..numbers.count()? {
            let stack = StackId(u32::try_from(numbers.get()?).ok()?);
            let lifetime_ms = u32::try_from(numbers.get()?).ok()?;
            self.events.push(Event {
                kind: EventKind::Free { lifetime_ms },
                address: 0,
                size: 0,
                stack,
                thread: 0,
                time_ns: 0,
                number: 0,
                interval: 1,
            });
        }
        if numbers.get()? == 1 {
            self.take_live(numbers)?;
            self.take_totals(numbers)?;
        }
        numbers.0.is_empty().then_some(())
    }

    fn take_live(&mut self, numbers: &mut Numbers<'_>) -> Option<()> {
        let mut samples = std::mem::take(&mut self.samples);
        let (mut before, mut kept, mut from) = (0, Vec::with_capacity(samples.len()), 0);
        for _ in 0..numbers.count()? {
            before = numbers.difference(before)?;
            let gone = usize::try_from(before).ok()?;
            // In ascending order, each once.
            kept.extend_from_slice(samples.get(from..gone)?);
            from = gone.checked_add(1)?;
        }
        kept.extend_from_slice(samples.get(from..)?);
        let mut last = SampleKey::default();
        for _ in 0..numbers.count()? {
            last = figures::get_sample(numbers, &last)?;
            kept.push(last);
        }
        if kept.len() > BLOCKS_MAX {
            return None;
        }
        kept.sort_unstable();
        samples.clear();
        self.samples = kept;
        let stacks = self.observation.stacks.len();
        let live = &mut self.observation.live;
        live.clear();
        for sample in &self.samples {
            let (number, birth_ns, size, interval, stack, thread, align_log2) = *sample;
            if usize::try_from(stack).ok()? >= stacks {
                return None;
            }
            live.push(LiveSample {
                size,
                interval,
                birth_ns,
                number,
                stack: StackIndex::from_number(stack),
                thread,
                align_log2,
            });
        }
        Some(())
    }

    fn take_totals(&mut self, numbers: &mut Numbers<'_>) -> Option<()> {
        let len = usize::try_from(numbers.get()?).ok()?;
        if len > self.observation.stacks.len() {
            return None;
        }
        let totals = &mut self.observation.totals;
        totals.resize(len, StackTotals::default());
        for _ in 0..numbers.count()? {
            let place = usize::try_from(numbers.get()?).ok()?;
            let of = totals.get_mut(place)?;
            let mut before = Vec::with_capacity(TOTALS_WORDS);
            figures::totals(of, &mut Row::Write(&mut before));
            let row = figures::get_row(numbers, &before)?;
            if row.len() != TOTALS_WORDS {
                return None;
            }
            figures::totals(of, &mut Row::Read(&mut row.into_iter()));
        }
        Some(())
    }

    fn feed(&mut self) {
        self.model.follow(&self.events, &self.observation.stacks);
        self.model.observe(&self.observation);
    }

    fn name(&mut self) {
        self.model.name(&self.observation, &mut self.names, false);
    }

    /// The profile at this moment.
    pub fn snapshot(&mut self) -> Snapshot {
        self.model
            .snapshot(&self.observation, self.info.clone(), self.fresh, 0)
    }

    /// Verdicts, as of a live target's.
    pub fn findings(&mut self) -> Vec<Finding> {
        let status = &self.observation.status;
        let headroom = status
            .cgroup_limit
            .zip(status.cgroup_usage)
            .map(|(limit, usage)| limit.saturating_sub(usage) as f64);
        self.model.verdicts(&self.observation, headroom)
    }

    /// Every stack with its figures.
    #[must_use]
    pub fn stacks(&self) -> Vec<StackProfile> {
        self.model.stacks(&self.observation)
    }

    /// Executable mappings, with their build-ids.
    #[must_use]
    pub fn modules(&self) -> &[Module] {
        &self.observation.modules
    }

    /// The rows of the memory waterfall; mappings of the process are not recorded.
    #[must_use]
    pub fn waterfall(&self, snapshot: &Snapshot) -> Vec<waterfall::Row> {
        waterfall::rows(snapshot, None)
    }

    /// What small blocks waste.
    #[must_use]
    pub fn fragmentation(&self) -> Fragmentation {
        Fragmentation::of(&self.observation, |place| self.model.leaf_of(place))
    }

    /// The model, for histories.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Seconds that growth figures cover.
    #[must_use]
    pub fn watched_seconds(&self) -> f64 {
        self.model.watched_seconds(self.observation.time_ns)
    }

    /// The moment, in nanoseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ns(&self) -> i64 {
        let (monotonic, realtime) = self.anchor;
        let since = self
            .observation
            .time_ns
            .cast_signed()
            .saturating_sub(monotonic.cast_signed());
        realtime.cast_signed().saturating_add(since)
    }

    /// From the first to the last look of the recording.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.length
    }

    /// What of the recording could not be read, if anything.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match (&self.problem, self.skipped) {
            (None, 0) => None,
            (Some(problem), 0) => Some(problem.clone()),
            (None, skipped) => Some(format!("{skipped} looks are damaged and left out")),
            (Some(problem), skipped) => Some(format!(
                "{problem}; {skipped} looks are damaged and left out"
            )),
        }
    }
}

/// Names as they were found when the recording was made.
#[derive(Debug, Default)]
struct Names {
    frames: HashMap<(u64, u64), Arc<[Frame]>>,
    modules: Vec<Module>,
}

impl Names {
    fn take(&mut self, numbers: &mut Numbers<'_>) -> Option<()> {
        while !numbers.0.is_empty() {
            let key = (numbers.get()?, numbers.get()?);
            let count = numbers.count().filter(|count| *count <= INLINED_MAX)?;
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
