//! Figures as people read them: three significant digits, a unit, and the error beside an estimate.

use riptide_reader::profile::Estimate;

const BYTE_UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const COUNT_UNITS: [&str; 5] = ["", "k", "M", "G", "T"];

/// A figure split into digits and unit, so that an error can be given in the same unit.
struct Scaled {
    divisor: f64,
    unit: &'static str,
}

fn scale(magnitude: f64, step: f64, units: &[&'static str]) -> Scaled {
    let mut scaled = Scaled {
        divisor: 1.0,
        unit: units.first().copied().unwrap_or_default(),
    };
    for unit in units.iter().skip(1) {
        // What would print as 1000 or more in binary units may still need four digits (1023 KiB).
        if (magnitude / scaled.divisor).round() < step {
            break;
        }
        scaled.divisor *= step;
        scaled.unit = unit;
    }
    scaled
}

/// Three significant digits without an exponent.
fn digits(value: f64, whole: bool) -> String {
    let magnitude = value.abs();
    if whole || magnitude >= 99.95 {
        format!("{value:.0}")
    } else if magnitude >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

fn decimals_of(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, tail)| tail.len())
}

/// Half of the 95 % interval: the wider side, so that an asymmetric interval is not made to look
/// better than it is.
#[must_use]
pub fn half_width(value: &Estimate) -> f64 {
    (value.high - value.estimate)
        .max(value.estimate - value.low)
        .max(0.0)
}

/// What a rate of change says beyond its own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trend {
    /// Up.
    Grows,
    /// Down.
    Shrinks,
    /// Neither, or not known.
    Open,
}

/// Compares a rate of change with its error as it is printed.
#[must_use]
pub fn trend(value: Option<&Estimate>) -> Trend {
    match value {
        Some(value) if value.estimate > half_width(value) && value.low > 0.0 => Trend::Grows,
        Some(value) if -value.estimate > half_width(value) && value.high < 0.0 => Trend::Shrinks,
        _ => Trend::Open,
    }
}

