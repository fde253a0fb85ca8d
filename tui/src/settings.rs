//! The settings of the dashboard: colours, keys, files. A file that is wrong names line and key.
//!
//! ```toml
//! theme = "auto"            # auto, mono, ansi, true
//! background = "auto"       # auto, dark, light
//! ascii = false             # only signs of ASCII
//! hidden-columns = ["age"]  # of the Sites screen
//! suppressions = "/etc/riptide/suppressions"
//! exports = "/tmp"
//!
//! [keys]
//! pause = ["p", "space"]    # names as `riptide man` lists them
//! ```

use std::{
    collections::HashMap,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{
    app::Column,
    keys::{BINDINGS, Key, Keymap},
    theme::ThemeChoice,
};

/// Longest settings file.
const BYTES_MAX: u64 = 1 << 20;
/// Keys of the file.
const KEYS: [&str; 7] = [
    "theme",
    "background",
    "ascii",
    "hidden-columns",
    "suppressions",
    "exports",
    "keys",
];

/// What a user has set.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Colours.
    pub theme: ThemeChoice,
    /// Whether the background is light, if it was said.
    pub is_light: Option<bool>,
    /// Whether to use only ASCII, if it was said.
    pub is_ascii: Option<bool>,
    /// Columns of the Sites screen that are not shown.
    pub hidden_columns: Vec<Column>,
    /// File with suppressions.
    pub suppressions: Option<PathBuf>,
    /// Directory for exports.
    pub exports: Option<PathBuf>,
    /// Keys.
    pub keymap: Keymap,
}

/// What is wrong with a settings file.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// It cannot be read.
    #[error("cannot read the settings {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line is wrong.
    #[error("{path}:{line}: {message}")]
    Line {
        /// The file.
        path: PathBuf,
        /// Line from 1.
        line: usize,
        /// What is wrong, with the key.
        message: String,
    },
}

/// `riptide/` below the user's directory for configuration.
#[must_use]
pub fn directory() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let base = match set("XDG_CONFIG_HOME") {
        Some(base) => PathBuf::from(base),
        None => PathBuf::from(set("HOME")?).join(".config"),
    };
    Some(base.join("riptide"))
}

impl Settings {
    /// Reads the file named, or else the user's own, which need not be there.
    ///
    /// # Errors
    /// It cannot be read, or a line is wrong.
    pub fn read(named: Option<&Path>) -> Result<Self, SettingsError> {
        let own = directory().map(|directory| directory.join("dashboard.toml"));
        let Some(path) = named.or(own.as_deref()) else {
            return Ok(Self::default());
        };
        let failed = |source| SettingsError::Io {
            path: path.to_owned(),
            source,
        };
        match path.metadata() {
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => return Err(failed(error)),
            Ok(metadata) if metadata.len() > BYTES_MAX => {
                return Err(failed(io::ErrorKind::FileTooLarge.into()));
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        Self::parse(&text).map_err(|(line, message)| SettingsError::Line {
            path: path.to_owned(),
            line,
            message,
        })
    }

    /// Reads a settings text; the error is a line and what is wrong there.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let line_of = |span: Range<usize>| {
            let before = text.get(..span.start).unwrap_or(text);
            before.bytes().filter(|byte| *byte == b'\n').count() + 1
        };
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, line_of);
            (line, error.message().to_owned())
        })?;
        let mut settings = Self::default();
        for (key, value) in table.get_ref() {
            settings
                .take(key.get_ref(), value, &line_of)
                .map_err(|(line, message)| {
                    (line.unwrap_or_else(|| line_of(key.span())), message)
                })?;
        }
        Ok(settings)
    }

    fn take(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        line_of: &impl Fn(Range<usize>) -> usize,
    ) -> Result<(), (Option<usize>, String)> {
        let wrong = |what: &str| (None, format!("`{key}` {what}"));
        let text = || match value.get_ref() {
            DeValue::String(text) => Ok(text.as_ref()),
            _ => Err(wrong("takes a text in quotes")),
        };
        match key {
            "theme" => {
                let names = "takes \"auto\", \"mono\", \"ansi\" or \"true\"";
                self.theme = ThemeChoice::from_str(text()?, false).map_err(|_| wrong(names))?;
            }
            "background" => {
                self.is_light = match text()? {
                    "auto" => None,
                    "light" => Some(true),
                    "dark" => Some(false),
                    _ => return Err(wrong("takes \"auto\", \"light\" or \"dark\"")),
                };
            }
            "ascii" => match value.get_ref() {
                DeValue::Boolean(ascii) => self.is_ascii = Some(*ascii),
                _ => return Err(wrong("takes true or false")),
            },
            "hidden-columns" => {
                for name in list(value).ok_or_else(|| wrong("takes a list of texts"))? {
                    let column = Column::OPTIONAL
                        .into_iter()
                        .find(|column| column.title() == *name.get_ref());
                    let names: Vec<_> = Column::OPTIONAL.map(Column::title).into();
                    self.hidden_columns.push(column.ok_or_else(|| {
                        let line = line_of(name.span());
                        (Some(line), format!("`{key}` knows {}", names.join(", ")))
                    })?);
                }
            }
            "suppressions" => self.suppressions = Some(text()?.into()),
            "exports" => self.exports = Some(text()?.into()),
            "keys" => {
                let DeValue::Table(table) = value.get_ref() else {
                    return Err(wrong("is a table"));
                };
                self.take_keys(table, line_of)?;
            }
            _ => {
                let near = KEYS
                    .into_iter()
                    .map(|of| (strsim::damerau_levenshtein(of, key), of))
                    .min();
                return Err(match near {
                    Some((distance, near)) if distance <= 3 => {
                        wrong(&format!("is no setting; did you mean `{near}`?"))
                    }
                    _ => wrong(&format!("is no setting; there are {}", KEYS.join(", "))),
                });
            }
        }
        Ok(())
    }

    fn take_keys(
        &mut self,
        table: &DeTable<'_>,
        line_of: &impl Fn(Range<usize>) -> usize,
    ) -> Result<(), (Option<usize>, String)> {
        let mut lines: HashMap<&str, usize> = HashMap::new();
        for (action, value) in table {
            let line = line_of(action.span());
            let action = action.get_ref().as_ref();
            let wrong = |message: String| (Some(line), message);
            let named = match value.get_ref() {
                DeValue::String(name) => vec![name.as_ref()],
                _ => list(value)
                    .ok_or_else(|| wrong(format!("`keys.{action}` takes a key or a list of keys")))?
                    .into_iter()
                    .map(|name| *name.get_ref())
                    .collect(),
            };
            let mut keys = Vec::new();
            for name in named {
                keys.push(Key::parse(name).ok_or_else(|| {
                    wrong(format!(
                        "`keys.{action}`: there is no key `{name}`; write x, G, ctrl-x, space, enter, \
                         esc, tab, shift-tab, up, down, left, right, pgup, pgdn, home or end"
                    ))
                })?);
            }
            self.keymap
                .set(action, &keys)
                .map_err(|message| wrong(format!("`keys.{action}`: {message}")))?;
            if let Some(binding) = BINDINGS.iter().find(|binding| binding.name == action) {
                lines.insert(binding.name, line);
            }
        }
        if let Some((key, a, b)) = self.keymap.conflict() {
            let line = lines.get(a).into_iter().chain(lines.get(b)).max().copied();
            let label = key.label();
            return Err((
                line,
                format!("`keys.{a}` and `keys.{b}` both have the key `{label}` in one view"),
            ));
        }
        Ok(())
    }
}

