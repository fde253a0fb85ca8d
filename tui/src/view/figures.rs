//! Figures of a snapshot as text. Every estimate shows its error; lost blocks turn live figures
//! into lower bounds.

use riptide_reader::{
    estimate::scale,
    profile::{Estimate, Snapshot},
};

use crate::units::{self, Trend};

/// How the figures of a snapshot are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Figures {
    lower_bound: bool,
}

impl Figures {
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        Self {
            lower_bound: snapshot.loss.makes_live_a_lower_bound(),
        }
    }

    fn bound(self) -> &'static str {
        if self.lower_bound { ">=" } else { "" }
    }

    pub(super) fn live_bytes(self, value: &Estimate) -> String {
        format!("{}{}", self.bound(), units::bytes_with_error(value))
    }

    pub(super) fn live_objects(self, value: &Estimate) -> String {
        format!("{}{}", self.bound(), units::count_with_error(value))
    }
}

/// `+1.62 MiB/s ±0.21`, or `-` while not known.
pub(super) fn growth(value: Option<&Estimate>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |value| match units::growth_with_error(value).split_once(" ±") {
            // `0 ±234 KiB` has its unit at the end.
            Some(("0", error)) => format!("0 ±{error}/s"),
            Some((figure, error)) => format!("{figure}/s ±{error}"),
            None => "?".to_owned(),
        },
    )
}

/// `+3.10 MiB ±0.40`, with its sign also when it is down.
pub(super) fn change(value: &Estimate) -> String {
    units::growth_with_error(value)
}

/// `+140 GiB ±17 a day`, from a rate a second.
pub(super) fn per_day(value: Option<&Estimate>) -> String {
    value.map_or_else(
        || "-".to_owned(),
        |value| units::growth_with_error(&scale(value, 86_400.0)),
    )
}

/// The sum of two estimates of different blocks: their distances to the ends add up as squares.
pub(super) fn sum(a: &Estimate, b: &Estimate) -> Estimate {
    let estimate = a.estimate + b.estimate;
    Estimate {
        estimate,
        low: estimate - (a.estimate - a.low).hypot(b.estimate - b.low),
        high: estimate + (a.high - a.estimate).hypot(b.high - b.estimate),
    }
}

/// A figure, or `-` while not known.
pub(super) fn or_dash(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

/// What growth is beyond its error: `▲` up, `▼` down.
pub(super) fn direction(value: Option<&Estimate>) -> &'static str {
    match units::trend(value) {
        Trend::Grows => "▲",
        Trend::Shrinks => "▼",
        Trend::Open => " ",
    }
}
