//! Evidence in sentences: what was counted, over which time, and what follows from it.

use super::{
    evidence::Evidence,
    judge::{Growth, Judgement, Moment, Reason},
    statistics::Slope,
};
use crate::profile::Estimate;

/// `1.5 MiB`.
fn bytes(value: f64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut scaled = value.abs();
    let mut unit = 0;
    while scaled >= 1023.5 && unit + 1 < UNITS.len() {
        scaled /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    let sign = if value < 0.0 { "-" } else { "" };
    if unit == 0 || scaled >= 99.95 {
        format!("{sign}{scaled:.0} {name}")
    } else {
        format!("{sign}{scaled:.1} {name}")
    }
}

/// `45 s`, `12 min`, `3.5 h`, `2.1 days`.
fn duration(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7_200.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        seconds => format!("{:.1} days", seconds / 86_400.0),
    }
}

fn rate(value: &Estimate) -> String {
    format!(
        "{}/s (95 % interval {}/s to {}/s)",
        bytes(value.estimate),
        bytes(value.low),
        bytes(value.high)
    )
}

fn p_value(value: f64) -> String {
    if value < 1e-4 {
        "p < 0.0001".to_owned()
    } else {
        format!("p = {value:.4}")
    }
}

fn growth(of: &Growth) -> String {
    if of.observed {
        format!(
            "In the last {} {:.0} samples were born and stayed, {:.0} older ones died: {}, {}.",
            duration(of.seconds),
            of.births,
            of.deaths,
            rate(&of.rate),
            p_value(of.p_value)
        )
    } else {
        format!(
            "Of what lives, {:.0} samples were born in the last {} and next to none of that age died: {}.",
            of.births,
            duration(of.seconds),
            rate(&of.rate)
        )
    }
}

/// The evidence of a verdict.
pub(crate) fn sentences(
    evidence: &Evidence,
    judgement: &Judgement,
    slope: Option<Slope>,
    moment: &Moment,
    time_to_limit: Option<&Estimate>,
) -> Vec<String> {
    let mut said = Vec::new();
    match &judgement.reason {
        Reason::Plateau(of) => {
            said.push(format!(
                "Over the last {} {:.0} samples outlived {} and {:.0} of that age died: survival past \
                 there is {:.1} %, {}.",
                duration(of.window_seconds),
                of.survivors,
                duration(of.horizon_seconds),
                of.deaths,
                100.0 * of.survivors / (of.survivors + of.deaths),
                p_value(of.p_value)
            ));
            said.push(format!(
                "Births of what stays do not fall off (Laplace statistic {:+.1}): {}, or {} a day.",
                of.trend,
                rate(&of.rate),
                bytes(of.rate.estimate * 86_400.0)
            ));
        }
        Reason::Buffers(of) => said.push(format!(
            "Blocks that realloc keeps alive reached a new highest size {:.0} times in {}, the last \
             time {} ago: {} in all, {}/s.",
            of.rises,
            duration(of.seconds),
            duration(of.since_last_seconds),
            bytes(of.bytes),
            bytes(of.rate)
        )),
        Reason::Growth(of) => said.push(growth(of)),
        Reason::FallingOff { growth: of, to_come } => {
            said.extend(of.as_ref().map(growth));
            said.push(format!(
                "Births fall off: if they go on so, {:.0} % of what has come is still to come.",
                100.0 * to_come
            ));
        }
        Reason::Settled {
            window_seconds,
            share,
        } => said.push(format!(
            "{:.0} % of what lives was born in the last {}, and next to nothing of it lately.",
            100.0 * share,
            duration(*window_seconds)
        )),
        Reason::Turnover {
            seconds,
            births,
            deaths,
        } => said.push(format!(
            "In the last {} {births:.0} samples came and {deaths:.0} older ones went: it turns over at \
             its level.",
            duration(*seconds)
        )),
        Reason::Quiet => said.push(format!(
            "{} samples since the start, {} freed, and births do not exceed deaths.",
            evidence.sampled, evidence.freed
        )),
        Reason::TooEarly { samples } => said.push(format!(
            "{samples:.0} live samples in {} of the process's life are too few to tell.",
            duration(moment.covered_seconds)
        )),
    }
    if let Some(slope) = slope {
        said.push(format!(
            "Median slope of the level while watched: {}/s (Theil-Sen, {}/s to {}/s).",
            bytes(slope.slope),
            bytes(slope.low),
            bytes(slope.high)
        ));
    }
    if moment.watched_seconds < 8.0 {
        said.push(
            "Read from one look: deaths are known by their ages only, so the verdict is less sure."
                .to_owned(),
        );
    }
    if let Some(left) = time_to_limit {
        said.push(format!(
            "At this rate the memory limit is reached in {} ({} to {}).",
            duration(left.estimate),
            duration(left.low),
            duration(left.high)
        ));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_units() {
        assert_eq!(bytes(1_572_864.0), "1.5 MiB");
        assert_eq!(bytes(-2_048.0), "-2.0 KiB");
        assert_eq!(duration(45.4), "45 s");
        assert_eq!(duration(5_400.0), "90 min");
        assert_eq!(p_value(1e-9), "p < 0.0001");
    }
}
