//! A global allocator over jemalloc that samples the heap of a running service into a
//! memory-mapped region, for `riptide` to read from outside.
//!
//! ```
//! #[global_allocator]
//! static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();
//! ```
//!
//! **What it costs.** An allocation that is not sampled pays one subtraction and one branch, a
//! free a compare; everything else happens in the slow path, once in `RIPTIDE_SAMPLE_INTERVAL`
//! bytes on average. Nothing is mapped and no file is made before the first sample.
//!
//! **What it promises.** It never panics, blocks, prints or changes what the program computes: on
//! any surprise it counts, steps aside, and jemalloc carries on. Nothing read back from the
//! region is trusted for the program's memory safety.
//!
//! On anything but Linux on x86-64 or aarch64 (or with `--cfg riptide_passthrough`) this is plain
//! jemalloc; where jemalloc does not build, the system allocator.
//!
//! | module | does |
//! |---|---|
//! | `global_alloc` | the hot path |
//! | `slow` | what happens to a sampled block: allocate, free, move |
//! | `countdown`, `sampler`, `thread_state` | which allocation is a sample |
//! | `arena` | the reserved range in which small sampled blocks lie |
//! | `record`, `free_slots` | the live record of a block: address → slot, and back |
//! | `lanes`, `try_lock` | what a pass through the slow path has to itself |
//! | `unwind` | call stacks |
//! | `map`, `profiler` | the region file; the process-wide state, made at the first sample |
//! | `tick`, `jemalloc_stats`, `budget` | what happens now and then |
//! | `fork`, `config`, `identity`, `sys` | children, environment, who we are, system calls |
//!
//! The environment is the configuration: `RIPTIDE=off`, `RIPTIDE_DIR`, `RIPTIDE_SAMPLE_INTERVAL`,
//! `RIPTIDE_BUDGET`, `RIPTIDE_REGION_SIZE`, `RIPTIDE_KEEP`, `RIPTIDE_FORK`, `RIPTIDE_UNWIND`,
//! `RIPTIDE_SEED`; see the README.

#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(riptide_passthrough)
))]
mod profiling {
    pub(crate) mod arena;
    pub(crate) mod budget;
    pub(crate) mod config;
    pub(crate) mod countdown;
    pub(crate) mod fork;
    pub(crate) mod free_slots;
    pub(crate) mod global_alloc;
    pub(crate) mod identity;
    pub(crate) mod jemalloc_stats;
    pub(crate) mod lanes;
    pub(crate) mod map;
    pub(crate) mod mark;
    pub(crate) mod profiler;
    pub(crate) mod record;
    pub(crate) mod sampler;
    pub(crate) mod slow;
    pub(crate) mod sys;
    pub(crate) mod thread_state;
    pub(crate) mod tick;
    pub(crate) mod try_lock;
    pub(crate) mod unwind;
}

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(riptide_passthrough)
)))]
mod passthrough;

#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(riptide_passthrough)
)))]
pub use passthrough::Riptide;
#[cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(riptide_passthrough)
))]
pub use profiling::global_alloc::Riptide;

/// The jemalloc bindings that this crate is built on, for programs that tune jemalloc: two copies
/// of them in one program do not link.
#[cfg(not(target_env = "msvc"))]
pub use tikv_jemallocator;
