//! The faults of `riptide_tests::fault`, on bare jemalloc.

use riptide_alloc::tikv_jemallocator::Jemalloc;

#[global_allocator]
static GLOBAL: Jemalloc = Jemalloc;

fn main() {
    riptide_tests::fault::main(&GLOBAL);
}
