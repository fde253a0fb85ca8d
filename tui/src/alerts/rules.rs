//! The rules and their thresholds.
//!
//! Each rule makes at most one [`Measurement`] of a reading, that on verdicts one for each site.

use std::time::Duration;

use riptide_reader::{leak::Verdict, profile::Estimate};
use serde::Serialize;

use super::{
    alert::{Category, Component, Severity},
    condition::Position,
    reading::{Reading, VerdictReading},
};

/// Bytes in a MB of thresholds and texts.
pub(super) const MB: f64 = 1e6;
const SECONDS_A_HOUR: f64 = 3_600.0;
const HOURS_A_DAY: f64 = 24.0;
/// Stands for never: JSON has no infinity.
pub(super) const NEVER_SECONDS: f64 = 4_294_967_295.0;
/// What rests on growth has to go on for at least so long: every service grows when it starts.
const GROWTH_HOLD: Duration = Duration::from_secs(60);
/// Sites with a verdict that are looked at, by growth.
const VERDICTS_MAX: usize = 16;

/// What can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Live requested bytes.
    Live,
    /// Resident set size.
    Rss,
    /// Usage of the memory cgroup as a share of its limit.
    LimitShare,
    /// Growth of the live heap.
    Growth,
    /// Time until the cgroup's limit is reached at the present growth.
    TimeToLimit,
    /// Share of jemalloc's active pages that no block uses.
    Fragmentation,
    /// Share of journal records lost, or of samples without a record.
    Loss,
    /// A site that leaks.
    Leak,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Live,
        Self::Rss,
        Self::LimitShare,
        Self::Growth,
        Self::TimeToLimit,
        Self::Fragmentation,
        Self::Loss,
        Self::Leak,
    ];

    /// The word of the JSON contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Rss => "rss",
            Self::LimitShare => "limit-share",
            Self::Growth => "growth",
            Self::TimeToLimit => "time-to-limit",
            Self::Fragmentation => "fragmentation",
            Self::Loss => "loss",
            Self::Leak => "leak",
        }
    }

    /// What is measured, with its unit at the end.
    #[must_use]
    pub fn metric(self) -> &'static str {
        match self {
            Self::Live => "live_bytes",
            Self::Rss => "rss_bytes",
            Self::LimitShare => "limit_share_percent",
            Self::Growth => "growth_bytes_per_hour",
            Self::TimeToLimit => "time_to_limit_seconds",
            Self::Fragmentation => "fragmentation_percent",
            Self::Loss => "lost_percent",
            Self::Leak => "leak_bytes_per_day",
        }
    }

    /// Where the trouble is.
    #[must_use]
    pub fn component(self) -> Component {
        match self {
            Self::Live | Self::Growth => Component::Heap,
            Self::Rss => Component::Process,
            Self::LimitShare | Self::TimeToLimit => Component::Cgroup,
            Self::Fragmentation => Component::Jemalloc,
            Self::Loss => Component::Profiler,
            Self::Leak => Component::Site,
        }
    }

    /// What kind of trouble it is.
    #[must_use]
    pub fn category(self) -> Category {
        match self {
            Self::Live | Self::Rss | Self::LimitShare => Category::Usage,
            Self::Growth | Self::TimeToLimit => Category::Growth,
            Self::Fragmentation => Category::Fragmentation,
            Self::Loss => Category::DataLoss,
            Self::Leak => Category::Leak,
        }
    }
}

/// A threshold for each severity, in the unit of the rule's metric; `None` is never.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Levels {
    /// For a warning.
    pub warning: Option<f64>,
    /// For an alert.
    pub alert: Option<f64>,
    /// For a critical one.
    pub critical: Option<f64>,
}

impl Levels {
    /// Three thresholds, each multiplied by `unit`; 0 is never.
    #[must_use]
    pub fn scaled(thresholds: [f64; 3], unit: f64) -> Self {
        let [warning, alert, critical] =
            thresholds.map(|threshold| (threshold > 0.0).then_some(threshold * unit));
        Self {
            warning,
            alert,
            critical,
        }
    }

    /// The threshold of a severity.
    #[must_use]
    pub fn of(&self, severity: Severity) -> Option<f64> {
        match severity {
            Severity::Warning => self.warning,
            Severity::Alert => self.alert,
            Severity::Critical => self.critical,
        }
    }

