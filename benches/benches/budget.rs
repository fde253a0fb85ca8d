//! Whether the budget is kept, and whether the measure behind it is right: `cargo bench --bench
//! budget`. Needs valgrind for the second part.
//!
//! First a program whose rate of allocation jumps a hundredfold after 5 s, read from outside: what
//! sampling cost in each 10 s from 2 s after the jump, by its own measure, and the interval in force
//! at the end of them. Then the same kind of work at fixed intervals: the share of the CPU time that
//! riptide measures of itself beside the share of the instructions that callgrind sees in its slow
//! path. Time is not instructions, so the two are near each other and not equal.

use std::{
    process::{ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use riptide_benches::{
    Error, callgrind, child::Program, machine, options::Options, session::Directory,
    workload::Workload,
};
use riptide_reader::{Session, attach::resolve_target};

/// After the start of the program, which jumps after 5 s.
const FIRST_LOOK: Duration = Duration::from_secs(7);
const WINDOW: Duration = Duration::from_secs(10);
const WINDOWS: u32 = 3;
/// Dense enough that a run under callgrind has samples.
const INTERVALS: [&str; 2] = ["65536", "4096"];
/// The ways into what sampling does; what they call counts with them.
const SLOW_PATH: [&str; 3] = [
    "profiling::slow::alloc",
    "profiling::slow::free",
    "profiling::slow::realloc",
];

fn main() -> ExitCode {
    Options::run(measure)
}

fn measure(options: &Options) -> Result<(), Error> {
    let bare = Program::new("bare", env!("CARGO_BIN_EXE_bench-bare"), &[]);
    println!("{}\n", machine::describe(&bare));
    if options.wants("jump") {
        println!(
            "| budget | seconds after the jump | cost, % of CPU | interval, bytes | samples |"
        );
        println!("|---|---|---|---|---|");
        for budget in [None, Some("0.5")] {
            jump(budget)?;
        }
        println!();
    }
    if options.wants("share") {
        println!("| work | interval | self-measure, % | callgrind, % | self-measure / callgrind |");
        println!("|---|---|---|---|---|");
        for (name, rounds, short) in [
            ("busy", 50_000, 4_000),
            ("json", 100, 8),
            ("store", 3_000, 200),
        ] {
            for interval in INTERVALS {
                share(&Workload::part(name), interval, rounds, short)?;
            }
        }
    }
    Ok(())
}

fn jump(budget: Option<&str>) -> Result<(), Error> {
    let environment: Vec<_> = budget
        .map(|budget| ("RIPTIDE_BUDGET", budget))
        .into_iter()
        .collect();
    let program = Program::new("riptide", env!("CARGO_BIN_EXE_bench-riptide"), &environment);
    let seconds = FIRST_LOOK + WINDOW * WINDOWS + Duration::from_secs(1);
    let start = Instant::now();
    let mut child = program
        .command_for(&Workload::part("jump"), seconds.as_secs())
        .stdout(Stdio::null())
        .spawn()?;
    let looked = windows(child.id(), start, budget);
    // It ends by itself; when it was not to be read, now.
    if looked.is_err() {
        child.kill()?;
    }
    child.wait()?;
    looked
}

fn windows(pid: u32, start: Instant, budget: Option<&str>) -> Result<(), Error> {
    let sleep_until = |moment: Instant| {
        thread::sleep(moment.saturating_duration_since(Instant::now()));
    };
    sleep_until(start + FIRST_LOOK);
    let mut session = Session::attach(&resolve_target(Some(&pid.to_string()))?)?;
    let mut before = figures(&mut session);
    for window in 0..WINDOWS {
        sleep_until(start + FIRST_LOOK + WINDOW * (window + 1));
        let now = figures(&mut session);
        let cost =
            (now.cost_ns - before.cost_ns) as f64 / (now.cpu_ns - before.cpu_ns).max(1) as f64;
        println!(
            "| {} | {}–{} | {:.3} | {} | {} |",
            budget.unwrap_or("default"),
            2 + 10 * window,
            12 + 10 * window,
            cost * 100.0,
            now.interval,
            now.samples - before.samples,
        );
        before = now;
    }
    Ok(())
}

/// What the program says of itself.
struct Figures {
    cost_ns: u64,
    cpu_ns: u64,
    interval: u64,
    samples: u64,
}

fn figures(session: &mut Session) -> Figures {
    session.poll();
    session.snapshot();
    let counts = session.counts();
    Figures {
        cost_ns: counts.slow_path_ns,
        cpu_ns: session.status().cpu_ns.unwrap_or(0),
        interval: counts.interval_bytes,
        samples: counts.samples,
    }
}

/// `rounds` as the program runs by itself, `short` under callgrind, which takes fifty times as long.
fn share(workload: &Workload, interval: &str, rounds: u64, short: u64) -> Result<(), Error> {
    let environment = [
        ("RIPTIDE_SAMPLE_INTERVAL", interval),
        ("RIPTIDE_BUDGET", "off"),
        ("RIPTIDE_SEED", "1"),
    ];
    let mut program = Program::new("riptide", env!("CARGO_BIN_EXE_bench-riptide"), &environment);
    let (once, once_within) = callgrind::inclusive(&program, workload, short, &SLOW_PATH)?;
    let (twice, twice_within) = callgrind::inclusive(&program, workload, 2 * short, &SLOW_PATH)?;
    // Without what is done once.
    let counted =
        twice_within.saturating_sub(once_within) as f64 / twice.saturating_sub(once).max(1) as f64;
    let directory = Directory::new()?;
    directory.keep(&mut program);
    program.run(workload, rounds)?;
    let measured = directory.take()?.counts().cost_fraction;
    println!(
        "| {} | {interval} | {:.3} | {:.3} | {:.2} |",
        workload.name,
        measured * 100.0,
        counted * 100.0,
        measured / counted,
    );
    Ok(())
}
