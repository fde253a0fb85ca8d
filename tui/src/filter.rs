//! The filter language of the Sites screen.
//!
//! Words are joined by "and"; `!` in front turns one round.
//!
//! | word | keeps sites |
//! |---|---|
//! | `text` | whose function or file holds the text, letters of either case |
//! | `fn:text`, `file:text` | whose function or file holds the text |
//! | `fn:~re`, `file:~re` | whose function or file matches the regular expression |
//! | `fn:=name` | whose function is this one; `·` stands for a blank |
//! | `crate:name` | whose function is of the crate |
//! | `verdict:growing` | whose verdict this is: leak, growing, cache-like, warm-up, healthy, too-early |
//! | `live>1M`, `objects>100`, `growth>10K`, `alloc>5`, `age>10m` | above (`<` below) the figure |

use regex_lite::Regex;
use riptide_reader::{leak::Verdict, profile::Site};

use crate::units;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    Function,
    File,
    Either,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    Live,
    Objects,
    Growth,
    Allocations,
    Age,
}

#[derive(Clone, Debug)]
enum Test {
    Holds(Text, String),
    Matches(Text, Regex),
    Is(Text, String),
    Crate(String),
    Verdict(Verdict),
    Above(Figure, f64),
    Below(Figure, f64),
}

#[derive(Clone, Debug)]
struct Term {
    negated: bool,
    test: Test,
}

/// A filter that was understood.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// As it was written.
    text: String,
    terms: Vec<Term>,
}

impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Filter {
    /// Reads a filter; the error names the word and what is wrong with it.
    ///
    /// # Errors
    ///
    /// A sentence for the prompt line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let terms = text.split_whitespace().map(parse_term);
        Ok(Self {
            text: text.to_owned(),
            terms: terms.collect::<Result<_, _>>()?,
        })
    }

    /// Whether everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether a site passes.
    #[must_use]
    pub fn keeps(&self, site: &Site, verdict: &impl Fn(&Site) -> Option<Verdict>) -> bool {
        self.terms
            .iter()
            .all(|term| term.test.holds(site, verdict) != term.negated)
    }
}

fn parse_term(word: &str) -> Result<Term, String> {
    let (negated, body) = match word.strip_prefix('!') {
        Some(rest) if !rest.is_empty() => (true, rest),
        _ => (false, word),
    };
    let test = if let Some(value) = body.strip_prefix("fn:") {
        parse_text(Text::Function, value)?
    } else if let Some(value) = body.strip_prefix("file:") {
        parse_text(Text::File, value)?
    } else if let Some(value) = body.strip_prefix("crate:") {
        Test::Crate(value.to_owned())
    } else if let Some(value) = body.strip_prefix("verdict:") {
        parse_verdict(value)?
    } else if let Some(test) = parse_figure(body)? {
        test
    } else {
        Test::Holds(Text::Either, body.to_lowercase())
    };
    Ok(Term { negated, test })
}

const VERDICTS: [Verdict; 6] = [
    Verdict::Leak,
    Verdict::Growing,
    Verdict::CacheLike,
    Verdict::WarmUp,
    Verdict::Healthy,
    Verdict::TooEarly,
];

fn parse_verdict(value: &str) -> Result<Test, String> {
    let found = VERDICTS.into_iter().find(|verdict| verdict.word() == value);
    found.map(Test::Verdict).ok_or_else(|| {
        format!(
            "`verdict:` takes {}",
            VERDICTS.map(Verdict::word).join(", ")
        )
    })
}

fn parse_text(text: Text, value: &str) -> Result<Test, String> {
    if let Some(name) = value.strip_prefix('=') {
        return Ok(Test::Is(text, name.replace('·', " ")));
    }
    match value.strip_prefix('~') {
        Some(pattern) => Regex::new(pattern)
            .map(|regex| Test::Matches(text, regex))
            .map_err(|error| format!("`{pattern}` is no regular expression: {error}")),
        None => Ok(Test::Holds(text, value.to_lowercase())),
    }
}