/// The texts of an array.
fn list<'a>(value: &'a Spanned<DeValue<'_>>) -> Option<Vec<Spanned<&'a str>>> {
    let DeValue::Array(array) = value.get_ref() else {
        return None;
    };
    array
        .iter()
        .map(|item| match item.get_ref() {
            DeValue::String(text) => Some(Spanned::new(item.span(), text.as_ref())),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Action, Scope};

    #[test]
    fn settings_are_taken() {
        let text = "theme = \"mono\"\nbackground = \"light\"\nascii = true\n\
                    hidden-columns = [\"age\", \"%\"]\nexports = \"/tmp\"\n\
                    [keys]\npause = [\"p\", \"space\"]\nexport = \"E\"\n";
        let settings = Settings::parse(text).unwrap();
        assert_eq!(settings.theme, ThemeChoice::Mono);
        assert_eq!(settings.is_light, Some(true));
        assert_eq!(settings.is_ascii, Some(true));
        assert_eq!(settings.hidden_columns, [Column::Age, Column::Share]);
        let keymap = &settings.keymap;
        assert_eq!(
            keymap.action(Scope::Sites, Key::Char('p')),
            Some(Action::Pause)
        );
        assert_eq!(
            keymap.action(Scope::Sites, Key::Char('E')),
            Some(Action::Export)
        );
        assert_eq!(keymap.action(Scope::Sites, Key::Char('e')), None);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, line, words) in [
            ("theme = \"mono\"\nthem = 1\n", 2, "did you mean `theme`"),
            ("theme = \"red\"\n", 1, "`theme` takes"),
            ("\n\nascii = 1\n", 3, "`ascii` takes true or false"),
            ("theme = \n", 1, ""),
            (
                "hidden-columns = [\n\"age\",\n\"ag\"]\n",
                3,
                "`hidden-columns` knows",
            ),
            ("[keys]\npause = \"hyper\"\n", 2, "no key `hyper`"),
            ("[keys]\n\npuase = \"p\"\n", 3, "did you mean `pause`"),
            ("[keys]\npause = \"e\"\n", 2, "`keys.base`"),
        ] {
            let (found, message) = Settings::parse(text).unwrap_err();
            assert_eq!(found, line, "{text}: {message}");
            let words = if words == "`keys.base`" {
                "both have the key `e`"
            } else {
                words
            };
            assert!(message.contains(words), "{text}: {message}");
        }
    }

    #[test]
    fn a_file_that_is_named_has_to_be_there() {
        let missing = Path::new("/no/such/settings.toml");
        let error = Settings::read(Some(missing)).unwrap_err();
        assert!(error.to_string().contains("/no/such/settings.toml"));
    }
}
