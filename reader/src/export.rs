//! A moment of a target in the formats of other tools.
//!
//! | module | for |
//! |---|---|
//! | `pprof` | `go tool pprof`, Pyroscope, Parca: profile.proto, gzipped, four value types |
//! | `folded`, `flamegraph` | folded stacks, and the SVG that inferno makes of them |
//! | `speedscope`, `firefox` | the viewers of these names |
//! | `jeprof` | jeprof and google-pprof: the text form of a heap profile |
//! | `json` | all that riptide knows of the moment |
//! | `html` | a report for people, in one file |
//!
//! **Invariants.** Every format is made of the same [`Capture`], so their sums agree with each other
//! and with `top`. Frames that were inlined are frames. Interval and errors are carried where the
//! format has room for words.

use std::io::{self, Write};

use riptide_region::module_table::Module;

use crate::{
    leak::Finding,
    profile::{History, Point, Snapshot, StackProfile},
    recording::Replay,
    session::Session,
};

mod firefox;
mod flamegraph;
mod folded;
mod html;
mod jeprof;
mod json;
mod pprof;
mod speedscope;

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// profile.proto, gzipped.
    Pprof,
    /// One line a stack: frames from the root, separated by `;`, and a number.
    Folded,
    /// An SVG.
    Flamegraph,
    /// speedscope's own JSON.
    Speedscope,
    /// The Firefox Profiler's processed profile.
    Firefox,
    /// The text heap profile of gperftools, for jeprof.
    Jeprof,
    /// Everything, in riptide's own JSON.
    Json,
    /// A report in one file, for a browser.
    Html,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Pprof,
        Self::Folded,
        Self::Flamegraph,
        Self::Speedscope,
        Self::Firefox,
        Self::Jeprof,
        Self::Json,
        Self::Html,
    ];

    /// As it is called on the command line and in URLs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pprof => "pprof",
            Self::Folded => "folded",
            Self::Flamegraph => "flamegraph",
            Self::Speedscope => "speedscope",
            Self::Firefox => "firefox",
            Self::Jeprof => "jeprof",
            Self::Json => "json",
            Self::Html => "html",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What HTTP calls it.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Pprof => "application/octet-stream",
            Self::Folded | Self::Jeprof => "text/plain; charset=utf-8",
            Self::Flamegraph => "image/svg+xml",
            Self::Speedscope | Self::Firefox | Self::Json => "application/json",
            Self::Html => "text/html; charset=utf-8",
        }
    }

    /// How files of it usually end.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Pprof => "pb.gz",
            Self::Folded => "folded",
            Self::Flamegraph => "svg",
            Self::Speedscope => "speedscope.json",
            Self::Firefox => "firefox.json",
            Self::Jeprof => "heap",
            Self::Json => "json",
            Self::Html => "html",
        }
    }
}

/// Which figure of a stack; formats that hold several put this one first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Live requested bytes.
    #[default]
    LiveBytes,
    /// Live blocks.
    LiveObjects,
    /// Bytes allocated since the process started.
    AllocatedBytes,
    /// Blocks allocated since the process started.
    AllocatedObjects,
}

impl Metric {
    /// All of them, in the order of pprof's heap profiles.
    pub const ALL: [Self; 4] = [
        Self::AllocatedObjects,
        Self::AllocatedBytes,
        Self::LiveObjects,
        Self::LiveBytes,
    ];

    /// As it is called on the command line and in URLs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LiveBytes => "live-bytes",
            Self::LiveObjects => "live-objects",
            Self::AllocatedBytes => "alloc-bytes",
            Self::AllocatedObjects => "alloc-objects",
        }
    }

    /// The metric of that name; `live` and `alloc` are bytes.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "live" => Some(Self::LiveBytes),
            "alloc" => Some(Self::AllocatedBytes),
            _ => Self::ALL.into_iter().find(|metric| metric.name() == name),
        }
    }

    /// In words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::LiveBytes => "live bytes",
            Self::LiveObjects => "live objects",
            Self::AllocatedBytes => "allocated bytes",
            Self::AllocatedObjects => "allocated objects",
        }
    }

    fn counts_bytes(self) -> bool {
        matches!(self, Self::LiveBytes | Self::AllocatedBytes)
    }

    /// The figure of a stack, as a whole number.
    #[must_use]
    pub fn of(self, stack: &StackProfile) -> u64 {
        let value = match self {
            Self::LiveBytes => stack.live_bytes,
            Self::LiveObjects => stack.live_objects,
            Self::AllocatedBytes => stack.allocated_bytes,
            Self::AllocatedObjects => stack.allocated_objects,
        };
        // Saturates; formats hold whole numbers.
        value.round() as u64
    }
}

/// All that is known of a target at one moment.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The profile, every site.
    pub snapshot: Snapshot,
    /// Every stack, symbolised.
    pub stacks: Vec<StackProfile>,
    /// Executable mappings.
    pub modules: Vec<Module>,
    /// The moment, in nanoseconds since the Unix epoch.
    pub unix_ns: i64,
    /// Nanoseconds that the target had lived by then.
    pub lived_ns: i64,
    /// Verdicts.
    pub findings: Vec<Finding>,
    /// Seconds that growth covers.
    pub watched_seconds: f64,
    /// Bytes a second by which each of the stacks grew in that time; empty before it is known.
    pub growth: Vec<f64>,
    /// The past, oldest first, as far as it is known.
    pub history: Vec<Point>,
}

