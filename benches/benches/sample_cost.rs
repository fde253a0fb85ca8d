//! What one sample costs, its free included: `cargo bench --bench sample_cost`.
//!
//! A thread allocates and frees 64 B blocks thirty frames deep and takes its own CPU time: with so
//! many samples, and with none. The difference over the samples is one sample. Once as programs are
//! built by default, where the stack is walked by unwind tables, and once with frame pointers
//! throughout, in a target directory of its own.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use riptide_benches::{
    Error, child::Program, layouts, machine, options::Options, statistics, workload::Workload,
};

const BLOCK: f64 = 64.0;
/// Mean bytes between samples: hot, and as cold as a measurement of seconds can tell from noise.
const INTERVALS: [u64; 3] = [1, 4096, 65_536];
const UNSAMPLED: &str = "4294967295";

fn main() -> ExitCode {
    Options::run(measure)
}

fn measure(options: &Options) -> Result<(), Error> {
    let bare = Program::new("bare", env!("CARGO_BIN_EXE_bench-bare"), &[]);
    println!("{}\nn = {}\n", machine::describe(&bare), options.runs);
    let default = PathBuf::from(env!("CARGO_BIN_EXE_bench-riptide"));
    let frame_pointers = build_with_frame_pointers(&default)?;
    println!("| build | interval | ns a sample (alloc + free) |");
    println!("|---|---|---|");
    for (name, path) in [
        ("default (unwind tables)", default),
        ("frame pointers", frame_pointers),
    ] {
        if !options.wants(name.split(' ').next().unwrap_or(name)) {
            continue;
        }
        for interval in INTERVALS {
            println!(
                "| {name} | {interval} | {:.0} |",
                cost(options, &path, interval)?
            );
        }
    }
    Ok(())
}

/// Nanoseconds of a sample at an interval.
fn cost(options: &Options, path: &Path, interval: u64) -> Result<statistics::Median, Error> {
    let with = |interval: &str| {
        let mut program = Program::new(
            "riptide",
            &path.to_string_lossy(),
            &[
                ("RIPTIDE_SAMPLE_INTERVAL", interval),
                ("RIPTIDE_BUDGET", "off"),
            ],
        );
        program
            .environment
            .extend(options.environment.iter().cloned());
        program
    };
    let (sampled, unsampled) = (with(&interval.to_string()), with(UNSAMPLED));
    let probability = if interval <= 1 {
        1.0
    } else {
        -(-BLOCK / interval as f64).exp_m1()
    };
    // A good number of samples, and a second or two.
    let rounds = (500_000.0 / probability).min(100_000_000.0) as u64;
    let mut costs = Vec::new();
    for _ in 0..options.runs {
        let nanoseconds = |program: &Program| -> Result<f64, Error> {
            let run = program.run(&Workload::part("deep"), rounds)?;
            let picoseconds: f64 = run.output.lines().next().unwrap_or_default().parse()?;
            Ok(picoseconds / 1e3)
        };
        let difference = nanoseconds(&sampled)? - nanoseconds(&unsampled)?;
        costs.push(difference / probability);
    }
    Ok(statistics::median(&costs))
}

/// Builds the measured program with frame pointers in all Rust code of ours, as
/// `-C force-frame-pointers` does for whoever sets it.
fn build_with_frame_pointers(default: &Path) -> Result<PathBuf, Error> {
    let (binary, profile, target) = layouts::parts(default).ok_or("not in a target directory")?;
    let target = target.join("frame-pointers");
    let status = layouts::cargo()
        .args(["build", "--quiet", "--manifest-path", layouts::MANIFEST])
        .args(["--profile", &profile, "--bin", &binary, "--target-dir"])
        .arg(&target)
        .env("RUSTFLAGS", "-Cforce-frame-pointers=yes")
        .status()?;
    if !status.success() {
        return Err("the build with frame pointers failed".into());
    }
    Ok(target.join(profile).join(binary))
}
