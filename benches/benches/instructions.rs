//! Instructions that riptide adds to an allocation and its free while nothing is sampled:
//! `cargo bench --bench instructions`. Needs valgrind.
//!
//! Both programs run under callgrind for N and for 2N rounds; the difference of the two over N is a
//! round without start-up and set-up. What riptide has more than bare jemalloc is compared with
//! `golden/instructions.txt`; `-- --bless` rewrites the lines of this profile.

use std::{collections::BTreeMap, fmt::Write as _, fs, process::ExitCode};

use riptide_benches::{
    Error, callgrind, child::Program, machine, options::Options, workload::Workload,
};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/instructions.txt");
const WORKLOADS: [&str; 8] = [
    "pair-16",
    "pair-64",
    "pair-256",
    "pair-1k",
    "pair-4k",
    "pair-8k",
    "realloc",
    "zeroed-256",
];
/// Rounds. The largest blocks are 0.8 GB in 2N of them.
const N: u64 = 50_000;
/// Counts repeat to a few hundred instructions a run, which is the start-up.
const TOLERANCE: f64 = 0.1;
/// jemalloc's decay and its garbage collection of thread caches look at the clock, so their work
/// would differ from run to run.
const NO_CLOCK: (&str, &str) = (
    "_RJEM_MALLOC_CONF",
    "dirty_decay_ms:-1,muzzy_decay_ms:-1,experimental_tcache_gc:false",
);
/// The largest interval and a seed whose first gap is 12 such intervals long (54 GiB), so
/// that nothing is sampled.
const UNSAMPLED: [(&str, &str); 5] = [
    ("RIPTIDE", "on"),
    ("RIPTIDE_SAMPLE_INTERVAL", "4294967295"),
    ("RIPTIDE_BUDGET", "off"),
    ("RIPTIDE_SEED", "28788"),
    NO_CLOCK,
];

/// Instructions a round over bare jemalloc: sampling on but not hit, and `RIPTIDE=off`.
#[derive(Clone, Copy, Debug)]
struct Added {
    on: f64,
    off: f64,
}

type Table = BTreeMap<(String, String), Added>;

fn main() -> ExitCode {
    Options::run(measure)
}

fn measure(options: &Options) -> Result<(), Error> {
    let path = env!("CARGO_BIN_EXE_bench-riptide");
    let bare = Program::new("bare", env!("CARGO_BIN_EXE_bench-bare"), &[NO_CLOCK]);
    let on = Program::new("riptide", path, &UNSAMPLED);
    let off = Program::new("riptide, off", path, &[("RIPTIDE", "off"), NO_CLOCK]);
    let profile = machine::profile(&bare);
    println!("{}\n", machine::describe(&bare));

    let mut golden = parse(&fs::read_to_string(GOLDEN).unwrap_or_default())?;
    let mut differences = String::new();
    println!("| round | bare | added, not sampled | added, off |");
    println!("|---|---|---|---|");
    for workload in WORKLOADS {
        if !options.wants(workload) {
            continue;
        }
        let base = instructions_a_round(&bare, workload)?;
        let added = Added {
            on: instructions_a_round(&on, workload)? - base,
            off: instructions_a_round(&off, workload)? - base,
        };
        println!(
            "| {workload} | {base:.1} | {:+.1} | {:+.1} |",
            added.on, added.off
        );
        let key = (profile.clone(), workload.to_owned());
        match golden.get(&key) {
            _ if options.bless => {
                golden.insert(key, added);
            }
            Some(expected) => {
                let off_by = (added.on - expected.on)
                    .abs()
                    .max((added.off - expected.off).abs());
                if off_by > TOLERANCE {
                    // Writing to a string cannot fail.
                    let _ = writeln!(
                        differences,
                        "{workload} ({profile}): golden {:+.1} and {:+.1}, now {:+.1} and {:+.1}",
                        expected.on, expected.off, added.on, added.off
                    );
                }
            }
            None => {
                let _ = writeln!(
                    differences,
                    "{workload} ({profile}): not in the golden file"
                );
            }
        }
    }
    if options.bless {
        fs::write(GOLDEN, print(&golden))?;
        println!("\nwritten to {GOLDEN}");
    } else if !differences.is_empty() {
        return Err(format!(
            "\nnot as golden/instructions.txt says:\n{differences}\
             If that is meant, rewrite it with `cargo bench --bench instructions -- --bless` and add \
             a line to the change log."
        )
        .into());
    }
    Ok(())
}

fn instructions_a_round(program: &Program, workload: &str) -> Result<f64, Error> {
    let workload = Workload::part(workload);
    let once = callgrind::instructions(program, &workload, N)?;
    let twice = callgrind::instructions(program, &workload, 2 * N)?;
    Ok((twice as f64 - once as f64) / N as f64)
}

fn parse(text: &str) -> Result<Table, Error> {
    let mut table = Table::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let [profile, workload, on, off] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            return Err(format!("golden/instructions.txt: cannot read {line:?}").into());
        };
        let added = Added {
            on: on.parse()?,
            off: off.parse()?,
        };
        table.insert((profile.to_owned(), workload.to_owned()), added);
    }
    Ok(table)
}

fn print(table: &Table) -> String {
    let mut text = format!(
        "# Instructions that riptide adds to a round over bare jemalloc: not sampled, and off.\n\
         # Checked by `cargo bench --bench instructions`; last blessed with {}.\n\
         # profile  round  not-sampled  off\n",
        machine::rustc()
    );
    for ((profile, workload), Added { on, off }) in table {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{profile:<8} {workload:<11} {on:+.1} {off:+.1}");
    }
    text
}
