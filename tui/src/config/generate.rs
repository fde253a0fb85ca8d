//! `gen-config`: the table of keys as a file to begin with, and as documentation.

use std::fmt::Write;

use super::keys::{Config, KEYS, Key, SECTIONS};

/// A configuration file with every key at its default.
#[must_use]
pub fn toml() -> String {
    let defaults = Config::default();
    let mut text = String::from(
        "# Configuration of `riptide serve`: every key, at its default.\n\
         # Keys are also set by variables (RIPTIDE__HTTP__ADDR) and by flags (--set http.addr=…).\n",
    );
    for (section, doc) in SECTIONS {
        text.push('\n');
        comment(&mut text, doc);
        let _ = writeln!(text, "[{section}]");
        for key in of_section(section) {
            text.push('\n');
            comment(&mut text, key.doc);
            let _ = writeln!(text, "# {}.", capital(&key.expected()));
            let _ = match key.show(&defaults) {
                Some(value) => writeln!(text, "{} = {value}", key.short()),
                None => writeln!(text, "# {} = {:?}", key.short(), key.other(&defaults)),
            };
        }
    }
    text
}

/// The same as a page of documentation.
#[must_use]
pub fn markdown() -> String {
    let defaults = Config::default();
    let mut text = String::from(
        "# Configuration of `riptide serve`\n\n\
         Written by `riptide gen-config --format markdown`. Defaults < `/etc/riptide/riptide.toml` <\n\
         `$XDG_CONFIG_HOME/riptide/riptide.toml` < the file of `--config` < variables < flags\n\
         (`--listen`, `--set KEY=VALUE`). `riptide check-config` says what is wrong with one.\n",
    );
    for (section, doc) in SECTIONS {
        let _ = write!(text, "\n## {section}\n\n{}\n", one_line(doc));
        text.push_str("\n| key | variable | default | |\n|---|---|---|---|\n");
        for key in of_section(section) {
            let default = key.show(&defaults).unwrap_or_else(|| "unset".to_owned());
            let _ = writeln!(
                text,
                "| `{}` | `{}` | `{default}` | {} {}. |",
                key.name,
                key.variable(),
                one_line(key.doc),
                capital(&key.expected())
            );
        }
    }
    text
}

fn of_section(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section() == section)
}

fn comment(text: &mut String, doc: &str) {
    for line in doc.lines() {
        let _ = writeln!(text, "# {}", line.trim());
    }
}

fn one_line(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
