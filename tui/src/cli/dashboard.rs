//! `riptide [TARGET]`: the dashboard.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use riptide_reader::{
    Session,
    attach::resolve_target,
    recording::{Replay, Span, is_recording},
};
use signal_hook::low_level::emulate_default_handler;

use super::CliError;
use crate::{
    alerts::{rules_of, timing_of},
    config::{self, Config, Sources},
    feed::{self, AlertSettings},
    settings::{self, Settings, SettingsError},
    terminal::{self, Outcome, Start},
    theme::{Environment, Theme},
};

/// Runs it: on one target, or with the picker.
pub(super) fn run(
    target: Option<&str>,
    settings: Option<&Path>,
    colored: bool,
) -> Result<ExitCode, CliError> {
    need_terminal()?;
    let region = match target {
        Some(target) => Some(find(target)?),
        None => None,
    };
    pass_on(show(region, settings, colored)?)
}

/// What a target means. One that was named and cannot be read is an answer for the shell.
fn find(target: &str) -> Result<PathBuf, CliError> {
    let path = Path::new(target);
    if target.parse::<u32>().is_err() && is_recording(path) {
        drop(Replay::open(path, None, Span::Moment)?);
        return Ok(path.to_owned());
    }
    let region = resolve_target(Some(target))?;
    drop(Session::attach(&region)?);
    Ok(region)
}

/// Says early and plainly that there is no terminal.
pub(super) fn need_terminal() -> Result<(), CliError> {
    if terminal::is_there() {
        return Ok(());
    }
    Err(CliError::Usage {
        message: "the dashboard needs a terminal on stdin and stdout".to_owned(),
        hint: "`riptide top --once` prints the sites, `riptide demo --headless` the demo's"
            .to_owned(),
    })
}

/// Shows the dashboard.
pub(super) fn show(
    region: Option<PathBuf>,
    settings: Option<&Path>,
    colored: bool,
) -> Result<Outcome, CliError> {
    let settings = Settings::read(settings).map_err(|error| match error {
        SettingsError::Io { path, source } => CliError::Io {
            operation: "read the settings",
            source: std::io::Error::new(source.kind(), format!("{}: {source}", path.display())),
        },
        SettingsError::Line { .. } => CliError::Usage {
            message: error.to_string(),
            hint: "mend the line, or take it out: `riptide man` describes the settings".to_owned(),
        },
    })?;
    terminal::run(start(settings, colored), region)
        .map_err(|error| CliError::io("use the terminal", error))
}

/// The rules that `serve` would have. What is wrong with its configuration is no reason not to show a
/// heap: it is told on the Alerts screen.
fn alerts() -> AlertSettings {
    let of = |config: &Config, problem| AlertSettings {
        rules: rules_of(config),
        timing: timing_of(config, Duration::ZERO),
        channels: config
            .alerts
            .channels
            .iter()
            .map(|channel| channel.word().to_owned())
            .collect(),
        problem,
    };
    match config::load(&Sources::of_process(None)) {
        Ok(loaded) => of(&loaded.config, None),
        Err(problems) => of(&Config::default(), Some(problems.to_string())),
    }
}

fn start(settings: Settings, colored: bool) -> Start {
    let mut terminal = Environment::read(colored);
    if let Some(is_ascii) = settings.is_ascii {
        terminal.is_ascii = is_ascii;
    }
    let theme = Theme::of(terminal);
    // NO_COLOR and --color=never are said to this very run, and go before the file.
    let theme = if colored {
        theme.with(settings.theme)
    } else {
        theme
    };
    Start {
        theme: theme.on(settings.is_light.unwrap_or(terminal.is_light)),
        keymap: settings.keymap,
        hidden_columns: settings.hidden_columns,
        feed: feed::Options {
            suppressions: settings.suppressions.or_else(|| {
                let directory = settings::directory()?;
                Some(directory.join("suppressions"))
            }),
            exports: settings.exports.unwrap_or_default(),
            alerts: alerts(),
        },
    }
}

/// Ends as the dashboard did: by the same signal, if it was one.
pub(super) fn pass_on(outcome: Outcome) -> Result<ExitCode, CliError> {
    match outcome {
        Outcome::Left => Ok(ExitCode::SUCCESS),
        // As for any Rust program that panics.
        Outcome::Failed => Ok(ExitCode::from(101)),
        Outcome::Signal(signal) => {
            emulate_default_handler(signal)
                .map_err(|error| CliError::io("end by a signal", error))?;
            Ok(ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)))
        }
    }
}
