//! Medians, and intervals that assume nothing about the distribution.

use std::fmt;

/// A median with its confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Median {
    /// The median.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// The median of `values` and the narrowest interval between two of them, symmetric in rank, that
/// covers the true median with at least 95 % probability; all of them when there are fewer than
/// six, too few for that.
///
/// From the k-th smallest to the k-th largest of n values the coverage is
/// `1 - 2 · P(Binomial(n, ½) < k)`.
#[must_use]
pub fn median(values: &[f64]) -> Median {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
    let mut outside = 0.0;
    let mut rank = 0;
    // P(Binomial(n, ½) = k), from k = 0 upwards.
    let mut mass = 0.5_f64.powi(i32::try_from(n).unwrap_or(i32::MAX));
    while rank + 1 < n.div_ceil(2) && 2.0 * (outside + mass) <= 0.05 {
        outside += mass;
        mass *= (n - rank) as f64 / (rank + 1) as f64;
        rank += 1;
    }
    let rank = rank.saturating_sub(1);
    Median {
        value: if n.is_multiple_of(2) && n > 0 {
            f64::midpoint(at(n / 2 - 1), at(n / 2))
        } else {
            at(n / 2)
        },
        low: at(rank),
        high: at(n.saturating_sub(1 + rank)),
    }
}

impl fmt::Display for Median {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = formatter.precision().unwrap_or(3);
        write!(
            formatter,
            "{:.digits$} [{:.digits$}, {:.digits$}]",
            self.value, self.low, self.high
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_has_the_ranks_of_the_tables() {
        // Published tables: n = 21 from the 6th to the 16th, n = 10 from the 2nd to the 9th, n = 6
        // all, n = 5 too few for 95 %.
        for (n, low, high) in [
            (21, 6.0, 16.0),
            (10, 2.0, 9.0),
            (6, 1.0, 6.0),
            (5, 1.0, 5.0),
        ] {
            let values: Vec<f64> = (1..=n).rev().map(f64::from).collect();
            let median = median(&values);
            assert_eq!((median.low, median.high), (low, high), "n = {n}");
        }
    }

    #[test]
    fn the_median_lies_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]).value, 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]).value, 2.5);
        assert!(median(&[]).value.is_nan());
    }
}
