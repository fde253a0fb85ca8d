use super::*;

const HASH: &str = "/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library";

fn frame(text: &str) -> Frame {
    let (function, file) = match text.split_once(" @ ") {
        Some((function, file)) => (function, Some(file.replace("$std", HASH))),
        None => (text, None),
    };
    Frame {
        function: function.to_owned(),
        file,
        line: None,
        inlined: false,
        module: None,
    }
}

fn leaf(stack: &[&str]) -> String {
    let stack: Vec<_> = stack.iter().map(|text| frame(text)).collect();
    stack.get(leaf_index(&stack)).unwrap().function.clone()
}

/// Names as a symbol table or DWARF has them, leaf first.
#[test]
fn the_leaf_is_the_first_frame_of_the_application() {
    let table: &[(&str, &[&str], &str)] = &[
        (
            "growth of a Vec, v0",
            &[
                "riptide_alloc::sampler::sample_slow",
                "<riptide_alloc::Riptide as core::alloc::global::GlobalAlloc>::realloc",
                "__rustc::__rust_realloc",
                "<alloc::raw_vec::RawVecInner<_>>::finish_grow::<alloc::alloc::Global>",
                "<alloc::raw_vec::RawVecInner<_>>::grow_amortized::<alloc::alloc::Global>",
                "<alloc::raw_vec::RawVec<alloc::string::String>>::grow_one",
                "shop::cart::add",
                "shop::main",
            ],
            "shop::cart::add",
        ),
        (
            "growth of a Vec, legacy, inlined",
            &[
                "__rust_realloc",
                "alloc::alloc::realloc @ $std/alloc/src/alloc.rs",
                "<alloc::alloc::Global as core::alloc::Allocator>::grow @ $std/alloc/src/alloc.rs",
                "alloc::raw_vec::finish_grow @ $std/alloc/src/raw_vec/mod.rs",
                "alloc::raw_vec::RawVec<T,A>::grow_one",
                "alloc::vec::Vec<T,A>::push @ $std/alloc/src/vec/mod.rs",
                "shop::cart::add @ /srv/shop/src/cart.rs",
            ],
            "shop::cart::add",
        ),
        (
            "HashMap insert",
            &[
                "__rust_alloc",
                "hashbrown::raw::RawTableInner::new_uninitialized @ /rust/deps/hashbrown-0.16.1/src/raw.rs",
                "hashbrown::raw::RawTable<T,A>::reserve_rehash",
                "<hashbrown::map::HashMap<u64, alloc::boxed::Box<shop::Item>>>::insert",
                "std::collections::hash::map::HashMap<K,V,S>::insert",
                "<shop::Store as shop::Keep>::keep",
            ],
            "<shop::Store as shop::Keep>::keep",
        ),
        (
            "String::from",
            &[
                "alloc::slice::hack::to_vec",
                "<T as alloc::slice::hack::ConvertVec>::to_vec",
                "<u8 as <[_]>::to_vec_in::ConvertVec>::to_vec::<alloc::alloc::Global>",
                "alloc::slice::<impl [T]>::to_vec",
                "<[u8]>::to_vec",
                "alloc::slice::<impl alloc::borrow::ToOwned for [T]>::to_owned",
                "<str as alloc::borrow::ToOwned>::to_owned",
                "alloc::str::<impl alloc::borrow::ToOwned for str>::to_owned",
                "<alloc::string::String as core::convert::From<&str>>::from",
                "shop::name",
            ],
            "shop::name",
        ),
        (
            "format!",
            &[
                "<alloc::string::String as core::fmt::Write>::write_str",
                "<&mut W as core::fmt::Write>::write_str",
                "core::fmt::write",
                "alloc::fmt::format::format_inner",
                "core::option::Option<T>::map_or_else",
                "alloc::fmt::format",
                "shop::report::{{closure}}",
                "shop::report",
            ],
            "shop::report::{{closure}}",
        ),
        (
            "format! with Display of the application",
            &[
                "<alloc::string::String as core::fmt::Write>::write_str",
                "<shop::Money as core::fmt::Display>::fmt",
                "core::fmt::write",
            ],
            "<shop::Money as core::fmt::Display>::fmt",
        ),
        (
            "Box::new and Arc::new",
            &[
                "__rdl_alloc",
                "alloc::alloc::exchange_malloc",
                "alloc::boxed::Box<T>::new",
                "<alloc::sync::Arc<shop::Config>>::new",
                "alloc::sync::Arc<T>::new",
                "shop::config::load",
            ],
            "shop::config::load",
        ),
        (
            "serde_json",
            &[
                "<alloc::vec::Vec<u8> as core::clone::Clone>::clone",
                "<alloc::string::String as serde_core::de::Deserialize>::deserialize",
                "serde_json::de::from_str",
                "shop::parse",
            ],
            "<alloc::string::String as serde_core::de::Deserialize>::deserialize",
        ),
        (
            "collect",
            &[
                "<alloc::vec::Vec<T> as alloc::vec::spec_from_iter_nested::SpecFromIterNested<T,I>>::from_iter",
                "<alloc::vec::Vec<shop::Item> as alloc::vec::spec_from_iter::SpecFromIter<shop::Item, shop::Items>>::from_iter",
                "<alloc::vec::Vec<T> as core::iter::traits::collect::FromIterator<T>>::from_iter",
                "<shop::Items as core::iter::traits::iterator::Iterator>::collect::<alloc::vec::Vec<shop::Item>>",
                "core::iter::traits::iterator::Iterator::collect",
                "shop::all",
            ],
            "shop::all",
        ),
        (
            "an iterator of the application",
            &[
                "alloc::string::String::push_str",
                "<shop::Items as core::iter::traits::iterator::Iterator>::next",
                "core::iter::traits::iterator::Iterator::collect",
            ],
            "<shop::Items as core::iter::traits::iterator::Iterator>::next",
        ),
        (
            "clone of the application's type",
            &[
                "<alloc::vec::Vec<T,A> as core::clone::Clone>::clone",
                "<shop::Thing as core::clone::Clone>::clone",
                "shop::main",
            ],
            "<shop::Thing as core::clone::Clone>::clone",
        ),
        (
            "conversions that std provides",
            &[
                "<alloc::string::String as core::convert::From<&str>>::from",
                "<&str as core::convert::Into<alloc::string::String>>::into",
                "<T as core::convert::Into<U>>::into",
                "<shop::Money as alloc::string::ToString>::to_string",
                "<T as alloc::string::ToString>::to_string",
                "<shop::A as core::convert::Into<shop::B>>::into",
                "shop::convert",
            ],
            "shop::convert",
        ),
        (
            "a conversion that the application provides",
            &[
                "alloc::string::String::with_capacity @ $std/alloc/src/string.rs",
                "<alloc::string::String as core::convert::From<shop::Money>>::from @ /srv/shop/src/money.rs",
                "shop::main",
            ],
            "<alloc::string::String as core::convert::From<shop::Money>>::from",
        ),
        (
            "BTreeMap and VecDeque",
            &[
                "<alloc::collections::btree::node::NodeRef<alloc::collections::btree::node::marker::Owned, u64, shop::Item, alloc::collections::btree::node::marker::Leaf>>::new_leaf::<alloc::alloc::Global>",
                "alloc::collections::btree::map::BTreeMap<K,V,A>::insert",
                "<alloc::collections::vec_deque::VecDeque<shop::Job>>::grow",
                "alloc::collections::vec_deque::VecDeque<T,A>::push_back",
                "shop::queue::Queue<T>::push",
            ],
            "shop::queue::Queue<T>::push",
        ),
        (
            "async closures",
            &[
                "alloc::vec::Vec<T>::with_capacity",
                "shop::handler::{closure#0}",
                "<core::pin::Pin<P> as core::future::future::Future>::poll",
                "<tokio::runtime::task::core::Core<shop::handler::{closure#0}, S>>::poll",
                "tokio::runtime::task::harness::Harness<T,S>::poll",
            ],
            "shop::handler::{closure#0}",
        ),
        (
            "compiler shims",
            &[
                "core::ptr::drop_in_place<shop::Thing>",
                "core::ops::function::FnOnce::call_once{{vtable.shim}}",
                "<shop::start::{closure#0} as core::ops::function::FnOnce<()>>::call_once::{shim:vtable#0}",
                "<alloc::boxed::Box<F,A> as core::ops::function::FnOnce<Args>>::call_once",
                "std::sys::backtrace::__rust_begin_short_backtrace",
                "shop::start",
            ],
            "shop::start",
        ),
        (
            "line tables only: bare names, the files speak",
            &[
                "alloc @ /home/someone/.cargo/git/checkouts/riptide/1/allocator/src/global_alloc.rs",
                "alloc @ $std/alloc/src/alloc.rs",
                "with_capacity_in<u8, alloc::alloc::Global> @ $std/alloc/src/raw_vec/mod.rs",
                "collect<shop::Items> @ /home/u/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core/src/iter/traits/iterator.rs",
                "helper @ /srv/shop/src/main.rs",
                "shop::grow @ /srv/shop/src/main.rs",
            ],
            "helper",
        ),
        (
            "line tables only: reconstructed paths",
            &[
                "tikv_jemallocator::alloc @ /cargo/tikv-jemallocator-0.7.0/src/lib.rs",
                "alloc::alloc::alloc @ $std/alloc/src/alloc.rs",
                "alloc::raw_vec::with_capacity_in<shop::Item, alloc::alloc::Global> @ $std/alloc/src/raw_vec/mod.rs",
                "hashbrown::raw::insert<shop::Item> @ /rust/deps/hashbrown-0.16.1/src/raw.rs",
                "core::ptr::drop_in_place<shop::Item> @ /srv/shop/src/main.rs",
                "core::iter::traits::iterator::Iterator::count::{closure#0}<shop::Items> @ $std/core/src/iter/traits/iterator.rs",
                "shop::grow::{closure#0}<alloc::string::String> @ /srv/shop/src/main.rs",
                "shop::grow @ /srv/shop/src/main.rs",
            ],
            "shop::grow::{closure#0}<alloc::string::String>",
        ),
        (
            "C",
            &[
                "_rjem_je_arena_malloc_hard",
                "malloc",
                "sqlite3MemMalloc",
                "sqlite3_open",
                "shop::db",
            ],
            "sqlite3MemMalloc",
        ),
        (
            "only std",
            &[
                "__rust_alloc",
                "alloc::alloc::alloc",
                "std::thread::Builder::spawn",
                "std::rt::init",
            ],
            "alloc::alloc::alloc",
        ),
        ("only the allocator", &["__rust_alloc"], "__rust_alloc"),
        ("nothing known", &["0x1234", "0x5678"], "0x1234"),
    ];
    for (what, stack, expected) in table {
        assert_eq!(leaf(stack), *expected, "{what}");
    }
    assert_eq!(leaf_index(&[]), 0);
}

#[test]
fn runtime_frames_are_told_from_the_application() {
    for name in [
        "tokio::runtime::task::harness::Harness<T,S>::poll",
        "<tokio::runtime::blocking::task::BlockingTask<T> as core::future::future::Future>::poll",
        "hyper::proto::h1::dispatch::Dispatcher<D,Bs,I,T>::poll_loop",
        "<tower::util::map_future::MapFuture<S,F> as tower_service::Service<R>>::call",
        "<futures_util::future::future::Map<Fut,F> as core::future::future::Future>::poll",
        "std::sys::thread::unix::Thread::new::thread_start",
        "core::ops::function::FnOnce::call_once",
        "riptide_alloc::record",
        "start_thread",
        "__libc_start_main_impl",
        "main",
    ] {
        assert!(is_runtime_frame(&frame(name)), "{name}");
    }
    for name in [
        "shop::handler::{closure#0}",
        "<shop::Auth as tower_service::Service<R>>::call",
        "serde_json::de::from_str",
        "main @ /srv/shop/src/main.rs",
        "sqlite3_open",
        "0x1234",
    ] {
        assert!(!is_runtime_frame(&frame(name)), "{name}");
    }
}
