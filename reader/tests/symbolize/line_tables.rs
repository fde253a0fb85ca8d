//! Full paths from line tables only, in both manglings.

use std::{collections::BTreeSet, sync::Arc};

use riptide_reader::{
    profile::Frame,
    symbolize::{SymbolConfig, leaf_index},
};

use crate::{resolve_all, victim::Victim};

const MAIN: &str = r#"
mod deep;
mod util;
use std::{future::Future, hint::black_box, pin::pin, task::{Context, Poll, Waker}};
#[inline(never)]
fn leak(n: usize, size: usize) -> Vec<Vec<u8>> {
    (0..n).map(|_| vec![1u8; size]).collect() // 7
}
#[inline(never)]
fn nested(n: usize, size: usize) -> Vec<Vec<Vec<u8>>> {
    (0..n).map(|i| {
        (0..i + 1).filter(|j| j % 2 == 0)
            .map(|_| Vec::<u8>::with_capacity(size)) // 13
            .collect::<Vec<_>>()
    }).collect()
}
#[inline(never)]
fn uses_util(n: usize) -> Vec<Vec<u8>> { util::helper(n) }
#[inline(never)]
fn uses_generic(n: usize) -> Vec<u64> { deep::inner::generic::<u64>(n) }
struct Cart { items: Vec<Vec<u8>> }
impl Cart {
    #[inline(always)]
    fn add(&mut self, n: usize) {
        self.items.push(vec![7; n]); // 25
    }
    #[inline(never)]
    fn doubled(&self) -> Vec<Vec<u8>> {
        self.items.iter().map(|item| item.repeat(2)).collect() // 29
    }
}
#[inline(never)]
fn method(cart: &mut Cart, n: usize) { cart.add(n); }
#[inline(never)]
fn direct(n: usize) -> Vec<u16> {
    let make = |m: usize| Vec::<u16>::with_capacity(m); // 36
    make(n)
}
#[inline(never)]
fn poll(n: usize) -> Vec<u8> {
    let closure = async move |m: usize| {
        std::future::ready(()).await;
        vec![3u8; m + n] // 43
    };
    let block = async move {
        let mut v = Vec::<u8>::with_capacity(n); // 46
        v.extend(closure(n).await);
        v
    };
    let Poll::Ready(v) = pin!(block).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!()
    };
    v
}
async fn body(n: usize) -> Vec<u8> {
    std::future::ready(()).await;
    Vec::with_capacity(n) // 57
}
#[inline(never)]
fn drive<F: Future>(future: F) -> F::Output {
    let Poll::Ready(v) = pin!(future).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!()
    };
    v
}
fn main() {
    let n = std::env::args().count();
    let mut cart = Cart { items: Vec::new() };
    method(&mut cart, n);
    black_box((leak(n, n), nested(n, n), uses_util(n), uses_generic(n), direct(n), poll(n)));
    black_box((drive(body(n)), cart.doubled()));
    println!("{:#x}", main as fn() as usize);
    let _ = std::io::stdin().read_line(&mut String::new());
}
"#;
const UTIL: &str = r#"
#[inline(always)]
pub fn helper(n: usize) -> Vec<Vec<u8>> {
    (0..n).map(|x| inner(x)).collect() // 4
}
#[inline(always)]
fn inner(n: usize) -> Vec<u8> {
    Vec::with_capacity(n) // 8
}
"#;
const INNER: &str = r#"
#[inline(always)]
pub fn generic<T: Default + Clone>(n: usize) -> Vec<T> {
    vec![T::default(); n + 1] // 4
}
"#;

fn frames(mangling: &[&str]) -> Vec<Arc<[Frame]>> {
    let sources = [
        ("src/main.rs", MAIN),
        ("src/util.rs", UTIL),
        ("src/deep/mod.rs", "pub mod inner;"),
        ("src/deep/inner.rs", INNER),
    ];
    let flags = [mangling, &["-Cdebuginfo=line-tables-only"]].concat();
    let victim = Victim::start_program(&sources, &flags);
    let addresses = victim.addresses_of(&["6victim", "from_iter", "4fold"]);
    resolve_all(SymbolConfig::default(), &victim.modules, &addresses)
}

/// Function, file and line of leaves, or of all frames.
fn places<'a>(frames: impl Iterator<Item = &'a Frame>) -> BTreeSet<(&'a str, &'a str, u32)> {
    frames
        .filter_map(|frame| {
            let file = frame.file.as_deref()?.rsplit('/').next()?;
            Some((frame.function.as_str(), file, frame.line?))
        })
        .collect()
}

fn assert_leaves(mangling: &[&str], own: &[(&str, &str, u32)]) {
    let frames = frames(mangling);
    let leaves = places(frames.iter().map(|frames| &frames[leaf_index(frames)]));
    for expected in [
        ("victim::leak::{closure#0}", "main.rs", 7),
        ("victim::util::helper", "util.rs", 4),
        ("victim::util::inner", "util.rs", 8),
        ("victim::deep::inner::generic<u64>", "inner.rs", 4),
        ("victim::add", "main.rs", 25),
        ("victim::direct::{closure#0}", "main.rs", 36),
        ("victim::poll::{closure#0}", "main.rs", 43),
        ("victim::poll::{closure#1}", "main.rs", 46),
        ("victim::body::{closure#0}", "main.rs", 57),
    ]
    .iter()
    .chain(own)
    {
        assert!(leaves.contains(expected), "no {expected:?} in {leaves:#?}");
    }
    let all = places(frames.iter().flat_map(|frames| frames.iter()));
    let caller = ("victim::util::helper::{closure#0}", "util.rs", 4);
    assert!(all.contains(&caller), "no {caller:?} in {all:#?}");
    for frame in frames.iter().flat_map(|frames| frames.iter()) {
        let path = frame.function.split(['<', '{']).next().unwrap();
        let is_full = frame.function.starts_with('<') || path.contains("::");
        assert!(is_full || !frame.inlined, "a bare name: {frame:?}");
    }
}

#[test]
fn inlined_functions_have_full_paths_in_the_legacy_mangling() {
    assert_leaves(
        &[],
        &[
            ("victim::nested::{closure#0}::{closure#1}", "main.rs", 13),
            ("victim::doubled::{closure#0}", "main.rs", 29),
        ],
    );
}

#[test]
fn inlined_functions_have_full_paths_in_the_v0_mangling() {
    assert_leaves(
        &["-Csymbol-mangling-version=v0"],
        &[
            ("victim::nested::{closure#0}::{closure#1}", "main.rs", 13),
            ("<victim::Cart>::doubled::{closure#0}", "main.rs", 29),
        ],
    );
}
