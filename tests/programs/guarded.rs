//! Asserts of blocks of code that they leak nothing, as a test of a service would.
//!
//! `victim-guarded CASE` ends with 0 when the assertion holds, and with 101 when it panics.

use std::{hint::black_box, process::ExitCode, thread};

use riptide_reader::testing::assert_no_leaks;

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

#[inline(never)]
fn forgets(bytes: usize) {
    std::mem::forget(black_box(vec![1_u8; bytes]));
}

#[inline(never)]
fn frees() {
    let mut words: Vec<String> = (0..1_000).map(|number| number.to_string()).collect();
    words.retain(|word| word.len() > 2);
    drop(black_box(words));
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("frees") => assert_no_leaks(frees),
        // One byte is enough.
        Some("forgets") => assert_no_leaks(|| forgets(1)),
        Some("forgets-some") => assert_no_leaks(|| {
            frees();
            for _ in 0..3 {
                forgets(1_000);
            }
        }),
        // What was there before, and what others do meanwhile, is not the block's.
        Some("beside-others") => {
            forgets(5_000);
            thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        forgets(100);
                    }
                });
                for _ in 0..20 {
                    assert_no_leaks(frees);
                }
            });
        }
        Some("panics") => assert_no_leaks(|| assert!(black_box(false), "the block's own panic")),
        other => {
            eprintln!("no case {other:?}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
