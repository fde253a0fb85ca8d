//! Coverage of growth figures: a heap of which most stays, some dies, some is born, and much comes
//! and goes between two looks. Seeded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests fail by panicking"
)]

use riptide_reader::{
    estimate::weigh,
    ingest::{LiveSample, Observation, StackIndex},
    profile::{FreshMemory, Model, TargetInfo},
};
use riptide_region::stack_table::StackTotals;

const SECOND: u64 = 1_000_000_000;
const WATCHED: u64 = 10;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn hits(&mut self, probability: f64) -> bool {
        ((self.next() >> 11) as f64 / (1_u64 << 53) as f64) < probability
    }
}

/// Samples `count` blocks of each of `sizes`.
fn sample(
    random: &mut Random,
    sizes: &[u64],
    count: u64,
    interval: u64,
    number: &mut u64,
) -> Vec<LiveSample> {
    let mut records = Vec::new();
    for size in sizes {
        let probability = weigh(*size, interval).probability;
        for _ in 0..count {
            if random.hits(probability) {
                *number += 1;
                records.push(LiveSample {
                    size: *size,
                    interval,
                    birth_ns: 0,
                    number: *number,
                    stack: StackIndex::UNKNOWN,
                    thread: 1,
                    align_log2: 0,
                });
            }
        }
    }
    records
}

struct Case {
    sizes: &'static [u64],
    stay: u64,
    die: u64,
    born: u64,
    interval: u64,
}

const CASES: &[Case] = &[
    Case {
        sizes: &[64],
        stay: 20_000,
        die: 0,
        born: 0,
        interval: 65_536,
    },
    Case {
        sizes: &[64],
        stay: 20_000,
        die: 3_000,
        born: 9_000,
        interval: 65_536,
    },
    Case {
        sizes: &[1_000],
        stay: 5_000,
        die: 5_000,
        born: 0,
        interval: 65_536,
    },
    Case {
        sizes: &[16, 1_024, 262_144],
        stay: 300,
        die: 40,
        born: 100,
        interval: 65_536,
    },
    Case {
        sizes: &[1 << 20],
        stay: 10,
        die: 3,
        born: 6,
        interval: 524_288,
    },
    Case {
        sizes: &[100, 4_096],
        stay: 5_000,
        die: 500,
        born: 600,
        interval: 4_096,
    },
];

#[test]
fn growth_is_unbiased_and_covered() {
    const TRIALS: u32 = 1_500;
    let mut random = Random(7);
    for case in CASES {
        let per_count = case.sizes.iter().sum::<u64>() as f64;
        let truth = per_count * (case.born as f64 - case.die as f64) / WATCHED as f64;
        let (mut covered, mut sum, mut squares) = (0, 0.0, 0.0);
        for _ in 0..TRIALS {
            let mut number = 0;
            let mut draw =
                |count| sample(&mut random, case.sizes, count, case.interval, &mut number);
            let (stay, die) = (draw(case.stay), draw(case.die));
            let born = draw(case.born);
            let mut observation = Observation {
                time_ns: SECOND,
                generation: 1,
                live: stay.iter().chain(&die).copied().collect(),
                totals: vec![StackTotals::default()],
                ..Observation::default()
            };
            observation.counts.interval_bytes = case.interval;
            let mut model = Model::default();
            model.observe(&observation);
            observation.time_ns += WATCHED * SECOND;
            observation.generation += 1;
            observation.live = stay.iter().chain(&born).copied().collect();
            model.observe(&observation);
            let snapshot = model.snapshot(
                &observation,
                TargetInfo::default(),
                FreshMemory::default(),
                0,
            );
            let growth = snapshot.rates.growth_bytes_per_second.unwrap();
            covered += u32::from(growth.low <= truth && truth <= growth.high);
            sum += growth.estimate - truth;
            squares += (growth.estimate - truth).powi(2);
        }
        let trials = f64::from(TRIALS);
        let (bias, error) = (sum / trials, (squares / trials).sqrt() / trials.sqrt());
        let coverage = f64::from(covered) / trials;
        println!(
            "{:?}: bias {bias:.1} ± {error:.1}, coverage {coverage:.3}",
            case.sizes
        );
        assert!(bias.abs() <= 4.0 * error + 1e-6, "bias {bias} ± {error}");
        assert!(coverage >= 0.93, "{:?}: {coverage}", case.sizes);
    }
}
