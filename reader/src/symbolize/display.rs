//! Function names as screens show them.

use std::borrow::Cow;

/// A demangled name in a readable form, for screens only: the body of an async fn and the
/// closures of a function are shown as the function, compiler shims as what they call.
#[must_use]
pub fn display_name(function: &str) -> Cow<'_, str> {
    let mut rest = function;
    let mut folded = String::new();
    while let Some((before, after)) = next_marker(rest) {
        folded.push_str(before);
        rest = after;
    }
    if folded.is_empty() {
        // Nothing to fold, or the whole name is a marker.
        return Cow::Borrowed(function);
    }
    folded.push_str(rest);
    Cow::Owned(folded)
}

/// Splits at the first `::{{closure}}`, `::{closure#3}`, `{{vtable.shim}}` or `::{shim:vtable#0}`.
fn next_marker(name: &str) -> Option<(&str, &str)> {
    let mut from = 0;
    loop {
        let open = from + name.get(from..)?.find('{')?;
        let inner = name.get(open..)?;
        let length = if let Some(legacy) = inner.strip_prefix("{{") {
            legacy.find("}}").map(|at| at + 4)
        } else {
            inner.find('}').map(|at| at + 1)
        }?;
        let (marker, after) = inner.split_at_checked(length)?;
        let word = marker.trim_start_matches('{');
        // An async fn that is not known: what is before is its module.
        let is_function = word.starts_with("async_fn#");
        if !is_function
            && ["closure", "async", "vtable.shim", "shim:", "coroutine"]
                .iter()
                .any(|kind| word.starts_with(kind))
        {
            let before = name.get(..open)?;
            return Some((before.strip_suffix("::").unwrap_or(before), after));
        }
        from = open + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closures_and_async_bodies_are_shown_as_their_function() {
        for (name, shown) in [
            ("app::handler::{{closure}}", "app::handler"),
            ("app::handler::{{closure}}::{{closure}}", "app::handler"),
            ("app::handler::{closure#0}", "app::handler"),
            (
                "app::handler::{closure#0}::inner::{closure#12}",
                "app::handler::inner",
            ),
            (
                "<app::Server as tower::Service<R>>::call::{closure#0}",
                "<app::Server as tower::Service<R>>::call",
            ),
            (
                "core::ops::function::FnOnce::call_once{{vtable.shim}}",
                "core::ops::function::FnOnce::call_once",
            ),
            (
                "<app::f::{closure#0} as core::ops::function::FnOnce<()>>::call_once::{shim:vtable#0}",
                "<app::f as core::ops::function::FnOnce<()>>::call_once",
            ),
            ("app::{impl#3}::run", "app::{impl#3}::run"),
            ("app::plain", "app::plain"),
            ("app::net::{async_fn#0}", "app::net::{async_fn#0}"),
            ("{{closure}}", "{{closure}}"),
            ("app::broken::{", "app::broken::{"),
            ("", ""),
        ] {
            assert_eq!(display_name(name), shown);
        }
    }
}
