//! Whose code a function is, from its demangled name and its source file.
//!
//! The name of a method carries up to three crates: `<T as Trait<A>>::method` is the code of the
//! crate that wrote the impl, which by the orphan rule is T's, Trait's, or one in A. Legacy names
//! keep type parameters (`<T as core::convert::Into<U>>::into`), v0 names have them filled in, so
//! what only the source file can tell is taken from there.

use crate::profile::Frame;

/// Whose code a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// An allocator: riptide's shim, jemalloc, the symbols Rust calls it by.
    Allocator,
    /// The standard library or what the compiler made.
    Std,
    /// Everything else: the application and its dependencies.
    Other,
}

const STD_CRATES: &[&str] = &[
    "alloc",
    "core",
    "std",
    "hashbrown",
    "proc_macro",
    "test",
    "std_detect",
    "panic_unwind",
    "backtrace_rs",
    "compiler_builtins",
];
const ALLOCATOR_CRATES: &[&str] = &[
    "riptide_alloc",
    "riptide_region",
    "__rustc",
    "tikv_jemallocator",
    "tikv_jemalloc_sys",
    "jemallocator",
    "jemalloc_sys",
];
const ALLOCATOR_PREFIXES: &[&str] = &[
    "__rust_alloc",
    "__rust_dealloc",
    "__rust_realloc",
    "__rg_",
    "__rdl_",
    "_rjem_",
    "rjem_je_",
    "je_",
    "imalloc",
    "iralloc",
    "operator new",
];
const ALLOCATOR_FUNCTIONS: &[&str] = &[
    "malloc",
    "calloc",
    "realloc",
    "free",
    "aligned_alloc",
    "posix_memalign",
    "memalign",
    "valloc",
    "mallocx",
    "rallocx",
    "xallocx",
    "dallocx",
    "sdallocx",
    "__libc_malloc",
    "__libc_calloc",
    "__libc_realloc",
];
const PRIMITIVES: &[&str] = &[
    "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64",
    "i128", "isize", "f16", "f32", "f64", "f128",
];
/// Source trees of the standard library and the crates built into it.
const STD_SOURCES: &[&str] = &["/rustlib/src/rust/library/", "/rust/deps/"];
const STD_LIBRARIES: &[&str] = &["alloc", "core", "std", "proc_macro", "test", "panic_unwind"];
/// Provided methods and blanket impls of std: `(trait, methods)`, an empty list meaning all.
/// v0 names show them with the application's type in front.
const STD_METHODS: &[(&str, &[&str])] = &[
    ("Into", &[]),
    ("TryInto", &[]),
    ("ToString", &[]),
    ("ToOwned", &["to_owned"]),
    ("SpecToString", &[]),
    ("IntoFuture", &[]),
];
/// The methods of an iterator that its type implements itself; all others are provided.
const ITERATOR_METHODS: &[&str] = &[
    "next",
    "next_back",
    "size_hint",
    "fold",
    "try_fold",
    "rfold",
    "nth",
    "count",
    "last",
    "advance_by",
];

/// Whose code `frame` is.
pub(super) fn origin(frame: &Frame) -> Origin {
    let name = frame.function.as_str();
    let file = frame.file.as_deref();
    if is_allocator(name, file) {
        return Origin::Allocator;
    }
    if file.is_some_and(is_std_source)
        || name.contains("{shim:")
        || name.contains("{{vtable.shim}}")
    {
        return Origin::Std;
    }
    if is_std_name(name, file.is_some()) {
        Origin::Std
    } else {
        Origin::Other
    }
}

/// First segment of the path of the crate that implements `function`: `serde_json` of
/// `<serde_json::read::SliceRead as serde_json::read::Read>::next`. Empty when it has no path.
pub(super) fn crate_name(function: &str) -> &str {
    match Impl::parse(function) {
        Some(parsed) => match (type_crate(parsed.implementor), parsed.path) {
            (Some(name), _) if !STD_CRATES.contains(&name) => name,
            (name, Some(path)) => first_segment(path).or(name).unwrap_or_default(),
            (name, None) => name.unwrap_or_default(),
        },
        None => first_segment(function).unwrap_or_default(),
    }
}

/// Whether a crate belongs to the standard library.
pub(super) fn is_std_crate(name: &str) -> bool {
    STD_CRATES.contains(&name)
}

