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
    evidence::{Deaths, Evidence, HORIZONS, PARTS, RECENT, Survivors, WINDOWS, horizon_seconds},
    statistics::{
        births_exceed_deaths, chi_square_upper_99, decay_rate, laplace, poisson_at_most,
        poisson_interval, poisson_upper_90,
    },
};
use crate::profile::Estimate;

/// Bytes a second from which each of [`WINDOWS`] is long enough for the verdict `leak`.
const MIN_RATE: [f64; WINDOWS.len()] = [
    f64::INFINITY,
    1_048_576.0,
    102_400.0,
    10_240.0,
    1_024.0,
    100.0,
];
/// Rate of false discoveries among the groups called growing or leaking.
pub(crate) const FALSE_DISCOVERIES: f64 = 0.05;
/// One-sided 5 % point of the normal distribution: births that fall off beyond it are no leak's.
const FALLING: f64 = -1.645;
/// The same for births that all came late in the window: what began later is looked at later.
const LATE: f64 = 2.33;
/// A window's verdict is due until the group is so many windows old.
const DUE: f64 = 1.08;
/// Fewest samples that say anything.
const SAMPLES_MIN: f64 = 5.0;
/// Share of the blocks past the horizon that may have died there.
const QUIET_SHARE: f64 = 0.01;
/// The same when deaths have all but ceased.
const CEASED_SHARE: f64 = 0.1;

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

/// Survival without an end, over one window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plateau {
    pub(crate) window_seconds: f64,
    pub(crate) horizon_seconds: f64,
    /// Survivors born in the window and older than the horizon, as equal samples.
    pub(crate) survivors: f64,
    /// Deaths past the horizon.
    pub(crate) deaths: f64,
    /// p-value of "births do not exceed deaths".
    pub(crate) p_value: f64,
    /// Laplace's statistic of the births.
    pub(crate) trend: f64,
    /// Bytes a second.
    pub(crate) rate: Estimate,
    /// Whether the window is long enough for this rate.
    pub(crate) patient: bool,
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

/// Older part of a window's survivors.
struct Older {
    count: f64,
    bytes: f64,
    /// 0 at the beginning of the window, 1 at the horizon.
    mean_position: f64,
    /// Pearson's statistic of an even spread over the parts, over the number of samples:
    /// `parts · Σ share² - 1`.
    unevenness: f64,
    parts: usize,
    /// `count` as samples of equal weight.
    worth: f64,
}

impl Older {
    /// Survivors as far as they are held against deaths: where nothing died, every sample counts for
    /// one, whatever it weighs.
    fn seen(&self, evidence: &Evidence, window: usize) -> f64 {
        if evidence.deaths.past(window, PARTS - self.parts) < 0.5 {
            self.count
        } else {
            self.worth
        }
    }
}

fn older(survivors: &Survivors, horizon: usize) -> Older {
    let parts = PARTS - horizon;
    let (mut count, mut bytes, mut moment, mut squares) = (0.0, 0.0, 0.0, 0.0);
    let kept = survivors.counts.iter().zip(&survivors.bytes).skip(horizon);
    for (place, (samples, of)) in kept.enumerate() {
        let (samples, of) = (f64::from(*samples), f64::from(*of));
        count += samples;
        bytes += of;
        squares += of * of;
        moment += of * (parts as f64 - place as f64 - 0.5) / parts as f64;
    }
    let (mean_position, unevenness) = if bytes > 0.0 {
        let shares = squares / (bytes * bytes);
        (moment / bytes, parts as f64 * shares - 1.0)
    } else {
        (0.5, 0.0)
    };
    Older {
        count,
        bytes,
        mean_position,
        unevenness,
        parts,
        worth: count,
    }
}

/// Whether births are spread over all parts: not more unevenly than chance (1 %, chi-square) and a
/// spread over seven tenths of the parts allow.
fn spread(older: &Older) -> bool {
    let chance = chi_square_upper_99(older.parts as f64 - 1.0) / older.worth;
    older.unevenness <= 0.43 + chance
}

/// Whether births have stopped: the youngest parts, transient blocks and all, hold fewer than chance
/// allows (0.5 %).
fn stopped(survivors: &Survivors, older: &Older) -> bool {
    let worth = older.worth / older.count.max(1e-9);
    let mut seen = 0.0;
    survivors
        .counts
        .iter()
        .take(4)
        .zip(1_u8..)
        .any(|(count, parts)| {
            seen += f64::from(*count) * worth;
            let expected = older.worth * f64::from(parts) / older.parts as f64;
            poisson_at_most(seen.ceil(), expected) < 0.005
        })
}

/// Time that blocks spent past a horizon: survivors by the parts of the window, the dead by the
/// integral of how many grew older than each age.
fn exposure(survivors: &Survivors, deaths: &Deaths, window: usize, horizon: usize) -> f64 {
    let length = WINDOWS.get(window).copied().unwrap_or(0.0);
    let part = length / PARTS as f64;
    let from = horizon_seconds(window, horizon);
    let alive: f64 = survivors
        .counts
        .iter()
        .enumerate()
        .map(|(place, count)| f64::from(*count) * ((place as f64 + 0.5) * part - from).max(0.0))
        .sum();
    let dead: f64 = (horizon..HORIZONS)
        .map(|place| {
            let here = deaths.past(window, place);
            if place + 1 < HORIZONS {
                let width = horizon_seconds(window, place + 1) - horizon_seconds(window, place);
                0.5 * (here + deaths.past(window, place + 1)) * width
            } else {
                here * length / 4.0
            }
        })
        .sum();
    alive + dead
}

