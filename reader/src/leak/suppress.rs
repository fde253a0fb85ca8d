//! Suppressions in the syntax of `LeakSanitizer`: a line `leak:PATTERN` silences every finding one of
//! whose frames has a function, file or module that PATTERN matches. `*` stands for anything, `^`
//! and `$` bind to the ends; without them the pattern may match in the middle. `#` begins a comment.

use crate::profile::Frame;

/// A line that is not a suppression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the suppressions is not `leak:PATTERN`: {text}")]
pub struct SuppressionError {
    /// Number of the line, from 1.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// A set of suppressions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Suppressions {
    patterns: Vec<String>,
}

impl Suppressions {
    /// Reads suppressions, one a line.
    ///
    /// # Errors
    /// Names the first line that is none. Lines for other sanitizers (`race:`, `thread:` …) are
    /// errors too: they would silence nothing here.
    pub fn parse(text: &str) -> Result<Self, SuppressionError> {
        let mut patterns = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            match line.strip_prefix("leak:").map(str::trim) {
                Some(pattern) if !pattern.is_empty() => patterns.push(pattern.to_owned()),
                _ => {
                    return Err(SuppressionError {
                        line: number + 1,
                        text: line.to_owned(),
                    });
                }
            }
        }
        Ok(Self { patterns })
    }

    /// Whether a finding with this stack is silenced.
    #[must_use]
    pub fn silence(&self, stack: &[Frame]) -> bool {
        self.patterns.iter().any(|pattern| {
            stack.iter().any(|frame| {
                let names = [
                    Some(frame.function.as_str()),
                    frame.file.as_deref(),
                    frame.module.as_deref(),
                ];
                names
                    .into_iter()
                    .flatten()
                    .any(|name| matches(pattern, name))
            })
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.patterns.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

/// Whether `pattern` matches `name`, in time linear in each for every `*`.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, bound_start) = match pattern.strip_prefix('^') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let (pattern, bound_end) = match pattern.strip_suffix('$') {
        Some(rest) => (rest, true),
        None => (pattern, false),
    };
    let mut rest = name;
    let mut parts = pattern.split('*').peekable();
    let mut first = true;
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let found = if first && bound_start {
            if last && bound_end {
                return rest == part;
            }
            rest.strip_prefix(part)
        } else if last && bound_end {
            return rest.ends_with(part);
        } else {
            rest.find(part).and_then(|at| rest.get(at + part.len()..))
        };
        match found {
            Some(after) => rest = after,
            None => return false,
        }
        first = false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_the_sanitizer() {
        for (pattern, name, expected) in [
            ("remember", "app::remember_session", true),
            ("^remember", "app::remember_session", false),
            ("^app::*session$", "app::remember_session", true),
            ("app::*forget", "app::remember_session", false),
            ("session$", "app::remember_session", true),
            ("^app$", "app", true),
            ("^app$", "apple", false),
            ("a*b*c", "xaxxbxxc", true),
            ("*", "anything", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
        }
    }

    #[test]
    fn a_file_is_read_line_by_line_and_a_bad_line_is_named() {
        let read = Suppressions::parse("# known\n\nleak:interner\n  leak: pool::*new \n").unwrap();
        assert_eq!(read.len(), 2);
        let frame = |function: &str| Frame {
            function: function.to_owned(),
            file: Some("src/pool.rs".to_owned()),
            line: None,
            inlined: false,
            module: None,
        };
        assert!(read.silence(&[frame("main"), frame("app::interner::intern")]));
        assert!(!read.silence(&[frame("app::cache::insert")]));
        assert!(
            Suppressions::parse("leak:pool.rs")
                .unwrap()
                .silence(&[frame("x")])
        );
        assert!(!Suppressions::default().silence(&[frame("x")]));
        let error = Suppressions::parse("leak:a\nrace:b\n").unwrap_err();
        assert_eq!((error.line, error.text.as_str()), (2, "race:b"));
    }
}
