//! Files, environment and flags, one over the other.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    checks,
    field::Value,
    keys::{Config, KEYS, Key, VARIABLE_PREFIX},
    problem::{Origin, Problem, Problems, suggest_key, suggest_section},
};

/// A file of the system's configuration and of the user's.
const FILE: &str = "riptide/riptide.toml";

/// Where layers come from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Files that need not be there, the weakest first.
    pub usual: Vec<PathBuf>,
    /// The file of `--config`.
    pub explicit: Option<PathBuf>,
    /// Variables of the environment; those of other programs are passed over.
    pub variables: Vec<(OsString, OsString)>,
    /// Flag, key and value.
    pub flags: Vec<(String, String, String)>,
}

impl Sources {
    /// `/etc`, the user's directory and the environment of this process.
    #[must_use]
    pub fn of_process(explicit: Option<PathBuf>) -> Self {
        let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".config"));
        let user = std::env::var_os("XDG_CONFIG_HOME")
            .filter(|directory| !directory.is_empty())
            .map(PathBuf::from)
            .or_else(home);
        let mut usual = vec![Path::new("/etc").join(FILE)];
        usual.extend(user.map(|directory| directory.join(FILE)));
        Self {
            usual,
            explicit,
            variables: std::env::vars_os().collect(),
            flags: Vec::new(),
        }
    }
}

/// A configuration without problems.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Where each that is not a default comes from.
    pub origins: Origins,
    /// Files that were read.
    pub files: Vec<PathBuf>,
}

/// Where the value of each key comes from.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<&'static str, Origin>);