    /// Where a value stands that is bad when it is high. It has to fall by the share `hysteresis`
    /// below a level to leave it.
    fn above(&self, value: f64, hysteresis: f64) -> Position {
        self.position(
            |threshold| value >= threshold,
            |threshold| value >= threshold * (1.0 - hysteresis),
        )
    }

    /// The same for a value that is bad when it is low.
    fn below(&self, value: f64, hysteresis: f64) -> Position {
        self.position(
            |threshold| value <= threshold,
            |threshold| value <= threshold * (1.0 + hysteresis),
        )
    }

    fn position(&self, reached: impl Fn(f64) -> bool, kept: impl Fn(f64) -> bool) -> Position {
        let highest = |met: &dyn Fn(f64) -> bool| {
            Severity::ALL
                .into_iter()
                .rev()
                .find(|severity| self.of(*severity).is_some_and(met))
        };
        Position {
            reached: highest(&reached),
            kept: highest(&kept),
        }
    }
}

/// When a verdict `leak` alerts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LeakRule {
    /// How bad it is.
    pub severity: Severity,
    /// The least confidence.
    pub confidence: f64,
    /// The least growth.
    pub bytes_per_day: f64,
}

/// The thresholds of all rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules {
    /// Live requested bytes, and resident set size.
    pub bytes: Levels,
    /// Usage of the cgroup in percent of its limit.
    pub limit_percent: Levels,
    /// Growth of the live heap in bytes an hour.
    pub growth_bytes_per_hour: Levels,
    /// Seconds to the cgroup's limit; bad when low.
    pub time_to_limit_seconds: Levels,
    /// Unused share of jemalloc's active pages, in percent.
    pub fragmentation_percent: Levels,
    /// Active bytes below which no fragmentation matters.
    pub fragmentation_min_bytes: f64,
    /// Records lost, in percent.
    pub loss_percent: Levels,
    /// Sites that leak; none when they do not alert.
    pub leak: Option<LeakRule>,
    /// How long a level has to be reached before it counts.
    pub hold: Duration,
}

/// One rule's view of a reading.
#[derive(Clone, Debug)]
pub(super) struct Measurement<'a> {
    pub(super) rule: Rule,
    pub(super) value: f64,
    /// 95 % interval, when the value is an estimate.
    pub(super) interval: Option<(f64, f64)>,
    pub(super) levels: Levels,
    pub(super) position: Position,
    /// How long a level has to be reached before it counts.
    pub(super) hold: Duration,
    /// The site it is about.
    pub(super) verdict: Option<&'a VerdictReading>,
}

