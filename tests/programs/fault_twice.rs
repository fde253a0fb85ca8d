//! The faults of `riptide_tests::fault` in a program with two copies of riptide.

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

static OTHER: riptide_alloc_again::Riptide = riptide_alloc_again::Riptide::new();

fn main() {
    riptide_tests::fault::main(&OTHER);
}
