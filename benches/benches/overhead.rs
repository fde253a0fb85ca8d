//! What riptide costs whole programs: `cargo bench --bench overhead`.
//!
//! Bare jemalloc, riptide, and bare jemalloc again, in turn. The ratio of the two bare programs
//! stands beside the one that matters: a difference within it is no difference. With `--layouts K`
//! every round takes another layout of each program, and the second bare program another one than
//! the first, so that the bare ratio shows what addresses alone do.

use std::process::ExitCode;

use riptide_benches::{
    Error,
    child::{Program, Run},
    layouts::Layouts,
    machine,
    options::Options,
    paired::{self, Paired},
};

const BARE: usize = 0;
const RIPTIDE: usize = 1;
const BARE_AGAIN: usize = 2;

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
    let bare = Program::new("bare", env!("CARGO_BIN_EXE_bench-bare"), &[]);
    let mut riptide = Program::new("riptide", env!("CARGO_BIN_EXE_bench-riptide"), &[]);
    riptide.environment.clone_from(&options.environment);

    println!("{}", machine::describe(&bare));
    println!("environment of riptide: {:?}", options.environment);
    println!(
        "n = {} runs of {} s CPU each, {} layouts\n",
        options.runs,
        options.seconds,
        options.layouts.max(1)
    );
    let bare_layouts = Layouts::build(&bare, options.layouts)?;
    let riptide_layouts = Layouts::build(&riptide, options.layouts)?;
    let programs = |round: usize| -> Vec<Program> {
        bare_layouts
            .of_round(round)
            .chain(riptide_layouts.of_round(round))
            .chain(bare_layouts.of_round(round + 1))
            .collect()
    };

    println!("| workload | what | bare CPU s | CPU ratio | A/A CPU | wall ratio | A/A wall |");
    println!("|---|---|---|---|---|---|---|");
    for line in bare.ask("list")?.lines() {
        let [name, "program", what] = line.split('\t').collect::<Vec<_>>()[..] else {
            continue;
        };
        if !options.wants(name) {
            continue;
        }
        let work = paired::calibrate(&bare, name, options.seconds)?;
        let paired = Paired::measure(programs, name, work, options.runs)?;
        println!(
            "| {name} | {what} | {:.2} | {} | {} | {} | {} |",
            paired.median(BARE, cpu).value,
            paired.ratio(RIPTIDE, BARE, cpu),
            paired.ratio(BARE_AGAIN, BARE, cpu),
            paired.ratio(RIPTIDE, BARE, wall),
            paired.ratio(BARE_AGAIN, BARE, wall),
        );
        if options.verbose {
            print_rounds(&paired);
        }
    }
    if options.wants("set-up") {
        set_up(options, programs)?;
    }
    Ok(())
}

/// What the first sample of a process costs, by a program that allocates 64 MiB and ends.
fn set_up(options: &Options, programs: impl Fn(usize) -> Vec<Program>) -> Result<(), Error> {
    let paired = Paired::measure(programs, "set-up", 64, options.runs.max(5))?;
    let milliseconds = |figure: fn(&Run) -> f64| move |run: &Run| figure(run) * 1e3;
    println!(
        "\nset-up and end of the region, ms more than bare: CPU {:.2} (A/A {:.2}), wall {:.2} (A/A {:.2}); \
         peak RSS, KiB more: {:.0} (A/A {:.0})",
        paired.difference(RIPTIDE, BARE, milliseconds(cpu)),
        paired.difference(BARE_AGAIN, BARE, milliseconds(cpu)),
        paired.difference(RIPTIDE, BARE, milliseconds(wall)),
        paired.difference(BARE_AGAIN, BARE, milliseconds(wall)),
        paired.difference(RIPTIDE, BARE, rss),
        paired.difference(BARE_AGAIN, BARE, rss),
    );
    Ok(())
}

fn cpu(run: &Run) -> f64 {
    run.cpu_seconds
}

fn wall(run: &Run) -> f64 {
    run.wall_seconds
}

fn rss(run: &Run) -> f64 {
    run.peak_rss_bytes as f64 / 1024.0
}

fn print_rounds(paired: &Paired) {
    for round in paired.rounds() {
        let figures: Vec<String> = round
            .iter()
            .map(|run| format!("{:.3}", run.cpu_seconds))
            .collect();
        println!("  {}", figures.join("  "));
    }
}
