//! Text of another process in markup and in scripts; figures for people.

use std::fmt;

use crate::profile::Estimate;

/// Text as it may stand in markup and in attributes.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for letter in self.0.chars() {
            match letter {
                '&' => formatter.write_str("&amp;")?,
                '<' => formatter.write_str("&lt;")?,
                '>' => formatter.write_str("&gt;")?,
                '"' => formatter.write_str("&quot;")?,
                '\'' => formatter.write_str("&#39;")?,
                letter => fmt::Write::write_char(formatter, super::super::plain_letter(letter))?,
            }
        }
        Ok(())
    }
}

/// JSON as it may stand in a `script` element: `</` would end it, and after `<!--` a `<script` would
/// keep its end from being seen. Everything else stays as it is, so that names can be searched for.
pub(super) fn script_safe(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    let mut rest = json;
    while let Some((before, after)) = rest.split_once('<') {
        safe.push_str(before);
        let next = after.as_bytes();
        let opens_script = next
            .get(..6)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"script"));
        // `<` is only ever inside strings of JSON.
        safe.push_str(match next.first() {
            Some(b'/' | b'!') => "\\u003c",
            _ if opens_script => "\\u003c",
            _ => "<",
        });
        rest = after;
    }
    safe.push_str(rest);
    safe
}

/// `1.50 MiB`.
pub(super) fn bytes(value: f64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = value.abs();
    let mut units = UNITS.into_iter();
    let mut unit = units.next().unwrap_or_default();
    let mut is_whole = true;
    for larger in units {
        if size < 1_024.0 {
            break;
        }
        size /= 1_024.0;
        unit = larger;
        is_whole = false;
    }
    let digits = match size {
        _ if is_whole => 0,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{size:.digits$} {unit}")
}

/// `12,345`.
pub(super) fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 && digits != "0" {
        text.insert(0, '-');
    }
    text
}

/// `12 min 5 s`.
pub(super) fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.0) as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60);
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3_600 => format!("{minutes} min {} s", whole % 60),
        3_600..86_400 => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A figure that scripts find as a number: `<data value="…">1.50 MiB</data>`.
pub(super) fn figure(value: f64, text: &str) -> String {
    format!("<data value=\"{value}\">{text}</data>")
}

/// A figure with its interval, unless it is exact.
pub(super) fn estimate(value: &Estimate, at_least: bool, show: fn(f64) -> String) -> String {
    let prefix = if at_least { "≥ " } else { "" };
    let shown = figure(value.estimate, &format!("{prefix}{}", show(value.estimate)));
    if value.low == value.high {
        return shown;
    }
    let (low, high) = (show(value.low), show(value.high));
    format!("{shown}<span class=\"error\">{low} to {high}</span>")
}

/// `+1.50 MiB/s`.
pub(super) fn rate(value: f64) -> String {
    let sign = if value > 0.0 { "+" } else { "" };
    format!("{sign}{}/s", bytes(value))
}