fn plain(value: f64, step: f64, units: &[&'static str], space: &str) -> String {
    if !value.is_finite() {
        return "?".to_owned();
    }
    let scaled = scale(value.abs(), step, units);
    let text = digits(value / scaled.divisor, scaled.divisor <= 1.0);
    let unit = scaled.unit;
    if unit.is_empty() {
        text
    } else {
        format!("{text}{space}{unit}")
    }
}

fn with_error(
    value: &Estimate,
    step: f64,
    units: &[&'static str],
    space: &str,
    signed: bool,
) -> String {
    if !value.estimate.is_finite() {
        return "?".to_owned();
    }
    let error = half_width(value);
    let scaled = scale(value.estimate.abs().max(error), step, units);
    let whole = scaled.divisor <= 1.0;
    let number = digits(value.estimate / scaled.divisor, whole);
    let sign = if signed && value.estimate > 0.0 {
        "+"
    } else {
        ""
    };
    let error = error / scaled.divisor;
    let decimals = decimals_of(&number);
    let error = if !error.is_finite() {
        "?".to_owned()
    } else if error == 0.0 {
        "0".to_owned()
    } else {
        // An error is never made to look like none.
        let text = format!("{error:.decimals$}");
        if is_zero(&text) {
            format!("<{}", smallest(decimals))
        } else {
            trim_error(error, decimals)
        }
    };
    let unit = scaled.unit;
    if is_zero(&number) {
        // Nothing, to within so much: the unit belongs to the error.
        return if unit.is_empty() || error == "0" {
            format!(
                "0{space}{} ±{error}",
                units.first().copied().unwrap_or_default()
            )
        } else {
            format!("0 ±{error}{space}{unit}")
        };
    }
    if unit.is_empty() {
        format!("{sign}{number} ±{error}")
    } else if space.is_empty() {
        format!("{sign}{number}{unit} ±{error}")
    } else {
        format!("{sign}{number} {unit} ±{error}")
    }
}

fn is_zero(number: &str) -> bool {
    !number.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

/// An error needs no more than two significant digits.
fn trim_error(error: f64, decimals: usize) -> String {
    let wanted = if error >= 9.5 {
        0
    } else if error >= 0.95 {
        1
    } else {
        2
    };
    let decimals = decimals.min(wanted);
    format!("{error:.decimals$}")
}

fn smallest(decimals: usize) -> String {
    match decimals {
        0 => "1".to_owned(),
        1 => "0.1".to_owned(),
        _ => "0.01".to_owned(),
    }
}

/// `12.3 MiB`.
#[must_use]
pub fn bytes(value: f64) -> String {
    plain(value, 1024.0, &BYTE_UNITS, " ")
}

/// `12.3 MiB ±0.8`.
#[must_use]
pub fn bytes_with_error(value: &Estimate) -> String {
    with_error(value, 1024.0, &BYTE_UNITS, " ", false)
}

/// `+1.62 MiB ±0.21`, to which the caller adds `/s`.
#[must_use]
pub fn growth_with_error(value: &Estimate) -> String {
    with_error(value, 1024.0, &BYTE_UNITS, " ", true)
}

/// `12.3k`.
#[must_use]
pub fn count(value: f64) -> String {
    plain(value, 1000.0, &COUNT_UNITS, "")
}

/// `12.3k ±0.8`.
#[must_use]
pub fn count_with_error(value: &Estimate) -> String {
    with_error(value, 1000.0, &COUNT_UNITS, "", false)
}

/// `4.1 %`, one decimal below ten.
#[must_use]
pub fn percent(part: f64, whole: f64) -> String {
    if whole <= 0.0 || !part.is_finite() || !whole.is_finite() {
        return "-".to_owned();
    }
    let percent = part / whole * 100.0;
    if percent >= 9.95 {
        format!("{percent:.0}%")
    } else {
        format!("{percent:.1}%")
    }
}

/// `820 ms`, `12 s`, `3 m 20 s`, `2 h 05 m`, `3 d 04 h`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".to_owned();
    }
    if seconds < 0.9995 {
        return format!("{:.0} ms", seconds * 1000.0);
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round().min(1e15) as u64;
    let (days, hours, minutes, rest) = (
        whole / 86_400,
        whole / 3_600 % 24,
        whole / 60 % 60,
        whole % 60,
    );
    if days > 0 {
        format!("{days} d {hours:02} h")
    } else if hours > 0 {
        format!("{hours} h {minutes:02} m")
    } else if minutes > 0 {
        format!("{minutes} m {rest:02} s")
    } else {
        format!("{rest} s")
    }
}

/// A span of time in whole seconds.
#[must_use]
pub fn whole_seconds(seconds: f64) -> String {
    if seconds.is_finite() && seconds < 10.0 {
        format!("{:.0} s", seconds.max(0.0).floor())
    } else {
        duration(seconds)
    }
}

/// Parses `1`, `65536`, `64KiB`, `1M` as bytes.
#[must_use]
pub fn parse_bytes(text: &str) -> Option<f64> {
    let text = text.trim();
    let split = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let power = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    Some(number * 1024_f64.powi(power))
}

/// Parses `500ms`, `10s`, `5m`, `2h`, `1d` or plain seconds.
#[must_use]
pub fn parse_seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let split = text
        .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let factor = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn estimate(estimate: f64, error: f64) -> Estimate {
        Estimate {
            estimate,
            low: estimate - error,
            high: estimate + error,
        }
    }

    #[test]
    fn sizes_have_three_digits_and_a_unit() {
        let cases = [
            (0.0, "0 B"),
            (512.0, "512 B"),
            (1023.0, "1023 B"),
            (1024.0, "1.00 KiB"),
            (1536.0, "1.50 KiB"),
            (12_900_000.0, "12.3 MiB"),
            (1023.0 * 1024.0, "1023 KiB"),
            (1023.9 * 1024.0, "1.00 MiB"),
            (-2_097_152.0, "-2.00 MiB"),
            (f64::NAN, "?"),
            (1e30, "888178419700125 PiB"),
        ];
        for (value, text) in cases {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn an_error_is_given_in_the_unit_of_its_figure() {
        let mib = 1024.0 * 1024.0;
        assert_eq!(
            bytes_with_error(&estimate(12.3 * mib, 0.8 * mib)),
            "12.3 MiB ±0.8"
        );
        assert_eq!(
            bytes_with_error(&estimate(3.0 * mib, 2.5 * mib)),
            "3.00 MiB ±2.5"
        );
        assert_eq!(bytes_with_error(&estimate(300.0, 0.0)), "300 B ±0");
        assert_eq!(
            bytes_with_error(&estimate(300.0 * mib, 0.2 * mib)),
            "300 MiB ±<1"
        );
        assert_eq!(
            growth_with_error(&estimate(1.62 * mib, 0.21 * mib)),
            "+1.62 MiB ±0.21"
        );
        assert_eq!(growth_with_error(&estimate(-0.2, 0.0)), "0 B ±0");
        assert_eq!(bytes_with_error(&estimate(3.0, 240_000.0)), "0 ±234 KiB");
        assert_eq!(count_with_error(&estimate(0.0, 40_000.0)), "0 ±40k");
        assert_eq!(count_with_error(&estimate(0.0, 0.0)), "0 ±0");
        assert_eq!(count_with_error(&estimate(12_300.0, 800.0)), "12.3k ±0.8");
        assert_eq!(count_with_error(&estimate(7.0, 3.0)), "7 ±3");
    }

    #[test]
    fn an_asymmetric_interval_shows_its_wider_side() {
        let value = Estimate {
            estimate: 10.0,
            low: 9.0,
            high: 14.0,
        };
        assert_eq!(half_width(&value), 4.0);
    }

    #[test]
    fn a_trend_is_one_beyond_its_printed_error() {
        assert_eq!(trend(Some(&estimate(3.0, 1.0))), Trend::Grows);
        assert_eq!(trend(Some(&estimate(-3.0, 1.0))), Trend::Shrinks);
        assert_eq!(trend(Some(&estimate(1.0, 3.0))), Trend::Open);
        // The interval lies above zero, but ±164 beside 139 would read as "perhaps not".
        let skewed = Estimate {
            estimate: 139.0,
            low: 3.0,
            high: 303.0,
        };
        assert_eq!(trend(Some(&skewed)), Trend::Open);
        assert_eq!(trend(None), Trend::Open);
    }

    #[test]
    fn durations_and_shares_read_naturally() {
        assert_eq!(duration(0.82), "820 ms");
        assert_eq!(duration(1.0), "1.0 s");
        assert_eq!(duration(12.4), "12 s");
        assert_eq!(duration(200.0), "3 m 20 s");
        assert_eq!(duration(7_500.0), "2 h 05 m");
        assert_eq!(duration(273_600.0), "3 d 04 h");
        assert_eq!(percent(1.0, 3.0), "33%");
        assert_eq!(percent(0.1, 3.0), "3.3%");
        assert_eq!(percent(1.0, 0.0), "-");
    }

    #[test]
    fn sizes_and_times_parse_back() {
        assert_eq!(parse_bytes("64KiB"), Some(65_536.0));
        assert_eq!(parse_bytes("1M"), Some(1_048_576.0));
        assert_eq!(parse_bytes("12"), Some(12.0));
        assert_eq!(parse_bytes("x"), None);
        assert_eq!(parse_bytes("1 furlong"), None);
        assert_eq!(parse_seconds("10m"), Some(600.0));
        assert_eq!(parse_seconds("500ms"), Some(0.5));
        assert_eq!(parse_seconds("m"), None);
    }
}
