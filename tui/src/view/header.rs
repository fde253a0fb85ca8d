//! Lines 1 and 2: who the target is, where it is in its life, and the tabs.

use std::ops::Range;

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use riptide_reader::profile::{Snapshot, UnwinderKind};

use super::{figures, lines, text};
use crate::{
    app::{App, Mode, Screen},
    keys::Action,
    units,
};

/// Names of the tabs, and what is left of them on a narrow screen.
const TABS: [(&str, &str); 8] = [
    ("Overview", "Over"),
    ("Sites", "Sites"),
    ("Flame", "Flame"),
    ("Leaks", "Leaks"),
    ("Threads", "Thr"),
    ("Shapes", "Shap"),
    ("jemalloc", "jem"),
    ("Alerts", "Alrt"),
];

/// Names of the tabs.
#[must_use]
pub fn tab_names() -> [&'static str; TABS.len()] {
    TABS.map(|(name, _)| name)
}

/// Texts of the tabs at a width, each with room for brackets: whole, closer together, or short.
fn tab_texts(width: u16) -> Vec<String> {
    let made = |text: fn(usize, &str, &str) -> String| -> Vec<String> {
        let tabs = (1..).zip(TABS);
        tabs.map(|(number, (name, short))| text(number, name, short))
            .collect()
    };
    let fits = |texts: &Vec<String>| {
        let needed: usize = texts.iter().map(|text| text.len() + 2).sum();
        needed <= usize::from(width)
    };
    let whole = made(|number, name, _| format!("{number} {name}"));
    let close = made(|number, name, _| format!("{number}{name}"));
    let short = made(|number, _, short| format!("{number}{short}"));
    [whole, close].into_iter().find(fits).unwrap_or(short)
}

/// Columns of each tab on its line.
pub(super) fn tab_columns(app: &App) -> Vec<Range<u16>> {
    let mut from = 0;
    tab_texts(app.size.width)
        .iter()
        .map(|name| {
            let to = from + name.len() as u16 + 2;
            let columns = from..to;
            from = to;
            columns
        })
        .collect()
}

fn mode_word(mode: Mode) -> String {
    match mode {
        Mode::Searching => "SEARCHING".to_owned(),
        Mode::Live => "LIVE".to_owned(),
        Mode::Quiet => "QUIET".to_owned(),
        Mode::Stale(age) => format!("STALE {}", units::duration(age.max(1.0))),
        Mode::Paused(Some(uptime)) => format!("PAUSED at {}", units::whole_seconds(uptime)),
        Mode::Paused(None) => "PAUSED".to_owned(),
        Mode::Replay(Some(uptime)) => format!("REPLAY at {}", units::whole_seconds(uptime)),
        Mode::Replay(None) => "REPLAY".to_owned(),
        Mode::Exited => "EXITED".to_owned(),
        Mode::Killed => "EXITED, killed".to_owned(),
        Mode::Restarted => "RESTARTED".to_owned(),
        Mode::Unknown => "UNKNOWN".to_owned(),
        Mode::Incompatible => "INCOMPATIBLE".to_owned(),
        Mode::Denied => "DENIED".to_owned(),
        Mode::Unreadable => "UNREADABLE".to_owned(),
    }
}

fn mode_style(app: &App, mode: Mode) -> Style {
    let theme = app.theme;
    match mode {
        Mode::Live => theme.good(),
        Mode::Quiet | Mode::Searching => theme.strong(),
        Mode::Paused(_)
        | Mode::Replay(_)
        | Mode::Stale(_)
        | Mode::Unknown
        | Mode::Restarted
        | Mode::Exited => theme.warn(),
        Mode::Killed | Mode::Incompatible | Mode::Denied | Mode::Unreadable => theme.bad(),
    }
}

/// How a way of unwinding is called.
pub(crate) fn unwinder_name(unwinder: UnwinderKind) -> &'static str {
    match unwinder {
        UnwinderKind::Undecided => "unwinder not chosen yet",
        UnwinderKind::FramePointers => "frame pointers",
        UnwinderKind::Dwarf => "unwind tables",
    }
}