fn parse_figure(body: &str) -> Result<Option<Test>, String> {
    let Some(at) = body.find(['<', '>']) else {
        return Ok(None);
    };
    let (name, rest) = body.split_at(at);
    let figure = match name {
        "live" => Figure::Live,
        "objects" => Figure::Objects,
        "growth" => Figure::Growth,
        "alloc" => Figure::Allocations,
        "age" => Figure::Age,
        // Rust paths hold angle brackets: <Vec as Clone>::clone.
        _ => return Ok(None),
    };
    let above = rest.starts_with('>');
    let value = rest.get(1..).unwrap_or_default();
    let (number, example) = match figure {
        Figure::Live | Figure::Growth => (units::parse_bytes(value), "1M"),
        Figure::Objects | Figure::Allocations => (value.parse().ok(), "100"),
        Figure::Age => (units::parse_seconds(value), "10m"),
    };
    let number = number.ok_or_else(|| {
        format!(
            "`{name}` needs a figure, for example {name}{}{example}",
            if above { '>' } else { '<' }
        )
    })?;
    Ok(Some(if above {
        Test::Above(figure, number)
    } else {
        Test::Below(figure, number)
    }))
}

impl Test {
    fn holds(&self, site: &Site, verdict: &impl Fn(&Site) -> Option<Verdict>) -> bool {
        match self {
            Self::Is(text, wanted) => text.of(site, |value| value == wanted),
            Self::Verdict(wanted) => verdict(site) == Some(*wanted),
            Self::Holds(text, wanted) => {
                text.of(site, |value| value.to_lowercase().contains(wanted))
            }
            Self::Matches(text, regex) => text.of(site, |value| regex.is_match(value)),
            Self::Crate(name) => crate_of(&site.function) == name,
            Self::Above(figure, limit) => figure.of(site).is_some_and(|value| value > *limit),
            Self::Below(figure, limit) => figure.of(site).is_some_and(|value| value < *limit),
        }
    }
}

impl Text {
    fn of(self, site: &Site, test: impl Fn(&str) -> bool) -> bool {
        let function = || test(&site.function);
        let file = || site.file.as_deref().is_some_and(&test);
        match self {
            Self::Function => function(),
            Self::File => file(),
            Self::Either => function() || file(),
        }
    }
}

impl Figure {
    fn of(self, site: &Site) -> Option<f64> {
        match self {
            Self::Live => Some(site.live_bytes.estimate),
            Self::Objects => Some(site.live_objects.estimate),
            Self::Growth => site.growth_bytes_per_second.map(|growth| growth.estimate),
            Self::Allocations => site.allocations_per_second,
            Self::Age => site.median_age_seconds,
        }
    }
}

/// The crate of a function: the first segment of its path, or of the type in `<T as Trait>::f`.
#[must_use]
pub fn crate_of(function: &str) -> &str {
    let start = function.trim_start_matches(['<', '&', '*', '(', '[']);
    let start = start.strip_prefix("mut ").unwrap_or(start);
    let start = start.strip_prefix("dyn ").unwrap_or(start);
    let end = start
        .find(|letter: char| !(letter.is_alphanumeric() || letter == '_'))
        .unwrap_or(start.len());
    start.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::site;

    #[test]
    fn words_are_joined_by_and() {
        let site = site(
            "my::cache::Lru::insert",
            Some(("src/cache.rs", 12)),
            3.0e6,
            1.0e3,
        );
        for (filter, kept) in [
            ("", true),
            ("CACHE", true),
            ("cache.rs", true),
            ("fn:insert file:cache", true),
            ("fn:cache.rs", false),
            ("fn:~^my::.*insert$", true),
            ("fn:~^insert", false),
            ("crate:my", true),
            ("crate:m", false),
            ("live>1M", true),
            ("live>3M", false),
            ("live<3M cache", true),
            ("!cache", false),
            ("!serde cache", true),
            ("age>10m", false),
            ("verdict:growing", true),
            ("verdict:leak", false),
            ("!verdict:leak", true),
            ("fn:=my::cache::Lru::insert", true),
            ("fn:=cache", false),
        ] {
            assert_eq!(
                Filter::parse(filter)
                    .unwrap()
                    .keeps(&site, &|_| Some(Verdict::Growing)),
                kept,
                "{filter}"
            );
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(Filter::parse("fn:~(").unwrap_err().contains("`(`"));
        assert!(Filter::parse("live>x").unwrap_err().contains("live>1M"));
        assert!(Filter::parse("live>").is_err());
        assert!(
            Filter::parse("verdict:bad")
                .unwrap_err()
                .contains("cache-like")
        );
    }

    #[test]
    fn the_crate_of_an_impl_is_that_of_the_type() {
        assert_eq!(crate_of("serde_json::de::from_str"), "serde_json");
        assert_eq!(crate_of("<my::Type as core::Clone>::clone"), "my");
        assert_eq!(crate_of("<&dyn a::B as T>::f"), "a");
        assert_eq!(crate_of("main"), "main");
    }
}
