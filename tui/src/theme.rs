//! Colours: the sixteen of ANSI on the terminal's own background, or none at all.
//!
//! Nothing is said by colour alone: each coloured thing also carries a word, a sign or a tag.

use ratatui::style::{Color, Modifier, Style};

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Even when stdout is not a terminal.
    Always,
    /// Not at all.
    Never,
}

impl ColorChoice {
    /// Decides for a stream; `no_color` is whether NO_COLOR is set to something.
    #[must_use]
    pub fn resolve(self, is_terminal: bool, no_color: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => is_terminal && !no_color,
        }
    }
}

/// The styles of the dashboard, by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    colored: bool,
}

impl Theme {
    /// A theme with or without colours.
    #[must_use]
    pub fn new(colored: bool) -> Self {
        Self { colored }
    }

    fn paint(self, color: Color) -> Style {
        if self.colored {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    /// Body text.
    #[must_use]
    pub fn text(self) -> Style {
        Style::new()
    }

    /// Secondary text.
    #[must_use]
    pub fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Titles and names.
    #[must_use]
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// The selected row or tab.
    #[must_use]
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Keys in the footer and in the help.
    #[must_use]
    pub fn key(self) -> Style {
        self.paint(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// All is well.
    #[must_use]
    pub fn good(self) -> Style {
        self.paint(Color::Green)
    }

    /// Worth a look.
    #[must_use]
    pub fn warn(self) -> Style {
        self.paint(Color::Yellow)
    }

    /// Wrong, or growing.
    #[must_use]
    pub fn bad(self) -> Style {
        self.paint(Color::Red)
    }

    /// The line of a chart.
    #[must_use]
    pub fn line(self) -> Style {
        self.paint(Color::Cyan)
    }

    /// The error band of a chart.
    #[must_use]
    pub fn band(self) -> Style {
        self.paint(Color::Blue).add_modifier(Modifier::DIM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_wins_over_a_terminal_but_not_over_the_flag() {
        assert!(ColorChoice::Auto.resolve(true, false));
        assert!(!ColorChoice::Auto.resolve(true, true));
        assert!(!ColorChoice::Auto.resolve(false, false));
        assert!(ColorChoice::Always.resolve(false, true));
        assert!(!ColorChoice::Never.resolve(true, false));
    }

    #[test]
    fn a_plain_theme_has_no_colour() {
        let theme = Theme::new(false);
        for style in [
            theme.good(),
            theme.warn(),
            theme.bad(),
            theme.key(),
            theme.line(),
        ] {
            assert_eq!(style.fg, None);
            assert_eq!(style.bg, None);
        }
    }
}
