//! Configuration of `serve`: one table of keys, read in layers, with every error at once.
//!
//! Defaults < `/etc/riptide/riptide.toml` < `$XDG_CONFIG_HOME/riptide/riptide.toml` < the file of
//! `--config` < `RIPTIDE__SECTION__KEY` < flags.
//!
//! | module | does |
//! |---|---|
//! | `keys` | the table: name, type, default, rule and text of every key |
//! | `field` | types of keys: how they are read from TOML and from text, and written |
//! | `layers` | files, environment and flags, one over the other |
//! | `checks` | what one key demands of another |
//! | `problem` | what is wrong, where, and what to write instead |
//! | `generate` | `gen-config`, in TOML and in Markdown |
//!
//! **Invariants.** A key that does not exist is an error, never ignored. All problems of all layers
//! are reported together. What is not in the table exists nowhere: files, variables, `gen-config` and
//! the documentation are made from it.

mod checks;
mod field;
mod generate;
mod keys;
mod layers;
mod problem;
#[cfg(test)]
mod tests;

pub use field::{Channel, LogFormat, LogLevel, Protocol, Secret, Severity, Size, SnapshotFormat};
pub use generate::{markdown, toml};
#[cfg(feature = "serve")]
pub(crate) use keys::is_token;
pub use keys::{
    Alerts, Config, Http, KEYS, Key, Limits, Log, Profiling, Snapshot, Telemetry, Thresholds,
};
pub use layers::{Loaded, Sources, load};
pub use problem::{Origin, Problem, Problems};
