//! Bias and coverage of the estimates, by simulating the target's sampler over programs whose
//! figures are known. Seeded: a failure can be repeated.

use riptide_reader::estimate::{Totals, weigh};

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

    /// Uniform in (0, 1], 53 bits.
    fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    /// The sampler's gap.
    fn gap(&mut self, interval: u64) -> i64 {
        (-self.unit().ln() * interval as f64).floor() as i64
    }
}

/// Runs the sampler over `cycles` repetitions of `sizes`: hit iff the countdown is negative after
/// subtracting the size.
fn sample(random: &mut Random, sizes: &[u64], cycles: u64, interval: u64) -> Totals {
    let mut totals = Totals::default();
    let cycle_bytes: i64 = sizes.iter().sum::<u64>() as i64;
    let mut countdown = random.gap(interval);
    let mut cycle = 0;
    while cycle < cycles {
        // Whole cycles without a hit are skipped at once.
        let skip = (countdown / cycle_bytes).min((cycles - cycle) as i64);
        if skip > 0 {
            countdown -= skip * cycle_bytes;
            cycle += skip as u64;
            continue;
        }
        for size in sizes {
            countdown -= *size as i64;
            if countdown < 0 {
                totals.record(*size, &weigh(*size, interval));
                countdown = random.gap(interval);
            }
        }
        cycle += 1;
    }
    totals
}

struct Case {
    name: String,
    sizes: Vec<u64>,
    cycles: u64,
    interval: u64,
    /// Objects are only covered where the smallest size is likely to be seen.
    objects: bool,
}

/// Mean relative error, its standard error, and coverage of (bytes, objects).
fn run(case: &Case, trials: u64) -> [(f64, f64, f64); 2] {
    let mut random = Random(0x5eed_0001 ^ case.interval ^ case.cycles << 20);
    let true_bytes = (case.sizes.iter().sum::<u64>() * case.cycles) as f64;
    let true_objects = (case.sizes.len() as u64 * case.cycles) as f64;
    let mut sums = [(0.0, 0.0, 0.0); 2];
    for _ in 0..trials {
        let mut totals = sample(&mut random, &case.sizes, case.cycles, case.interval);
        // A reader knows the interval in force and the smallest size ever seen.
        let smallest = weigh(case.sizes.iter().copied().min().unwrap_or(1), case.interval);
        totals.bytes.unseen = smallest.unseen_bytes;
        totals.objects.unseen = smallest.unseen_objects;
        let figures = [(totals.bytes, true_bytes), (totals.objects, true_objects)];
        for (sum, (figure, truth)) in sums.iter_mut().zip(figures) {
            let interval = figure.interval();
            let error = interval.estimate / truth - 1.0;
            sum.0 += error;
            sum.1 += error * error;
            let slack = 1e-9 * truth;
            if interval.low <= truth + slack && truth <= interval.high + slack {
                sum.2 += 1.0;
            }
        }
    }
    sums.map(|(sum, squares, covered)| {
        let n = trials as f64;
        let mean = sum / n;
        let deviation = (squares / n - mean * mean).max(0.0).sqrt();
        (mean, deviation / n.sqrt(), covered / n)
    })
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for interval in [4_096, 65_536, 524_288] {
        for size in [
            1,
            8,
            16,
            100,
            1_024,
            4_096,
            20_000,
            65_536,
            262_144,
            524_288,
            1 << 20,
        ] {
            // From a fraction of a sample to thousands.
            for expected in [0.3, 1.0, 3.0, 10.0, 100.0, 2_000.0] {
                let cycles = (expected * interval as f64 / size as f64).round() as u64;
                if cycles == 0 {
                    continue;
                }
                cases.push(Case {
                    name: format!("{cycles} x {size} B at {interval}"),
                    sizes: vec![size],
                    cycles,
                    interval,
                    objects: true,
                });
            }
            for cycles in [1, 2, 5, 20] {
                cases.push(Case {
                    name: format!("{cycles} x {size} B at {interval} (few)"),
                    sizes: vec![size],
                    cycles,
                    interval,
                    objects: true,
                });
            }
        }
        let mut interleaved = vec![16, 256, 512, 1_024];
        interleaved.push(262_144);
        for cycles in [1, 10, 100, 1_000, 10_000] {
            cases.push(Case {
                name: format!("mix of 16..1024 and 256 KiB, {cycles} cycles at {interval}"),
                sizes: interleaved.clone(),
                cycles,
                interval,
                objects: cycles * 16 > interval,
            });
        }
        let mut small_heavy = vec![16; 1_000];
        small_heavy.extend([65_536, 1 << 20]);
        for cycles in [1, 10, 200] {
            cases.push(Case {
                name: format!("1000 x 16 B with two large, {cycles} cycles at {interval}"),
                sizes: small_heavy.clone(),
                cycles,
                interval,
                objects: true,
            });
        }
        cases.push(Case {
            name: format!("32 Mi x 16 B at {interval}"),
            sizes: vec![16],
            cycles: 32 << 20,
            interval,
            objects: true,
        });
    }
    cases
}

#[test]
fn estimates_are_unbiased_and_intervals_cover() {
    let mut failures = Vec::new();
    let mut worst = 1.0_f64;
    for case in cases() {
        let draws =
            case.sizes.iter().sum::<u64>() as f64 * case.cycles as f64 / case.interval as f64;
        // A program with hardly a chance of a record would need millions of runs to show its mean.
        let rare = draws < 0.02;
        let trials = (1e6 / (draws + case.sizes.len() as f64)).clamp(400.0, 10_000.0) as u64;
        let [bytes, objects] = run(&case, trials);
        for (what, (bias, error, coverage)) in [("bytes", bytes), ("objects", objects)] {
            if !rare && bias.abs() > 0.01 && bias.abs() > 4.0 * error {
                failures.push(format!(
                    "{}: bias of {what} {bias:.4} ± {error:.4}",
                    case.name
                ));
            }
            // Three standard errors of the coverage itself.
            let noise = 3.0 * (0.95_f64 * 0.05 / trials as f64).sqrt();
            if what == "bytes" || case.objects {
                worst = worst.min(coverage + noise);
                if coverage + noise.min(0.01) < 0.93 {
                    failures.push(format!(
                        "{}: {what} covered {coverage:.4} ({trials})",
                        case.name
                    ));
                }
            }
        }
    }
    println!("worst coverage {worst:.4}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
