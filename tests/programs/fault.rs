//! The faults of `riptide_tests::fault`, on riptide.

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

fn main() {
    riptide_tests::fault::main(&GLOBAL);
}
