//! What sampling costs at several rates: `cargo bench --bench bottleneck_benchmark`.
//!
//! Bare, riptide at intervals from the default down to 1, and bare again, in turn. The budget is
//! off, so that each keeps its interval.

use std::process::ExitCode;

use riptide_benches::{
    Error,
    child::{Program, Run},
    machine,
    options::Options,
    paired::{self, Paired},
    workload::Workload,
};

const WORKLOADS: [&str; 4] = ["boxes-64", "json", "search", "store"];
const INTERVALS: [&str; 8] = [
    "524288", "262144", "131072", "65536", "32768", "16384", "4096", "1",
];

fn main() -> ExitCode {
    Options::run(measure)
}

fn measure(options: &Options) -> Result<(), Error> {
    let bare = Program::new("bare", env!("CARGO_BIN_EXE_bench-bare"), &[]);
    let mut programs = vec![bare.clone(), bare.clone()];
    for interval in INTERVALS {
        let environment = [
            ("RIPTIDE_SAMPLE_INTERVAL", interval),
            ("RIPTIDE_BUDGET", "off"),
        ];
        programs.push(Program::new(
            "riptide",
            env!("CARGO_BIN_EXE_bench-riptide"),
            &environment,
        ));
    }
    println!("{}", machine::describe(&bare));
    println!(
        "n = {} runs of {} s CPU each; CPU ratio to bare\n",
        options.runs, options.seconds
    );
    println!("| workload | A/A | {} |", INTERVALS.join(" | "));
    println!("|---|---{}|", "|---".repeat(INTERVALS.len()));
    for workload in Workload::table(&bare)? {
        let wanted = if options.only.is_empty() {
            WORKLOADS.contains(&workload.name.as_str())
        } else {
            options.names(&workload.name)
        };
        if !wanted {
            continue;
        }
        let work = paired::calibrate(&bare, &workload, options.seconds)?;
        let paired = Paired::measure(|_| programs.clone(), &workload, work, options.runs)?;
        let ratios: Vec<String> = (1..programs.len())
            .map(|program| paired.ratio(program, 0, cpu).to_string())
            .collect();
        println!("| {} | {} |", workload.name, ratios.join(" | "));
    }
    Ok(())
}

fn cpu(run: &Run) -> f64 {
    run.cpu_seconds
}