/// What is told of a target, the most important first: what does not fit is left out.
fn facts(snapshot: &Snapshot, mode: Mode) -> Vec<String> {
    let mut facts = Vec::new();
    // A held picture and a quiet one are not drawn anew, so a running clock would lie; of the past the
    // mode says it.
    if let (Some(uptime), false) = (
        snapshot.target.uptime_seconds,
        matches!(mode, Mode::Quiet | Mode::Paused(_) | Mode::Replay(_)),
    ) {
        let ended = matches!(
            mode,
            Mode::Exited | Mode::Killed | Mode::Restarted | Mode::Unknown
        );
        let word = if ended { "lived" } else { "up" };
        facts.push(format!("{word} {}", units::whole_seconds(uptime)));
    }
    facts.push(if snapshot.sampling.interval_bytes == 1 {
        "every allocation".to_owned()
    } else {
        format!(
            "1 sample per {}",
            units::bytes(snapshot.sampling.interval_bytes as f64)
        )
    });
    facts.push(format!(
        "cost {:.2}% CPU",
        snapshot.sampling.cost_fraction * 100.0
    ));
    facts.push(format!(
        "{} samples",
        units::count(snapshot.sampling.samples as f64)
    ));
    facts.push(unwinder_name(snapshot.sampling.unwinder).to_owned());
    facts
}

fn picture_time(app: &App) -> f64 {
    app.picture().map_or(0.0, |picture| picture.at_seconds)
}

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    let mut spans = vec![Span::styled("riptide ", theme.dim())];
    let mut used = 8;
    let mut push = |text: String, style: Style, spans: &mut Vec<Span<'static>>| {
        let cells = text::width(&text);
        if used + cells <= usize::from(area.width) {
            used += cells;
            spans.push(Span::styled(text, style));
        }
    };
    if app.screen == Screen::Picker {
        let word = if app.targets.is_empty() {
            "SEARCHING"
        } else {
            "TARGETS"
        };
        push(word.to_owned(), theme.strong(), &mut spans);
        if !app.targets.is_empty() {
            push(
                format!("  {} to choose from", app.targets.len()),
                theme.text(),
                &mut spans,
            );
        }
        lines(frame, area, vec![Line::from(spans)]);
        return;
    }
    let mode = app.mode();
    if let Some(snapshot) = app.snapshot() {
        let name = text::keep_start(&snapshot.target.name, 24);
        push(
            format!("{name} [{}]", snapshot.target.pid),
            theme.strong(),
            &mut spans,
        );
    } else if let Some(region) = app.region() {
        let region = region.display().to_string();
        push(text::keep_end(&region, 40), theme.strong(), &mut spans);
    }
    push(
        format!("  {}", mode_word(mode)),
        mode_style(app, mode).patch(theme.strong()),
        &mut spans,
    );
    if let Some(snapshot) = app.snapshot() {
        if snapshot.loss.makes_live_a_lower_bound() {
            push(
                "  DROPPING: live figures are >=".to_owned(),
                theme.bad(),
                &mut spans,
            );
        }
        if snapshot.pending_symbols > 0 {
            push(
                format!("  {} stacks wait for symbols", snapshot.pending_symbols),
                theme.warn(),
                &mut spans,
            );
        }
        if let Some(successor) = &app.successor {
            push(
                format!(
                    " as {}: {} follows it",
                    successor.pid,
                    app.keymap.label(Action::Restarted)
                ),
                theme.strong(),
                &mut spans,
            );
        }
        if let Some(base) = &app.base {
            let since = picture_time(app) - base.at_seconds;
            let change = base.change_of_all(&snapshot.live);
            push(
                format!(
                    "  {} since the base, {} {}",
                    figures::change(&change),
                    units::whole_seconds(since.abs()),
                    if since < 0.0 { "later" } else { "ago" }
                ),
                theme.strong(),
                &mut spans,
            );
        }
        let mut separator = "  ";
        for fact in facts(snapshot, mode) {
            push(format!("{separator}{fact}"), theme.dim(), &mut spans);
            separator = " · ";
        }
    }
    lines(frame, area, vec![Line::from(spans)]);
}

pub(super) fn render_tabs(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    let active = app.tab();
    if app.screen == Screen::Picker {
        lines(frame, area, vec![Line::styled(" Targets", theme.strong())]);
        return;
    }
    let mut spans = Vec::new();
    for (index, name) in tab_texts(area.width).iter().enumerate() {
        // The brackets say it without colours and attributes.
        let (text, style) = if Some(index) == active {
            (format!("[{name}]"), theme.selected())
        } else {
            (format!(" {name} "), theme.text())
        };
        spans.push(Span::styled(text, style));
    }
    let used: usize = spans.iter().map(Span::width).sum();
    // What is beside the figures of the past may be of another moment.
    if let Some(off) = app.parts_are_of()
        && !matches!(
            app.screen,
            Screen::Overview | Screen::Sites | Screen::Detail
        )
    {
        let note = format!(
            "  as of {} {}",
            units::whole_seconds(off.abs()),
            if off < 0.0 { "before" } else { "after" }
        );
        if used + text::width(&note) <= usize::from(area.width) {
            spans.push(Span::styled(note, theme.warn()));
        }
    }
    lines(frame, area, vec![Line::from(spans)]);
}
