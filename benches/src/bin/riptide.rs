//! The workloads over riptide.

#[path = "../../workloads/mod.rs"]
mod workloads;

#[global_allocator]
static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();

fn main() -> std::process::ExitCode {
    workloads::main()
}
