//! The targets there are, dead ones that can still be read among them; or the search for one.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use riptide_reader::profile::TargetState;

use super::{centered, lines, text};
use crate::{app::App, feed::Target, units};

/// The word for a state.
pub(crate) fn state_word(state: TargetState) -> &'static str {
    match state {
        TargetState::Live => "live",
        TargetState::Exited => "exited",
        TargetState::Killed => "killed",
        TargetState::Unknown => "unknown",
    }
}

fn cells(target: &Target) -> [String; 4] {
    let info = &target.info;
    let state = match &target.trouble {
        Some(_) => format!("{} !", state_word(info.state)),
        None => state_word(info.state).to_owned(),
    };
    let uptime = info
        .uptime_seconds
        .map_or_else(|| "-".to_owned(), units::duration);
    let name = if info.name.is_empty() {
        "?".to_owned()
    } else {
        text::keep_start(&info.name, 24)
    };
    [info.pid.to_string(), name, state, uptime]
}

const CODE: &str = "static GLOBAL: riptide_alloc::Riptide = riptide_alloc::Riptide::new();";

const TITLES: [&str; 4] = ["pid", "name", "state", "lived"];

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    if app.targets.is_empty() {
        centered(
            frame,
            area,
            vec![
                Line::styled("no program with riptide runs here yet", theme.strong()),
                Line::raw(""),
                Line::raw("add the riptide-alloc crate to your program and this to its main.rs:"),
                Line::raw(""),
                // As wide as the line below: each line is centred.
                Line::styled(
                    text::left("#[global_allocator]", text::width(CODE)),
                    theme.line(),
                ),
                Line::styled(CODE, theme.line()),
                Line::raw(""),
                Line::raw("or try `riptide demo`; `riptide doctor PID` says why one is not seen"),
                Line::styled("searching goes on", theme.dim()),
            ],
        );
        return;
    }
    let rows: Vec<[String; 4]> = app.targets.iter().map(cells).collect();
    let mut widths = TITLES.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(text::width(cell));
        }
    }
    let [pid, name, state, lived] = widths;
    let line = |cells: [&str; 4]| {
        let [a, b, c, d] = cells;
        format!(
            " {}  {}  {}  {}",
            text::right(a, pid),
            text::left(b, name),
            text::left(c, state),
            text::right(d, lived)
        )
    };
    let rest = usize::from(area.width).saturating_sub(1 + pid + name + state + lived + 8);
    let mut out = vec![Line::styled(
        format!("{}  region", line(TITLES)),
        theme.dim(),
    )];
    let page = usize::from(area.height.saturating_sub(3));
    for (index, (row, target)) in rows
        .iter()
        .zip(&app.targets)
        .enumerate()
        .skip(app.picker.offset)
        .take(page)
    {
        let [a, b, c, d] = row;
        let state_style = match target.info.state {
            _ if target.trouble.is_some() => theme.bad(),
            TargetState::Live => theme.good(),
            _ => theme.text(),
        };
        let region = target.info.region.display().to_string();
        let text = line([a, b, c, d]);
        let style = if index == app.picker.selected {
            theme.selected()
        } else {
            state_style
        };
        let text = format!("{text}  {}", text::keep_end(&region, rest));
        out.push(Line::styled(
            text::left(&text, usize::from(area.width)),
            style,
        ));
    }
    lines(frame, area, out);
    let Some(selected) = app.targets.get(app.picker.selected) else {
        return;
    };
    let note = match &selected.trouble {
        Some(trouble) => vec![
            Line::styled(format!(" {}", trouble.message), theme.bad()),
            Line::styled(format!(" {}", trouble.hint), theme.text()),
        ],
        None => vec![
            Line::raw(""),
            Line::from(Span::styled(
                format!(
                    " {}",
                    match selected.info.state {
                        TargetState::Live => "runs now",
                        TargetState::Exited => "ended cleanly; its last heap can be read",
                        TargetState::Killed =>
                            "ended without a word (killed, crashed, out of memory); its heap at \
                             that moment can be read",
                        TargetState::Unknown =>
                            "from another boot or pid namespace; whether it runs is not known",
                    }
                ),
                theme.dim(),
            )),
        ],
    };
    let height = 2.min(area.height);
    let bottom = Rect {
        y: area.bottom() - height,
        height,
        ..area
    };
    lines(frame, bottom, note);
}