fn is_allocator(name: &str, file: Option<&str>) -> bool {
    let bare = !name.contains("::");
    if bare {
        return ALLOCATOR_FUNCTIONS.contains(&name)
            || ALLOCATOR_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
            || file.is_some_and(is_allocator_source);
    }
    ALLOCATOR_CRATES.contains(&crate_name(name))
        || name.split('<').next().is_some_and(|path| {
            let last = path.rsplit("::").next().unwrap_or_default();
            ["__rust_alloc", "__rg_", "__rdl_", "__rust_realloc"]
                .iter()
                .any(|prefix| last.starts_with(prefix))
        })
}

/// Line tables alone give inlined functions a bare name: the file has to speak for them.
fn is_allocator_source(file: &str) -> bool {
    file.contains("/riptide-alloc")
        || file.ends_with("/allocator/src/global_alloc.rs")
        || file.contains("/jemalloc/src/")
        || file.contains("/tikv-jemallocator-")
}

/// Whether a source file belongs to the standard library: `/rustc/<hash>/library/…`, a toolchain's
/// `…/rustlib/src/rust/library/…`, or `library/alloc/src/…` where prefixes are remapped.
pub(super) fn is_std_source(file: &str) -> bool {
    if STD_SOURCES.iter().any(|tree| file.contains(tree)) {
        return true;
    }
    let library = if let Some(rest) = file.strip_prefix("/rustc/") {
        rest.split_once('/').map(|(_, path)| path)
    } else {
        Some(file)
    };
    let in_library = library.and_then(|path| path.strip_prefix("library/"));
    in_library.is_some_and(|path| {
        file.starts_with("/rustc/")
            || STD_LIBRARIES.iter().any(|name| {
                path.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with("/src/"))
            })
    })
}

fn is_std_name(name: &str, file_known: bool) -> bool {
    let Some(parsed) = Impl::parse(name) else {
        return first_segment(name).is_some_and(|name| STD_CRATES.contains(&name));
    };
    let is_std = |name: Option<&str>| name.is_none_or(|name| STD_CRATES.contains(&name));
    let of_std_type = is_std(type_crate(parsed.implementor));
    let Some(path) = parsed.path else {
        // An inherent impl; a type without a crate is a primitive, a slice, a pointer.
        return of_std_type;
    };
    if !is_std(first_segment(path)) {
        return false;
    }
    if of_std_type {
        // `impl From<app::Thing> for String` is the application's. Here the file is known and is
        // not the standard library's.
        return !(file_known && names_foreign_crate(arguments(path)));
    }
    if file_known {
        return false;
    }
    let trait_name = without_arguments(path).rsplit("::").next();
    let Some(trait_name) = trait_name else {
        return false;
    };
    let method = parsed.rest.trim_start_matches("::");
    let method = method.split("::").next().unwrap_or_default();
    match trait_name {
        "Iterator" | "DoubleEndedIterator" => !ITERATOR_METHODS.contains(&method),
        _ => STD_METHODS.iter().any(|(name, methods)| {
            *name == trait_name && (methods.is_empty() || methods.contains(&method))
        }),
    }
}

/// `<implementor as path>rest` or `<implementor>rest`.
#[derive(Debug, PartialEq)]
struct Impl<'a> {
    implementor: &'a str,
    path: Option<&'a str>,
    rest: &'a str,
}

impl<'a> Impl<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let inner = name.strip_prefix('<')?;
        let mut depth = 0_usize;
        let mut as_at = None;
        let mut previous = ' ';
        for (at, character) in inner.char_indices() {
            match character {
                '<' | '(' | '[' | '{' => depth += 1,
                // `->` of a function type closes nothing.
                '>' if previous == '-' => {}
                '>' if depth == 0 => {
                    let head = inner.get(..at)?;
                    let rest = inner.get(at + 1..)?;
                    let (implementor, path) = match as_at {
                        Some(as_at) => (head.get(..as_at)?, head.get(as_at + 4..)),
                        None => (head, None),
                    };
                    return Some(Self {
                        implementor,
                        path,
                        rest,
                    });
                }
                '>' | ')' | ']' | '}' => depth = depth.saturating_sub(1),
                ' ' if depth == 0
                    && as_at.is_none()
                    && inner.get(at..).is_some_and(|tail| tail.starts_with(" as ")) =>
                {
                    as_at = Some(at);
                }
                _ => {}
            }
            previous = character;
        }
        None
    }
}

