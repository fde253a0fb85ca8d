//! Survival without an end: what a leak's blocks show over a window.

use super::{
    evidence::{
        Deaths, Evidence, HORIZONS, PARTS, Survivors, WINDOWS, horizon_seconds, seconds_between,
    },
    judge::Moment,
    statistics::{
        births_exceed_deaths, chi_square_upper_99, decay_rate, laplace, poisson_at_most,
        poisson_interval, poisson_upper_90,
    },
};
use crate::profile::Estimate;

/// Bytes a second from which each of [`WINDOWS`] is long enough for the verdict `leak`.
pub(crate) const MIN_RATE: [f64; WINDOWS.len()] = [
    f64::INFINITY,
    1_048_576.0,
    102_400.0,
    10_240.0,
    1_024.0,
    100.0,
];
/// One-sided 5 % point of the normal distribution: births that fall off beyond it are no leak's.
pub(crate) const FALLING: f64 = -1.645;
/// The same for births that all came late in the window: what began later is looked at later.
const LATE: f64 = 2.33;
/// A window's verdict is due until the group is so many windows old.
const DUE: f64 = 1.08;
/// Fewest samples that say anything.
pub(crate) const SAMPLES_MIN: f64 = 5.0;
/// Share of the blocks past the horizon that may have died there.
const QUIET_SHARE: f64 = 0.01;
/// The same when deaths have all but ceased.
const CEASED_SHARE: f64 = 0.1;

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

/// Older part of a window's survivors.
pub(crate) struct Older {
    count: f64,
    bytes: f64,
    /// 0 at the beginning of the window, 1 at the horizon.
    pub(crate) mean_position: f64,
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

pub(crate) fn older(survivors: &Survivors, horizon: usize) -> Older {
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
pub(crate) fn staying(evidence: &Evidence, window: usize, horizon: usize) -> Option<Older> {
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

/// Whether births went on at one rate.
fn is_steady(plateau: &Plateau, older: &Older) -> bool {
    // A fall that would leave more than thrice the level to come is none that matters.
    let falls = plateau.trend < FALLING && decay_rate(older.mean_position) > 0.29;
    !falls && plateau.trend <= LATE
}

/// What a window shows of blocks that are there to stay, if their births are spread over it and have not
/// stopped.
pub(crate) fn plateau_at(
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
    let age = seconds_between(evidence.first_seen_ns, moment.now_ns);
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
pub(crate) fn plateau(evidence: &Evidence, moment: &Moment) -> Option<Plateau> {
    let mut best: Option<Plateau> = None;
    for (window, length) in WINDOWS.iter().enumerate() {
        if *length > moment.covered_seconds + 1.0 {
            break;
        }
        // The first horizon at which blocks are there to stay, and no other: a later one would only
        // leave out births that speak against a leak.
        let found = (0..HORIZONS)
            .find_map(|horizon| staying(evidence, window, horizon))
            .and_then(|older| {
                let found = plateau_at(evidence, window, &older, moment)?;
                is_steady(&found, &older).then_some(found)
            });
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
