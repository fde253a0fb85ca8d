use super::*;

const HASH: &str = "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library";

/// `name @ file` of inlined frames and then of the entry, `DWARF name | symbol @ file`.
fn completed(chain: &[&str]) -> Vec<String> {
    let mut entry = "";
    let last = chain.len() - 1;
    let mut frames: Vec<_> = chain
        .iter()
        .enumerate()
        .map(|(at, text)| {
            let (mut name, file) = text.split_once(" @ ").unwrap();
            if at == last {
                (entry, name) = name.split_once(" | ").unwrap();
            }
            Frame {
                function: name.to_owned(),
                file: Some(file.replace("$std", HASH)),
                line: Some(1),
                inlined: at != last,
                module: None,
            }
        })
        .collect();
    complete_paths(&mut frames, entry);
    frames.into_iter().map(|frame| frame.function).collect()
}

#[test]
fn paths_are_read_from_what_surrounds_a_name() {
    let table: &[(&str, &[&str], &[&str])] = &[
        (
            "a closure called by std, legacy: DWARF's type arguments of the entry",
            &[
                "{closure#0} @ /srv/shop/src/main.rs",
                "fold<core::ops::range::Range<usize>, shop::grow::{closure_env#0}> | \
                 <core::iter::adapters::map::Map<I,F> as core::iter::traits::iterator::Iterator>::fold \
                 @ $std/core/src/iter/adapters/map.rs",
            ],
            &[
                "shop::grow::{closure#0}",
                "<core::iter::adapters::map::Map<I,F> as core::iter::traits::iterator::Iterator>::fold",
            ],
        ),
        (
            "the caller's own closure, not one within another parameter",
            &[
                "{closure#0} @ /srv/shop/src/main.rs",
                "next<core::iter::adapters::map::Map<I, shop::a::{closure_env#0}>, shop::b::{closure_env#0}> @ $std/core/src/iter/adapters/map.rs",
                "main | shop::main @ /srv/shop/src/main.rs",
            ],
            &[
                "shop::b::{closure#0}",
                "core::iter::adapters::map::next<core::iter::adapters::map::Map<I, shop::a::{closure_env#0}>, shop::b::{closure_env#0}>",
                "shop::main",
            ],
        ),
        (
            "a closure of std beside one of the application",
            &[
                "{closure#0}<u8, &mut shop::f::{closure_env#0}> @ $std/core/src/iter/traits/iterator.rs",
                "find<u8, core::iter::traits::iterator::Iterator::find::check::{closure_env#0}<u8, &mut shop::f::{closure_env#0}>> @ $std/core/src/iter/traits/iterator.rs",
                "f | shop::f @ /srv/shop/src/main.rs",
            ],
            &[
                "core::iter::traits::iterator::Iterator::find::check::{closure#0}<u8, &mut shop::f::{closure_env#0}>",
                "core::iter::traits::iterator::find<u8, core::iter::traits::iterator::Iterator::find::check::{closure_env#0}<u8, &mut shop::f::{closure_env#0}>>",
                "shop::f",
            ],
        ),
        (
            "the type of an impl, where the method is around",
            &[
                "{closure#0} @ /srv/shop/src/cart.rs",
                "map<u8, shop::cart::{impl#1}::twice::{closure_env#0}> @ $std/core/src/option.rs",
                "twice | <shop::cart::Cart>::twice @ /srv/shop/src/cart.rs",
            ],
            &[
                "<shop::cart::Cart>::twice::{closure#0}",
                "core::option::map<u8, shop::cart::{impl#1}::twice::{closure_env#0}>",
                "<shop::cart::Cart>::twice",
            ],
        ),
        (
            "no type of an impl, where the method is inlined as well",
            &[
                "{closure#0} @ /srv/shop/src/cart.rs",
                "map<u8, shop::cart::{impl#1}::twice::{closure_env#0}> @ $std/core/src/option.rs",
                "twice @ /srv/shop/src/cart.rs",
                "main | shop::main @ /srv/shop/src/main.rs",
            ],
            &[
                "shop::cart::twice::{closure#0}",
                "core::option::map<u8, shop::cart::{impl#1}::twice::{closure_env#0}>",
                "shop::cart::twice",
                "shop::main",
            ],
        ),
        (
            "a closure called where it is made, in a generic helper of another file",
            &[
                "{closure#2}<u8> @ /srv/shop/src/a/b.rs",
                "helper<u8> @ /srv/shop/src/a/b.rs",
                "main | shop::main @ /srv/shop/src/main.rs",
            ],
            &[
                "shop::a::b::helper::{closure#2}<u8>",
                "shop::a::b::helper<u8>",
                "shop::main",
            ],
        ),
        (
            "a closure in a physical closure, whose number DWARF has",
            &[
                "{closure#1} @ /srv/shop/src/main.rs",
                "{closure#3} | shop::run::{{closure}} @ /srv/shop/src/main.rs",
            ],
            &["shop::run::{closure#1}", "shop::run::{closure#3}"],
        ),
        (
            "async functions, where a runtime's types name them",
            &[
                "{async_fn#0} @ /srv/shop/src/net.rs",
                "{closure#0}<shop::net::serve::{async_fn_env#0}, S> @ /cargo/tokio-1.54.0/src/runtime/task/core.rs",
                "poll<shop::net::serve::{async_fn_env#0}, S> | tokio::runtime::task::core::Core<T,S>::poll @ /cargo/tokio-1.54.0/src/runtime/task/core.rs",
            ],
            &[
                "shop::net::serve::{closure#0}",
                "tokio::runtime::task::core::Core<T,S>::poll::{closure#0}<shop::net::serve::{async_fn_env#0}, S>",
                "tokio::runtime::task::core::Core<T,S>::poll",
            ],
        ),
        (
            "async functions awaited by another: of the inner one only the module is known",
            &[
                "{async_fn#0} @ /srv/shop/src/net.rs",
                "{async_fn#0} @ /srv/shop/src/main.rs",
                "poll<shop::serve::{async_fn_env#0}, S> | tokio::runtime::task::core::Core<T,S>::poll @ /cargo/tokio-1.54.0/src/runtime/task/core.rs",
            ],
            &[
                "shop::net::{async_fn#0}",
                "shop::serve::{closure#0}",
                "tokio::runtime::task::core::Core<T,S>::poll",
            ],
        ),
        (
            "functions of published crates, whoever calls them",
            &[
                "push<u8, alloc::alloc::Global> @ $std/alloc/src/vec/mod.rs",
                "read<&[u8]> @ /cargo/serde_json-1.0.140/src/de.rs",
                "main | main @ /elsewhere.rs",
            ],
            &[
                "alloc::vec::push<u8, alloc::alloc::Global>",
                "serde_json::de::read<&[u8]>",
                "main",
            ],
        ),
        (
            "a module inside a file, by a function in it",
            &[
                "helper @ /tmp/x/victim.rs",
                "grow | victim::shop::grow @ /tmp/x/victim.rs",
            ],
            &["victim::shop::helper", "victim::shop::grow"],
        ),
        (
            "a function, by the closures it gives to what it calls",
            &[
                "collect<M<shop::util::{impl#0}::helper::{closure_env#0}>, V> @ $std/core/src/iter/traits/iterator.rs",
                "helper<u8> @ /srv/else/src/util.rs",
                "x | std::x @ $std/std/src/x.rs",
            ],
            &[
                "core::iter::traits::iterator::collect<M<shop::util::{impl#0}::helper::{closure_env#0}>, V>",
                "shop::util::helper<u8>",
                "std::x",
            ],
        ),
        (
            "a method that std calls, by the module of its type",
            &[
                "next @ /srv/shop/src/cart.rs",
                "next<shop::cart::Items, F> | <core::iter::adapters::filter::Filter<I,P> as core::iter::traits::iterator::Iterator>::next @ $std/core/src/iter/adapters/filter.rs",
            ],
            &[
                "shop::cart::next",
                "<core::iter::adapters::filter::Filter<I,P> as core::iter::traits::iterator::Iterator>::next",
            ],
        ),
        (
            "what drops a value",
            &[
                "drop_in_place<shop::Cart> @ /srv/shop/src/main.rs",
                "poll<shop::T> | tokio::runtime::poll @ /cargo/tokio-1.54.0/src/runtime.rs",
            ],
            &[
                "core::ptr::drop_in_place<shop::Cart>",
                "tokio::runtime::poll",
            ],
        ),
        (
            "no evidence, other languages, full names: as they are",
            &[
                "helper @ /srv/util/src/x.rs",
                "inline_c @ /cargo/zstd-sys-2.0.1/zstd/zstd.c",
                "shop::full @ /srv/shop/src/main.rs",
                "x | __rustc::__rust_alloc @ /srv/util/src/x.rs",
            ],
            &["helper", "inline_c", "shop::full", "__rustc::__rust_alloc"],
        ),
    ];
    for (what, chain, expected) in table {
        assert_eq!(completed(chain), *expected, "{what}");
    }
}

