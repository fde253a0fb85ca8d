//! Sites that could ask for less, or less often.

use std::collections::HashMap;

use riptide_region::stack_table::StackTotals;

use super::{Advice, AdviceKind, Gain, GainUnit, NamedStack, Window, bytes};
use crate::{
    estimate::{Sum, scale, weigh},
    ingest::Observation,
    profile::Estimate,
    size_class::{class_below, usable_size_aligned},
};

/// Advice of one kind at most.
const ADVICE_MAX: usize = 5;
const MIB: f64 = 1_048_576.0;

/// Function, file and line.
type Leaf = (String, Option<String>, Option<u32>);

fn leaf_of(stack: &NamedStack) -> Option<Leaf> {
    let frame = stack.0.get(stack.1)?;
    Some((frame.function.clone(), frame.file.clone(), frame.line))
}

/// Sizes at one site that fall just above a class.
#[derive(Default)]
struct Above {
    gain: Sum,
    live: f64,
    objects: f64,
    samples: u64,
    example: u64,
}

/// Live blocks whose last few bytes cost a whole step of size classes.
pub(super) fn size_classes(
    observation: &Observation,
    live_bytes: f64,
    whole_stack: &impl Fn(usize) -> NamedStack,
) -> Vec<Advice> {
    const SAMPLES_MIN: u64 = 4;
    const SHARE_MIN: f64 = 0.03;
    // A quarter of a step: what a program can be expected to trim.
    const JUST_ABOVE: u64 = 4;
    let mut by_stack: HashMap<usize, Above> = HashMap::new();
    for record in &observation.live {
        let usable = usable_size_aligned(record.size, record.align_log2);
        let below = class_below(usable);
        let step = usable - below;
        let above = record.size.saturating_sub(below);
        if above == 0 || below == 0 || above.saturating_mul(JUST_ABOVE) > step {
            continue;
        }
        let weight = weigh(record.size, record.interval);
        let step = step as f64;
        let found = by_stack.entry(record.stack.place()).or_default();
        found.gain.add(&Sum {
            estimate: step * weight.objects,
            variance: step * step * weight.objects_variance,
            observed: step,
            unseen: step * weight.unseen_objects,
        });
        found.live += usable as f64 * weight.objects;
        found.objects += weight.objects;
        found.samples += 1;
        found.example = record.size;
    }
    let mut by_site: HashMap<Leaf, Above> = HashMap::new();
    for (place, found) in by_stack {
        if let Some(leaf) = leaf_of(&whole_stack(place)) {
            let site = by_site.entry(leaf).or_default();
            site.gain.add(&found.gain);
            site.live += found.live;
            site.objects += found.objects;
            site.samples += found.samples;
            site.example = found.example;
        }
    }
    let advice = by_site
        .into_iter()
        .filter(|(_, found)| {
            found.samples >= SAMPLES_MIN
                && found.gain.estimate >= MIB.max(SHARE_MIN * live_bytes)
        })
        .map(|(leaf, found)| {
            let usable = usable_size_aligned(found.example, 0);
            let below = class_below(usable);
            advice_of(
                leaf,
                AdviceKind::SizeClass,
                format!(
                    "ask for {below} bytes or less (headers included): the classes of jemalloc next to \
                     {} bytes are {below} and {usable}",
                    found.example
                ),
                vec![
                    format!(
                        "about {:.0} live blocks of sizes such as {} bytes take {usable} each",
                        found.objects, found.example
                    ),
                    format!(
                        "they take {} in all, of which {} lie above the class below",
                        bytes(found.live),
                        bytes(found.gain.estimate)
                    ),
                ],
                Gain {
                    unit: GainUnit::RssBytes,
                    amount: found.gain.interval(),
                    share: found.gain.estimate / found.live.max(live_bytes).max(1.0),
                },
            )
        });
    first(advice.collect())
}

/// What a site allocated in the time watched.
#[derive(Default)]
struct Turnover {
    bytes: Sum,
    objects: Sum,
    samples: u64,
    freed: u64,
    freed_at_once: u64,
}

impl Turnover {
    fn add(&mut self, other: &Self) {
        self.bytes.add(&other.bytes);
        self.objects.add(&other.objects);
        self.samples += other.samples;
        self.freed += other.freed;
        self.freed_at_once += other.freed_at_once;
    }

    /// Of a stack, between two looks.
    fn between(before: &StackTotals, after: &StackTotals, interval: u64) -> Self {
        /// Buckets of lifetimes up to 15 ms: the clock behind them moves in steps of 4.
        const AT_ONCE: usize = 4;
        let samples = after.samples.saturating_sub(before.samples);
        let sampled = after.sampled_bytes.saturating_sub(before.sampled_bytes) as f64;
        let mean = (sampled / (samples as f64).max(1.0)).max(1.0);
        let unseen = if interval > 1 { interval as f64 } else { 0.0 };
        let short = |totals: &StackTotals| {
            let buckets = totals.lifetimes.iter().take(AT_ONCE);
            buckets.fold(0, |sum: u64, bucket| sum.saturating_add(*bucket))
        };
        Self {
            bytes: Sum {
                estimate: (after.bytes - before.bytes).max(0.0),
                variance: (after.bytes_variance - before.bytes_variance).max(0.0),
                observed: sampled,
                unseen,
            },
            objects: Sum {
                estimate: (after.objects - before.objects).max(0.0),
                variance: (after.objects_variance - before.objects_variance).max(0.0),
                observed: samples as f64,
                unseen: unseen / mean,
            },
            samples,
            freed: after.freed_samples.saturating_sub(before.freed_samples),
            freed_at_once: short(after).saturating_sub(short(before)),
        }
    }
}

