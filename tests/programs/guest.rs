//! A program that wants nothing but to do its work: prints a sum that depends on all of it, waits,
//! works again, prints again. Whatever riptide meets, its output and its exit code stay the same.

use std::{collections::BTreeMap, hint::black_box};

use riptide_tests::victim::{Numbers, argument, say, wait};

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

#[inline(never)]
fn work(rounds: usize) -> (BTreeMap<String, Vec<u8>>, u64) {
    let mut numbers = Numbers::new(21);
    let mut cache = BTreeMap::new();
    let mut sum = 0_u64;
    for _ in 0..rounds {
        let key = format!("{:04x}", numbers.below(5_000));
        let large = numbers.below(50) == 0;
        let size = 1 + numbers.below(if large { 90_000 } else { 900 });
        let value = black_box(vec![numbers.draw() as u8; size]);
        if let Some(old) = cache.insert(key, value) {
            sum = old.iter().fold(sum, |sum, byte| {
                sum.wrapping_mul(31).wrapping_add((*byte).into())
            });
        }
    }
    (cache, sum)
}

fn main() {
    let rounds = argument(1, 20_000);
    let (cache, sum) = work(rounds);
    say(&format!("sum {sum} of {}", cache.len()));
    wait();
    let (again, sum) = work(rounds);
    say(&format!("sum {sum} of {}, {}", again.len(), again == cache));
}
