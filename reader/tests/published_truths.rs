//! The estimator on programs whose true figures others have published, at several intervals and across
//! a change of the interval: per site, per group of sites, as a rate and as a difference.
//!
//! 1,000 seeded trials each with `RIPTIDE_LONG=1`, which prints the table; 250 in the plain run.

#![allow(clippy::indexing_slicing, reason = "tests fail by panicking")]

use riptide_reader::{
    estimate::{Totals, difference, scale, weigh},
    profile::Estimate,
};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ z >> 31) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// Samples among `count` blocks of one size: gaps between them are geometric.
    fn samples(&mut self, size: u64, count: u64, interval: u64) -> u64 {
        let probability = weigh(size, interval).probability;
        if probability >= 1.0 {
            return count;
        }
        let (mut place, mut hits) = (0.0, 0);
        loop {
            place += (self.unit().ln() / (-probability).ln_1p()).floor() + 1.0;
            if place > count as f64 {
                return hits;
            }
            hits += 1;
        }
    }
}

/// Blocks of one size.
type Blocks = (u64, u64);

struct Truth {
    name: &'static str,
    /// Sites of one function, each a mix of sizes.
    sites: &'static [&'static [Blocks]],
}

const TRUTHS: &[Truth] = &[
    // jemalloc, test/analyze/prof_bias.c: half the bytes small, half large, from one stack.
    Truth {
        name: "jemalloc prof_bias, 32 Mi x 16 B and 16 x 32 MB",
        sites: &[&[(16, 32 * MIB), (32_000_000, 16)]],
    },
    // google/tcmalloc#273: many arrays of one size.
    Truth {
        name: "tcmalloc#273, arrays of one size",
        sites: &[&[(1_000, 400_000)], &[(10_000, 40_000)]],
    },
    // golang/go#12620: a hundredth of its two functions.
    Truth {
        name: "golang#12620, small among 256 KiB; small alone",
        sites: &[
            &[
                (256 * KIB, 4_000),
                (1_024, 1_000),
                (512, 1_000),
                (256, 1_000),
                (16, 1_000),
            ],
            &[
                (1_024, 100_000),
                (512, 100_000),
                (256, 100_000),
                (16, 100_000),
            ],
        ],
    },
    // dial9's five mixes, 1 B x 1 Mi to 1 MiB x 1, several times over.
    Truth {
        name: "dial9, 1 B to 1 MiB",
        sites: &[
            &[(1, 64 * MIB)],
            &[(32, 2 * MIB)],
            &[(KIB, 64 * KIB)],
            &[(32 * KIB, 2 * KIB)],
            &[(MIB, 64)],
        ],
    },
];

/// One site as sampled: the first half of its blocks at one interval, the rest at the other.
fn sample(random: &mut Random, site: &[Blocks], intervals: (u64, u64)) -> Totals {
    let mut totals = Totals::default();
    for (size, count) in site {
        let half = count / 2;
        for (blocks, interval) in [(half, intervals.0), (count - half, intervals.1)] {
            let weight = weigh(*size, interval);
            for _ in 0..random.samples(*size, blocks, interval) {
                totals.record(*size, &weight);
            }
        }
    }
    // A reader knows the intervals in force, and the smallest size of a site that is often seen.
    let smallest = site.iter().map(|blocks| blocks.0).min().unwrap_or(1);
    let largest_interval = intervals.0.max(intervals.1);
    let unseen = weigh(smallest, largest_interval);
    totals.bytes.unseen = unseen.unseen_bytes;
    totals.objects.unseen = unseen.unseen_objects;
    totals
}

#[derive(Default)]
struct Score {
    trials: f64,
    covered: f64,
    errors: f64,
    squares: f64,
    truth: f64,
    samples: f64,
}

impl Score {
    fn note(&mut self, of: &Estimate, truth: f64, samples: u64) {
        let slack = 1e-9 * truth.abs();
        self.trials += 1.0;
        self.covered += f64::from(u8::from(
            of.low <= truth + slack && truth - slack <= of.high,
        ));
        self.errors += of.estimate - truth;
        self.squares += (of.estimate - truth).powi(2);
        self.truth = truth;
        self.samples += samples as f64;
    }

    /// Bias as a share of the truth, its own standard error, and coverage.
    fn figures(&self) -> (f64, f64, f64) {
        let mean = self.errors / self.trials;
        let deviation = (self.squares / self.trials - mean * mean).max(0.0).sqrt();
        let unit = self.truth.abs().max(1.0);
        (
            mean / unit,
            deviation / unit / self.trials.sqrt(),
            self.covered / self.trials,
        )
    }
}

