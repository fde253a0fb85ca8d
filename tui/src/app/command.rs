//! The command line of the dashboard.

use std::path::PathBuf;

use riptide_reader::export::Format;

use super::{App, Exit, Popup, Request, Screen, SortBy};
use crate::{
    feed::Command, flame::Metric, keys::Action, look::Grouping, theme::ThemeChoice, units,
};

/// Commands with what they do, for the help and the man page.
pub const COMMANDS: &[(&str, &str)] = &[
    (
        "filter TEXT",
        "filter the sites, as / does; nothing shows all",
    ),
    (
        "sort live|change|growth|verdict|objects|alloc|age|function",
        "choose the order",
    ),
    ("group site|function|crate|thread", "put rows together"),
    (
        "metric live|alloc|objects|growth",
        "widths of the flame graph",
    ),
    ("find TEXT", "find functions in the flame graph"),
    ("export FORMAT [FILE]", "write a file for another tool"),
    (
        "at TIME",
        "go to a moment: 90s, 5m after the start of a recording; ago while live",
    ),
    ("now", "back to the present"),
    ("base", "compare with this moment, or stop comparing"),
    ("interval SIZE|default", "change the sampling of the target"),
    ("theme auto|mono|ansi|true", "choose the colours"),
    (
        "overview, sites, flame, leaks, threads, shapes, jemalloc, alerts",
        "go to a tab",
    ),
    ("pause, help, q", "as the keys do"),
];

fn choice<T: clap::ValueEnum>(word: &str, what: &str) -> Result<T, String> {
    T::from_str(word, true).map_err(|_| {
        let names: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()))
            .collect();
        format!("`{what}` takes {}", names.join(", "))
    })
}

impl App {
    /// Does what was typed, or says why not.
    pub(super) fn command(&mut self, line: &str) {
        let line = line.trim();
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let done = self.do_command(word, rest.trim());
        if let Err(problem) = done {
            self.complain(problem);
        }
    }

    fn do_command(&mut self, word: &str, rest: &str) -> Result<(), String> {
        if let Some(tab) = self.tab_named(word) {
            self.go_to_tab(tab);
            return Ok(());
        }
        match word {
            "" => {}
            "q" | "quit" => self.exit = Some(Exit::Clean),
            "help" => self.popup = Some(Popup::Help { scroll: 0 }),
            "pause" => {
                self.act(Action::Pause);
            }
            "filter" => {
                let filter = crate::filter::Filter::parse(rest)?;
                self.sites.filter = filter;
                self.sites.filter_text = rest.to_owned();
                self.screen = Screen::Sites;
            }
            "sort" => {
                let order = match rest {
                    "change" => SortBy::Change,
                    "verdict" => SortBy::Verdict,
                    _ => choice(rest, word).map_err(|all| format!("{all}, change, verdict"))?,
                };
                self.screen = Screen::Sites;
                self.sort_by(order);
            }
            "group" => {
                let grouping: Grouping = choice(rest, word)?;
                self.group_by(grouping);
                self.screen = Screen::Sites;
            }
            "metric" => {
                let metric: Metric = choice(rest, word)?;
                self.flame.metric = metric;
                self.screen = Screen::Flame;
            }
            "find" => {
                self.flame.search = rest.to_owned();
                self.screen = Screen::Flame;
                if !rest.is_empty() {
                    self.select_hit(true);
                }
            }
            "export" => {
                let (name, file) = rest.split_once(' ').unwrap_or((rest, ""));
                let format = Format::from_name(name).ok_or_else(|| {
                    format!(
                        "`export` takes {}",
                        Format::ALL.map(Format::name).join(", ")
                    )
                })?;
                let file = file.trim();
                self.export(format, (!file.is_empty()).then(|| PathBuf::from(file)));
            }
            "at" => self.go_to_time(rest)?,
            "now" => {
                self.travel_to_now();
            }
            "base" => {
                self.toggle_base();
            }
            "interval" => {
                let interval = match rest {
                    "default" => None,
                    size => Some(
                        units::parse_bytes(size)
                            .filter(|bytes| (1.0..1e12).contains(bytes))
                            .ok_or("`interval` takes a size such as 64KiB, or default")?
                            as u64,
                    ),
                };
                let ask = Command::Interval(interval);
                self.requests.push(Request::Feed(ask));
            }
            "theme" => {
                let theme: ThemeChoice = choice(rest, word)?;
                self.theme = self.theme.with(theme);
            }
            _ => {
                let names = COMMANDS
                    .iter()
                    .filter_map(|(form, _)| form.split(' ').next());
                let near = names
                    .map(|name| (strsim::damerau_levenshtein(name, word), name))
                    .min()
                    .filter(|(distance, _)| *distance <= 2);
                return Err(match near {
                    Some((_, near)) => {
                        format!("there is no command `{word}`; did you mean `{near}`?")
                    }
                    None => format!("there is no command `{word}`; `:help` lists them"),
                });
            }
        }
        Ok(())
    }

    fn tab_named(&self, word: &str) -> Option<usize> {
        let names = crate::view::tab_names();
        names.iter().position(|name| name.to_lowercase() == word)
    }

    fn go_to_time(&mut self, text: &str) -> Result<(), String> {
        let seconds = units::parse_seconds(text).ok_or("`at` takes a time such as 90s or 5m")?;
        let at = match (self.recording, self.history.span()) {
            (Some(_), _) => seconds,
            (None, Some((_, last))) => last - seconds,
            (None, None) => return Err("nothing was seen yet".to_owned()),
        };
        self.travel_to(at);
        Ok(())
    }

    /// Types a command, as a user would: for scripts and tests.
    #[cfg(test)]
    pub(crate) fn run_command(&mut self, line: &str) {
        self.command(line);
        self.input(crate::input::Input::Resize {
            width: self.size.width,
            height: self.size.height,
        });
    }
}
