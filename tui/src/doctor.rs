//! The checklist: what can keep a target from being seen or read well, and what to do about it.
//!
//! | module | looks at |
//! |---|---|
//! | [`process`] | a process: does it run riptide, and if not, why not |
//! | [`directory`] | where regions lie: permissions, file system, room |
//! | [`profile`] | a region that can be read: format, configuration, heartbeat, loss, unwinder |
//! | [`elf`] | the program: symbols present, stripped, split |
//!
//! Each check is one line for the eye and one object for a script.

use serde::Serialize;

pub mod directory;
pub mod elf;
pub mod process;
pub mod profile;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Works, but less well than it could; or worth knowing.
    Warn,
    /// Keeps the target from being read.
    Fail,
}

/// One line of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it came out.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    pub fix: Option<String>,
}

impl Check {
    /// All is well.
    #[must_use]
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Ok,
            detail: detail.into(),
            fix: None,
        }
    }

    /// Worth knowing.
    #[must_use]
    pub fn warn(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Warn,
            detail: detail.into(),
            fix: Some(fix.into()),
        }
    }

    /// Broken.
    #[must_use]
    pub fn fail(name: &'static str, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Fail,
            detail: detail.into(),
            fix: Some(fix.into()),
        }
    }
}
