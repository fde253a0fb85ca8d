//! The command line: what can be asked for, and what the process ends with.
//!
//! stdout carries data, stderr messages. Exit codes: 0 fine, 1 findings, 2 usage or configuration,
//! 3 no such target or it went away, 4 region format not supported, 5 input or output. `run` ends with
//! the code of its program unless that is 0.

use std::{
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::theme::ColorChoice;

mod advise;
mod check_config;
mod dashboard;
#[cfg(feature = "demo")]
mod demo;
mod diff;
mod doctor;
mod error;
mod export;
mod gate;
mod gen_config;
mod leaks;
mod list;
mod manual;
mod memory;
mod output;
mod prune;
mod record;
mod recorded;
mod run;
#[cfg(feature = "serve")]
mod serve;
mod set;
mod table;
mod top;

pub use error::CliError;
use output::Output;

/// Shows where the memory of running and dead Rust services goes.
///
/// Without a command: the dashboard. TARGET is a pid, a process name, a region file (also of a dead
/// process) or a recording; it may be left out when there is only one.
#[derive(Debug, Parser)]
#[command(name = "riptide", version, args_conflicts_with_subcommands = true)]
struct Cli {
    /// Pid, process name, region file or recording
    target: Option<String>,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,
    /// Settings of the dashboard [default: riptide/dashboard.toml below the user's configuration]
    #[arg(long, global = true, value_name = "FILE")]
    settings: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Lists the targets: live, exited, killed but readable
    List(list::Args),
    /// Removes what dead processes left
    Prune(prune::Args),
    /// Prints the sites that hold memory
    Top(top::Args),
    /// Judges the sites: leak, growing, cache-like, warm-up, healthy, too early
    Leaks(leaks::Args),
    /// Prints where the memory goes, from live bytes to RSS
    Memory(memory::Args),
    /// Says what would use less memory or allocate less
    Advise(advise::Args),
    /// Writes one moment in the format of another tool
    Export(export::Args),
    /// Compares two moments: targets, region files, recordings, snapshots
    Diff(diff::Args),
    /// Records a target into a file that `top`, `leaks`, `memory` and `export` read as they do a target
    Record(record::Args),
    /// Opens the dashboard on a recording
    Replay(ReplayArgs),
    /// Starts a program, follows it, and reports at its end: a leak gate for tests and CI
    Run(run::Args),
    /// Changes the sampling of a running process
    Set(set::Args),
    /// Follows targets and says over HTTP what it sees: metrics, profiles, alerts
    #[cfg(feature = "serve")]
    Serve(serve::Args),
    /// Checks a configuration of `serve`: every error with its line and column
    CheckConfig(check_config::Args),
    /// Prints a configuration of `serve` with every key, explained
    GenConfig(gen_config::Args),
    /// Starts a bundled service with one leak, and shows it
    #[cfg(feature = "demo")]
    Demo(demo::Args),
    /// Checks what can keep a target from being seen or read well
    Doctor(doctor::Args),
    /// Prints the completions of a shell
    Completions(manual::CompletionArgs),
    /// Prints the manual page, with the keys of the dashboard and its settings
    Man,
}

/// Arguments of `replay`.
#[derive(Debug, clap::Args)]
struct ReplayArgs {
    /// Recording, as `riptide record` makes it
    file: String,
}

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    #[cfg(feature = "demo")]
    if demo::is_service() {
        return finish(demo::serve(), ColorChoice::Never, true);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout with 0, the rest to stderr with 2. A closed pipe is no
            // reason to complain.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let color = cli.color;
    finish(run(cli, no_color), color, no_color)
}

fn finish(result: Result<ExitCode, CliError>, color: ColorChoice, no_color: bool) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(CliError::BrokenPipe) => ExitCode::SUCCESS,
        Err(error) => {
            let colored = color.resolve(std::io::stderr().is_terminal(), no_color);
            let _ = std::io::stderr().write_all(error.render(colored).as_bytes());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: Cli, no_color: bool) -> Result<ExitCode, CliError> {
    let colored = cli.color.resolve(std::io::stdout().is_terminal(), no_color);
    let mut out = Output::stdout(colored);
    match cli.command {
        None => dashboard::run(cli.target.as_deref(), cli.settings.as_deref(), colored),
        Some(Subcommands::List(args)) => list::run(&args, &mut out),
        Some(Subcommands::Prune(args)) => prune::run(&args, &mut out),
        Some(Subcommands::Top(args)) => top::run(&args, &mut out),
        Some(Subcommands::Leaks(args)) => leaks::run(&args, &mut out),
        Some(Subcommands::Memory(args)) => memory::run(&args, &mut out),
        Some(Subcommands::Advise(args)) => advise::run(&args, &mut out),
        Some(Subcommands::Export(args)) => export::run(&args),
        Some(Subcommands::Diff(args)) => diff::run(&args, &mut out),
        Some(Subcommands::Record(args)) => record::run(&args),
        Some(Subcommands::Run(args)) => {
            let colored = cli.color.resolve(std::io::stderr().is_terminal(), no_color);
            run::run(&args, &mut Output::stderr(colored))
        }
        Some(Subcommands::Set(args)) => set::run(&args, &mut out),
        #[cfg(feature = "serve")]
        Some(Subcommands::Serve(args)) => serve::run(&args),
        Some(Subcommands::CheckConfig(args)) => check_config::run(&args, &mut out),
        Some(Subcommands::GenConfig(args)) => gen_config::run(&args, &mut out),
        #[cfg(feature = "demo")]
        Some(Subcommands::Demo(args)) => demo::run(&args, cli.settings.as_deref(), &mut out),
        Some(Subcommands::Replay(args)) => {
            dashboard::run(Some(&args.file), cli.settings.as_deref(), colored)
        }
        Some(Subcommands::Completions(args)) => manual::completions(&args, &mut out),
        Some(Subcommands::Man) => manual::man(&mut out),
        Some(Subcommands::Doctor(args)) => doctor::run(&args, &mut out),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_target_is_no_command() {
        let cli = Cli::try_parse_from(["riptide", "1234"]).unwrap();
        assert_eq!(cli.target.as_deref(), Some("1234"));
        assert!(cli.command.is_none());
        let cli = Cli::try_parse_from(["riptide", "top", "1234", "--once"]).unwrap();
        assert!(cli.target.is_none());
        assert!(matches!(cli.command, Some(Subcommands::Top(_))));
    }

    #[test]
    fn the_help_names_what_there_is() {
        let help = Cli::command().render_long_help().to_string();
        for command in [
            "list",
            "prune",
            "top",
            "leaks",
            "memory",
            "advise",
            "export",
            "diff",
            "record",
            "replay",
            "run",
            "set",
            "demo",
            "doctor",
            "completions",
            "man",
            "run",
            "set",
            "check-config",
            "gen-config",
            "doctor",
        ] {
            assert!(help.contains(command), "{help}");
        }
        assert!(!help.contains("demo-service"), "{help}");
    }
}
