//! The command line of a bench.

use std::process::ExitCode;

use crate::Error;

/// Options of all benches; each uses those that it knows.
#[derive(Clone, Debug)]
pub struct Options {
    /// Runs of each program.
    pub runs: usize,
    /// CPU seconds that a run should take.
    pub seconds: f64,
    /// Layouts of each program; 0 for the programs as they are linked.
    pub layouts: usize,
    /// Workloads to run; all when empty.
    pub only: Vec<String>,
    /// Environment of the measured side.
    pub environment: Vec<(String, String)>,
    /// Have a reader attached to the measured side.
    pub reader: bool,
    /// Count the instructions of the single-threaded programs as well.
    pub instructions: bool,
    /// Rewrite the golden file.
    pub bless: bool,
    /// Print each run as well.
    pub verbose: bool,
}

const USAGE: &str = "options after `--`:
  --runs N         runs of each program (21)
  --quick          5 runs of 0.5 s
  --seconds S      CPU time of a run (1.0)
  --layouts K      K builds of each program with shuffled functions (overhead)
  --only A,B       these workloads only
  --env NAME=VALUE environment of the measured side; may be repeated
  --reader         a reader attached to the measured side (overhead)
  --instructions   count instructions of the single-threaded programs as well (overhead; needs valgrind)
  --bless          rewrite the golden file (instructions)
  --verbose        print every run";

impl Options {
    /// Runs a bench with the options of the command line; the `main` of all of them.
    #[must_use]
    pub fn run(measure: impl FnOnce(&Self) -> Result<(), Error>) -> ExitCode {
        match Self::read().and_then(|options| options.map_or(Ok(()), |options| measure(&options))) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }

    /// Reads the command line; `None` when this is not `cargo bench` or help was asked for.
    ///
    /// # Errors
    /// When an option is unknown or lacks its value.
    fn read() -> Result<Option<Self>, Error> {
        let mut options = Self {
            runs: 21,
            seconds: 1.0,
            layouts: 0,
            only: Vec::new(),
            environment: Vec::new(),
            reader: false,
            instructions: false,
            bless: false,
            verbose: false,
        };
        let mut is_bench = false;
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let missing = || format!("{argument} lacks its value\n{USAGE}");
                arguments.next().ok_or_else(missing)
            };
            match argument.as_str() {
                "--bench" => is_bench = true,
                "--runs" => options.runs = value()?.parse()?,
                "--quick" => (options.runs, options.seconds) = (5, 0.5),
                "--seconds" => options.seconds = value()?.parse()?,
                "--layouts" => options.layouts = value()?.parse()?,
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--env" => {
                    let pair = value()?;
                    let (name, value) = pair.split_once('=').ok_or("--env takes NAME=VALUE")?;
                    options
                        .environment
                        .push((name.to_owned(), value.to_owned()));
                }
                "--reader" => options.reader = true,
                "--instructions" => options.instructions = true,
                "--bless" => options.bless = true,
                "--verbose" => options.verbose = true,
                "--help" | "-h" => {
                    println!("{USAGE}");
                    return Ok(None);
                }
                other => return Err(format!("unknown option {other}\n{USAGE}").into()),
            }
        }
        // `cargo test --benches` runs the programs too, but there is nothing to measure then.
        Ok(is_bench.then_some(options))
    }

    /// Whether a workload is to be run: all are when none is named.
    #[must_use]
    pub fn wants(&self, workload: &str) -> bool {
        self.only.is_empty() || self.names(workload)
    }

    /// Whether a workload is named.
    #[must_use]
    pub fn names(&self, workload: &str) -> bool {
        self.only.iter().any(|name| name == workload)
    }
}
