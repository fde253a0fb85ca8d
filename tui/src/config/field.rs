//! Types of keys: how they are read from TOML and from plain text, and written.

use std::{fmt, net::SocketAddr, path::PathBuf};

use super::keys::Rule;
use crate::units;

/// A value as a layer gives it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    /// A table or a date.
    Other(&'static str),
    /// From a variable or a flag, where everything is text.
    Words(String),
}

impl Value {
    /// As it is quoted in a message.
    pub(super) fn quoted(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(text) | Self::Words(text) => format!("{text:?}"),
            Self::List(_) => "a list".to_owned(),
            Self::Other(kind) => (*kind).to_owned(),
        }
    }
}

/// A type that a key may have.
pub(super) trait Field: Sized {
    /// What a value has to be, to go on after "should be".
    fn expected() -> String;
    fn read(value: &Value) -> Option<Self>;
    /// As TOML; `None` when unset.
    fn show(&self) -> Option<String>;
    /// For rules about numbers.
    fn number(&self) -> Option<f64> {
        None
    }
    /// For rules about text.
    fn texts(&self) -> Vec<&str> {
        Vec::new()
    }
    /// Plain text of another valid value, for tests and examples.
    fn other(&self, rule: &Rule) -> String;
}

fn quote(text: &str) -> String {
    // Debug escapes what TOML's basic strings escape, and writes `\u{..}` only for what is not
    // printable, which no value here is.
    format!("{text:?}")
}

impl Field for bool {
    fn expected() -> String {
        "true or false".to_owned()
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(*value),
            Value::Words(text) => match text.trim() {
                "true" | "on" | "yes" | "1" => Some(true),
                "false" | "off" | "no" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn other(&self, _: &Rule) -> String {
        (!self).to_string()
    }
}

fn other_number(number: f64, rule: &Rule) -> f64 {
    let Rule::Between(least, most) = rule else {
        return number + 1.0;
    };
    // Where 0 means off, a low number may not go with its neighbours.
    let far = (most * 0.96).floor();
    let candidates = if number == 0.0 {
        [far, most - 1.0, *least]
    } else {
        [number + 1.0, number - 1.0, *least]
    };
    let fits = |other: &f64| *other != number && (*least..=*most).contains(other);
    candidates.into_iter().find(fits).unwrap_or(*most)
}

impl Field for u64 {
    fn expected() -> String {
        "a whole number".to_owned()
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(value) => Self::try_from(*value).ok(),
            Value::Words(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn number(&self) -> Option<f64> {
        Some(*self as f64)
    }

    fn other(&self, rule: &Rule) -> String {
        other_number(*self as f64, rule).to_string()
    }
}

impl Field for f64 {
    fn expected() -> String {
        "a number".to_owned()
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            Value::Words(text) => text.trim().parse().ok(),
            _ => None,
        }
        .filter(|number: &f64| number.is_finite())
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }

    fn number(&self) -> Option<f64> {
        Some(*self)
    }

    fn other(&self, rule: &Rule) -> String {
        other_number(*self, rule).to_string()
    }
}

/// Bytes, also written as `64KiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl Field for Size {
    fn expected() -> String {
        "a size in bytes such as 65536 or \"64KiB\"".to_owned()
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Integer(value) => u64::try_from(*value).ok().map(Self),
            Value::Text(text) | Value::Words(text) => units::parse_bytes(text)
                .filter(|bytes| bytes.is_finite() && *bytes >= 0.0)
                .map(|bytes| Self(bytes as u64)),
            _ => None,
        }
    }

    fn show(&self) -> Option<String> {
        let (bytes, kib) = (self.0, 1_024);
        Some(if bytes >= kib * kib && bytes.is_multiple_of(kib * kib) {
            quote(&format!("{}MiB", bytes / kib / kib))
        } else if bytes >= kib && bytes.is_multiple_of(kib) {
            quote(&format!("{}KiB", bytes / kib))
        } else {
            bytes.to_string()
        })
    }

    fn number(&self) -> Option<f64> {
        Some(self.0 as f64)
    }

    fn other(&self, rule: &Rule) -> String {
        other_number(self.0 as f64, rule).to_string()
    }
}

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) | Value::Words(text) => Some(text),
        _ => None,
    }
}

impl Field for String {
    fn expected() -> String {
        "a text".to_owned()
    }

    fn read(value: &Value) -> Option<Self> {
        text_of(value).map(str::to_owned)
    }

    fn show(&self) -> Option<String> {
        Some(quote(self))
    }

    fn texts(&self) -> Vec<&str> {
        vec![self]
    }

    fn other(&self, rule: &Rule) -> String {
        match rule {
            Rule::Url => "http://127.0.0.1:9/other".to_owned(),
            _ => format!("{self}other"),
        }
    }
}

/// A text that need not be there: empty is unset.
impl Field for Option<String> {
    fn expected() -> String {
        "a text".to_owned()
    }

    fn read(value: &Value) -> Option<Self> {
        let text = text_of(value)?;
        Some((!text.is_empty()).then(|| text.to_owned()))
    }

    fn show(&self) -> Option<String> {
        self.as_deref().map(quote)
    }

    fn texts(&self) -> Vec<&str> {
        self.iter().map(String::as_str).collect()
    }

    fn other(&self, rule: &Rule) -> String {
        self.clone().unwrap_or_default().other(rule)
    }
}

/// A text that is not shown again.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub Option<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "(set)" } else { "(unset)" })
    }
}

impl Field for Secret {
    fn expected() -> String {
        "a text".to_owned()
    }

    fn read(value: &Value) -> Option<Self> {
        Option::<String>::read(value).map(Self)
    }