#[test]
fn published_truths_are_met() {
    let long = std::env::var_os("RIPTIDE_LONG").is_some();
    let trials = if long { 1_000 } else { 250 };
    let mut failures = Vec::new();
    println!("| truth | intervals | figure | bias | coverage |\n|---|---|---|---|---|");
    for (number, truth) in TRUTHS.iter().enumerate() {
        for intervals in [
            (64 * KIB, 64 * KIB),
            (512 * KIB, 512 * KIB),
            (4 * MIB, 4 * MIB),
            (64 * KIB, 512 * KIB),
            (2 * MIB, 256 * KIB),
        ] {
            let mut random =
                Random(0x5eed ^ (number as u64) << 32 ^ intervals.0 ^ intervals.1 << 7);
            let mut scores: Vec<(String, Score, bool)> = Vec::new();
            for trial in 0..trials {
                let mut at = 0;
                let mut note =
                    |name: &str, of: &Estimate, truth: f64, samples: u64, loose: bool| {
                        if trial == 0 {
                            scores.push((name.to_owned(), Score::default(), loose));
                        }
                        scores[at].1.note(of, truth, samples);
                        at += 1;
                    };
                let sites: Vec<Totals> = truth
                    .sites
                    .iter()
                    .map(|site| sample(&mut random, site, intervals))
                    .collect();
                let (mut group, mut all_bytes, mut all_objects) = (Totals::default(), 0.0, 0.0);
                let true_of = |site: &[Blocks]| {
                    let bytes: u64 = site.iter().map(|(size, count)| size * count).sum();
                    let objects: u64 = site.iter().map(|(_, count)| count).sum();
                    (bytes as f64, objects as f64)
                };
                let densest = intervals.0.min(intervals.1);
                for (place, (site, totals)) in truth.sites.iter().zip(&sites).enumerate() {
                    let (bytes, objects) = true_of(site);
                    let fine = site
                        .iter()
                        .all(|(size, _)| weigh(*size, densest).probability < 0.9);
                    let bytes_of = totals.bytes.interval();
                    note(
                        &format!("bytes of site {place}"),
                        &bytes_of,
                        bytes,
                        totals.samples,
                        fine,
                    );
                    note(
                        &format!("objects of site {place}"),
                        &totals.objects.interval(),
                        objects,
                        // Objects are known as well as the smallest size is sampled.
                        0,
                        false,
                    );
                    group.add(totals);
                    all_bytes += bytes;
                    all_objects += objects;
                }
                let bytes_of = group.bytes.interval();
                note(
                    "bytes of the group",
                    &bytes_of,
                    all_bytes,
                    group.samples,
                    false,
                );
                note(
                    "objects of the group",
                    &group.objects.interval(),
                    all_objects,
                    0,
                    false,
                );
                let rate = scale(&bytes_of, 1.0 / 60.0);
                note(
                    "rate of the group",
                    &rate,
                    all_bytes / 60.0,
                    group.samples,
                    false,
                );
                // The same program again, a quarter more of it: what has come since.
                if let Some(site) = truth.sites.first() {
                    let more: Vec<Blocks> = site
                        .iter()
                        .map(|(size, count)| (*size, count + count / 4))
                        .collect();
                    let later = sample(&mut random, &more, intervals).bytes.interval();
                    let before = sites[0].bytes.interval();
                    let grown = true_of(&more).0 - true_of(site).0;
                    note(
                        "difference of site 0",
                        &difference(&later, &before),
                        grown,
                        0,
                        false,
                    );
                }
            }
            for (name, score, fine) in &scores {
                let (bias, error, coverage) = score.figures();
                let place = format!("{}, {} and {}", truth.name, intervals.0, intervals.1);
                println!(
                    "| {} | {} and {} KiB | {name} | {:+.4} | {coverage:.3} |",
                    truth.name,
                    intervals.0 / KIB,
                    intervals.1 / KIB,
                    bias
                );
                if bias.abs() > 0.01 && bias.abs() > 4.0 * error {
                    failures.push(format!("{place}: {name} has a bias of {bias} ± {error}"));
                }
                // Two standard errors of the coverage itself in the long run, four in the short one.
                let slack = if long { 2.0 } else { 4.0 } * (0.95_f64 * 0.05 / score.trials).sqrt();
                if coverage < 0.93 - slack / 2.0 {
                    failures.push(format!("{place}: {name} covered {coverage}"));
                }
                if *fine && score.samples / score.trials >= 30.0 && coverage > 0.975 + slack / 2.0 {
                    failures.push(format!("{place}: {name} is too wide, covered {coverage}"));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