impl Origins {
    /// Where the value of a key comes from.
    #[must_use]
    pub fn of(&self, key: &str) -> Origin {
        self.0.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Whether somebody set the key.
    #[must_use]
    pub fn is_set(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

/// Reads every layer.
///
/// # Errors
/// All that is wrong in all layers, in their order.
pub fn load(sources: &Sources) -> Result<Loaded, Problems> {
    let mut loading = Loading::default();
    for path in &sources.usual {
        loading.file(path, false);
    }
    if let Some(path) = &sources.explicit {
        loading.file(path, true);
    }
    loading.variables(&sources.variables);
    for (flag, key, value) in &sources.flags {
        let origin = Origin::Flag(flag.clone());
        loading.set(key, &Value::Words(value.clone()), origin.clone(), origin);
    }
    // What the keys demand of each other is checked even if others are wrong: those have their
    // defaults, and all is to be said at once.
    let mut problems = loading.problems;
    problems.extend(checks::check(&loading.config, &loading.origins));
    if problems.is_empty() {
        Ok(Loaded {
            config: loading.config,
            origins: loading.origins,
            files: loading.files,
        })
    } else {
        Err(Problems(problems))
    }
}

#[derive(Default)]
struct Loading {
    config: Config,
    origins: Origins,
    files: Vec<PathBuf>,
    problems: Vec<Problem>,
}

impl Loading {
    fn complain(&mut self, origin: Origin, message: String, suggestion: String) {
        self.problems.push(Problem {
            origin,
            message,
            suggestion,
        });
    }

    /// Sets a key from a layer; `at_key` and `at_value` are the places to complain about.
    fn set(&mut self, name: &str, value: &Value, at_key: Origin, at_value: Origin) {
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            self.complain(at_key, format!("there is no key {name}"), suggest_key(name));
            return;
        };
        if key.read(&mut self.config, value) {
            self.origins.0.insert(key.name, at_value);
        } else {
            self.refuse(key, value, at_value);
        }
    }

    fn refuse(&mut self, key: &Key, value: &Value, origin: Origin) {
        // A secret that is not one must not get into the log.
        let shown = if key.name == "http.token" {
            "not one".to_owned()
        } else {
            value.quoted()
        };
        let default = key.show(&Config::default());
        let example = default.unwrap_or_else(|| format!("{:?}", key.other(&self.config)));
        self.complain(
            origin,
            format!("{} is {shown} and should be {}", key.name, key.expected()),
            format!("for example {} = {example}", key.short()),
        );
    }

    fn variables(&mut self, variables: &[(OsString, OsString)]) {
        let mut ours: Vec<(String, &OsString)> = variables
            .iter()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
            .filter(|(name, _)| name.starts_with(VARIABLE_PREFIX))
            .collect();
        ours.sort();
        for (variable, value) in ours {
            let rest = variable.strip_prefix(VARIABLE_PREFIX).unwrap_or_default();
            let name = rest.to_ascii_lowercase().replacen("__", ".", 1);
            let origin = Origin::Variable(variable.clone());
            match value.to_str() {
                Some(text) => {
                    let value = Value::Words(text.to_owned());
                    self.set(&name, &value, origin.clone(), origin);
                }
                None => self.complain(
                    origin,
                    format!("the value of {variable} is not UTF-8"),
                    "write it in UTF-8".to_owned(),
                ),
            }
        }
    }

    fn file(&mut self, path: &Path, must_exist: bool) {
        let start = || Origin::File {
            path: path.to_owned(),
            line: 1,
            column: 1,
        };
        let text = match std::fs::read(path) {
            Ok(bytes) => String::from_utf8(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !must_exist => return,
            Err(error) => {
                self.complain(
                    start(),
                    format!("cannot be read: {error}"),
                    "`riptide gen-config` writes one to begin with".to_owned(),
                );
                return;
            }
        };
        let text = match text {
            Ok(text) => text,
            Err(error) => {
                let good = error.utf8_error().valid_up_to();
                let bytes = error.into_bytes();
                let before = String::from_utf8_lossy(bytes.get(..good).unwrap_or_default());
                self.complain(
                    place(path, &before, before.len()),
                    "not UTF-8 from here on".to_owned(),
                    "save the file as UTF-8".to_owned(),
                );
                return;
            }
        };
        self.files.push(path.to_owned());
        let (document, errors) = DeTable::parse_recoverable(&text);
        let mut broken_lines = Vec::new();
        for error in errors {
            let at = error.span().map_or(text.len(), |span| span.start);
            let origin = place(path, &text, at);
            if let Origin::File { line, .. } = origin {
                broken_lines.push(line);
            }
            self.complain(
                origin,
                format!("not TOML: {}", error.message()),
                "write lines as key = value below [section]; texts stand in quotes".to_owned(),
            );
        }
        for (section, keys) in by_place(document.get_ref()) {
            let at = place(path, &text, section.span().start);
            self.section(path, &text, &broken_lines, section.get_ref(), keys, at);
        }
    }

    fn section(
        &mut self,
        path: &Path,
        text: &str,
        broken_lines: &[usize],
        section: &str,
        keys: &Spanned<DeValue<'_>>,
        at: Origin,
    ) {
        let is_broken = |origin: &Origin| {
            // What the parser made of a line that is not TOML is not worth a second complaint.
            matches!(origin, Origin::File { line, .. } if broken_lines.contains(line))
        };
        if is_broken(&at) {
            return;
        }
        if !KEYS.iter().any(|key| key.section() == section) {
            let is_table = matches!(keys.get_ref(), DeValue::Table(_));
            let (message, suggestion) = if is_table {
                (
                    format!("there is no section [{section}]"),
                    suggest_section(section),
                )
            } else {
                (
                    format!("the key {section} stands in no section"),
                    suggest_key(section),
                )
            };
            self.complain(at, message, suggestion);
            return;
        }
        let DeValue::Table(table) = keys.get_ref() else {
            self.complain(
                at,
                format!("{section} is a section and has no value of its own"),
                format!("write [{section}] and its keys below"),
            );
            return;
        };
        for (key, value) in by_place(table) {
            let at_key = place(path, text, key.span().start);
            let at_value = place(path, text, value.span().start);
            if !is_broken(&at_key) {
                let name = format!("{section}.{}", key.get_ref());
                self.set(&name, &plain(value.get_ref()), at_key, at_value);
            }
        }
    }
}

type Entry<'a, 'i> = (
    &'a Spanned<std::borrow::Cow<'i, str>>,
    &'a Spanned<DeValue<'i>>,
);

/// Entries of a table in the order of the file.
fn by_place<'a, 'i>(table: &'a DeTable<'i>) -> Vec<Entry<'a, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn plain(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).map_or_else(
                // Out of range of any key.
                |_| Value::Other("a number that is too large"),
                Value::Integer,
            )
        }
        DeValue::Float(float) => Value::Float(float.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Array(values) => {
            Value::List(values.iter().map(|value| plain(value.get_ref())).collect())
        }
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(_) => Value::Other("a table"),
    }
}

/// Line and column of a byte of `text`.
fn place(path: &Path, text: &str, at: usize) -> Origin {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Origin::File {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
    }
}