    fn show(&self) -> Option<String> {
        self.0.as_ref().map(|_| quote("(not shown)"))
    }

    fn texts(&self) -> Vec<&str> {
        self.0.iter().map(String::as_str).collect()
    }

    fn other(&self, _: &Rule) -> String {
        "0123456789abcdef".to_owned()
    }
}

impl Field for Option<PathBuf> {
    fn expected() -> String {
        "a path".to_owned()
    }

    fn read(value: &Value) -> Option<Self> {
        let text = text_of(value)?;
        Some((!text.is_empty()).then(|| text.into()))
    }

    fn show(&self) -> Option<String> {
        self.as_ref().map(|path| quote(&path.to_string_lossy()))
    }

    fn other(&self, _: &Rule) -> String {
        "/other".to_owned()
    }
}

impl Field for SocketAddr {
    fn expected() -> String {
        "an address and a port such as \"127.0.0.1:7070\"".to_owned()
    }

    fn read(value: &Value) -> Option<Self> {
        let text = text_of(value)?.trim();
        // `localhost:7070` means the same everywhere.
        let text = text.replacen("localhost:", "127.0.0.1:", 1);
        text.parse().ok()
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.to_string()))
    }

    fn other(&self, _: &Rule) -> String {
        Self::new(self.ip(), self.port().wrapping_add(1)).to_string()
    }
}

impl<T: Item> Field for Vec<T> {
    fn expected() -> String {
        format!("a list of {}", T::items())
    }

    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::List(values) => values
                .iter()
                .map(|value| T::parse(text_of(value)?))
                .collect(),
            Value::Words(text) => text
                .split(',')
                .map(str::trim)
                .filter(|word| !word.is_empty())
                .map(T::parse)
                .collect(),
            _ => None,
        }
    }

    fn show(&self) -> Option<String> {
        let items: Vec<String> = self.iter().map(|item| quote(&item.word())).collect();
        Some(format!("[{}]", items.join(", ")))
    }

    fn other(&self, _: &Rule) -> String {
        let others = T::examples().into_iter();
        let others = others.filter(|example| self.iter().all(|item| item.word() != *example));
        others.take(1).collect()
    }
}

/// What a list may hold.
pub(super) trait Item: Sized {
    fn items() -> String;
    fn parse(text: &str) -> Option<Self>;
    fn word(&self) -> String;
    fn examples() -> Vec<String>;
}

impl Item for String {
    fn items() -> String {
        "texts".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }

    fn word(&self) -> String {
        self.clone()
    }

    fn examples() -> Vec<String> {
        vec!["key=value".to_owned()]
    }
}

impl Item for PathBuf {
    fn items() -> String {
        "paths".to_owned()
    }

    fn parse(text: &str) -> Option<Self> {
        Some(text.into())
    }

    fn word(&self) -> String {
        self.to_string_lossy().into_owned()
    }

    fn examples() -> Vec<String> {
        vec!["/usr/lib/debug".to_owned()]
    }
}

/// A type whose values are words; the same type in a list.
macro_rules! words {
    ($(#[$attribute:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As it is written.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            fn words() -> String {
                Self::ALL.iter().map(|one| one.word()).collect::<Vec<_>>().join(", ")
            }
        }

        impl Item for $name {
            fn items() -> String {
                format!("words of these: {}", Self::words())
            }

            fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == text.trim())
            }

            fn word(&self) -> String {
                (*self).word().to_owned()
            }

            fn examples() -> Vec<String> {
                Self::ALL.iter().map(|one| one.word().to_owned()).collect()
            }
        }

        impl Field for $name {
            fn expected() -> String {
                format!("one of {}", Self::words())
            }

            fn read(value: &Value) -> Option<Self> {
                <Self as Item>::parse(text_of(value)?)
            }

            fn show(&self) -> Option<String> {
                Some(quote((*self).word()))
            }

            fn other(&self, _: &Rule) -> String {
                let others = Self::ALL.iter().filter(|one| *one != self);
                others.take(1).map(|one| (*one).word()).collect()
            }
        }
    };
}

words! {
    /// How OTLP is spoken.
    Protocol {
        /// gRPC.
        Grpc = "grpc",
        /// Protobuf over HTTP.
        Http = "http/protobuf",
    }
}

words! {
    /// How bad something is.
    Severity {
        /// Somebody should look at it in time.
        Warning = "warning",
        /// Somebody should look at it today.
        Alert = "alert",
        /// Somebody should look at it now.
        Critical = "critical",
    }
}

words! {
    /// Where alerts go.
    Channel {
        /// One line of JSON on stdout.
        Stdout = "stdout",
        /// The log on stderr.
        Log = "log",
        /// OTLP log records to the telemetry endpoint.
        Otlp = "otlp",
        /// JSON by POST.
        Webhook = "webhook",
        /// The API of Alertmanager, version 2.
        Alertmanager = "alertmanager",
    }
}

words! {
    /// What is logged.
    LogLevel {
        /// What is broken.
        Error = "error",
        /// What should be looked at.
        Warn = "warn",
        /// What happens.
        Info = "info",
        /// What leads to it.
        Debug = "debug",
    }
}

words! {
    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// For collectors: one JSON object a line.
        Json = "json",
    }
}

words! {
    /// What a snapshot on disk is written as.
    SnapshotFormat {
        /// profile.proto, gzipped.
        Pprof = "pprof",
        /// A flame graph of live bytes, as SVG.
        Flamegraph = "flamegraph",
        /// Folded stacks of live bytes.
        Folded = "folded",
        /// All that is known, as JSON.
        Json = "json",
    }
}
