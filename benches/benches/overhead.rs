//! What riptide costs whole programs: `cargo bench --bench overhead`.
//!
//! Bare jemalloc, riptide, and bare jemalloc again, in turn. The ratio of the two bare programs
//! stands beside the one that matters: a difference within it is no difference. With `--layouts K`
//! every round takes another layout of each program, and the second bare program another one than
//! the first, so that the bare ratio shows what addresses alone do.

use std::process::ExitCode;

use riptide_benches::{
    Error, callgrind,
    child::{Program, Run},
    layouts::Layouts,
    machine,
    options::Options,
    paired::{self, Paired},
    published::{self, Allocator},
    statistics::Median,
    workload::Workload,
};

const BARE: usize = 0;
const RIPTIDE: usize = 1;
const BARE_AGAIN: usize = 2;

fn main() -> ExitCode {
    Options::run(measure)
}

/// The two programs, each in its layouts.
struct Sides {
    bare: Layouts,
    riptide: Layouts,
}

impl Sides {
    /// Bare, riptide and bare again for a round.
    fn of_round(&self, round: usize) -> Vec<Program> {
        self.bare
            .of_round(round)
            .chain(self.riptide.of_round(round))
            .chain(self.bare.of_round(round + 1))
            .collect()
    }
}

fn measure(options: &Options) -> Result<(), Error> {
    let bare = Program::new("bare", env!("CARGO_BIN_EXE_bench-bare"), &[]);
    let mut riptide = Program::new("riptide", env!("CARGO_BIN_EXE_bench-riptide"), &[]);
    riptide.environment.clone_from(&options.environment);
    riptide.reader = options
        .reader
        .then(|| env!("CARGO_BIN_EXE_bench-reader").into());

    println!("{}", machine::describe(&bare));
    println!(
        "environment of riptide: {:?}, reader attached: {}",
        options.environment, options.reader
    );
    println!(
        "n = {} runs of {} s CPU each, {} layouts; medians of the ratios of each round, 95 % \
         intervals by order statistics\n",
        options.runs,
        options.seconds,
        options.layouts.max(1)
    );
    let sides = Sides {
        bare: Layouts::build(&bare, options.layouts)?,
        riptide: Layouts::build(&riptide, options.layouts)?,
    };

    println!(
        "| workload | what | bare CPU s | CPU ratio | A/A CPU | wall ratio | A/A wall | peak RSS | instructions |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut ratios = Vec::new();
    for workload in Workload::table(&bare)? {
        if options.wants(&workload.name) {
            let ratio = row(options, &workload, &sides)?;
            if workload.kind.is_real() {
                ratios.push((workload.name, ratio));
            }
        }
    }
    let ripgrep = published::workload();
    if options.wants(&ripgrep.name) {
        let sides = Sides {
            bare: Layouts::only(&published::ripgrep(&bare, &Allocator::bare())?),
            riptide: Layouts::only(&published::ripgrep(&riptide, &Allocator::riptide())?),
        };
        let ratio = row(options, &ripgrep, &sides)?;
        ratios.push((ripgrep.name, ratio));
    }
    summary(&ratios);
    if options.wants("set-up") {
        set_up(options, &sides)?;
    }
    Ok(())
}

/// Measures and prints a row; the ratio of CPU times.
fn row(options: &Options, workload: &Workload, sides: &Sides) -> Result<Median, Error> {
    let bare = sides.bare.of_round(0).next().ok_or("no program")?;
    let work = paired::calibrate(&bare, workload, options.seconds)?;
    let paired = Paired::measure(|round| sides.of_round(round), workload, work, options.runs)?;
    let instructions = match sides.riptide.of_round(0).next() {
        Some(riptide) if options.instructions && workload.kind.is_countable() => {
            // A tenth: callgrind takes some fifty times as long.
            let work = work.div_ceil(10);
            let bare = callgrind::instructions(&bare, workload, work)?;
            let riptide = callgrind::instructions(&riptide, workload, work)?;
            format!("{:.4}", riptide as f64 / bare as f64)
        }
        _ => String::new(),
    };
    let ratio = paired.ratio(RIPTIDE, BARE, cpu);
    println!(
        "| {} | {} | {:.2} | {ratio} | {} | {} | {} | {:.3} | {instructions} |",
        workload.name,
        workload.what,
        paired.median(BARE, cpu).value,
        paired.ratio(BARE_AGAIN, BARE, cpu),
        paired.ratio(RIPTIDE, BARE, wall),
        paired.ratio(BARE_AGAIN, BARE, wall),
        paired.ratio(RIPTIDE, BARE, rss).value,
    );
    if options.verbose {
        print_rounds(&paired);
    }
    if options.reader {
        let runs = paired
            .rounds()
            .iter()
            .filter_map(|round| round.get(RIPTIDE));
        let missed = runs.filter(|run| run.samples_read == Some(0)).count();
        if missed > 0 {
            println!("  {missed} of {} runs without the reader", options.runs);
        }
    }
    Ok(ratio)
}

/// What the programs that do what programs do come to together.
fn summary(ratios: &[(String, Median)]) {
    let mut sorted: Vec<_> = ratios.iter().collect();
    sorted.sort_by(|left, right| left.1.value.total_cmp(&right.1.value));
    if let (Some(middle), Some(worst)) = (sorted.get(sorted.len() / 2), sorted.last()) {
        println!(
            "\n{} real programs: median ratio {:.3} ({}), worst {:.3} ({})",
            sorted.len(),
            middle.1.value,
            middle.0,
            worst.1.value,
            worst.0
        );
    }
}

/// What the first sample of a process costs, by a program that allocates 64 MiB and ends.
fn set_up(options: &Options, sides: &Sides) -> Result<(), Error> {
    let paired = Paired::measure(
        |round| sides.of_round(round),
        &Workload::part("set-up"),
        64,
        options.runs.max(5),
    )?;
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
