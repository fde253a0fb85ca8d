//! Fitting text into cells.

use ratatui::text::Span;

/// Width in cells.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// Keeps the end of a text: of a path, that is what tells it from others.
pub(super) fn keep_end(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut kept: Vec<char> = Vec::new();
    let mut used = 1;
    for letter in text.chars().rev() {
        used += width(letter.encode_utf8(&mut [0; 4]));
        if used > cells {
            break;
        }
        kept.push(letter);
    }
    if cells == 0 {
        return String::new();
    }
    kept.push('…');
    kept.iter().rev().collect()
}

/// Keeps the beginning of a text.
pub(super) fn keep_start(text: &str, cells: usize) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    if cells == 0 {
        return String::new();
    }
    let mut kept = String::new();
    let mut used = 1;
    for letter in text.chars() {
        used += width(letter.encode_utf8(&mut [0; 4]));
        if used > cells {
            break;
        }
        kept.push(letter);
    }
    kept.push('…');
    kept
}

/// Fills up with blanks on the left.
pub(super) fn right(text: &str, cells: usize) -> String {
    let blanks = cells.saturating_sub(width(text));
    format!("{}{text}", " ".repeat(blanks))
}

/// Fills up with blanks on the right.
pub(super) fn left(text: &str, cells: usize) -> String {
    let blanks = cells.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(blanks))
}

/// Breaks a text at blanks, and inside a word only where it is longer than the line.
pub(super) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word.to_owned();
        if !line.is_empty() && width(&line) + 1 + width(&word) > cells {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        while width(&word) > cells {
            let mut head = String::new();
            let mut used = 0;
            let mut rest = String::new();
            for letter in word.chars() {
                used += width(letter.encode_utf8(&mut [0; 4]));
                if used <= cells || head.is_empty() {
                    head.push(letter);
                } else {
                    rest.push(letter);
                }
            }
            lines.push(head);
            word = rest;
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// Eight heights of a bar in one cell each, scaled from the lowest to the highest value.
pub(super) fn sparkline(values: &[f64], cells: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let skip = values.len().saturating_sub(cells);
    let shown: Vec<f64> = values.iter().skip(skip).copied().collect();
    let low = shown.iter().copied().fold(f64::INFINITY, f64::min);
    let high = shown.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bars = shown.iter().map(|value| {
        let share = if high > low {
            (value - low) / (high - low)
        } else {
            0.0
        };
        let step = (share * 7.0).round().clamp(0.0, 7.0) as usize;
        BARS.get(step).copied().unwrap_or('▁')
    });
    let drawn: String = bars.collect();
    right(&drawn, cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_where_it_matters_least() {
        assert_eq!(keep_end("a::b::insert", 8), "…:insert");
        assert_eq!(keep_end("short", 8), "short");
        assert_eq!(keep_end("日本語", 4), "…語");
        assert_eq!(keep_start("a::b::insert", 8), "a::b::i…");
        assert_eq!(keep_end("abc", 0), "");
    }

    #[test]
    fn lines_are_broken_at_blanks_first() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("", 3), [""]);
    }

    #[test]
    fn a_trend_ends_at_the_right() {
        assert_eq!(sparkline(&[0.0, 7.0], 4), "  ▁█");
        assert_eq!(sparkline(&[1.0, 1.0, 1.0], 2), "▁▁");
        assert_eq!(sparkline(&[], 2), "  ");
    }
}
