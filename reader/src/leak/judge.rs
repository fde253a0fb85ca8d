//! From evidence to a verdict. Rules only; sentences are in `words`.
//!
//! A group *leaks* when, over one of the windows:
//! * blocks survive for good: of those that reached the horizon next to none died later (a plateau of
//!   the survival curve), or deaths have all but ceased there against what a constant hazard would
//!   bring, so that the mean lifetime could not be bounded below twice what lives now;
//! * they were born all through the window, and their births do not fall off (Laplace's test);
//! * births exceed deaths by more than chance, after Benjamini and Hochberg over all groups;
//! * growth is fast enough for the length of the window. A buffer that fills at a constant rate
//!   and frees nothing *is* a leak's twin until it is full: nothing but patience tells them apart, and
//!   the faster a group grows the less patience there is ([`MIN_RATE`]).
//!
//! It *grows* when births exceed the deaths of what lived before, over the last minutes and still in
//! the last minute.

use super::{
    Verdict,
    evidence::{Evidence, RECENT, WINDOWS},
    plateau::{FALLING, MIN_RATE, Plateau, SAMPLES_MIN, older, plateau, plateau_at, staying},
    statistics::{births_exceed_deaths, decay_rate, laplace, poisson_interval},
};
use crate::profile::Estimate;

/// Rate of false discoveries among the groups called growing or leaking.
pub(crate) const FALSE_DISCOVERIES: f64 = 0.05;

/// When and how a group was looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// Seconds since the process's first sample.
    pub(crate) covered_seconds: f64,
    /// Seconds that this reader has watched.
    pub(crate) watched_seconds: f64,
    /// Now.
    pub(crate) now_ns: u64,
    /// When the watch began.
    pub(crate) began_ns: u64,
}

/// Births against deaths over one recent span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Growth {
    pub(crate) seconds: f64,
    pub(crate) births: f64,
    pub(crate) deaths: f64,
    pub(crate) p_value: f64,
    /// Bytes a second.
    pub(crate) rate: Estimate,
    /// Whether it goes on.
    pub(crate) goes_on: bool,
    /// Whether it was seen, or only concluded from the ages of what lives.
    pub(crate) observed: bool,
}

/// Growth through `realloc`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BufferGrowth {
    pub(crate) seconds: f64,
    pub(crate) rises: f64,
    pub(crate) bytes: f64,
    pub(crate) rate: f64,
    pub(crate) since_last_seconds: f64,
    pub(crate) trend: f64,
    /// Whether the next rise is still to be expected.
    pub(crate) goes_on: bool,
    /// Whether it has gone on for long enough at this rate.
    pub(crate) patient: bool,
}

/// What can be said of one group before the others are known.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) plateau: Option<Plateau>,
    pub(crate) growth: Option<Growth>,
    pub(crate) buffers: Option<BufferGrowth>,
}

/// A verdict with what it rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) confidence: f64,
    pub(crate) rate: Option<Estimate>,
    pub(crate) reason: Reason,
}

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reason {
    Plateau(Plateau),
    Buffers(BufferGrowth),
    Growth(Growth),
    /// Births fall off: share of the present level still to come, if it goes on so.
    FallingOff {
        growth: Option<Growth>,
        to_come: f64,
    },
    /// Grew in the past, not now.
    Settled {
        window_seconds: f64,
        share: f64,
    },
    /// Births balance deaths of old blocks.
    Turnover {
        seconds: f64,
        births: f64,
        deaths: f64,
    },
    /// Nothing speaks for growth.
    Quiet,
    /// Not enough seen.
    TooEarly {
        samples: f64,
    },
}

/// Births and deaths as equal samples.
fn equal(born: f64, died: f64, squares: f64) -> (f64, f64) {
    let each = if born + died > 0.0 {
        squares / (born + died)
    } else {
        return (0.0, 0.0);
    };
    if each > 0.0 {
        (born / each, died / each)
    } else {
        (0.0, 0.0)
    }
}

