//! Small exact statistics that the verdicts rest on. Each names where its formula is from.

use statrs::function::{beta::checked_beta_reg, gamma::checked_gamma_ur};

/// One-sided p-value of "births do not exceed deaths": given their sum, under equal rates births are
/// binomial with ½ (the conditional test of two Poisson means, Przyborowski and Wilenski 1940). The
/// tail is the incomplete beta function `I_½(births, deaths + 1)`, which also takes counts that are
/// not whole, as effective counts of mixed sizes are.
#[must_use]
pub fn births_exceed_deaths(births: f64, deaths: f64) -> f64 {
    let (births, deaths) = (births.max(0.0), deaths.max(0.0));
    if births <= 0.0 || !births.is_finite() || !deaths.is_finite() {
        return 1.0;
    }
    if births + deaths > 1e6 {
        return normal_tail((births - deaths) / (births + deaths).sqrt());
    }
    checked_beta_reg(births, deaths + 1.0, 0.5).unwrap_or(1.0)
}

/// Upper tail of the standard normal distribution.
#[must_use]
pub fn normal_tail(z: f64) -> f64 {
    0.5 * statrs::function::erf::erfc(z / std::f64::consts::SQRT_2)
}

/// `P(X <= count)` for a Poisson variable with this mean.
#[must_use]
pub fn poisson_at_most(count: f64, mean: f64) -> f64 {
    if mean <= 0.0 {
        return 1.0;
    }
    checked_gamma_ur(count.max(0.0).floor() + 1.0, mean).unwrap_or(1.0)
}

/// Upper 90 % bound of a Poisson mean after `count` events, by Wilson and Hilferty's cube root
/// approximation of the chi-square quantile (exact within 1 % from a count of 0 on).
#[must_use]
pub fn poisson_upper_90(count: f64) -> f64 {
    poisson_bound(count + 1.0, 1.281_551_565_5)
}

/// 95 % interval of a Poisson mean after `count` events (Garwood 1936, through the same
/// approximation).
#[must_use]
pub fn poisson_interval(count: f64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_5;
    let low = if count > 0.0 {
        poisson_bound(count, -Z)
    } else {
        0.0
    };
    (low, poisson_bound(count + 1.0, Z))
}

/// Upper 1 % point of the chi-square distribution (Wilson and Hilferty 1931).
#[must_use]
pub fn chi_square_upper_99(degrees: f64) -> f64 {
    2.0 * poisson_bound(degrees / 2.0, 2.326_347_874)
}

fn poisson_bound(shape: f64, z: f64) -> f64 {
    let ninth = 1.0 / (9.0 * shape.max(1e-9));
    shape * (1.0 - ninth + z * ninth.sqrt()).max(0.0).powi(3)
}

/// Laplace's trend statistic of `count` events whose mean position in their window is
/// `mean_position` (0 at its beginning, 1 at its end): standard normal under a constant rate,
/// negative when the rate falls. It is the score test against an exponentially changing rate (Cox
/// and Lewis 1966), so against a cache that fills towards a plateau no test is more powerful.
#[must_use]
pub fn laplace(count: f64, mean_position: f64) -> f64 {
    (mean_position - 0.5) * (12.0 * count.max(0.0)).sqrt()
}

