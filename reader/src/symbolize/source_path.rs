//! Module paths from the paths of source files.

use super::origin::is_std_source;

/// The module that a file of a published crate or of the standard library holds, which the path
/// alone tells: `…/<name>-<version>/src/a/b.rs`, `…/vendor/<name>/src/a/b.rs`,
/// `…/library/<name>/src/a/b.rs` are `name::a::b`.
pub(super) fn published_module(file: &str) -> Option<String> {
    let parts: Vec<_> = file.split('/').collect();
    let at = if is_std_source(file) && !file.contains("/rust/deps/") {
        let library = parts.iter().position(|part| *part == "library")?;
        let source = parts.iter().skip(library).position(|part| *part == "src")?;
        (library + source).checked_sub(1)?
    } else {
        let versioned = parts.iter().rposition(|part| versioned(part).is_some());
        versioned.or_else(|| {
            parts
                .iter()
                .rposition(|part| *part == "vendor")
                .map(|at| at + 1)
        })?
    };
    let directory = parts.get(at)?;
    let name = versioned(directory).unwrap_or(directory).replace('-', "_");
    if !is_identifier(&name) || parts.get(at + 1) != Some(&"src") {
        return None;
    }
    join(&name, &modules(parts.get(at + 2..)?)?)
}

/// Where a crate's sources begin, and the modules from there to `file`: `/srv/shop/src` and `a b`
/// of `/srv/shop/src/a/b.rs`. A program of its own in `src/bin` begins there.
pub(super) fn source_root(file: &str) -> Option<(&str, Vec<String>)> {
    let (before, relative) = match file.rfind("/src/") {
        Some(at) => (file.get(..at + 4)?, file.get(at + 5..)?),
        None => ("", file.strip_prefix("src/")?),
    };
    if relative.starts_with("bin/") {
        return Some((file, Vec::new()));
    }
    let parts: Vec<_> = relative.split('/').collect();
    Some((before, modules(&parts)?))
}

/// `krate::a::b`; `None` when a part is no identifier.
pub(super) fn join(krate: &str, modules: &[String]) -> Option<String> {
    let mut path = krate.to_owned();
    for module in modules {
        if !is_identifier(module) {
            return None;
        }
        path.push_str("::");
        path.push_str(module);
    }
    Some(path)
}

/// The modules that directories and a file below the root of a crate stand for.
fn modules(parts: &[&str]) -> Option<Vec<String>> {
    let (file, directories) = parts.split_last()?;
    let stem = file.strip_suffix(".rs")?;
    let mut modules: Vec<String> = Vec::new();
    for directory in directories {
        match *directory {
            "." => {}
            ".." => drop(modules.pop()?),
            name => modules.push(name.to_owned()),
        }
    }
    let is_root = modules.is_empty() && matches!(stem, "lib" | "main");
    if !is_root && stem != "mod" {
        modules.push(stem.to_owned());
    }
    Some(modules)
}

/// `serde_json` of `serde_json-1.0.140`.
fn versioned(directory: &str) -> Option<&str> {
    directory.match_indices('-').find_map(|(at, _)| {
        let mut numbers = directory.get(at + 1..)?.splitn(3, '.');
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let is_version = is_number(numbers.next()?)
            && is_number(numbers.next()?)
            && numbers.next()?.starts_with(|c: char| c.is_ascii_digit());
        is_version.then(|| directory.get(..at)).flatten()
    })
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_alphabetic() || first == '_')
        && name
            .chars()
            .all(|next| next.is_alphanumeric() || next == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_published_crates_tell_their_module() {
        for (file, module) in [
            (
                "/rustc/59807616e1fa/library/alloc/src/vec/mod.rs",
                "alloc::vec",
            ),
            (
                "/rustc/59807616e1fa/library/core/src/iter/adapters/map.rs",
                "core::iter::adapters::map",
            ),
            ("/rustc/59807616e1fa/library/std/src/lib.rs", "std"),
            (
                "/rustc/59807616e1fa/library/compiler-builtins/compiler-builtins/src/mem/impls.rs",
                "compiler_builtins::mem::impls",
            ),
            (
                "/home/someone/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/option.rs",
                "core::option",
            ),
            (
                "/rust/deps/hashbrown-0.16.1/src/raw/mod.rs",
                "hashbrown::raw",
            ),
            (
                "/home/u/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/serde_json-1.0.140/src/de.rs",
                "serde_json::de",
            ),
            (
                "/cargo/curve25519-dalek-4.1.3/src/backend/serial/u64/field.rs",
                "curve25519_dalek::backend::serial::u64::field",
            ),
            ("/srv/vendor/rc-crate-1.0.0-rc.1/src/lib.rs", "rc_crate"),
            ("/srv/shop/vendor/sha2/src/main.rs", "sha2"),
        ] {
            assert_eq!(published_module(file).as_deref(), Some(module), "{file}");
        }
        for file in [
            "/srv/shop/src/cart.rs",
            "/srv/shop-2/src/cart.rs",
            "/srv/target/release/build/tonic-1234567890abcdef/out/api.rs",
            "/cargo/prost-0.14.1/benches/varint.rs",
            "/cargo/zstd-sys-2.0.15/zstd/lib/compress/zstd.c",
            "/cargo/odd-1.0.0/src/a-b.rs",
            "vendor",
            "",
        ] {
            assert_eq!(published_module(file), None, "{file}");
        }
    }

    #[test]
    fn files_tell_their_modules_below_the_root() {
        for (file, root, modules) in [
            ("/srv/shop/src/main.rs", "/srv/shop/src", ""),
            ("/srv/shop/src/lib.rs", "/srv/shop/src", ""),
            ("/srv/shop/src/cart.rs", "/srv/shop/src", "cart"),
            ("/srv/shop/src/cart/mod.rs", "/srv/shop/src", "cart"),
            ("/srv/shop/src/cart/main.rs", "/srv/shop/src", "cart main"),
            ("/home/u/src/shop/src/a/b.rs", "/home/u/src/shop/src", "a b"),
            ("/srv/shop/src/a/../b.rs", "/srv/shop/src", "b"),
            ("src/a.rs", "", "a"),
            ("/srv/src/bin/tool.rs", "/srv/src/bin/tool.rs", ""),
        ] {
            let (found, path) = source_root(file).unwrap();
            assert_eq!((found, path.join(" ").as_str()), (root, modules), "{file}");
        }
        assert_eq!(source_root("/srv/victim.rs"), None);
        assert_eq!(source_root("/srv/src/../../x.rs"), None);
    }
}