fn growth(evidence: &Evidence, moment: &Moment) -> Option<Growth> {
    if moment.watched_seconds < 8.0 {
        return growth_by_ages(evidence, moment);
    }
    // The spans overlap: three looks are worth two.
    let spans = 2.0;
    let of = |index: usize| {
        let flux = evidence.fluxes.get(index)?;
        let squares = flux.born.squares + flux.died.squares;
        let (births, deaths) = equal(flux.born.bytes, flux.died.bytes, squares);
        if flux.seconds <= 0.0 || births < 1.0 {
            return None;
        }
        let each = flux.born.bytes / births / flux.seconds;
        // Births without any death are no fluctuation of a turnover, whatever their number and their
        // weights.
        let (turnover, certain) = if flux.died.count > 0.0 {
            (5.0, births)
        } else {
            (1.0, flux.born.count)
        };
        let (born, died) = (poisson_interval(births), poisson_interval(deaths));
        let net = births - deaths;
        Some(Growth {
            seconds: flux.seconds,
            births,
            deaths,
            p_value: (births_exceed_deaths(certain, deaths) * spans * turnover).min(1.0),
            rate: Estimate {
                estimate: net * each,
                low: (net - (births - born.0).hypot(died.1 - deaths)) * each,
                high: (net + (born.1 - births).hypot(deaths - died.0)) * each,
            },
            goes_on: true,
            observed: true,
        })
    };
    let still = of(1).is_some_and(|growth| growth.p_value < 0.05 * spans);
    // Has it stopped: did the last 20 s bring less than half of what the span would lead one to
    // expect, beyond the noise of both?
    let shortest = evidence.fluxes.first()?;
    let squares = shortest.born.squares + shortest.died.squares;
    let (births, deaths) = equal(shortest.born.bytes, shortest.died.bytes, squares);
    let goes_on = |growth: &Growth| {
        let expected = (growth.births - growth.deaths) * shortest.seconds / growth.seconds;
        births - deaths + 2.0 * (births + deaths + 1.0).sqrt() >= 0.5 * expected
    };
    let found = (0..RECENT.len()).filter_map(of).map(|growth| Growth {
        goes_on: still && goes_on(&growth),
        ..growth
    });
    found.min_by(|a, b| {
        let key = |of: &Growth| (!of.goes_on, of.p_value);
        key(a)
            .partial_cmp(&key(b))
            .unwrap_or(std::cmp::Ordering::Equal)
    })
}

/// Growth of what is live, concluded from its ages: for a region that is looked at for the first time.
fn growth_by_ages(evidence: &Evidence, moment: &Moment) -> Option<Growth> {
    let found = (0..2)
        .filter(|window| {
            WINDOWS
                .get(*window)
                .is_some_and(|of| *of <= moment.covered_seconds)
        })
        .filter_map(|window| {
            let older = staying(evidence, window, 0)?;
            plateau_at(evidence, window, &older, moment)
        })
        .min_by(|a, b| a.p_value.total_cmp(&b.p_value))?;
    Some(Growth {
        seconds: found.window_seconds,
        births: found.survivors,
        deaths: found.deaths,
        p_value: found.p_value,
        rate: found.rate,
        goes_on: true,
        observed: false,
    })
}

fn buffers(evidence: &Evidence, moment: &Moment) -> Option<BufferGrowth> {
    let of = &evidence.buffers;
    if of.rises < 2.0 || of.bytes < 0.3 * evidence.live.bytes || evidence.live.bytes <= 0.0 {
        return None;
    }
    let between = super::evidence::seconds_between;
    let seconds = between(of.began_ns, moment.now_ns);
    let since_last_seconds = between(of.last_ns, moment.now_ns);
    let busy = between(of.began_ns, of.last_ns);
    let position =
        (of.moment / of.bytes - between(moment.began_ns, of.began_ns)) / seconds.max(1.0);
    let count = of.bytes * of.bytes / of.squares.max(1e-9);
    let rate = of.bytes / seconds.max(1.0);
    let patience = WINDOWS
        .iter()
        .zip(MIN_RATE)
        .find(|(_, least)| rate >= *least)
        .map(|(window, _)| *window);
    Some(BufferGrowth {
        seconds,
        rises: of.rises,
        bytes: of.bytes,
        rate,
        since_last_seconds,
        trend: laplace(count, position.clamp(0.0, 1.0)),
        // A buffer that doubles waits as long for the next rise as it has grown so far.
        goes_on: since_last_seconds <= 1.1 * busy + 5.0,
        patient: patience.is_some_and(|patience| seconds >= patience),
    })
}

/// What can be said of one group on its own.
pub(crate) fn examine(evidence: &Evidence, moment: &Moment) -> Candidate {
    if evidence.live.count <= 0.0 {
        return Candidate::default();
    }
    Candidate {
        plateau: plateau(evidence, moment),
        growth: growth(evidence, moment),
        buffers: buffers(evidence, moment),
    }
}

/// Largest p-values that still count, found over all groups.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Thresholds {
    pub(crate) plateau: f64,
    pub(crate) growth: f64,
}

/// The verdict.
pub(crate) fn decide(
    evidence: &Evidence,
    candidate: &Candidate,
    thresholds: &Thresholds,
    moment: &Moment,
) -> Judgement {
    if let Some(plateau) = candidate.plateau
        && plateau.patient
        && plateau.p_value <= thresholds.plateau
    {
        return Judgement {
            verdict: Verdict::Leak,
            confidence: leak_confidence(&plateau, moment),
            rate: Some(plateau.rate),
            reason: Reason::Plateau(plateau),
        };
    }
    if let Some(judgement) = candidate.buffers.as_ref().and_then(decide_buffers) {
        return judgement;
    }
    let falling = falling_off(evidence, moment);
    if let Some(growth) = candidate.growth
        && growth.goes_on
        && growth.p_value <= thresholds.growth
    {
        let rate = Some(growth.rate);
        return match falling {
            Some((trend, to_come)) if trend < -2.33 && to_come < 1.0 => Judgement {
                verdict: Verdict::WarmUp,
                confidence: 0.85,
                rate,
                reason: Reason::FallingOff {
                    growth: Some(growth),
                    to_come,
                },
            },
            _ => Judgement {
                verdict: Verdict::Growing,
                confidence: 1.0 - growth.p_value.max(0.01),
                rate,
                reason: Reason::Growth(growth),
            },
        };
    }
    at_rest(evidence, candidate, falling, moment)
}