/// Buffers that grow step by step, and blocks that are freed at once.
pub(super) fn turnover(
    observation: &Observation,
    window: &Window<'_>,
    whole_stack: &impl Fn(usize) -> NamedStack,
) -> Vec<Advice> {
    let none = StackTotals::default();
    let mut growing: HashMap<Leaf, Turnover> = HashMap::new();
    let mut plain: HashMap<Leaf, Turnover> = HashMap::new();
    let mut all = Turnover::default();
    for (place, after) in observation.totals.iter().enumerate() {
        let before = window.before.get(place).unwrap_or(&none);
        let found = Turnover::between(before, after, window.interval);
        if found.samples == 0 && found.freed == 0 {
            continue;
        }
        all.add(&found);
        let stack = whole_stack(place);
        let Some(leaf) = leaf_of(&stack) else {
            continue;
        };
        let sites = if is_growth(&stack) {
            &mut growing
        } else {
            &mut plain
        };
        sites.entry(leaf).or_default().add(&found);
    }
    let mut advice = first(growing_buffers(growing, &all, window));
    advice.extend(first(short_lived(plain, &all, window)));
    advice
}

/// Whether a stack is that of a collection that outgrows its buffer: below the program's own frame
/// lie the functions of the standard library that do nothing else.
fn is_growth(stack: &NamedStack) -> bool {
    const GROWING: [&str; 6] = [
        "::grow_one",
        "::grow_amortized",
        "::finish_grow",
        "::do_reserve_and_handle",
        "::reserve_rehash",
        "::reserve_for_push",
    ];
    let below = stack.0.iter().take(stack.1);
    below
        .map(|frame| frame.function.as_str())
        .any(|function| GROWING.iter().any(|name| function.contains(name)))
}

fn growing_buffers(
    sites: HashMap<Leaf, Turnover>,
    all: &Turnover,
    window: &Window<'_>,
) -> Vec<Advice> {
    const BYTES_PER_SECOND_MIN: f64 = MIB;
    const SHARE_MIN: f64 = 0.1;
    const SAMPLES_MIN: u64 = 10;
    let advice = sites.into_iter().filter_map(|(leaf, found)| {
        let rate = scale(&found.bytes.interval(), 1.0 / window.seconds);
        // A buffer doubles: what it grew out of was half as large, and all of that was for nothing.
        let gain = scale(&rate, 0.5);
        let share = found.bytes.estimate / all.bytes.estimate.max(1.0);
        let often_freed = found.freed as f64 >= 0.5 * found.samples as f64;
        if found.samples < SAMPLES_MIN
            || gain.estimate < BYTES_PER_SECOND_MIN
            || share < SHARE_MIN
            || !often_freed
        {
            return None;
        }
        Some(advice_of(
            leaf,
            AdviceKind::GrowingBuffers,
            "make the collection with the capacity that it will need (`with_capacity`, `reserve`), or \
             keep it and `clear` it"
                .to_owned(),
            vec![
                format!(
                    "buffers that grow here take {} a second, {:.0}% of all that is allocated",
                    bytes(rate.estimate),
                    share * 100.0
                ),
                "each time they outgrow a buffer of half the size, which is copied and freed".to_owned(),
            ],
            Gain {
                unit: GainUnit::AllocatedBytesPerSecond,
                amount: gain,
                share: 0.5 * share,
            },
        ))
    });
    advice.collect()
}

fn short_lived(sites: HashMap<Leaf, Turnover>, all: &Turnover, window: &Window<'_>) -> Vec<Advice> {
    const PER_SECOND_MIN: f64 = 5_000.0;
    const SHARE_MIN: f64 = 0.1;
    const AT_ONCE_MIN: f64 = 0.9;
    const SAMPLES_MIN: u64 = 10;
    let advice = sites.into_iter().filter_map(|(leaf, found)| {
        let at_once = found.freed_at_once as f64 / (found.freed as f64).max(1.0);
        let rate = scale(&found.objects.interval(), 1.0 / window.seconds);
        let share = found.objects.estimate / all.objects.estimate.max(1.0);
        let most_are_freed = found.freed as f64 >= 0.8 * found.samples as f64;
        if found.samples < SAMPLES_MIN
            || rate.estimate < PER_SECOND_MIN
            || share < SHARE_MIN
            || at_once < AT_ONCE_MIN
            || !most_are_freed
        {
            return None;
        }
        let gain: Estimate = scale(&rate, at_once);
        Some(advice_of(
            leaf,
            AdviceKind::ShortLived,
            "keep a buffer and use it again (`clear`, a pool, a value outside of the loop) instead of a \
             new one each time"
                .to_owned(),
            vec![
                format!(
                    "{:.0} blocks a second are allocated here, {:.0}% of all",
                    rate.estimate,
                    share * 100.0
                ),
                format!(
                    "{:.0}% of those that were freed lived less than 15 ms ({} of {} samples)",
                    at_once * 100.0,
                    found.freed_at_once,
                    found.freed
                ),
            ],
            Gain {
                unit: GainUnit::AllocationsPerSecond,
                amount: gain,
                share: at_once * share,
            },
        ))
    });
    advice.collect()
}

fn advice_of(
    (function, file, line): Leaf,
    kind: AdviceKind,
    action: String,
    evidence: Vec<String>,
    gain: Gain,
) -> Advice {
    Advice {
        kind,
        action,
        evidence,
        gain,
        function: Some(function),
        file,
        line,
    }
}

/// The advice with the largest gains.
fn first(mut advice: Vec<Advice>) -> Vec<Advice> {
    advice.sort_by(|a, b| b.gain.amount.estimate.total_cmp(&a.gain.amount.estimate));
    advice.truncate(ADVICE_MAX);
    advice
}
