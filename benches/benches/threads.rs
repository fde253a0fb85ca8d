//! Whether what riptide costs stays the same with more threads: `cargo bench --bench threads`.
//!
//! The same work, split among 1, 2, 4, 16 and 64 threads: bare, riptide at the default interval and
//! bare again, in turn; and bare and riptide at an interval of 1, with a tenth of the work and fewer
//! runs, as they take long. At 1 every thread writes to the rings, the tables and the sampled arena all
//! the time; what a sample costs there is what contention costs, and what the rings dropped is
//! counted by the program itself.

use std::process::ExitCode;

use riptide_benches::{
    Error,
    child::{Program, Run},
    machine,
    options::Options,
    paired::{self, Paired},
    session::Directory,
    workload::Workload,
};

const WORKLOADS: [&str; 3] = ["maps", "pairs", "batches"];
const THREADS: [u32; 5] = [1, 2, 4, 16, 64];
/// Of an interval of 1: what part of the work, and how many runs.
const EXACT_WORK: u64 = 10;
const EXACT_RUNS: usize = 5;
const EXACT: [(&str, &str); 2] = [("RIPTIDE_SAMPLE_INTERVAL", "1"), ("RIPTIDE_BUDGET", "off")];

fn main() -> ExitCode {
    Options::run(measure)
}

fn measure(options: &Options) -> Result<(), Error> {
    let path = env!("CARGO_BIN_EXE_bench-riptide");
    let bare = Program::new("bare", env!("CARGO_BIN_EXE_bench-bare"), &[]);
    let riptide = Program::new("riptide", path, &[]);
    let exact = Program::new("riptide, exact", path, &EXACT);
    println!("{}", machine::describe(&bare));
    println!(
        "n = {} runs of {} s CPU each\n",
        options.runs, options.seconds
    );
    println!(
        "| work | threads | CPU ratio, default | A/A | CPU ratio, exact | wall ratio, exact | ns a sample, exact \
         | samples | ring records dropped | blocks without a record |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for name in WORKLOADS {
        if !options.wants(name) {
            continue;
        }
        // The same work for every number of threads.
        let work = paired::calibrate(
            &bare,
            &Workload::part(&format!("{name}-1")),
            options.seconds,
        )?;
        for threads in THREADS {
            let workload = Workload::part(&format!("{name}-{threads}"));
            let programs = [&bare, &riptide, &bare].map(Program::clone);
            let paired = Paired::measure(|_| programs.to_vec(), &workload, work, options.runs)?;
            let default = paired.ratio(1, 0, cpu);
            let again = paired.ratio(2, 0, cpu);

            let work = work.div_ceil(EXACT_WORK);
            let directory = Directory::new()?;
            let mut kept = exact.clone();
            directory.keep(&mut kept);
            kept.run(&workload, work)?;
            let session = directory.take()?;
            let counts = session.counts();
            let samples = counts.samples;
            let programs = [&bare, &exact].map(Program::clone);
            let runs = options.runs.min(EXACT_RUNS);
            let paired = Paired::measure(|_| programs.to_vec(), &workload, work, runs)?;
            let cost = paired.difference(1, 0, |run| cpu(run) * 1e9 / samples.max(1) as f64);
            println!(
                "| {name} | {threads} | {default} | {again} | {} | {} | {cost:.0} | {samples} | {} | {} |",
                paired.ratio(1, 0, cpu),
                paired.ratio(1, 0, |run| run.wall_seconds),
                session.account().dropped,
                counts.unrecorded_blocks(),
            );
        }
    }
    Ok(())
}

fn cpu(run: &Run) -> f64 {
    run.cpu_seconds
}
