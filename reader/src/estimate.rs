//! From samples to unbiased figures with 95 % intervals.
//!
//! A block of `S` bytes is recorded with probability `p = 1 - e^(-S/R)` (Poisson sampling by bytes,
//! mean distance `R`), so one record stands for `1/p` blocks and `S/p` bytes (Horvitz–Thompson).
//! Each record is unbiased on its own and then summed: unbiasing a sum of mixed sizes is wrong.
//! `Var = Σ w² (1-p)` with `w = 1/p` or `S/p`, estimated from the records themselves.
//!
//! # The interval
//!
//! What was recorded was certainly there; what has to be estimated is the rest,
//! `U = Σ w - Σ observed = Σ w (1-p)`, with variance `v = Σ w² (1-p)`. For small blocks `U` is a
//! weighted sum of Poisson counts, for which Fay and Feuer (Statistics in Medicine 16, 1997) match
//! a gamma distribution to mean and variance, and add one more observation for the upper end:
//!
//! ```text
//! low  = observed + gamma_0.025(mean U,     variance v) - S, not below observed
//! high = observed + gamma_0.975(mean U + u, variance v + u²)
//! ```
//!
//! `u` is the weight of one record of the smallest kind: `R` bytes, or `R/S` blocks of the smallest
//! size seen. With no record at all this is the exact Poisson bound `[0, 3.69 u]`. For large blocks
//! (`p → 1`) the unseen ones are a negative binomial count, which may well be 0: subtracting one
//! block of size `S` (next to nothing where blocks are small) makes room for the step between 0
//! and 1. With `R = 1` everything is recorded, `u = 0` and `v = 0`: the interval has no width.

use std::sync::LazyLock;

use statrs::distribution::{ContinuousCDF, Gamma};

use crate::profile::Estimate;

/// What one record stands for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampleWeight {
    /// Probability with which the block was recorded.
    pub probability: f64,
    /// Blocks.
    pub objects: f64,
    /// Requested bytes.
    pub bytes: f64,
    /// Variance of `objects`.
    pub objects_variance: f64,
    /// Variance of `bytes`.
    pub bytes_variance: f64,
    /// Mean weight, in blocks, of another record of this size: `R/S`, 0 when all are recorded.
    pub unseen_objects: f64,
    /// Mean weight, in bytes, of another record: `R`, 0 when all are recorded.
    pub unseen_bytes: f64,
}

/// The weight of a block of `size` bytes recorded at a mean distance of `interval` bytes.
///
/// An interval of 1 (or 0, which no target writes) records everything. A size of 0, which no target
/// writes either, has the probability of one byte.
#[must_use]
pub fn weigh(size: u64, interval: u64) -> SampleWeight {
    let bytes = size as f64;
    if interval <= 1 {
        return SampleWeight {
            probability: 1.0,
            objects: 1.0,
            bytes,
            objects_variance: 0.0,
            bytes_variance: 0.0,
            unseen_objects: 0.0,
            unseen_bytes: 0.0,
        };
    }
    let interval = interval as f64;
    let trials = bytes.max(1.0) / interval;
    let probability = -(-trials).exp_m1();
    let missed = (-trials).exp();
    let objects = 1.0 / probability;
    let objects_variance = missed * objects * objects;
    SampleWeight {
        probability,
        objects,
        bytes: bytes * objects,
        objects_variance,
        bytes_variance: bytes * bytes * objects_variance,
        unseen_objects: 1.0 / trials,
        unseen_bytes: interval,
    }
}

/// One estimated figure on its way: a sum of weights and what its interval needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sum {
    /// Sum of the weights.
    pub estimate: f64,
    /// Sum of their variances.
    pub variance: f64,
    /// What was really recorded: a lower bound without any doubt.
    pub observed: f64,
    /// Weight of one more record of the smallest kind; 0 when everything is recorded.
    pub unseen: f64,
}

impl Sum {
    /// Adds another sum: of other blocks, so that variances add up.
    pub fn add(&mut self, other: &Self) {
        self.estimate += other.estimate;
        self.variance += other.variance;
        self.observed += other.observed;
        self.unseen = self.unseen.max(other.unseen);
    }