impl Rules {
    /// Measures a reading by every rule that has what it needs.
    pub(super) fn measure<'a>(
        &self,
        reading: &'a Reading,
        hysteresis: f64,
    ) -> Vec<Measurement<'a>> {
        let plain = |rule, value: f64, levels: Levels| Measurement {
            rule,
            value,
            interval: None,
            levels,
            position: levels.above(value, hysteresis),
            hold: self.hold,
            verdict: None,
        };
        let live = Measurement {
            interval: Some((reading.live.low, reading.live.high)),
            ..plain(Rule::Live, reading.live.estimate, self.bytes)
        };
        let mut made = vec![live];
        let rss = reading.rss;
        made.extend(rss.map(|rss| plain(Rule::Rss, rss as f64, self.bytes)));
        if let Some((limit, usage)) = reading.cgroup_limit.zip(reading.cgroup_in_use)
            && limit > 0
        {
            let percent = 100.0 * usage as f64 / limit as f64;
            made.push(plain(Rule::LimitShare, percent, self.limit_percent));
            made.push(self.time_to_limit(reading.time_to_limit_seconds, hysteresis));
        }
        let growth = reading.growth_bytes_per_second;
        made.extend(growth.map(|growth| self.growth(&growth, hysteresis)));
        if let Some((allocated, active)) = reading.allocated.zip(reading.active)
            && active > 0
        {
            let unused = active.saturating_sub(allocated) as f64;
            let percent = 100.0 * unused / active as f64;
            let mut pages = plain(Rule::Fragmentation, percent, self.fragmentation_percent);
            if (active as f64) < self.fragmentation_min_bytes {
                pages.position = Position::default();
            }
            made.push(pages);
        }
        made.push(plain(
            Rule::Loss,
            100.0 * reading.lost_share,
            self.loss_percent,
        ));
        if let Some(rule) = &self.leak {
            let verdicts = reading.verdicts.iter();
            let leaks = verdicts.filter_map(|verdict| self.leak(rule, verdict, hysteresis));
            made.extend(leaks.take(VERDICTS_MAX));
        }
        made
    }

    fn growth(&self, growth: &Estimate, hysteresis: f64) -> Measurement<'static> {
        let value = growth.estimate * SECONDS_A_HOUR;
        let levels = self.growth_bytes_per_hour;
        let mut position = levels.above(value, hysteresis);
        // What may be no growth at all is none.
        if growth.low <= 0.0 {
            position.reached = None;
        }
        Measurement {
            rule: Rule::Growth,
            value,
            interval: Some((growth.low * SECONDS_A_HOUR, growth.high * SECONDS_A_HOUR)),
            levels,
            position,
            hold: self.hold.max(GROWTH_HOLD),
            verdict: None,
        }
    }

    fn time_to_limit(&self, left: Option<Estimate>, hysteresis: f64) -> Measurement<'static> {
        let levels = self.time_to_limit_seconds;
        let seconds = |value: f64| {
            if value.is_finite() {
                value.min(NEVER_SECONDS)
            } else {
                NEVER_SECONDS
            }
        };
        let value = left.map_or(NEVER_SECONDS, |left| seconds(left.estimate));
        Measurement {
            rule: Rule::TimeToLimit,
            value,
            interval: left.map(|left| (seconds(left.low), seconds(left.high))),
            levels,
            position: levels.below(value, hysteresis),
            hold: self.hold.max(GROWTH_HOLD),
            verdict: None,
        }
    }

    /// A site's growth, if its verdict is leak or it is one that was. The growth has to fall clearly
    /// before it no longer counts.
    fn leak<'a>(
        &self,
        rule: &LeakRule,
        verdict: &'a VerdictReading,
        hysteresis: f64,
    ) -> Option<Measurement<'a>> {
        if verdict.verdict != Verdict::Leak {
            return None;
        }
        let growth = verdict.site.growth_bytes_per_second?;
        let daily = SECONDS_A_HOUR * HOURS_A_DAY;
        let value = growth.estimate * daily;
        let mut levels = Levels::default();
        match rule.severity {
            Severity::Warning => levels.warning = Some(rule.bytes_per_day),
            Severity::Alert => levels.alert = Some(rule.bytes_per_day),
            Severity::Critical => levels.critical = Some(rule.bytes_per_day),
        }
        let mut position = levels.above(value, hysteresis);
        if verdict.confidence < rule.confidence {
            position.reached = None;
        }
        Some(Measurement {
            rule: Rule::Leak,
            value,
            interval: Some((growth.low * daily, growth.high * daily)),
            levels,
            position,
            hold: self.hold,
            verdict: Some(verdict),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::SiteEvidence;

    fn rules() -> Rules {
        Rules {
            bytes: Levels::scaled([650.0, 700.0, 750.0], MB),
            limit_percent: Levels::scaled([80.0, 90.0, 95.0], 1.0),
            growth_bytes_per_hour: Levels::scaled([200.0, 0.0, 5_000.0], MB),
            time_to_limit_seconds: Levels::scaled([240.0, 60.0, 15.0], 60.0),
            fragmentation_percent: Levels::scaled([50.0, 75.0, 0.0], 1.0),
            fragmentation_min_bytes: 100.0 * MB,
            loss_percent: Levels::scaled([5.0, 0.0, 0.0], 1.0),
            leak: Some(LeakRule {
                severity: Severity::Alert,
                confidence: 0.8,
                bytes_per_day: 10.0 * MB,
            }),
            hold: Duration::ZERO,
        }
    }

    fn reached(reading: &Reading, rule: Rule) -> (f64, Option<Severity>) {
        let made = rules().measure(reading, 0.05);
        let found = made.into_iter().find(|made| made.rule == rule).unwrap();
        (found.value, found.position.reached)
    }

    fn estimate(estimate: f64, low: f64, high: f64) -> Option<Estimate> {
        Some(Estimate {
            estimate,
            low,
            high,
        })
    }

    #[test]
    fn a_threshold_is_passed_by_the_estimate() {
        let mut reading = Reading {
            live: estimate(649e6, 600e6, 900e6).unwrap(),
            ..Reading::default()
        };
        assert_eq!(reached(&reading, Rule::Live), (649e6, None));
        reading.live = estimate(650e6, 100e6, 900e6).unwrap();
        assert_eq!(
            reached(&reading, Rule::Live),
            (650e6, Some(Severity::Warning))
        );
        reading.rss = Some(750_000_000);
        assert_eq!(
            reached(&reading, Rule::Rss),
            (750e6, Some(Severity::Critical))
        );
    }

    #[test]
    fn shares_and_times_are_what_arithmetic_says() {
        let mut reading = Reading {
            cgroup_limit: Some(1_000_000_000),
            cgroup_in_use: Some(820_000_000),
            time_to_limit_seconds: estimate(1_800.0, 900.0, f64::INFINITY),
            growth_bytes_per_second: estimate(100_000.0, 50_000.0, 200_000.0),
            lost_share: 0.06,
            ..Reading::default()
        };
        let warning = Some(Severity::Warning);
        assert_eq!(reached(&reading, Rule::LimitShare), (82.0, warning));
        assert_eq!(
            reached(&reading, Rule::TimeToLimit),
            (1_800.0, Some(Severity::Alert))
        );
        assert_eq!(reached(&reading, Rule::Growth), (360e6, warning));
        assert_eq!(reached(&reading, Rule::Loss), (6.0, warning));
        // What may be no growth is none.
        reading.growth_bytes_per_second = estimate(100_000.0, -1.0, 200_000.0);
        reading.time_to_limit_seconds = None;
        assert_eq!(reached(&reading, Rule::Growth), (360e6, None));
        assert_eq!(reached(&reading, Rule::TimeToLimit), (NEVER_SECONDS, None));
    }

    #[test]
    fn holes_matter_when_the_heap_is_large() {
        let mut reading = Reading {
            allocated: Some(10_000_000),
            active: Some(99_000_000),
            ..Reading::default()
        };
        assert_eq!(reached(&reading, Rule::Fragmentation).1, None);
        (reading.allocated, reading.active) = (Some(100_000_000), Some(500_000_000));
        assert_eq!(
            reached(&reading, Rule::Fragmentation),
            (80.0, Some(Severity::Alert))
        );
    }

    #[test]
    fn a_leak_counts_when_it_is_sure_and_not_tiny() {
        let leak = |bytes_per_second: f64, confidence| Reading {
            verdicts: vec![VerdictReading {
                verdict: Verdict::Leak,
                confidence,
                site: SiteEvidence {
                    function: "leaky".to_owned(),
                    file: None,
                    line: None,
                    live_bytes: Estimate::default(),
                    growth_bytes_per_second: estimate(bytes_per_second, 0.0, 1e9),
                },
                evidence: Vec::new(),
            }],
            ..Reading::default()
        };
        let alert = Some(Severity::Alert);
        assert_eq!(
            reached(&leak(1_000.0, 0.9), Rule::Leak),
            (86_400_000.0, alert)
        );
        assert_eq!(reached(&leak(1_000.0, 0.7), Rule::Leak).1, None);
        assert_eq!(reached(&leak(100.0, 0.9), Rule::Leak).1, None);
    }

    #[test]
    fn a_level_is_left_by_the_hysteresis() {
        let levels = Levels::scaled([100.0, 200.0, 300.0], 1.0);
        let position = levels.above(190.0, 0.05);
        assert_eq!(position.reached, Some(Severity::Warning));
        assert_eq!(position.kept, Some(Severity::Alert));
        assert_eq!(levels.above(189.0, 0.05).kept, Some(Severity::Warning));
        let position = Levels::scaled([300.0, 200.0, 100.0], 1.0).below(105.0, 0.05);
        assert_eq!(position.reached, Some(Severity::Alert));
        assert_eq!(position.kept, Some(Severity::Critical));
    }
}