/// Whether blocks past the horizon are there to stay.
fn survive(evidence: &Evidence, window: usize, horizon: usize, survivors: f64) -> bool {
    let Some(of_window) = evidence.survivors.get(window) else {
        return false;
    };
    let late = evidence.deaths.past(window, horizon);
    // `n` births spread over a window `W` have spent `E = nW/2` past their birth. With at most `g`
    // deaths (the 90 % bound) the hazard is at most `g/E`, so births of `n/W` a second are balanced at
    // `(n/W) / (g/E) = n²/2g` blocks at the earliest. That is to be twice `n`: `n >= 4g`.
    if survivors < 4.0 * poisson_upper_90(late) {
        return false;
    }
    if late < 0.5 || late <= QUIET_SHARE * survivors {
        // No deaths past the first second either, or else they must have ceased.
        let early = evidence.deaths.past(window, 0);
        if horizon == 0 || early < 0.5 || early <= QUIET_SHARE * survivors {
            return true;
        }
    }
    if late > CEASED_SHARE * survivors {
        return false;
    }
    let early = evidence.deaths.past(window, 0);
    let expected = early * exposure(of_window, &evidence.deaths, window, horizon)
        / exposure(of_window, &evidence.deaths, window, 0).max(1e-9);
    poisson_at_most(late, expected) < 0.01
}

/// The survivors past a horizon, if they are enough to say that they are there to stay.
fn staying(evidence: &Evidence, window: usize, horizon: usize) -> Option<Older> {
    let survivors = evidence.survivors.get(window)?;
    let mut older = older(survivors, horizon);
    if older.bytes <= 0.0 || survivors.all.count <= 0.0 {
        return None;
    }
    let worth = survivors.all.effective() / survivors.all.count;
    older.worth = older.count * worth.min(1.0);
    (older.worth >= SAMPLES_MIN && survive(evidence, window, horizon, older.seen(evidence, window)))
        .then_some(older)
}

/// Whether what was called a leak has not been contradicted: blocks of the window still stay.
pub(crate) fn upheld(evidence: &Evidence, window_seconds: f64) -> bool {
    let window = WINDOWS.iter().position(|length| *length == window_seconds);
    window.is_some_and(|window| {
        (0..HORIZONS).any(|horizon| staying(evidence, window, horizon).is_some())
    })
}

fn plateau_at(
    evidence: &Evidence,
    window: usize,
    older: &Older,
    moment: &Moment,
) -> Option<Plateau> {
    let survivors = evidence.survivors.get(window)?;
    let length = *WINDOWS.get(window)?;
    let (horizon, count) = (PARTS - older.parts, older.worth);
    if !spread(older) || stopped(survivors, older) {
        return None;
    }
    let trend = laplace(count, older.mean_position);
    // A fall that would leave more than thrice the level to come is none that matters.
    let falls = trend < FALLING && decay_rate(older.mean_position) > 0.29;
    if falls || trend > LATE {
        return None;
    }
    let deaths = evidence.deaths.past(window, horizon);
    let seconds = length
        - if horizon == 0 {
            0.0
        } else {
            horizon_seconds(window, horizon)
        };
    let (low, high) = poisson_interval(count);
    let estimate = older.bytes / seconds;
    let rate = Estimate {
        estimate,
        low: estimate * low / count,
        high: estimate * high / count,
    };
    // A verdict that is due gives the rate the benefit of its error: a leak at the very edge of a class
    // is called in time. Later looks must not try their luck again.
    let age = super::evidence::seconds_between(evidence.first_seen_ns, moment.now_ns);
    let fastest = if age <= DUE * length {
        rate.high
    } else {
        estimate
    };
    Some(Plateau {
        window_seconds: length,
        horizon_seconds: horizon_seconds(window, horizon),
        survivors: count,
        deaths,
        p_value: births_exceed_deaths(older.seen(evidence, window), deaths),
        trend,
        rate,
        patient: MIN_RATE.get(window).is_some_and(|least| fastest >= *least),
    })
}

/// The most convincing plateau: of those with a window long enough for their rate, if any.
fn plateau(evidence: &Evidence, moment: &Moment) -> Option<Plateau> {
    let mut best: Option<Plateau> = None;
    for (window, length) in WINDOWS.iter().enumerate() {
        if *length > moment.covered_seconds + 1.0 {
            break;
        }
        // The first horizon at which blocks are there to stay, and no other: a later one would only
        // leave out births that speak against a leak.
        let found = (0..HORIZONS)
            .find_map(|horizon| staying(evidence, window, horizon))
            .and_then(|older| plateau_at(evidence, window, &older, moment));
        if let Some(found) = found {
            let better = best
                .is_none_or(|best| (found.patient, -found.p_value) > (best.patient, -best.p_value));
            if better {
                best = Some(found);
            }
        }
    }
    best
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