    /// The figure with its 95 % interval.
    #[must_use]
    pub fn interval(&self) -> Estimate {
        let tame = |value: f64| {
            if value.is_finite() {
                value.max(0.0)
            } else {
                0.0
            }
        };
        let observed = tame(self.observed);
        let estimate = tame(self.estimate).max(observed);
        let variance = tame(self.variance);
        let unseen = tame(self.unseen);
        if variance <= 0.0 && unseen <= 0.0 {
            return Estimate {
                estimate,
                low: estimate,
                high: estimate,
            };
        }
        let rest = estimate - observed;
        let low = gamma_quantile(rest, variance, Tail::Low) - grain(rest, variance, unseen);
        let high = gamma_quantile(rest + unseen, variance + unseen * unseen, Tail::High);
        let (low, high) = (observed + low.max(0.0), observed + high);
        Estimate {
            estimate,
            low: low.min(estimate),
            high: high.max(estimate),
        }
    }
}

/// Blocks and bytes of a set of records.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Records.
    pub samples: u64,
    /// Blocks.
    pub objects: Sum,
    /// Requested bytes.
    pub bytes: Sum,
}

impl Totals {
    /// Adds one record of `size` bytes.
    pub fn record(&mut self, size: u64, weight: &SampleWeight) {
        self.samples += 1;
        self.objects.estimate += weight.objects;
        self.objects.variance += weight.objects_variance;
        self.objects.observed += 1.0;
        self.objects.unseen = self.objects.unseen.max(weight.unseen_objects);
        self.bytes.estimate += weight.bytes;
        self.bytes.variance += weight.bytes_variance;
        self.bytes.observed += size as f64;
        self.bytes.unseen = self.bytes.unseen.max(weight.unseen_bytes);
    }

    /// Adds the records of another set.
    pub fn add(&mut self, other: &Self) {
        self.samples = self.samples.saturating_add(other.samples);
        self.objects.add(&other.objects);
        self.bytes.add(&other.bytes);
    }
}

/// The interval of `a - b`, two independent estimates (MOVER: Zou and Donner, Statistics in Medicine
/// 27, 2008: the distances to the ends add up as squares).
#[must_use]
pub fn difference(a: &Estimate, b: &Estimate) -> Estimate {
    let estimate = a.estimate - b.estimate;
    let down = (a.estimate - a.low).hypot(b.high - b.estimate);
    let up = (a.high - a.estimate).hypot(b.estimate - b.low);
    Estimate {
        estimate,
        low: estimate - down,
        high: estimate + up,
    }
}

/// An estimate in another unit: all three figures times `factor`, which is not negative.
#[must_use]
pub fn scale(estimate: &Estimate, factor: f64) -> Estimate {
    Estimate {
        estimate: estimate.estimate * factor,
        low: estimate.low * factor,
        high: estimate.high * factor,
    }
}

/// Size of the unseen blocks, from mean and variance of the unseen rest.
///
/// Records of one size have `variance / mean = w = S/p`, so with `x = S/R` and `u = R` (or, counting
/// blocks, `u = R/S`) `w/u = x / (1 - e^-x)`, which the iteration below solves for `x`. It converges
/// from above; near `x = 0` slowly, where the grain is negligible against the weight.
fn grain(rest: f64, variance: f64, unseen: f64) -> f64 {
    if rest <= 0.0 || unseen <= 0.0 {
        return 0.0;
    }
    let ratio = variance / rest / unseen;
    if ratio <= 1.0 {
        return 0.0;
    }
    let mut x = ratio;
    for _ in 0..16 {
        x = -ratio * (-x).exp_m1();
    }
    x * unseen
}

#[derive(Clone, Copy)]
enum Tail {
    Low,
    High,
}

impl Tail {
    fn probability(self) -> f64 {
        match self {
            Self::Low => 0.025,
            Self::High => 0.975,
        }
    }

    fn normal_quantile(self) -> f64 {
        match self {
            Self::Low => -1.959_963_984_540_054,
            Self::High => 1.959_963_984_540_054,
        }
    }
}

/// Quantile of the gamma distribution with this mean and variance.
fn gamma_quantile(mean: f64, variance: f64, tail: Tail) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    if variance <= 0.0 {
        return mean;
    }
    mean * quantile_over_mean(mean * mean / variance, tail)
}

/// Smallest shape in the table: below it the lower quantile is 0 for every purpose (1e-32 of the
/// mean at 0.05), and the upper one is not asked for, as the added observation has a shape near 1.
const SHAPE_MIN: f64 = 0.05;
/// Above this shape the approximation of Wilson and Hilferty is good to 1e-5 of the quantile.
const SHAPE_MAX: f64 = 512.0;
const STEPS_PER_OCTAVE: f64 = 32.0;