impl Capture {
    /// The newest mapping around an address.
    #[must_use]
    pub fn module_of(&self, address: u64) -> Option<&Module> {
        module_of(&self.modules, address).and_then(|place| self.modules.get(place))
    }

    /// Captures a session's target as of its last look.
    pub fn of_last_look(session: &mut Session) -> Self {
        let snapshot = session.snapshot_of_last_look();
        let header = session.header();
        let since_anchor = session
            .observation()
            .time_ns
            .cast_signed()
            .saturating_sub(header.anchor_monotonic_ns.cast_signed());
        let unix_ns = header
            .anchor_realtime_ns
            .cast_signed()
            .saturating_add(since_anchor);
        let lived_ns = (snapshot.target.uptime_seconds.unwrap_or(0.0) * 1e9) as i64;
        Self {
            stacks: session.stacks(),
            modules: session.modules().to_vec(),
            snapshot,
            unix_ns,
            lived_ns,
            findings: session.findings(),
            watched_seconds: session.watched_seconds(),
            growth: session.stack_growth(),
            history: whole(session.model().history()),
        }
    }

    /// Captures the moment of a recording.
    pub fn of_replay(replay: &mut Replay) -> Self {
        let snapshot = replay.snapshot();
        Self {
            stacks: replay.stacks(),
            modules: replay.modules().to_vec(),
            unix_ns: replay.unix_ns(),
            lived_ns: (snapshot.target.uptime_seconds.unwrap_or(0.0) * 1e9) as i64,
            snapshot,
            findings: replay.findings(),
            watched_seconds: replay.watched_seconds(),
            growth: replay.stack_growth(),
            history: whole(replay.model().history()),
        }
    }

    /// Writes the capture in a format.
    ///
    /// # Errors
    /// The writer's own; the formats add none.
    pub fn write(&self, format: Format, metric: Metric, out: &mut dyn Write) -> io::Result<()> {
        match format {
            Format::Pprof => pprof::write(self, metric, out),
            Format::Folded => folded::write(self, metric, out),
            Format::Flamegraph => flamegraph::write(self, metric, out),
            Format::Speedscope => speedscope::write(self, metric, out),
            Format::Firefox => firefox::write(self, metric, out),
            Format::Jeprof => jeprof::write(self, out),
            Format::Json => json::write(self, out),
            Format::Html => html::write(self, metric, out),
        }
    }

    /// `name [pid]`.
    fn title(&self) -> String {
        let target = &self.snapshot.target;
        format!("{} [{}]", target.name, target.pid)
    }

    /// How the figures came about, in a sentence or two.
    fn provenance(&self) -> Vec<String> {
        let sampling = &self.snapshot.sampling;
        let live = &self.snapshot.live;
        let interval = match sampling.interval_bytes {
            1 => "every allocation recorded".to_owned(),
            bytes => format!("one sample in {bytes} bytes"),
        };
        let mut lines = vec![
            format!("riptide: {interval}, {} samples so far", sampling.samples),
            format!(
                "live: {:.0} bytes, 95 % interval {:.0} to {:.0}; {:.0} objects, {:.0} to {:.0}",
                live.bytes.estimate,
                live.bytes.low,
                live.bytes.high,
                live.objects.estimate,
                live.objects.low,
                live.objects.high
            ),
        ];
        let loss = &self.snapshot.loss;
        if loss.makes_live_a_lower_bound() {
            lines.push(format!(
                "live figures are lower bounds: {} blocks of {} bytes went unrecorded",
                loss.unrecorded_blocks, loss.unrecorded_bytes
            ));
        }
        lines
    }

    /// Stacks with something of the metric.
    fn weighted(&self, metric: Metric) -> impl Iterator<Item = (&StackProfile, u64)> {
        self.stacks
            .iter()
            .map(move |stack| (stack, metric.of(stack)))
            .filter(|(_, value)| *value > 0)
    }
}

/// All that is known, at the finest resolution that reaches back to its beginning.
fn whole(history: &History) -> Vec<Point> {
    let all = history.last(u64::MAX);
    let ends = all.first().zip(all.last());
    let span_ns = ends.map_or(0, |(first, last)| last.time_ns - first.time_ns);
    // Of the coarsest step the last point stands for it: the first moment may lie a step before.
    history.last(span_ns / 1_000_000_000 + 60)
}

/// A name for one line of text: nothing in it steers a terminal or turns the direction of writing.
fn plain(name: &str) -> String {
    name.chars().map(plain_letter).collect()
}

fn plain_letter(letter: char) -> char {
    match letter {
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        letter if letter.is_control() => char::REPLACEMENT_CHARACTER,
        letter => letter,
    }
}

/// The newest mapping around an address.
fn module_of(modules: &[Module], address: u64) -> Option<usize> {
    modules
        .iter()
        .rposition(|module| (module.text_start..module.text_end).contains(&address))
}

#[cfg(test)]
mod tests;
