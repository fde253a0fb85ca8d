//! The workloads over another profiler, the one whose feature is on. Each is set up as its own
//! documentation says, over jemalloc where it can be.

#[path = "../../workloads/mod.rs"]
mod workloads;

use std::process::ExitCode;

#[cfg(feature = "system")]
#[global_allocator]
static GLOBAL: std::alloc::System = std::alloc::System;

/// Told by `_RJEM_MALLOC_CONF` whether and how densely to sample.
#[cfg(feature = "jemalloc-prof")]
#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// With nobody attached to its probes, as most of the time.
#[cfg(feature = "libdd")]
#[global_allocator]
static GLOBAL: libdd_profiling_heap_allocator::SampledAllocator<tikv_jemallocator::Jemalloc> =
    libdd_profiling_heap_allocator::SampledAllocator::new(tikv_jemallocator::Jemalloc);

#[cfg(feature = "rpprof")]
#[global_allocator]
static GLOBAL: rpprof::alloc::AllocProfiler<tikv_jemallocator::Jemalloc> =
    rpprof::alloc::AllocProfiler::new(tikv_jemallocator::Jemalloc);

#[cfg(feature = "dial9")]
#[global_allocator]
static GLOBAL: dial9::memory::Dial9Allocator<tikv_jemallocator::Jemalloc> =
    dial9::memory::Dial9Allocator::new(tikv_jemallocator::Jemalloc);

/// Over the system allocator: it cannot be had over another.
#[cfg(feature = "dhat")]
#[global_allocator]
static GLOBAL: dhat::Alloc = dhat::Alloc;

fn main() -> ExitCode {
    let _profiler = match profiler() {
        Ok(profiler) => profiler,
        Err(error) => {
            eprintln!("the profiler does not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    workloads::main()
}

#[cfg(feature = "rpprof")]
fn profiler() -> Result<(), String> {
    rpprof::alloc::start();
    Ok(())
}

/// Records into memory, with the set of live blocks.
#[cfg(feature = "dial9")]
fn profiler() -> Result<impl Sized, String> {
    use dial9::memory::{MemoryProfiler, MemoryProfilingConfig};

    let buffer = dial9::MemoryBuffer::new(1 << 20).map_err(|error| error.to_string())?;
    let recorder = dial9::recorder(buffer).build();
    let config = MemoryProfilingConfig::builder().track_liveset(true).build();
    let guard = MemoryProfiler::from_config(config)
        .install(recorder.handle().clone())
        .map_err(|error| error.to_string())?;
    Ok((guard, recorder))
}

/// Its report goes where nobody reads it; it is made all the same, at the end.
#[cfg(feature = "dhat")]
fn profiler() -> Result<dhat::Profiler, String> {
    Ok(dhat::Profiler::builder().file_name("/dev/null").build())
}

#[cfg(not(any(feature = "rpprof", feature = "dial9", feature = "dhat")))]
fn profiler() -> Result<(), String> {
    Ok(())
}
