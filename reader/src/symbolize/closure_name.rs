//! Closures as DWARF and symbol tables name them, alone and within the names of others.

/// Names longer than this are searched no further.
pub(super) const MAX_NAME_BYTES: usize = 16 << 10;
/// Paths longer than this are none.
const MAX_PATH_BYTES: usize = 1 << 10;

/// `{closure#0}<T>`, `{async_block#1}`, as DWARF names closures and the bodies of async functions.
#[derive(Debug, PartialEq)]
pub(super) struct Closure<'a> {
    pub(super) kind: &'a str,
    pub(super) number: &'a str,
    /// Whether it is the type of what is captured: `{closure_env#0}`.
    is_type: bool,
    rest: &'a str,
}

impl<'a> Closure<'a> {
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let (inner, rest) = name.strip_prefix('{')?.split_once('}')?;
        let (kind, number) = inner.split_once('#')?;
        let (kind, is_type) = match kind.strip_suffix("_env") {
            Some(kind) => (kind, true),
            None => (kind, false),
        };
        let is_closure = ["closure", "async_", "gen_", "coroutine"]
            .iter()
            .any(|prefix| kind.starts_with(prefix));
        let is_number = !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit());
        (is_closure && is_number).then_some(Self {
            kind,
            number,
            is_type,
            rest,
        })
    }

    /// Its full name in a function of that name.
    pub(super) fn within(&self, parent: &str) -> String {
        // `f<T>` was completed here, and the closure repeats the arguments.
        let ends_so = parent.ends_with('>') && !parent.starts_with('<') && !parent.contains("::<");
        let parent = if ends_so {
            without_arguments(parent)
        } else {
            parent
        };
        format!("{parent}::{{closure#{}}}{}", self.number, self.rest)
    }
}

/// A closure's full path inside another name.
#[derive(Debug)]
pub(super) struct Mention<'a> {
    /// Path of what it is in.
    pub(super) parent: &'a str,
    closure: Closure<'a>,
    /// How many lists of type arguments it is in.
    pub(super) depth: usize,
}

impl Mention<'_> {
    pub(super) fn names(&self, closure: &Closure<'_>) -> bool {
        let in_symbol_table = !self.closure.is_type && self.closure.kind == "closure";
        self.closure.number == closure.number
            && (in_symbol_table || self.closure.kind == closure.kind)
    }
}

/// All closures with a path in `text`.
pub(super) fn mentions(text: &str) -> Vec<Mention<'_>> {
    let mut found = Vec::new();
    let (mut depth, mut previous) = (0_usize, ' ');
    for (at, character) in text
        .char_indices()
        .take_while(|(at, _)| *at < MAX_NAME_BYTES)
    {
        match character {
            '<' => depth += 1,
            '>' if previous != '-' => depth = depth.saturating_sub(1),
            '{' => found.extend(mention(text, at, depth)),
            _ => {}
        }
        previous = character;
    }
    found
}

fn mention(text: &str, at: usize, depth: usize) -> Option<Mention<'_>> {
    let closure = Closure::parse(text.get(at..)?)?;
    // Another follows: this one is only its parent.
    if closure.rest.starts_with("::{") {
        return None;
    }
    let path = text.get(..at)?.strip_suffix("::")?;
    let parent = path.get(path_start(path)?..)?;
    (!parent.is_empty()).then_some(Mention {
        parent,
        closure,
        depth,
    })
}

/// Where the path that ends `text` starts.
fn path_start(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate().rev().take(MAX_PATH_BYTES) {
        let follows_dash = at.checked_sub(1).and_then(|before| bytes.get(before)) == Some(&b'-');
        match byte {
            b'>' if !follows_dash => depth += 1,
            b'<' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            b'_' | b':' | b'{' | b'}' | b'#' => {}
            byte if byte.is_ascii_alphanumeric() || !byte.is_ascii() => {}
            _ => return Some(at + 1),
        }
    }
    (text.len() <= MAX_PATH_BYTES && depth == 0).then_some(0)
}

pub(super) fn without_arguments(name: &str) -> &str {
    name.split('<').next().unwrap_or(name)
}

pub(super) fn last_segment(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closures_in_names_are_found_with_their_path() {
        let found = |text| {
            mentions(text)
                .into_iter()
                .map(|mention| (mention.parent, mention.closure.number, mention.depth))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            found(
                "next<Filter<R, a::f::{closure#0}::{closure_env#2}>, &mut a::f::{closure_env#1}>"
            ),
            [("a::f::{closure#0}", "2", 2), ("a::f", "1", 1)]
        );
        assert_eq!(
            found("<V as X<V, M<<a::T<fn() -> u8> as core::C>::c::{closure#0}>>>::from"),
            [("<a::T<fn() -> u8> as core::C>::c", "0", 3)]
        );
        assert_eq!(
            found("s::spawn::<a::main::{closure#0}, ()>::{closure#1}"),
            [
                ("a::main", "0", 1),
                ("s::spawn::<a::main::{closure#0}, ()>", "1", 0)
            ]
        );
        assert_eq!(
            found("drop_in_place<a::f::{async_block_env#3}>"),
            [("a::f", "3", 1)]
        );
        assert_eq!(found("{closure#0}<a::{impl#1}>"), []);
    }
}
