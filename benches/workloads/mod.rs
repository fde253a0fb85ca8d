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
mod malloc;
mod text;
mod threads;

use std::process::ExitCode;

/// A workload by name.
struct Workload {
    name: &'static str,
    /// What `list` says of it: `program` in the table of programs, `part` in the benches that ask
    /// for it.
    kind: &'static str,
    what: &'static str,
    /// Runs it for so many rounds; the checksum of what it did.
    run: fn(u64) -> u64,
}

const fn program(name: &'static str, what: &'static str, run: fn(u64) -> u64) -> Workload {
    Workload {
        name,
        kind: "program",
        what,
        run,
    }
}

const fn part(name: &'static str, what: &'static str, run: fn(u64) -> u64) -> Workload {
    Workload {
        name,
        kind: "part",
        what,
        run,
    }
}

const WORKLOADS: &[Workload] = &[
    program("pair-16", "allocate and free 16 B", malloc::pair::<16>),
    program("pair-64", "allocate and free 64 B", malloc::pair::<64>),
    program("pair-1k", "allocate and free 1 KiB", malloc::pair::<1024>),
    program("pair-8k", "allocate and free 8 KiB", malloc::pair::<8192>),
    program(
        "pair-64k",
        "allocate and free 64 KiB",
        malloc::pair::<65_536>,
    ),
    program(
        "boxes-64",
        "1,000 boxes of 64 B, then drop them",
        malloc::boxes,
    ),
    program(
        "blocks-mixed",
        "200 blocks of 16 B to 64 KiB, then drop them",
        malloc::mixed,
    ),
    program(
        "vec-growth",
        "vectors grown to 1–256 KiB by doubling",
        malloc::growth,
    ),
    program("zeroed", "zeroed blocks of 64 B to 64 KiB", malloc::zeroed),
    program(
        "remote-free",
        "one thread allocates 64 B boxes, another drops them",
        threads::remote_free,
    ),
    program("json", "parse a document of 1 MB", json::parse),
    program("regex", "captures over a log of 1 MB", text::captures),
    program(
        "churn",
        "4 threads insert into and remove from maps",
        churn::churn,
    ),
    part("pair-256", "allocate and free 256 B", malloc::pair::<256>),
    part("pair-4k", "allocate and free 4 KiB", malloc::pair::<4096>),
    part(
        "realloc",
        "allocate 64 B, move to 1 KiB, free",
        malloc::realloc_pair,
    ),
    part(
        "zeroed-256",
        "allocate 256 B zeroed, free",
        malloc::zeroed_pair,
    ),
    part(
        "set-up",
        "allocate and free 1 MiB",
        malloc::pair::<1_048_576>,
    ),
    part(
        "deep",
        "allocate and free 64 B, 30 frames deep",
        deep::pairs,
    ),
    part("deep-2", "the same on 2 threads", deep::pairs_on::<2>),
    part("deep-4", "the same on 4 threads", deep::pairs_on::<4>),
    part("deep-16", "the same on 16 threads", deep::pairs_on::<16>),
    part("deep-64", "the same on 64 threads", deep::pairs_on::<64>),
];

/// The programs' `main`.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => {
            for workload in WORKLOADS {
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
            let workload = WORKLOADS.iter().find(|workload| workload.name == *name);
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
