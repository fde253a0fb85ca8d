//! What profiling does to throughput: `cargo bench --bench memory_benchmark`.
//!
//! The same programs bare, with riptide, with riptide and a reader attached, and with `riptide serve`
//! beside them that exports metrics by OTLP five times a second, in turn.

use std::process::ExitCode;

use riptide_benches::{
    Error,
    child::{Program, Run},
    machine,
    options::Options,
    paired::{self, Paired},
    telemetry,
    workload::Workload,
};

const WORKLOADS: [&str; 6] = ["boxes-64", "vec-growth", "json", "http", "search", "store"];

fn main() -> ExitCode {
    Options::run(measure)
}

fn measure(options: &Options) -> Result<(), Error> {
    let bare = Program::new("bare", env!("CARGO_BIN_EXE_bench-bare"), &[]);
    let mut riptide = Program::new("riptide", env!("CARGO_BIN_EXE_bench-riptide"), &[]);
    riptide.environment.clone_from(&options.environment);
    let mut read = riptide.clone();
    read.reader = Some(env!("CARGO_BIN_EXE_bench-reader").into());
    let mut exported = riptide.clone();
    exported.exporter = Some(telemetry::riptide()?);
    let programs = [bare.clone(), riptide, read, exported, bare.clone()];

    println!("{}", machine::describe(&bare));
    println!(
        "n = {} runs of {} s CPU each; rounds a CPU second, and what is left of bare's\n",
        options.runs, options.seconds
    );
    println!(
        "| workload | bare, rounds/s | riptide | with a reader | with telemetry | exports a run | bare again |"
    );
    println!("|---|---|---|---|---|---|---|");
    for workload in Workload::table(&bare)? {
        // By name all can be had.
        let wanted = if options.only.is_empty() {
            WORKLOADS.contains(&workload.name.as_str())
        } else {
            options.names(&workload.name)
        };
        if !wanted {
            continue;
        }
        let work = paired::calibrate(&bare, &workload, options.seconds)?;
        let paired = Paired::measure(|_| programs.to_vec(), &workload, work, options.runs)?;
        let throughput = |run: &Run| work as f64 / run.cpu_seconds;
        println!(
            "| {} | {:.1} | {} | {} | {} | {:.0} | {} |",
            workload.name,
            paired.median(0, throughput),
            paired.ratio(1, 0, throughput),
            paired.ratio(2, 0, throughput),
            paired.ratio(3, 0, throughput),
            paired.median(3, |run: &Run| run.exports.unwrap_or(0) as f64),
            paired.ratio(4, 0, throughput),
        );
    }
    Ok(())
}
