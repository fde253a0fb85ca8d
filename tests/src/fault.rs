//! Programs to which something bad happens while they allocate: one mode for each fault.
//!
//! The same code runs on riptide (`victim-fault`) and on bare jemalloc (`victim-fault-bare`). What it
//! prints comes from its own arithmetic alone, so both must print the same and end in the same way.
//! The first line tells what stays allocated to the end, for the profile to be compared with.
//!
//! | module | holds |
//! |---|---|
//! | `work` | allocating in every way, with a sum over every byte |
//! | `death`, `children` | ways to end; fork, vfork, exec |
//! | `threads` | threads that come and go, destructors |
//! | `signals` | handlers that allocate, profilers by signal |
//! | `stacks` | deep, large, tiny and foreign stacks |
//! | `system` | sandboxes, limits, libraries that come and go |

mod children;
mod death;
mod signals;
mod stacks;
mod system;
mod threads;
mod work;

use std::alloc::GlobalAlloc;

use crate::victim::report;

/// Runs the mode that the command line names; `other` is an allocator beside the program's own.
pub fn main(other: &(impl GlobalAlloc + Sync)) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mode = arguments.first().map_or("", String::as_str);
    let rest = arguments.get(1..).unwrap_or_default();
    let number = |place: usize, otherwise: usize| {
        let text = rest.get(place);
        text.and_then(|text| text.parse().ok()).unwrap_or(otherwise)
    };
    // Those that want the first sample to be where the fault is.
    match mode {
        "forks-at-start" => return children::forks_at_start(number(0, 40)),
        "contexts" => stacks::contexts(),
        "profiler" => signals::profiler(number(0, 500)),
        "exit-on-a-foreign-stack" => return stacks::exit_on_a_foreign_stack(),
        "enter-sandbox" => return system::enter_sandbox(rest),
        _ => {}
    }
    report(&[work::keep(1_500)]);
    match mode {
        "contexts" | "profiler" => {}
        "plain" => work::say_sums(number(0, 3_000)),
        "busy" => work::until_killed(number(0, 8)),
        "abort" | "exit-now" | "exit" | "kill" | "panic-aborts" | "panic" => death::die(mode),
        "forks" => children::forks(number(0, 20), number(1, 8)),
        "vforks" => children::vforks(number(0, 100)),
        "execs" => children::execs(number(0, 5)),
        "threads" => threads::churn(number(0, 2_000)),
        "destructors" => threads::destructors(number(0, 200)),
        "handlers" => signals::handlers(rest),
        "deep" => stacks::deep(),
        "tiny-stacks" => stacks::tiny(),
        "exit-on-a-tiny-stack" => stacks::exit_on_a_tiny_stack(),
        "sandbox" => system::sandbox(rest),
        "no-files" => system::without_files(),
        "no-rights" => system::without_rights(),
        "chroot" => system::in_another_root(rest),
        "libraries" => system::libraries(rest),
        "two-copies" => work::with_another(other, number(0, 20_000)),
        "oom" => system::out_of_memory(),
        "too-much" => system::too_much(),
        _ => std::process::exit(2),
    }
    crate::victim::say("end");
}