fn decide_buffers(buffers: &BufferGrowth) -> Option<Judgement> {
    if !buffers.goes_on {
        return None;
    }
    let leaks = buffers.patient && buffers.rises >= 3.0 && buffers.trend > FALLING;
    let verdict = if leaks {
        Verdict::Leak
    } else if buffers.since_last_seconds <= 55.0 {
        Verdict::Growing
    } else {
        return None;
    };
    Some(Judgement {
        verdict,
        confidence: 0.95,
        rate: Some(Estimate {
            estimate: buffers.rate,
            // One more or one fewer doubling.
            low: buffers.rate / 2.0,
            high: buffers.rate * 2.0,
        }),
        reason: Reason::Buffers(*buffers),
    })
}

/// Laplace's statistic over the longest window, and what is still to come as a share of what the
/// window brought, when births fall off.
fn falling_off(evidence: &Evidence, moment: &Moment) -> Option<(f64, f64)> {
    let window = WINDOWS
        .iter()
        .rposition(|length| *length <= moment.covered_seconds + 1.0)?;
    let survivors = evidence.survivors.get(window)?;
    let older = older(survivors, 0);
    let count = survivors.all.effective();
    if count < 10.0 {
        return None;
    }
    let trend = laplace(count, older.mean_position);
    let decay = decay_rate(older.mean_position);
    if trend >= FALLING || decay <= 0.0 {
        return None;
    }
    Some((trend, 1.0 / decay.exp_m1()))
}

/// The verdict on a group that neither leaks nor grows.
fn at_rest(
    evidence: &Evidence,
    candidate: &Candidate,
    falling: Option<(f64, f64)>,
    moment: &Moment,
) -> Judgement {
    let judgement = |verdict, confidence, reason| Judgement {
        verdict,
        confidence,
        rate: candidate
            .growth
            .filter(|growth| growth.observed)
            .map(|growth| growth.rate),
        reason,
    };
    if let Some(flux) = evidence.fluxes.last()
        && flux.seconds >= 20.0
        && flux.died.count >= 3.0
        && flux.born.count >= 3.0
        && evidence.live.count >= SAMPLES_MIN
        && flux.died.bytes >= 0.05 * evidence.live.bytes
    {
        return judgement(
            Verdict::CacheLike,
            0.9,
            Reason::Turnover {
                seconds: flux.seconds,
                births: flux.born.count,
                deaths: flux.died.count,
            },
        );
    }
    let window = WINDOWS
        .iter()
        .rposition(|length| *length <= moment.covered_seconds + 1.0);
    let recent = window.and_then(|window| {
        let born = evidence.survivors.get(window)?.all;
        let share = born.bytes / evidence.live.bytes.max(1.0);
        Some((*WINDOWS.get(window)?, share, born.count))
    });
    if let (Some((window_seconds, share, count)), Some((_, to_come))) = (recent, falling)
        && share >= 0.3
        && count >= 10.0
    {
        let reason = if to_come < 0.05 {
            Reason::Settled {
                window_seconds,
                share,
            }
        } else {
            Reason::FallingOff {
                growth: None,
                to_come,
            }
        };
        return judgement(Verdict::WarmUp, 0.85, reason);
    }
    let doubtful = candidate.plateau.is_some()
        || candidate
            .growth
            .is_some_and(|growth| growth.p_value < 0.2 && growth.goes_on);
    let unseen = moment.watched_seconds < 20.0 && moment.covered_seconds < 105.0;
    if doubtful || (unseen && evidence.live.count > 0.0) {
        return judgement(
            Verdict::TooEarly,
            0.5,
            Reason::TooEarly {
                samples: evidence.live.count,
            },
        );
    }
    judgement(Verdict::Healthy, 0.95, Reason::Quiet)
}

/// How sure a leak is. What remains open is whether a buffer fills that is not full yet; the prior for
/// that falls with the time that it has been filling beyond the window asked for.
fn leak_confidence(plateau: &Plateau, moment: &Moment) -> f64 {
    let beyond = (moment.covered_seconds / plateau.window_seconds).max(1.0);
    let filling = 0.04 / beyond;
    (1.0 - filling - plateau.p_value).clamp(0.5, 0.99)
}
