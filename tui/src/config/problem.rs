//! What is wrong with a configuration, where, and what to write instead.

use std::{fmt, path::PathBuf};

use super::keys::KEYS;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A place in a file; line and column count from 1, the column in characters.
    File {
        /// Path of the file.
        path: PathBuf,
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File { path, line, column } => {
                write!(formatter, "{}:{line}:{column}", path.display())
            }
            Self::Variable(name) => formatter.write_str(name),
            Self::Flag(flag) => formatter.write_str(flag),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// What.
    pub message: String,
    /// What to do about it.
    pub suggestion: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: {}; {}",
            self.origin, self.message, self.suggestion
        )
    }
}

/// All that is wrong; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

/// Words that look alike enough for one to be meant by the other.
const ALIKE: f64 = 0.6;

/// What to write in place of a key that does not exist.
pub(super) fn suggest_key(unknown: &str) -> String {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let alike = |name: &str| {
        let tail = strsim::normalized_damerau_levenshtein(&last(unknown), &last(name));
        let section = unknown.split('.').next();
        // Of two that are as much alike the one in the same section is meant.
        if section == name.split('.').next() {
            tail
        } else {
            tail * 0.95
        }
    };
    let best = KEYS
        .iter()
        .map(|key| (alike(key.name), key.name))
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match best {
        Some((alike, name)) if alike >= ALIKE => format!("did you mean {name}?"),
        _ => "`riptide gen-config` lists all keys".to_owned(),
    }
}

/// What to write in place of a section that does not exist.
pub(super) fn suggest_section(unknown: &str) -> String {
    let alike = |name: &str| strsim::normalized_damerau_levenshtein(unknown, name);
    let best = KEYS
        .iter()
        .map(|key| (alike(key.section()), key.section()))
        .max_by(|left, right| left.0.total_cmp(&right.0));
    match best {
        Some((alike, name)) if alike >= ALIKE => format!("did you mean [{name}]?"),
        _ => "`riptide gen-config` lists all sections".to_owned(),
    }
}
