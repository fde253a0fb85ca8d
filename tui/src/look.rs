//! What the feed hands out beside each snapshot: plain data, made in the reader's thread, shared and
//! never changed.
//!
//! A snapshot comes every second; the parts below cost more and are made less often, the more they
//! cost. A screen shows the last one there is.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::Duration,
};

use riptide_reader::{
    advise::Advice,
    leak::{Finding, Verdict},
    profile::{HeapShape, Inspection, Site, ThreadProfile},
    waterfall::{Fragmentation, Row},
};

use crate::{
    alerts::{ActiveAlert, Alert},
    app::SiteKey,
    flame::Tree,
};

/// What stacks are put together by on the Sites screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Grouping {
    /// Function, file and line of the leaf.
    #[default]
    Site,
    /// Function of the leaf.
    Function,
    /// Crate of the leaf.
    Crate,
    /// Thread that allocated.
    Thread,
}

impl Grouping {
    /// All of them, in the order of the key that steps through them.
    pub const ALL: [Self; 4] = [Self::Site, Self::Function, Self::Crate, Self::Thread];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Function => "function",
            Self::Crate => "crate",
            Self::Thread => "thread",
        }
    }

    /// The next one, around the end.
    #[must_use]
    pub fn next(self) -> Self {
        let at = Self::ALL.iter().position(|by| *by == self).unwrap_or(0);
        let next = (at + 1) % Self::ALL.len();
        Self::ALL.get(next).copied().unwrap_or_default()
    }
}

/// Verdicts, those that the user ignores apart.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The worst first.
    pub list: Vec<Finding>,
    /// Those that the user ignores, and that would be listed.
    pub ignored: Vec<Finding>,
    /// Seconds that growth was watched.
    pub watched_seconds: f64,
    /// Place in the list by the hash of function, file and line; the last of equal hashes.
    by_hash: HashMap<u64, usize>,
}

fn hash_of(function: &str, file: Option<&str>, line: Option<u32>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (function, file, line).hash(&mut hasher);
    hasher.finish()
}

/// Whether the Leaks screen lists a finding.
#[must_use]
pub fn is_listed(finding: &Finding) -> bool {
    !matches!(finding.verdict, Verdict::Healthy | Verdict::TooEarly)
}

impl Findings {
    /// From lists, the worst first.
    #[must_use]
    pub fn new(mut list: Vec<Finding>, mut ignored: Vec<Finding>, watched_seconds: f64) -> Self {
        // Of the others the verdict is shown, not why: with thousands of sites that is most of the text.
        for of in list.iter_mut().filter(|of| !is_listed(of)) {
            of.evidence = Vec::new();
        }
        ignored.retain(is_listed);
        let hash = |of: &Finding| hash_of(&of.function, of.file.as_deref(), of.line);
        let places = list.iter().enumerate().rev();
        let by_hash = places.map(|(place, of)| (hash(of), place)).collect();
        Self {
            list,
            ignored,
            watched_seconds,
            by_hash,
        }
    }

    /// How many have a verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        let of = |finding: &&Finding| finding.verdict == verdict;
        self.list.iter().filter(of).count()
    }

    /// The verdict on a site.
    #[must_use]
    pub fn of_site(&self, site: &Site) -> Option<&Finding> {
        let hash = hash_of(&site.function, site.file.as_deref(), site.line);
        let found = self.list.get(*self.by_hash.get(&hash)?)?;
        let is_same =
            found.line == site.line && found.function == site.function && found.file == site.file;
        is_same.then_some(found)
    }
}

/// A thread with its name, where it still runs.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Name in the kernel.
    pub name: Option<String>,
    /// What it holds.
    pub profile: ThreadProfile,
}

impl Thread {
    /// `name [id]`.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} [{}]", self.profile.id),
            None => format!("[{}]", self.profile.id),
        }
    }
}

/// jemalloc from inside, and what would be better.
#[derive(Clone, Debug, Default)]
pub struct Jemalloc {
    /// The memory waterfall.
    pub rows: Vec<Row>,
    /// Slabs and their waste.
    pub fragmentation: Fragmentation,
    /// What there is to gain.
    pub advice: Vec<Advice>,
    /// Arenas.
    pub arenas: Option<u64>,
    /// Seconds that the target took for its last figures.
    pub epoch_seconds: Option<f64>,
    /// Options in the target's environment; `None` when it cannot be read.
    pub options: Option<String>,
}

/// What the rules of alerts say.
#[derive(Clone, Debug, Default)]
pub struct Alerts {
    /// Active ones, the worst first.
    pub active: Vec<ActiveAlert>,
    /// Those that ended, the newest first.
    pub history: Vec<Alert>,
    /// Where `riptide serve` would send them.
    pub channels: Vec<String>,
    /// Why default rules are in force, if the configuration cannot be used.
    pub problem: Option<String>,
    /// Now, since the Unix epoch.
    pub unix_now: Duration,
}

/// A piece of source text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The file as the symbols name it, and the line.
    pub file: String,
    /// Line that is meant, from 1.
    pub line: u32,
    /// Where it was found, or why it was not.
    pub place: Result<String, String>,
    /// Number of the first line below.
    pub first: u32,
    /// The lines around it.
    pub lines: Vec<String>,
}

/// One site closely.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// Which one.
    pub key: SiteKey,
    /// What was found.
    pub inspection: Inspection,
}

/// What there is beside the snapshot; `None` until it was first made.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Verdicts.
    pub findings: Option<Arc<Findings>>,
    /// By function, each in the shape of a site without a place.
    pub functions: Option<Arc<[Site]>>,
    /// By crate, likewise.
    pub crates: Option<Arc<[Site]>>,
    /// By thread.
    pub threads: Option<Arc<[Thread]>>,
    /// By thread, each in the shape of a site without a place.
    pub thread_rows: Option<Arc<[Site]>>,
    /// Sizes and lifetimes.
    pub shape: Option<Arc<HeapShape>>,
    /// jemalloc.
    pub jemalloc: Option<Arc<Jemalloc>>,
    /// All stacks as one tree.
    pub flame: Option<Arc<Tree>>,
    /// Alerts.
    pub alerts: Option<Arc<Alerts>>,
    /// The site that was asked for.
    pub inspected: Option<Arc<Inspected>>,
}

impl Parts {
    /// The rows of a grouping; those of sites are the snapshot's own.
    #[must_use]
    pub fn rows(&self, grouping: Grouping) -> Option<&Arc<[Site]>> {
        match grouping {
            Grouping::Site => None,
            Grouping::Function => self.functions.as_ref(),
            Grouping::Crate => self.crates.as_ref(),
            Grouping::Thread => self.thread_rows.as_ref(),
        }
    }
}
