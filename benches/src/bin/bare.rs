//! The workloads over bare jemalloc: what the others are compared with.

#[path = "../../workloads/mod.rs"]
mod workloads;

#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    workloads::main()
}
