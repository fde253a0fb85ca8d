//! `riptide export`: one moment of a target in a file of another tool.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use riptide_reader::{
    Session,
    attach::resolve_target,
    export::{Capture, Format, Metric},
    profile::TargetState,
    recording::Span,
};

use super::{CliError, output::note, recorded};

/// Given to the symboliser; what it has not found by then is exported as addresses, and said so.
const SYMBOLS_TIMEOUT: Duration = Duration::from_secs(60);

/// Between two looks at the tables, while a target is watched.
const LOOK: Duration = Duration::from_secs(1);

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Pid, process name, region file or recording
    target: Option<String>,
    /// pprof, folded, flamegraph, speedscope, firefox, jeprof, json or html
    #[arg(long, value_name = "FORMAT", value_parser = parse_format)]
    format: Format,
    /// live-bytes (live), live-objects, alloc-bytes (alloc) or alloc-objects; formats that hold
    /// several show this one first
    #[arg(long, value_name = "METRIC", default_value = "live", value_parser = parse_metric)]
    metric: Metric,
    /// File to write; `-` is stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Watch a running target for so long first: growth, verdicts and timeline of html are of that
    /// time
    #[arg(long = "for", value_name = "DURATION", default_value = "0", value_parser = super::leaks::parse_duration)]
    duration: Duration,
    /// Directories with debug files, searched by build-id
    #[arg(long, value_name = "DIR")]
    symbols: Vec<PathBuf>,
    /// Of a recording: the moment, counted from its beginning
    #[arg(long, value_name = "DURATION", value_parser = super::leaks::parse_duration)]
    at: Option<Duration>,
}

fn parse_format(name: &str) -> Result<Format, String> {
    Format::from_name(name)
        .ok_or_else(|| format!("there is {}", Format::ALL.map(Format::name).join(", ")))
}

fn parse_metric(name: &str) -> Result<Metric, String> {
    Metric::from_name(name)
        .ok_or_else(|| format!("there is {}", Metric::ALL.map(Metric::name).join(", ")))
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let to_stdout = args.output.as_os_str() == "-";
    if to_stdout && args.format == Format::Pprof && io::stdout().is_terminal() {
        return Err(CliError::Usage {
            message: "pprof is binary, and stdout is a terminal".to_owned(),
            hint: "write it to a file: -o heap.pb.gz".to_owned(),
        });
    }
    let (capture, is_named) = capture(args)?;
    if to_stdout {
        let mut out = BufWriter::new(io::stdout().lock());
        capture
            .write(args.format, args.metric, &mut out)
            .and_then(|()| out.flush())
            .map_err(|source| CliError::io("write to stdout", source))?;
    } else {
        // Whole or not at all: written beside its place and renamed.
        write_file(args, &capture)?;
        note(&format!(
            "{}: {} of {} [{}], {} stacks",
            args.output.display(),
            args.format.name(),
            capture.snapshot.target.name,
            capture.snapshot.target.pid,
            capture.stacks.len()
        ));
    }
    if !is_named {
        note("some stacks had no names yet and are written as addresses; run it again for more");
    }
    Ok(ExitCode::SUCCESS)
}

/// The moment, and whether every stack of it has its names.
fn capture(args: &Args) -> Result<(Capture, bool), CliError> {
    let span = match args.format {
        // It has growth, verdicts and the past.
        Format::Html => Span::Past,
        _ => Span::Moment,
    };
    if let Some(mut replay) = recorded::open(args.target.as_deref(), args.at, span)? {
        return Ok((Capture::of_replay(&mut replay), true));
    }
    let region = resolve_target(args.target.as_deref())?;
    let options = riptide_reader::SessionOptions {
        symbol_dirs: args.symbols.clone(),
        ..riptide_reader::SessionOptions::default()
    };
    let mut session = Session::attach_with(&region, options)?;
    watch(&mut session, args.duration);
    session.snapshot();
    let is_named = session.wait_for_symbols(SYMBOLS_TIMEOUT);
    let capture = Capture::of_last_look(&mut session);
    if let Some(problem) = session.problem() {
        return Err(problem.into());
    }
    Ok((capture, is_named))
}

/// Follows a target for a while, or until it ends.
fn watch(session: &mut Session, span: Duration) {
    let began = Instant::now();
    loop {
        let left = span.saturating_sub(began.elapsed());
        let lives = session.info().state == TargetState::Live && session.problem().is_none();
        if left.is_zero() || !lives {
            return;
        }
        super::leaks::pass(session, left.min(LOOK));
    }
}

/// Writes beside the place and renames, so that the file is there whole or not at all; what is there
/// and no plain file (a pipe, a device) is written to as it is.
fn write_file(args: &Args, capture: &Capture) -> Result<(), CliError> {
    let failed = |source| CliError::io("write the export", source);
    let is_plain = args
        .output
        .symlink_metadata()
        .map_or(true, |metadata| metadata.is_file());
    let place = if is_plain {
        let mut name = std::ffi::OsString::from(".");
        name.push(args.output.file_name().unwrap_or_default());
        name.push(format!(".{}", std::process::id()));
        args.output.with_file_name(name)
    } else {
        args.output.clone()
    };
    let written = File::create(&place).and_then(|file| {
        let mut out = BufWriter::new(file);
        capture.write(args.format, args.metric, &mut out)?;
        out.flush()
    });
    if !is_plain {
        return written.map_err(failed);
    }
    written
        .and_then(|()| std::fs::rename(&place, &args.output))
        .map_err(|source| {
            // A leftover of ours; nothing can be done if it stays.
            let _ = std::fs::remove_file(&place);
            failed(source)
        })
}