/// Quantiles over the mean at shapes spaced evenly in their logarithm: two evaluations of an
/// inverse incomplete gamma function for each figure of each site would cost milliseconds a tick.
struct QuantileTable {
    low: Vec<f64>,
    high: Vec<f64>,
}

static QUANTILES: LazyLock<QuantileTable> = LazyLock::new(|| {
    let steps = ((SHAPE_MAX / SHAPE_MIN).log2() * STEPS_PER_OCTAVE).ceil() as usize + 1;
    let column = |tail: Tail| {
        (0..=steps)
            .map(|step| {
                let shape = SHAPE_MIN * (step as f64 / STEPS_PER_OCTAVE).exp2();
                Gamma::new(shape, 1.0).map_or_else(
                    |_| wilson_hilferty(shape, tail),
                    |gamma| gamma.inverse_cdf(tail.probability()) / shape,
                )
            })
            .collect()
    };
    QuantileTable {
        low: column(Tail::Low),
        high: column(Tail::High),
    }
});

fn quantile_over_mean(shape: f64, tail: Tail) -> f64 {
    if shape > SHAPE_MAX {
        return wilson_hilferty(shape, tail);
    }
    let column = match tail {
        Tail::Low if shape < SHAPE_MIN => return 0.0,
        Tail::Low => &QUANTILES.low,
        Tail::High => &QUANTILES.high,
    };
    let place = (shape.max(SHAPE_MIN) / SHAPE_MIN).log2() * STEPS_PER_OCTAVE;
    let step = place.floor();
    let at = |step: f64| column.get(step as usize).or(column.last()).copied();
    let (Some(left), Some(right)) = (at(step), at(step + 1.0)) else {
        return 1.0;
    };
    left + (right - left) * (place - step)
}

/// Wilson and Hilferty (1931): the cube root of a gamma variable is nearly normal.
fn wilson_hilferty(shape: f64, tail: Tail) -> f64 {
    let ninth = 1.0 / (9.0 * shape);
    let root = 1.0 - ninth + tail.normal_quantile() * ninth.sqrt();
    root.max(0.0).powi(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_the_library_at_every_shape() {
        for step in 0..2_000 {
            let shape = SHAPE_MIN * 1.008_f64.powi(step);
            let gamma = Gamma::new(shape, 1.0).unwrap();
            for tail in [Tail::Low, Tail::High] {
                let exact = gamma.inverse_cdf(tail.probability()) / shape;
                let ours = quantile_over_mean(shape, tail);
                assert!(
                    (exact - ours).abs() < 2e-4 * exact.max(0.1),
                    "{shape} {exact} {ours}"
                );
            }
        }
    }

    #[test]
    fn an_interval_of_one_is_exact() {
        let mut totals = Totals::default();
        for size in [1, 16, 100_000] {
            totals.record(size, &weigh(size, 1));
        }
        let bytes = totals.bytes.interval();
        assert_eq!(
            (bytes.low, bytes.estimate, bytes.high),
            (100_017.0, 100_017.0, 100_017.0)
        );
        let objects = totals.objects.interval();
        assert_eq!((objects.low, objects.high), (3.0, 3.0));
    }

    #[test]
    fn nothing_recorded_is_the_poisson_bound() {
        let sum = Sum {
            unseen: 65_536.0,
            ..Sum::default()
        };
        let interval = sum.interval();
        assert_eq!((interval.low, interval.estimate), (0.0, 0.0));
        assert!((interval.high / 65_536.0 - 3.688_9).abs() < 0.001);
    }

    #[test]
    fn what_was_recorded_is_a_lower_bound() {
        let mut totals = Totals::default();
        totals.record(1 << 20, &weigh(1 << 20, 1 << 19));
        assert!(totals.bytes.interval().low >= (1 << 20) as f64);
        assert!(totals.objects.interval().low >= 1.0);
    }

    #[test]
    fn hostile_figures_stay_finite() {
        for bad in [f64::NAN, f64::INFINITY, -1.0, f64::MAX] {
            let sum = Sum {
                estimate: bad,
                variance: bad,
                observed: bad,
                unseen: bad,
            };
            let interval = sum.interval();
            assert!(!interval.low.is_nan() && !interval.high.is_nan());
            assert!(interval.low <= interval.high);
        }
        for (size, interval) in [(0, 0), (0, u64::MAX), (u64::MAX, 2), (1, u64::MAX)] {
            let weight = weigh(size, interval);
            assert!(weight.bytes.is_finite() && weight.bytes_variance.is_finite());
        }
    }
}
