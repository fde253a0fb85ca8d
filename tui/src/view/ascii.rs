//! The same picture in ASCII, for terminals and logs that have nothing else.

use ratatui::buffer::Buffer;

/// Puts a sign of ASCII in the place of every other one.
pub(super) fn translate(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        let mut letters = cell.symbol().chars();
        let Some(letter) = letters.next().filter(|letter| !letter.is_ascii()) else {
            continue;
        };
        cell.set_char(sign(letter));
    }
}

fn sign(letter: char) -> char {
    match letter {
        '─' | '━' | '–' => '-',
        '│' | '▏' | '┊' => '|',
        '┌' | '┐' | '└' | '┘' | '├' | '┤' => '+',
        '▶' => '>',
        '▲' | '↑' => '^',
        '▼' | '↓' => 'v',
        '→' => '>',
        '←' => '<',
        '±' => '~',
        '×' => 'x',
        'µ' => 'u',
        '…' | '·' => '.',
        '░' => ':',
        '▁' | '▂' => '_',
        '▃' | '▄' => '-',
        '▅' | '▆' => '=',
        '▇' | '█' | '▉' | '▊' | '▋' | '▌' | '▍' | '▎' => '#',
        '\u{2800}'..='\u{28ff}' => '*',
        _ => '?',
    }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    #[test]
    fn nothing_but_ascii_is_left() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 12, 1));
        buffer.set_string(0, 0, "▲ 3 ±1 ─│⣿ä日", ratatui::style::Style::new());
        translate(&mut buffer);
        let text: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
        assert!(text.is_ascii(), "{text}");
        assert!(text.starts_with("^ 3 ~1 -|*?"), "{text}");
    }
}