/// The crate of a type; `None` for primitives, slices, pointers to them, tuples, type parameters.
fn type_crate(mut name: &str) -> Option<&str> {
    loop {
        let before = name;
        for prefix in ["&", "*const ", "*mut ", "mut ", "dyn ", "impl ", "(", "["] {
            name = name.strip_prefix(prefix).unwrap_or(name);
        }
        if let Some(lifetime) = name.strip_prefix('\'') {
            name = lifetime.split_once(' ').map_or("", |(_, rest)| rest);
        }
        if let Some(bound) = name.strip_prefix("for<") {
            name = bound.split_once("> ").map_or("", |(_, rest)| rest);
        }
        if name == before {
            break;
        }
    }
    if name.starts_with('<') {
        return Some(crate_name(name)).filter(|name| !name.is_empty());
    }
    first_segment(name)
}

/// The first segment of a path of at least two.
fn first_segment(path: &str) -> Option<&str> {
    let first = without_arguments(path);
    let (first, _) = first.split_once("::")?;
    let is_word = first
        .chars()
        .all(|character| character.is_alphanumeric() || character == '_');
    (is_word && !first.is_empty() && !PRIMITIVES.contains(&first)).then_some(first)
}

fn without_arguments(path: &str) -> &str {
    let head = path.split('<').next().unwrap_or(path);
    head.strip_suffix("::").unwrap_or(head)
}

fn arguments(path: &str) -> &str {
    path.split_once('<').map_or("", |(_, arguments)| arguments)
}

/// Whether some path in a list of type arguments starts in a crate that is not std's.
fn names_foreign_crate(arguments: &str) -> bool {
    arguments
        .split(|character: char| !(character.is_alphanumeric() || "_:".contains(character)))
        .filter_map(first_segment)
        .any(|name| !STD_CRATES.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impls_are_taken_apart() {
        let parse =
            |name| Impl::parse(name).map(|found| (found.implementor, found.path, found.rest));
        assert_eq!(
            parse("<alloc::vec::Vec<T,A> as core::clone::Clone>::clone"),
            Some((
                "alloc::vec::Vec<T,A>",
                Some("core::clone::Clone"),
                "::clone"
            ))
        );
        assert_eq!(parse("<[u8]>::to_vec"), Some(("[u8]", None, "::to_vec")));
        assert_eq!(
            parse("<fn(u8) -> app::T as core::ops::FnOnce<(u8,)>>::call_once"),
            Some((
                "fn(u8) -> app::T",
                Some("core::ops::FnOnce<(u8,)>"),
                "::call_once"
            ))
        );
        assert_eq!(parse("app::f"), None);
        assert_eq!(parse("<app::f"), None);
    }

    #[test]
    fn the_implementing_crate_is_found() {
        for (name, owner) in [
            ("serde_json::de::from_str", "serde_json"),
            (
                "<serde_json::value::Value as core::fmt::Debug>::fmt",
                "serde_json",
            ),
            (
                "<alloc::vec::Vec<T> as serde_core::ser::Serialize>::serialize",
                "serde_core",
            ),
            ("<&mut app::Reader as std::io::Read>::read", "app"),
            ("<dyn app::Plugin>::run", "app"),
            ("<<app::T as app::Tr>::Out as app::Other>::f", "app"),
            ("<T as core::convert::Into<U>>::into", "core"),
            ("main", ""),
            ("push<alloc::string::String>", ""),
            ("", ""),
            ("<", ""),
        ] {
            assert_eq!(crate_name(name), owner, "{name}");
        }
    }

    #[test]
    fn sources_of_the_standard_library_are_known() {
        for file in [
            "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/alloc/src/vec/mod.rs",
            "/home/someone/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/iter/mod.rs",
            "/rust/deps/hashbrown-0.16.1/src/raw.rs",
            "library/std/src/io/mod.rs",
        ] {
            assert!(is_std_source(file), "{file}");
        }
        for file in [
            "/home/u/app/src/main.rs",
            "library/src/books.rs",
            "src/library/core/src/x.rs",
        ] {
            assert!(!is_std_source(file), "{file}");
        }
    }
}
