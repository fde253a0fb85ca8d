//! Whether what riptide costs stays the same with more threads: `cargo bench --bench threads`.
//!
//! The same work, split among 1, 2, 4, 16 and 64 threads: bare, riptide at the default interval,
//! riptide at an interval of 1, and bare again, in turn. At 1 every thread writes to the rings, the
//! tables and the sampled arena all the time; what a sample costs there is what contention costs,
//! and what the rings dropped is counted by the program itself.

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
const EXACT: [(&str, &str); 2] = [("RIPTIDE_SAMPLE_INTERVAL", "1"), ("RIPTIDE_BUDGET", "off")];

fn main() -> ExitCode {
    match Options::read().and_then(|options| options.map_or(Ok(()), |options| measure(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
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
        "| work | threads | CPU ratio, default | CPU ratio, exact | A/A | wall ratio, exact | ns a sample, exact \
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
            let directory = Directory::new()?;
            let mut kept = exact.clone();
            directory.keep(&mut kept);
            kept.run(&workload, work)?;
            let session = directory.take()?;
            let counts = session.counts();

            let programs = [&bare, &riptide, &exact, &bare].map(Program::clone);
            let paired = Paired::measure(|_| programs.to_vec(), &workload, work, options.runs)?;
            let samples = counts.samples;
            let cost = paired.difference(2, 0, |run| cpu(run) * 1e9 / samples.max(1) as f64);
            println!(
                "| {name} | {threads} | {} | {} | {} | {} | {cost:.0} | {samples} | {} | {} |",
                paired.ratio(1, 0, cpu),
                paired.ratio(2, 0, cpu),
                paired.ratio(3, 0, cpu),
                paired.ratio(2, 0, |run| run.wall_seconds),
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
