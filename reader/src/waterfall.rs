//! From live bytes to RSS, row by row, in the order of the contract.

use serde::Serialize;

use crate::profile::Snapshot;

/// Whether a row is a part of the next sum, or a sum that the system reports itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RowKind {
    /// A part of a sum.
    Part,
    /// A figure that its parts above should add up to.
    Sum,
}

/// One row of `memory --json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Name in the contract.
    pub name: &'static str,
    /// Bytes; `None` is not known.
    pub bytes: Option<i64>,
    /// Part or sum.
    pub kind: RowKind,
    /// Where the figure comes from.
    pub source: String,
}

/// The rows of a snapshot.
#[must_use]
pub fn rows(snapshot: &Snapshot) -> Vec<Row> {
    let _ = snapshot;
    Vec::new()
}