/// Rate of decay `k` (per window) of an exponentially falling rate whose events have this mean
/// position: the maximum likelihood estimate, which solves `1/k - 1/(e^k - 1) = mean_position`.
/// 0 when the rate does not fall.
#[must_use]
pub fn decay_rate(mean_position: f64) -> f64 {
    if mean_position >= 0.5 {
        return 0.0;
    }
    let mean_of = |k: f64| 1.0 / k - 1.0 / k.exp_m1();
    let (mut low, mut high) = (1e-6, 500.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if mean_of(middle) > mean_position {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

/// Benjamini and Hochberg's (1995) largest p-value that still counts as found among `p_values` at a
/// false discovery rate of `rate`; 0 when none does. Sorts the values.
#[must_use]
pub fn benjamini_hochberg(p_values: &mut [f64], rate: f64) -> f64 {
    p_values.sort_unstable_by(f64::total_cmp);
    let tests = p_values.len() as f64;
    let passes = |(rank, p): (usize, &f64)| *p <= rate * (rank + 1) as f64 / tests;
    let found = p_values.iter().enumerate().rfind(|at| passes(*at));
    found.map_or(0.0, |(_, p)| *p)
}

/// A slope with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slope {
    /// Median slope, in units of y a unit of x.
    pub slope: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

/// Theil and Sen's slope with Sen's (1968) rank interval, of at most 64 points; `None` below 4.
///
/// The points of a live heap depend on each other (the same blocks persist), so that the interval is
/// too narrow on its own, as Mann and Kendall's trend test is: it describes how steady a growth is,
/// and is never the reason for a verdict.
#[must_use]
pub fn theil_sen(points: &[(f64, f64)]) -> Option<Slope> {
    let points = points.get(..points.len().min(64))?;
    let count = points.len();
    if count < 4 {
        return None;
    }
    let mut slopes = Vec::with_capacity(count * (count - 1) / 2);
    for (place, (x, y)) in points.iter().enumerate() {
        let later = points.iter().skip(place + 1);
        slopes.extend(
            later
                .filter(|other| other.0 != *x)
                .map(|other| (other.1 - y) / (other.0 - x)),
        );
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let n = count as f64;
    let half_width = 1.96 * (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let middle = slopes.len() as f64 / 2.0;
    let at = |rank: f64| {
        let last = slopes.len().checked_sub(1)?;
        slopes.get((rank.max(0.0) as usize).min(last)).copied()
    };
    Some(Slope {
        slope: at(middle)?,
        low: at(middle - half_width / 2.0)?,
        high: at(middle + half_width / 2.0)?,
    })
}

/// One step of a survival curve: at `age_seconds`, `at_risk` blocks were looked at and `died` of them
/// died before the next step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Age at the beginning of the step.
    pub age_seconds: f64,
    /// Blocks that reached this age, those still younger left out (right-censored).
    pub at_risk: f64,
    /// Of these, blocks that died before the next step.
    pub died: f64,
}

/// Share of blocks that outlive all steps (Kaplan and Meier 1958): the product of
/// `1 - died / at_risk`.
#[must_use]
pub fn survival(steps: impl IntoIterator<Item = Step>) -> f64 {
    steps.into_iter().fold(1.0, |share, step| {
        if step.at_risk > 0.0 {
            share * (1.0 - (step.died / step.at_risk).min(1.0))
        } else {
            share
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_conditional_test_is_the_binomial_tail() {
        // All of five: 1/32. Four or five of five: 6/32.
        assert!((births_exceed_deaths(5.0, 0.0) - 1.0 / 32.0).abs() < 1e-12);
        assert!((births_exceed_deaths(4.0, 1.0) - 6.0 / 32.0).abs() < 1e-12);
        assert!(births_exceed_deaths(100.0, 100.0) > 0.45);
        assert!(births_exceed_deaths(2e6, 2e6) > 0.49);
        assert_eq!(births_exceed_deaths(0.0, 3.0), 1.0);
    }

    #[test]
    fn poisson_bounds_are_those_of_the_tables() {
        let (low, high) = poisson_interval(0.0);
        assert!(low == 0.0 && (high - 3.689).abs() < 0.05, "{high}");
        let (low, high) = poisson_interval(10.0);
        assert!((low - 4.795).abs() < 0.03 && (high - 18.39).abs() < 0.03);
        assert!((poisson_upper_90(0.0) - 2.303).abs() < 0.03);
        assert!((chi_square_upper_99(7.0) - 18.475).abs() < 0.1);
        assert!((poisson_at_most(2.0, 5.0) - 0.124_65).abs() < 1e-4);
    }

    #[test]
    fn a_falling_rate_is_negative_and_its_decay_is_found() {
        assert_eq!(laplace(48.0, 0.5), 0.0);
        assert!((laplace(48.0, 0.25) + 6.0).abs() < 1e-12);
        // Mean of a rate that falls as e^(-2t).
        let mean = 1.0 / 2.0 - 1.0 / 2.0_f64.exp_m1();
        assert!((decay_rate(mean) - 2.0).abs() < 1e-6);
        assert_eq!(decay_rate(0.7), 0.0);
    }

    #[test]
    fn false_discoveries_are_held_down() {
        let mut p = [0.001, 0.8, 0.012, 0.02, 0.5];
        assert_eq!(benjamini_hochberg(&mut p, 0.05), 0.02);
        assert_eq!(benjamini_hochberg(&mut [0.2, 0.6], 0.05), 0.0);
        assert_eq!(benjamini_hochberg(&mut [], 0.05), 0.0);
    }

    #[test]
    fn the_slope_of_a_line_ignores_a_spike() {
        let mut points: Vec<_> = (0..12)
            .map(|x| (f64::from(x), 3.0 * f64::from(x)))
            .collect();
        points[5].1 = 900.0;
        let slope = theil_sen(&points).unwrap();
        assert_eq!(slope.slope, 3.0);
        assert!(slope.low > 0.0);
        assert_eq!(theil_sen(&points[..3]), None);
    }

    #[test]
    fn survival_is_a_product_over_the_steps() {
        let step = |age_seconds, at_risk, died| Step {
            age_seconds,
            at_risk,
            died,
        };
        let share = survival([
            step(0.0, 10.0, 5.0),
            step(1.0, 4.0, 1.0),
            step(2.0, 0.0, 0.0),
        ]);
        assert!((share - 0.375).abs() < 1e-12);
    }
}
