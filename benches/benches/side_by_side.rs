//! riptide beside other profilers, each over jemalloc where it can, all in one alternating run:
//! `cargo bench -p riptide-benches --features competitors --bench side_by_side`.
//!
//! The others are built from `competitors/`, a package with a lock of its own, in this bench's
//! profile. One that does not build or run is named with its error and left out. heaptrack is taken
//! from `/usr/lib/heaptrack` (Debian package `heaptrack`). Whoever takes many times as long is run
//! less often; n stands in every row.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use riptide_benches::{
    Error,
    child::{Program, Run},
    layouts, machine,
    options::Options,
    paired::{self, Paired},
    workload::Workload,
};

const PACKAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/competitors");
const WORKLOADS: [&str; 8] = [
    "pair-64",
    "boxes-64",
    "vec-growth",
    "json",
    "regex",
    "http",
    "search",
    "store",
];
/// A run that takes longer than this many times bare's is one of [`FEW_RUNS`].
const SLOW: f64 = 3.0;
const FEW_RUNS: usize = 5;
/// And longer than this, of a single one.
const VERY_SLOW: f64 = 25.0;

const PROF: &str = "_RJEM_MALLOC_CONF";
const PROF_ON: &str = "prof:true,prof_active:true,lg_prof_sample:";

fn main() -> ExitCode {
    Options::run(measure)
}

fn measure(options: &Options) -> Result<(), Error> {
    let bare = Program::new("bare jemalloc", env!("CARGO_BIN_EXE_bench-bare"), &[]);
    println!("{}", machine::describe(&bare));
    let others = others(&bare);
    println!(
        "n = {} runs of {} s CPU of bare, fewer of what is slow\n",
        options.runs, options.seconds
    );
    for workload in Workload::table(&bare)? {
        // By name all can be had.
        let wanted = if options.only.is_empty() {
            WORKLOADS.contains(&workload.name.as_str())
        } else {
            options.names(&workload.name)
        };
        if wanted {
            table(options, &workload, &bare, &others)?;
        }
    }
    Ok(())
}

fn table(
    options: &Options,
    workload: &Workload,
    bare: &Program,
    others: &[Program],
) -> Result<(), Error> {
    let work = paired::calibrate(bare, workload, options.seconds)?;
    let base = cpu(&bare.run(workload, work)?);
    println!("{}: {}\n", workload.name, workload.what);
    println!("| profiler | n | CPU ratio | wall ratio | peak RSS |");
    println!("|---|---|---|---|---|");
    // The first run of each says how often it can be run.
    let mut measured = vec![(bare.clone(), options.runs), (bare.clone(), options.runs)];
    for program in others {
        match program.run(workload, work) {
            Ok(run) => {
                let ratio = cpu(&run) / base;
                let runs = match ratio {
                    _ if ratio > VERY_SLOW => 1,
                    _ if ratio > SLOW => options.runs.min(FEW_RUNS),
                    _ => options.runs,
                };
                measured.push((program.clone(), runs));
            }
            Err(error) => println!("| {} | 0 | {error} | | |", program.name),
        }
    }
    // Those with fewer runs at the end: a round is the programs that still take part.
    measured.sort_by_key(|(_, runs)| std::cmp::Reverse(*runs));
    let programs = |round: usize| {
        let taking_part = measured.iter().filter(|(_, runs)| round < *runs);
        taking_part.map(|(program, _)| program.clone()).collect()
    };
    let paired = Paired::measure(programs, workload, work, options.runs)?;
    for (index, (program, runs)) in measured.iter().enumerate().skip(1) {
        let name = if index == 1 {
            "bare again"
        } else {
            &program.name
        };
        println!(
            "| {name} | {runs} | {} | {} | {:.2} |",
            paired.ratio(index, 0, cpu),
            paired.ratio(index, 0, |run| run.wall_seconds),
            paired
                .ratio(index, 0, |run| run.peak_rss_bytes as f64)
                .value,
        );
    }
    println!();
    Ok(())
}

/// Every other program that there is, riptide first.
fn others(bare: &Program) -> Vec<Program> {
    let exact = [("RIPTIDE_SAMPLE_INTERVAL", "1")];
    let riptide = env!("CARGO_BIN_EXE_bench-riptide");
    let mut programs = vec![
        Program::new("riptide", riptide, &[]),
        Program::new("riptide, exact", riptide, &exact),
    ];
    let mut add = |feature: &str, names: &[(&str, Option<u32>)]| match build(bare, feature) {
        Ok(path) => {
            for (name, lg) in names {
                let conf = lg.map(|lg| format!("{PROF_ON}{lg}"));
                let environment: Vec<_> = conf.iter().map(|conf| (PROF, conf.as_str())).collect();
                programs.push(Program::new(name, &path.to_string_lossy(), &environment));
            }
        }
        Err(error) => println!("{feature} does not build: {error}"),
    };
    add(
        "jemalloc-prof",
        &[
            ("jemalloc prof, compiled in and off", None),
            ("jemalloc prof lg 19", Some(19)),
            ("jemalloc prof lg 16", Some(16)),
            ("jemalloc prof lg 0", Some(0)),
        ],
    );
    add("libdd", &[("libdd-profiling-heap-allocator 1.2", None)]);
    add("rpprof", &[("rpprof 0.18", None)]);
    add("dial9", &[("dial9 0.5, live set", None)]);
    add("dhat", &[("dhat-rs 0.3, system allocator", None)]);
    add("system", &[("system allocator", None)]);
    let system = programs
        .last()
        .filter(|last| last.name == "system allocator");
    if let Some(system) = system.cloned() {
        if Path::new("/usr/lib/heaptrack").is_dir() {
            programs.push(Program {
                name: "heaptrack, system allocator".to_owned(),
                wrapper: vec![format!("{PACKAGE}/heaptrack")],
                ..system
            });
        } else {
            println!("heaptrack is not installed");
        }
    }
    programs
}

/// Builds the package with one feature, in the profile of `bare`.
fn build(bare: &Program, feature: &str) -> Result<PathBuf, Error> {
    let (_, profile, target) = layouts::parts(&bare.path).ok_or("not in a target directory")?;
    // dial9 walks frame pointers and asks for them in its documentation.
    let flags = if feature == "dial9" {
        "-Cforce-frame-pointers=yes"
    } else {
        ""
    };
    let target = target.join(if flags.is_empty() {
        "competitors"
    } else {
        "competitors-frame-pointers"
    });
    let output = layouts::cargo()
        .args(["build", "--quiet", "--locked", "--features", feature])
        .args(["--profile", &profile, "--target-dir"])
        .arg(&target)
        .current_dir(PACKAGE)
        .env("RUSTFLAGS", flags)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    // The next feature's build takes its place.
    let built = target.join(&profile).join("bench-competitor");
    let kept = target.join(&profile).join(format!("bench-{feature}"));
    fs::copy(built, &kept)?;
    Ok(kept)
}

fn cpu(run: &Run) -> f64 {
    run.cpu_seconds
}
