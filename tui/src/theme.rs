//! Colours: the sixteen of ANSI on the terminal's own background, or none at all; true colour only for
//! flame graphs.
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

/// Which colours the dashboard uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ThemeChoice {
    /// What the terminal and NO_COLOR say.
    #[default]
    Auto,
    /// None.
    Mono,
    /// The sixteen of ANSI.
    Ansi,
    /// These, and true colour in flame graphs.
    True,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Palette {
    Mono,
    Ansi,
    True,
}

/// The styles of the dashboard, by meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    palette: Palette,
    /// What the terminal said.
    by_itself: Palette,
    is_light: bool,
    /// Only letters, digits and signs of ASCII.
    pub is_ascii: bool,
}

/// What the environment says about the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// It shows colours, and the user wants them.
    pub colored: bool,
    /// It shows true colour (`COLORTERM`).
    pub true_color: bool,
    /// Its background is light (`COLORFGBG`).
    pub is_light: bool,
    /// Its locale is one without Unicode.
    pub is_ascii: bool,
}

impl Environment {
    /// Of this process; `colored` as the command line has it.
    #[must_use]
    pub fn read(colored: bool) -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .map(variable)
            .into_iter()
            .find(|value| !value.is_empty());
        Self {
            colored,
            true_color: matches!(variable("COLORTERM").as_str(), "truecolor" | "24bit"),
            is_light: is_light(&variable("COLORFGBG")),
            // Nothing set says nothing: most terminals show Unicode.
            is_ascii: locale.is_some_and(|locale| {
                let locale = locale.to_lowercase();
                !locale.contains("utf-8") && !locale.contains("utf8")
            }),
        }
    }
}

/// `COLORFGBG` is `foreground;background`, in numbers of the sixteen colours.
fn is_light(value: &str) -> bool {
    let background = value.rsplit(';').next().and_then(|last| last.parse().ok());
    matches!(background, Some(7_u8 | 15))
}

impl Theme {
    /// A theme with or without colours, on a dark background.
    #[must_use]
    pub fn new(colored: bool) -> Self {
        Self::of(Environment {
            colored,
            ..Environment::default()
        })
    }

    /// The theme for a terminal.
    #[must_use]
    pub fn of(terminal: Environment) -> Self {
        let palette = match (terminal.colored, terminal.true_color) {
            (false, _) => Palette::Mono,
            (true, false) => Palette::Ansi,
            (true, true) => Palette::True,
        };
        Self {
            palette,
            by_itself: palette,
            is_light: terminal.is_light,
            is_ascii: terminal.is_ascii,
        }
    }

    /// The same with other colours.
    #[must_use]
    pub fn with(self, choice: ThemeChoice) -> Self {
        let palette = match choice {
            ThemeChoice::Auto => self.by_itself,
            ThemeChoice::Mono => Palette::Mono,
            ThemeChoice::Ansi => Palette::Ansi,
            ThemeChoice::True => Palette::True,
        };
        Self { palette, ..self }
    }

    /// The same for another background.
    #[must_use]
    pub fn on(self, is_light: bool) -> Self {
        Self { is_light, ..self }
    }

    fn paint(self, color: Color) -> Style {
        if self.palette == Palette::Mono {
            Style::new()
        } else {
            Style::new().fg(color)
        }
    }

    /// One colour on a dark background, another on a light one.
    fn either(self, dark: Color, light: Color) -> Style {
        self.paint(if self.is_light { light } else { dark })
    }

    /// A frame of the flame graph. `shade` varies neighbours; `change` is how far it grew (to 1) or
    /// shrank (to -1) against a base.
    #[must_use]
    pub fn flame(self, shade: u8, change: Option<f64>) -> Style {
        let shade = shade % 4;
        match (self.palette, change) {
            // The separators tell frames apart.
            (Palette::Mono, _) => Style::new(),
            (Palette::Ansi, Some(change)) => {
                let color = match change {
                    change if change > 0.0 => Color::Red,
                    change if change < 0.0 => Color::Blue,
                    _ => return Style::new().add_modifier(Modifier::DIM | Modifier::REVERSED),
                };
                Style::new().fg(color).add_modifier(Modifier::REVERSED)
            }
            (Palette::Ansi, None) => {
                let color = if shade.is_multiple_of(2) {
                    Color::Yellow
                } else {
                    Color::Green
                };
                Style::new().fg(color).add_modifier(Modifier::REVERSED)
            }
            (Palette::True, Some(change)) => {
                let change = if change.is_finite() {
                    change.clamp(-1.0, 1.0)
                } else {
                    0.0
                };
                let fade = (205.0 - 115.0 * change.abs()) as u8;
                let background = if change > 0.0 {
                    Color::Rgb(240, fade, fade)
                } else if change < 0.0 {
                    Color::Rgb(fade, fade.saturating_add(20), 245)
                } else {
                    Color::Rgb(205, 205, 205)
                };
                Style::new().fg(Color::Rgb(20, 20, 20)).bg(background)
            }
            (Palette::True, None) => {
                let background = match shade {
                    0 => Color::Rgb(248, 196, 113),
                    1 => Color::Rgb(240, 178, 122),
                    2 => Color::Rgb(245, 215, 140),
                    _ => Color::Rgb(229, 165, 105),
                };
                Style::new().fg(Color::Rgb(20, 20, 20)).bg(background)
            }
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

    /// The selected frame of the flame graph.
    #[must_use]
    pub fn selected_frame(self, frame: Style) -> Style {
        match self.palette {
            Palette::True => frame
                .fg(Color::Rgb(255, 255, 255))
                .bg(Color::Rgb(40, 60, 110))
                .add_modifier(Modifier::BOLD),
            _ => Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD),
        }
    }

    /// What is looked for and was found.
    #[must_use]
    pub fn hit(self) -> Style {
        self.paint(Color::Magenta)
            .add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
    }

    /// Keys in the footer and in the help.
    #[must_use]
    pub fn key(self) -> Style {
        self.either(Color::Cyan, Color::Blue)
            .add_modifier(Modifier::BOLD)
    }

    /// All is well.
    #[must_use]
    pub fn good(self) -> Style {
        self.paint(Color::Green)
    }

    /// Worth a look.
    #[must_use]
    pub fn warn(self) -> Style {
        self.either(Color::Yellow, Color::Magenta)
    }

    /// Wrong, or growing.
    #[must_use]
    pub fn bad(self) -> Style {
        self.paint(Color::Red)
    }

    /// The line of a chart.
    #[must_use]
    pub fn line(self) -> Style {
        self.either(Color::Cyan, Color::Blue)
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
    fn the_environment_tells_the_background() {
        assert!(is_light("0;15"));
        assert!(is_light("0;default;7"));
        assert!(!is_light("15;0"));
        assert!(!is_light(""));
    }

    #[test]
    fn true_colour_is_for_flames_only() {
        let theme = Theme::new(true).with(ThemeChoice::True);
        assert!(matches!(theme.flame(0, None).bg, Some(Color::Rgb(..))));
        assert!(matches!(theme.bad().fg, Some(Color::Red)));
        let grew = theme.flame(0, Some(1.0)).bg;
        let shrank = theme.flame(0, Some(-1.0)).bg;
        assert_ne!(grew, shrank);
        assert_eq!(theme.with(ThemeChoice::Auto), Theme::new(true));
        assert_eq!(Theme::new(false).flame(1, Some(1.0)), Style::new());
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
