//! Threads with what they allocated and is still live.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use riptide_reader::{profile::Snapshot, symbolize::display_name};

use super::{
    centered,
    figures::{self, Figures},
    layout, lines, rule,
    stack::{place, stack},
    text, waiting,
};
use crate::{app::App, look::Thread, units};

const TITLES: [&str; 5] = ["live", "%", "kept a second", "objects", "age"];
/// Narrowest column of names.
const NAME_MIN: usize = 22;

fn cells(thread: &Thread, snapshot: &Snapshot) -> [String; 5] {
    let figures = Figures::of(snapshot);
    let profile = &thread.profile;
    [
        figures.live_bytes(&profile.live_bytes),
        units::percent(profile.live_bytes.estimate, snapshot.live.bytes.estimate),
        units::bytes_with_error(&profile.kept_bytes_per_second),
        figures.live_objects(&profile.live_objects),
        figures::or_dash(profile.median_age_seconds, units::duration),
    ]
}

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    let parts = app.parts().and_then(|parts| parts.threads.as_deref());
    let (Some(snapshot), Some(threads)) = (app.snapshot(), parts) else {
        waiting(frame, area, app);
        return;
    };
    if threads.is_empty() {
        let line = Line::styled("no sampled blocks are live", theme.dim());
        centered(frame, area, vec![line]);
        return;
    }
    let areas = layout::list(app, area);
    let shown: Vec<&Thread> = threads
        .iter()
        .skip(app.threads.offset)
        .take(usize::from(areas.rows.height))
        .collect();
    let rows: Vec<[String; 5]> = shown.iter().map(|of| cells(of, snapshot)).collect();
    let total = usize::from(areas.rows.width);
    // A figure is shown whole or not at all.
    let mut widths: Vec<usize> = Vec::new();
    let mut room = total.saturating_sub(NAME_MIN);
    for (column, title) in TITLES.iter().enumerate() {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let width = cells
            .map(|cell| text::width(cell))
            .max()
            .unwrap_or(0)
            .max(title.len());
        if room < width + 2 {
            break;
        }
        room -= width + 2;
        widths.push(width);
    }
    let used: usize = widths.iter().map(|width| width + 2).sum();
    let name_width = total.saturating_sub(used);
    let line = |name: &str, cells: &[&str]| {
        let mut out = text::left(&text::keep_start(name, name_width), name_width);
        for (cell, width) in cells.iter().zip(&widths) {
            out.push_str(&format!("  {}", text::right(cell, *width)));
        }
        out
    };
    let heading = format!(
        "thread {}/{}",
        threads.len().min(app.threads.selected + 1),
        threads.len()
    );
    let heading = Line::styled(line(&heading, &TITLES), theme.dim());
    lines(frame, areas.columns, vec![heading]);
    let body = shown
        .iter()
        .zip(&rows)
        .enumerate()
        .map(|(index, (thread, row))| {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            let style = if app.threads.offset + index == app.threads.selected {
                theme.selected()
            } else if thread.name.is_none() {
                theme.dim()
            } else {
                theme.text()
            };
            Line::styled(line(&thread.title(), &cells), style)
        });
    lines(frame, areas.rows, body.collect());
    if let Some(thread) = threads.get(app.threads.selected) {
        let content = pane(app, thread, areas.pane.width);
        let height = usize::from(areas.pane.height);
        lines(
            frame,
            areas.pane,
            content.into_iter().take(height).collect(),
        );
    }
}

fn pane(app: &App, thread: &Thread, width: u16) -> Vec<Line<'static>> {
    let theme = app.theme;
    let cells = usize::from(width).max(1);
    let title = format!("{} holds", thread.title());
    let mut out = vec![rule(&title, width, theme.strong(), theme.dim())];
    if thread.name.is_none() {
        let note = "it ended, or its name cannot be read; its blocks live on";
        out.extend(
            text::wrap(note, cells)
                .into_iter()
                .map(|line| Line::styled(line, theme.dim())),
        );
    }
    let figures: Vec<String> = thread
        .profile
        .sites
        .iter()
        .map(|site| units::bytes_with_error(&site.live_bytes))
        .collect();
    let widest = figures
        .iter()
        .map(|cell| text::width(cell))
        .max()
        .unwrap_or(0);
    for (site, figure) in thread.profile.sites.iter().zip(&figures) {
        let room = cells.saturating_sub(widest + 2);
        let name = display_name(&site.function);
        let place = place(site.file.as_ref(), site.line);
        let whole = match &place {
            Some(place) => format!("{name}  {place}"),
            None => name.to_string(),
        };
        let shown = if text::width(&whole) <= room {
            whole
        } else {
            text::keep_end(&name, room)
        };
        out.push(Line::from(vec![
            Span::styled(format!("{}  ", text::right(figure, widest)), theme.text()),
            Span::raw(shown),
        ]));
    }
    out.push(rule(
        "heaviest stack, innermost first",
        width,
        theme.strong(),
        theme.dim(),
    ));
    out.extend(stack(app, &thread.profile.stack, cells, None).lines);
    out
}
