//! What the compared programs do: `program <workload> <rounds>`, or `program list`.
//!
//! Included by path into every program, not linked from a library: the allocator is inlined into
//! the drop glue of the crate that is compiled last, and that is part of what is measured. The
//! programs differ in their `#[global_allocator]` line and in nothing else.
//!
//! A workload does the same work for the same number of rounds under every allocator and returns a
//! checksum of it, which the harness compares.

mod churn;
mod deep;
mod json;
mod jump;
mod list;
mod malloc;
mod search;
mod server;
mod store;
mod text;
mod threads;

use std::process::ExitCode;

/// The programs' `main`.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => {
            for workload in list::WORKLOADS {
                println!("{}\t{}\t{}", workload.name, workload.kind, workload.what);
            }
            ExitCode::SUCCESS
        }
        ["jemalloc-version"] => {
            let version = tikv_jemalloc_ctl::version::read().unwrap_or("unknown");
            println!("{}", version.trim_end());
            ExitCode::SUCCESS
        }
        [name, rounds] => {
            let mut workloads = list::WORKLOADS.iter();
            let workload = workloads.find(|workload| workload.name == *name);
            let (Some(workload), Ok(rounds)) = (workload, rounds.parse()) else {
                eprintln!("no workload {name}, or {rounds} is not a number");
                return ExitCode::FAILURE;
            };
            println!("{}", (workload.run)(rounds));
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("usage: program <workload> <rounds> | list | jemalloc-version");
            ExitCode::FAILURE
        }
    }
}

/// Numbers that look random and are the same in every run (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ value >> 31
    }

    /// A number below `bound`.
    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
