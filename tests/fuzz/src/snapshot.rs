//! A region through the reader: two looks at words that somebody changes, and all that is made of them.

use std::{
    cell::RefCell,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use riptide_reader::{
    export::{Capture, Format, Metric},
    ingest::{Ingest, Observation},
    profile::{Estimate, Frame, FreshMemory, GroupBy, Model, Resolver, Snapshot, TargetInfo},
    waterfall::rows,
};
use riptide_region::{primitive::AtomicU64, view::View};

use crate::{
    small_region::{change, template},
    take,
};

const SECOND: u64 = 1_000_000_000;

thread_local! {
    static REGION: RefCell<(Vec<u64>, Vec<AtomicU64>)> = RefCell::new({
        let template = template();
        let words = template.iter().map(|_| AtomicU64::new(0)).collect();
        (template, words)
    });
}

/// The first byte says whether the words are changed before the first look, or only between the two,
/// and which export is written; the second one how far the clock goes.
pub fn snapshot(mut bytes: &[u8]) {
    let [mode, step] = take::<2>(&mut bytes);
    REGION.with_borrow(|(template, words)| {
        for (word, value) in words.iter().zip(template) {
            word.store(*value, Relaxed);
        }
        if mode & 1 == 0 {
            change(words, &mut bytes);
        }
        let Ok(view) = View::open(words) else {
            return;
        };
        let mut reader = Reader::new(&view);
        reader.look(&view, 5 * SECOND);
        change(words, &mut bytes);
        // As a session does: checked anew at every look.
        let Ok(view) = View::open(words) else {
            return;
        };
        // Forwards, and backwards: a region may be of another time namespace.
        let then = (5 * SECOND).wrapping_add_signed(i64::from(step as i8) << (step % 60));
        reader.look(&view, then);
        reader.write(mode);
    });
}

struct Reader {
    ingest: Ingest,
    observation: Observation,
    model: Model,
}

impl Reader {
    fn new(view: &View<'_>) -> Self {
        Self {
            ingest: Ingest::new(view, true),
            observation: Observation::default(),
            model: Model::default(),
        }
    }

    fn look(&mut self, view: &View<'_>, now_ns: u64) {
        self.ingest.drain(view, false);
        self.ingest.learn_stacks(view, &mut self.observation);
        self.model
            .follow(self.ingest.events(), &self.observation.stacks);
        self.observation.time_ns = now_ns;
        self.ingest
            .read_tables(view, view.header().initial_interval, &mut self.observation);
        self.model.observe(&self.observation);
        self.model.name(&self.observation, &mut Numbered, false);
        check(&self.snapshot());
        let findings = self
            .model
            .verdicts(&self.observation, FreshMemory::default());
        for finding in findings {
            assert!((0.0..=1.0).contains(&finding.confidence), "{finding:?}");
            is_estimate(&finding.live_bytes);
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        let target = TargetInfo::default();
        let fresh = FreshMemory::default();
        self.model.snapshot(&self.observation, target, fresh, 0)
    }

    /// What commands and screens make of a look.
    fn write(&mut self, mode: u8) {
        let snapshot = self.snapshot();
        for row in rows(&snapshot, None) {
            std::hint::black_box(row);
        }
        let by = [
            GroupBy::Site,
            GroupBy::Function,
            GroupBy::Crate,
            GroupBy::Thread,
        ][usize::from(mode >> 1 & 3)];
        for group in self.model.groups(&self.observation, by) {
            is_estimate(&group.live_bytes);
        }
        std::hint::black_box(self.model.threads(&self.observation));
        std::hint::black_box(self.model.heap_shape(&self.observation));
        let format = Format::ALL[usize::from(mode >> 3) % Format::ALL.len()];
        // A graph for people, and compressed: too slow to be asked for each time.
        if matches!(format, Format::Html | Format::Flamegraph | Format::Pprof) && mode & 6 != 0 {
            return;
        }
        let capture = Capture {
            stacks: self.model.stacks(&self.observation),
            modules: self.observation.modules.clone(),
            snapshot,
            unix_ns: 0,
            lived_ns: 0,
            findings: self
                .model
                .verdicts(&self.observation, FreshMemory::default()),
            watched_seconds: self.model.watched_seconds(self.observation.time_ns),
            growth: self.model.stack_growth(&self.observation),
            history: Vec::new(),
        };
        let mut written = Vec::new();
        let metric = Metric::ALL[usize::from(mode >> 6) % Metric::ALL.len()];
        capture.write(format, metric, &mut written).unwrap();
    }
}

/// What the contract says of an estimate.
pub(crate) fn is_estimate(of: &Estimate) {
    assert!(
        of.low.is_finite() && of.estimate.is_finite() && of.high.is_finite(),
        "{of:?}"
    );
    assert!(of.low <= of.estimate && of.estimate <= of.high, "{of:?}");
}

pub(crate) fn check(snapshot: &Snapshot) {
    is_estimate(&snapshot.live.bytes);
    is_estimate(&snapshot.live.objects);
    let mut estimates: Vec<&Estimate> = Vec::new();
    estimates.extend(&snapshot.memory.not_seen_by_shim);
    estimates.extend(&snapshot.memory.rounding);
    estimates.extend(&snapshot.rates.growth_bytes_per_second);
    for site in &snapshot.sites {
        estimates.extend([
            &site.live_bytes,
            &site.live_objects,
            &site.allocated_bytes_total,
        ]);
        estimates.extend(&site.growth_bytes_per_second);
        assert!(site.live_bytes.low >= 0.0 && site.live_objects.low >= 0.0);
        assert!(site.median_age_seconds.is_none_or(|age| age >= 0.0));
    }
    estimates.into_iter().for_each(is_estimate);
    let heaviest_first = snapshot
        .sites
        .is_sorted_by(|left, right| left.live_bytes.estimate >= right.live_bytes.estimate);
    assert!(heaviest_first);
}

/// Names that are known at once.
struct Numbered;

impl Resolver for Numbered {
    fn resolve(&mut self, return_address: u64, _time_ns: u64) -> Option<Arc<[Frame]>> {
        Some(Arc::new([Frame {
            function: format!("victim::f{}", return_address % 7),
            file: (!return_address.is_multiple_of(3)).then(|| "src/main.rs".to_owned()),
            line: Some(return_address as u32 % 100),
            inlined: false,
            module: Some("victim".to_owned()),
        }]))
    }

    fn pending(&self) -> usize {
        0
    }

    fn version(&self) -> u64 {
        1
    }
}
