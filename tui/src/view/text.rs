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

/// Whether a word is the unit or the error of the number before it.
fn belongs_to_number(word: &str) -> bool {
    let word = word.trim_end_matches([',', ';', '.', ':', ')']);
    let unit = word.split('/').next().unwrap_or(word);
    word.starts_with('±')
        || matches!(
            unit,
            "B" | "KiB" | "MiB" | "GiB" | "TiB" | "KB" | "MB" | "GB" | "%"
        )
        || matches!(unit, "ns" | "µs" | "ms" | "s" | "m" | "h" | "d")
}

/// The words of a text; a number and its unit are one, as far as they fit into a line.
fn words(text: &str, cells: usize) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match words.last_mut() {
            Some(last)
                if belongs_to_number(word)
                    && (last.ends_with(|letter: char| letter.is_ascii_digit())
                        || word.starts_with('±'))
                    && width(last) + 1 + width(word) <= cells =>
            {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Breaks a text at blanks, and inside a word only where it is longer than the line.
pub(super) fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for mut word in words(text, cells) {
        if !line.is_empty() && width(&line) + 1 + width(&word) > cells {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        while width(&word) > cells {
            let at = break_at(&word, cells);
            if at >= word.len() {
                // One letter that is wider than the line.
                break;
            }
            let rest = word.split_off(at);
            lines.push(word);
            word = rest;
        }
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// The byte at which a word that is too long is broken: behind a separator of paths if there is one
/// in the second half, else where the line ends. Never 0 and never inside a letter.
fn break_at(word: &str, cells: usize) -> usize {
    let mut used = 0;
    let mut end = 0;
    let mut separator = 0;
    for (at, letter) in word.char_indices() {
        used += width(letter.encode_utf8(&mut [0; 4]));
        if used > cells && end > 0 {
            break;
        }
        end = at + letter.len_utf8();
        if matches!(letter, ':' | '/' | ',' | '<')
            && !word.get(end..).unwrap_or_default().starts_with(':')
        {
            separator = end;
        }
    }
    if separator * 2 > end { separator } else { end }
}

/// A function without its generic arguments: `poll<Box<dyn Future>>` is `poll<…>`, `<T as U<V>>::f`
/// is `<T as U<…>>::f`.
pub(super) fn without_arguments(function: &str) -> String {
    let mut out = String::new();
    let mut depth = 0_usize;
    let mut before = ' ';
    for letter in function.chars() {
        match letter {
            // Behind a name it opens arguments; elsewhere it is a type with its trait.
            '<' if depth > 0 || before.is_alphanumeric() || before == '_' => {
                depth += 1;
                if depth == 1 {
                    out.push_str("<…>");
                }
            }
            '>' if depth > 0 && before != '-' => depth -= 1,
            _ if depth > 0 => {}
            _ => out.push(letter),
        }
        before = letter;
    }
    out
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
    fn a_number_stays_with_its_unit() {
        assert_eq!(wrap("most 1.00 MiB", 9), ["most", "1.00 MiB"]);
        assert_eq!(
            wrap("it rose by 1.6 MiB/s ±0.20, or so", 20),
            ["it rose by", "1.6 MiB/s ±0.20, or", "so"]
        );
        assert_eq!(wrap("in 1 h 45 m to 2 h", 10), ["in 1 h", "45 m to", "2 h"]);
        // Where there is no room for both, as any words.
        assert_eq!(wrap("100 MiB", 4), ["100", "MiB"]);
    }

    #[test]
    fn paths_are_broken_behind_their_separators() {
        assert_eq!(
            wrap("service::sessions::remember", 20),
            ["service::sessions::", "remember"]
        );
        assert_eq!(wrap("/usr/src/long/name", 12), ["/usr/src/", "long/name"]);
        assert_eq!(wrap("日本語", 1), ["日", "本", "語"]);
    }

    #[test]
    fn arguments_are_left_out() {
        for (name, short) in [
            ("a::b", "a::b"),
            ("poll<Pin<Box<(dyn F<Output=X>)>>>", "poll<…>"),
            ("<T as U<V>>::f", "<T as U<…>>::f"),
            ("call<fn(A) -> B, C>::{closure#0}", "call<…>::{closure#0}"),
            ("a::f::<u8>", "a::f::<u8>"),
            ("odd>>", "odd>>"),
            ("odd<<", "odd<…>"),
        ] {
            assert_eq!(without_arguments(name), short);
        }
    }

    #[test]
    fn a_trend_ends_at_the_right() {
        assert_eq!(sparkline(&[0.0, 7.0], 4), "  ▁█");
        assert_eq!(sparkline(&[1.0, 1.0, 1.0], 2), "▁▁");
        assert_eq!(sparkline(&[], 2), "  ");
    }
}
