//! `riptide man` and `riptide completions`: made from the command line itself, the table of keys and
//! the settings.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::{
    Man,
    roff::{Roff, bold, roman},
};

use super::{Cli, CliError, Output};
use crate::{
    app::COMMANDS,
    keys::{Keymap, Scope},
};

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub(super) struct CompletionArgs {
    /// Shell
    shell: Shell,
}

pub(super) fn completions(args: &CompletionArgs, out: &mut Output) -> Result<ExitCode, CliError> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "riptide", &mut text);
    print(&text, out)
}

pub(super) fn man(out: &mut Output) -> Result<ExitCode, CliError> {
    let text = page().map_err(|error| CliError::io("write the manual page", error))?;
    print(&text, out)
}

fn print(text: &[u8], out: &mut Output) -> Result<ExitCode, CliError> {
    out.text(&String::from_utf8_lossy(text))?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn page() -> std::io::Result<Vec<u8>> {
    let command = Cli::command();
    let mut page = Vec::new();
    let man = Man::new(command.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    rest.control("SH", ["COMMANDS"]);
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        rest.control("SS", [format!("riptide {}", sub.get_name()).as_str()]);
        let about = sub.get_long_about().or(sub.get_about());
        rest.text([roman(about.map(ToString::to_string).unwrap_or_default())]);
        for argument in sub
            .get_arguments()
            .filter(|argument| !argument.is_hide_set())
        {
            let name = match (argument.get_long(), argument.get_short()) {
                (Some(long), Some(short)) => format!("-{short}, --{long}"),
                (Some(long), None) => format!("--{long}"),
                (None, _) => argument.get_id().to_string().to_uppercase(),
            };
            let help = argument.get_help().map(ToString::to_string);
            rest.control("TP", []);
            rest.text([bold(name)]);
            rest.text([roman(help.unwrap_or_default())]);
        }
    }
    keys(&mut rest);
    settings(&mut rest);
    rest.to_writer(&mut page)?;
    Ok(page)
}

fn keys(page: &mut Roff) {
    page.control("SH", ["KEYS OF THE DASHBOARD"]);
    page.text([roman(
        "The name in brackets is that of the action in the settings.",
    )]);
    for row in Keymap::default().rows() {
        let binding = row.binding;
        let labels: Vec<String> = row.keys.iter().map(|key| key.label()).collect();
        let places: Vec<&str> = Scope::ALL
            .into_iter()
            .filter(|scope| binding.holds_in(*scope))
            .map(Scope::name)
            .collect();
        let place = if places.len() == Scope::ALL.len() {
            "everywhere".to_owned()
        } else {
            places.join(", ")
        };
        page.control("TP", []);
        page.text([
            bold(labels.join(" ")),
            roman(format!(" [{}]", binding.name)),
        ]);
        page.text([roman(format!("{} ({place})", binding.help))]);
    }
    page.control("SH", ["COMMANDS OF THE DASHBOARD"]);
    for (form, sentence) in COMMANDS {
        page.control("TP", []);
        page.text([bold(format!(":{form}"))]);
        page.text([roman(*sentence)]);
    }
}

fn settings(page: &mut Roff) {
    page.control("SH", ["SETTINGS OF THE DASHBOARD"]);
    page.text([roman(
        "riptide/dashboard.toml below $XDG_CONFIG_HOME or ~/.config, or the file that --settings names. \
         A file that is wrong is told with line and key.",
    )]);
    for (name, sentence) in [
        (
            "theme",
            "\"auto\", \"mono\", \"ansi\" or \"true\" (true colour in flame graphs)",
        ),
        (
            "background",
            "\"auto\" (from COLORFGBG), \"dark\" or \"light\"",
        ),
        ("ascii", "true draws with signs of ASCII only"),
        (
            "hidden-columns",
            "titles of columns of the Sites screen that are not shown",
        ),
        (
            "suppressions",
            "file that the ignored findings are kept in, as `riptide leaks --suppressions` reads it",
        ),
        ("exports", "directory for exports without a path"),
        (
            "[keys]",
            "an action by its name, and a key or a list of keys: pause = [\"p\", \"space\"]; an empty list switches it off",
        ),
    ] {
        page.control("TP", []);
        page.text([bold(name)]);
        page.text([roman(sentence)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::BINDINGS;

    #[test]
    fn the_page_holds_every_key_and_command() {
        let page = String::from_utf8(page().unwrap()).unwrap();
        // Hyphens are escaped in roff.
        let page = page.replace('\\', "");
        for binding in BINDINGS {
            assert!(
                page.contains(&format!("[{}]", binding.name)),
                "{}",
                binding.name
            );
        }
        for sub in Cli::command().get_subcommands() {
            assert!(
                page.contains(&format!("riptide {}", sub.get_name())),
                "{page}"
            );
        }
    }
}
