//! From a file to the model.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use riptide_region::{
    event::{Event, EventKind},
    module_table::Module,
    stack_table::{MAX_FRAMES, StackId, StackTotals},
};

use super::{
    Kind, Numbers,
    figures::{self, FIGURES_MAX, Figures, Row, SampleKey, TOTALS_WORDS},
    index::{Index, Place, begins_as_one, damaged},
    names::Names,
    recorder::DEATHS_MAX,
};
use crate::{
    advise::{Advice, Advisor},
    error::ReaderError,
    ingest::{LiveSample, Observation, RecentEvents, StackIndex},
    leak::Finding,
    profile::{Model, Snapshot, StackProfile, TargetInfo},
    waterfall::{self, Fragmentation},
};

/// Live blocks and stacks of a look: more than any region has room for.
const BLOCKS_MAX: usize = 1 << 23;
const STACKS_MAX: usize = 1 << 18;
const MODULES_MAX: usize = 4_096;

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
    /// Time of the first look.
    first_ns: u64,
}

impl Replay {
    /// Reads a recording up to `at` after its beginning, or to its end.
    ///
    /// # Errors
    /// It cannot be read, is of another version, or nothing of it is whole.
    pub fn open(path: &Path, at: Option<Duration>, span: Span) -> Result<Self, ReaderError> {
        Self::open_with(path, at, span, None)
    }

    /// As [`Replay::open`], through the whole past; `seen` is called with every look on the way, once
    /// it is in the model.
    ///
    /// # Errors
    /// As for [`Replay::open`].
    pub fn play(
        path: &Path,
        at: Option<Duration>,
        seen: &mut dyn FnMut(&mut Self),
    ) -> Result<Self, ReaderError> {
        Self::open_with(path, at, Span::Past, Some(seen))
    }

    fn open_with(
        path: &Path,
        at: Option<Duration>,
        span: Span,
        seen: Option<&mut dyn FnMut(&mut Self)>,
    ) -> Result<Self, ReaderError> {
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
            first_ns,
        };
        if seen.is_some() {
            replay.read_names(&mut index);
        }
        replay.read(&mut index, until_ns, span, seen);
        if replay.looks == 0 {
            let problem = replay.problem.unwrap_or_else(|| "no look is whole".into());
            return Err(damaged(index.path(), &problem));
        }
        replay.name();
        Ok(replay)
    }

    /// All names before the first look: a name that was found later is as right.
    fn read_names(&mut self, index: &mut Index) {
        let names = index.frames.clone();
        for place in names
            .iter()
            .filter(|place| place.header.kind == Kind::Names)
        {
            if let Some(payload) = index.payload(place) {
                // What is wrong with it is found again, and told, when all is read.
                let _ = self.names.take(&mut Numbers(&payload));
            }
        }
    }

    fn read(
        &mut self,
        index: &mut Index,
        until_ns: u64,
        span: Span,
        mut seen: Option<&mut dyn FnMut(&mut Self)>,
    ) {
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
                    if let Some(seen) = &mut seen {
                        seen(self);
                    }
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
        let row = figures::get_row(numbers, &self.row, FIGURES_MAX)?;
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
            let words = figures::get_row(numbers, &[], RecentEvents::WORDS_MAX)?;
            self.observation.recent = RecentEvents::from_words(&words)?;
        }
        self.events.clear();
        for _ in 0..numbers.count().filter(|deaths| *deaths <= DEATHS_MAX)? {
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
        let room = BLOCKS_MAX.saturating_sub(kept.len());
        for _ in 0..numbers.count().filter(|new| *new <= room)? {
            last = figures::get_sample(numbers, &last)?;
            kept.push(last);
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
            let row = figures::get_row(numbers, &before, TOTALS_WORDS)?;
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
        self.model.verdicts(&self.observation, self.fresh)
    }

    /// Every stack with its figures.
    #[must_use]
    pub fn stacks(&self) -> Vec<StackProfile> {
        self.model.stacks(&self.observation)
    }

    /// The model, for groups, shapes and histories.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// What the model was last fed.
    #[must_use]
    pub fn observation(&self) -> &Observation {
        &self.observation
    }

    /// Growth in bytes a second of each of [`Replay::stacks`]; empty before it is known.
    #[must_use]
    pub fn stack_growth(&self) -> Vec<f64> {
        self.model.stack_growth(&self.observation)
    }

    /// Lets an advisor look at this moment.
    pub fn show_to(&self, advisor: &mut Advisor, snapshot: &Snapshot) {
        advisor.look(&self.observation, snapshot);
    }

    /// What the advisor has to say about what it was shown.
    #[must_use]
    pub fn advice(&self, advisor: &Advisor) -> Vec<Advice> {
        let whole = |place| self.model.whole_stack(place, &self.observation);
        advisor.advise(&self.observation, &self.fragmentation(), whole)
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

    /// Asks for the names of what is in the model: for those who look on the way.
    pub fn name_stacks(&mut self) {
        self.name();
    }

    /// This moment, from the first look of the recording on.
    #[must_use]
    pub fn moment(&self) -> Duration {
        Duration::from_nanos(self.observation.time_ns.saturating_sub(self.first_ns))
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