#[test]
fn modules_are_told_from_types_and_functions() {
    for (function, module) in [
        ("shop::grow", Some("shop")),
        ("shop::cart::Cart::add", Some("shop::cart")),
        ("shop::cart::Cart<T>::add", Some("shop::cart")),
        ("shop::cart::grow::<shop::x::T>", Some("shop::cart")),
        (
            "shop::cart::grow::{closure#0}::{closure#1}",
            Some("shop::cart"),
        ),
        ("shop::cart::grow::{{closure}}", Some("shop::cart")),
        (
            "shop::cart::<impl core::fmt::Display for shop::T>::fmt",
            Some("shop::cart"),
        ),
        (
            "<shop::cart::Cart as core::clone::Clone>::clone",
            Some("shop"),
        ),
        ("alloc::vec::push", None),
        ("__rustc::__rust_alloc", None),
        ("main", None),
    ] {
        assert_eq!(module_of(function).as_deref(), module, "{function}");
    }
}

#[test]
fn full_paths_are_told_from_bare_names() {
    assert!(is_full_path("shop::grow"));
    assert!(is_full_path("<shop::T as core::clone::Clone>::clone"));
    assert!(!is_full_path("push<alloc::string::String>"));
    assert!(!is_full_path("{closure#0}<shop::T>"));
    assert!(!is_full_path("malloc"));
}

#[test]
fn odd_and_endless_names_are_survived() {
    let nested = "a<".repeat(200_000);
    let closures = "::{closure_env#0}".repeat(20_000);
    for text in [
        nested.as_str(),
        &closures,
        "::{closure_env#0}",
        "é::{closure_env#0}",
        "{",
        "{}",
        "{#}",
        "{closure#}",
        "{closure#x}",
        ">::{closure#0}",
        "::{é",
        "",
    ] {
        let inner = format!("{{closure#0}}{text} @ /srv/src/é.rs");
        let middle = format!("{text} @ $std/core/src/x.rs");
        let entry = format!("{text} | {text} @ /srv/src/é.rs");
        assert_eq!(completed(&[&inner, &middle, &entry]).len(), 3);
    }
    let mut chain = vec!["{closure#0} @ /srv/src/a.rs"; 5_000];
    chain.push("y | x::y @ /srv/src/a.rs");
    assert_eq!(completed(&chain).len(), 5_001);
}
