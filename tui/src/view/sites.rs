//! The table of sites; at the right, or behind enter, the stack of the selected one.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};
use riptide_reader::{
    profile::{Site, Snapshot},
    symbolize::display_name,
};

use super::{
    centered, detail,
    figures::{self, Figures},
    layout, lines, text,
};
use crate::{
    app::{App, SortBy},
    units,
};

/// Narrowest column of names; optional columns give way to it.
const NAME_MIN: usize = 30;

/// The columns behind the name, the most important first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    Live,
    Share,
    Growth,
    Objects,
    Alloc,
    Age,
}

/// Live bytes are always shown; the others can be scrolled through.
const OPTIONAL: [Column; 5] = [
    Column::Share,
    Column::Growth,
    Column::Objects,
    Column::Alloc,
    Column::Age,
];

/// How many columns can be scrolled through.
#[must_use]
pub fn optional_columns() -> usize {
    OPTIONAL.len()
}

impl Column {
    fn title(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Share => "%",
            Self::Growth => "growth",
            Self::Objects => "objects",
            Self::Alloc => "allocs/s",
            Self::Age => "age",
        }
    }

    fn order(self) -> Option<SortBy> {
        match self {
            Self::Live => Some(SortBy::Live),
            Self::Share => None,
            Self::Growth => Some(SortBy::Growth),
            Self::Objects => Some(SortBy::Objects),
            Self::Alloc => Some(SortBy::Alloc),
            Self::Age => Some(SortBy::Age),
        }
    }

    fn cell(self, site: &Site, snapshot: &Snapshot) -> String {
        let figures = Figures::of(snapshot);
        match self {
            Self::Live => figures.live_bytes(&site.live_bytes),
            Self::Share => units::percent(site.live_bytes.estimate, snapshot.live.bytes.estimate),
            Self::Growth => figures::growth(site.growth_bytes_per_second.as_ref()),
            Self::Objects => figures.live_objects(&site.live_objects),
            Self::Alloc => figures::or_dash(site.allocations_per_second, units::count),
            Self::Age => figures::or_dash(site.median_age_seconds, units::duration),
        }
    }
}

struct Table {
    columns: Vec<(Column, usize)>,
    name_width: usize,
}

/// Decides which columns fit beside the name: a figure is shown whole or not at all.
fn table(width: usize, rows: &[&Site], snapshot: &Snapshot, first_column: usize) -> Table {
    let mut room = width.saturating_sub(NAME_MIN + 2);
    let mut columns = Vec::new();
    let wanted = std::iter::once(Column::Live).chain(OPTIONAL.into_iter().skip(first_column));
    for column in wanted {
        // The title carries the mark of the order.
        let title = column.title().len() + 1;
        let cells = rows
            .iter()
            .map(|site| text::width(&column.cell(site, snapshot)))
            .max()
            .unwrap_or_default()
            .max(title);
        if room < cells + 2 && !columns.is_empty() {
            break;
        }
        room = room.saturating_sub(cells + 2);
        columns.push((column, cells));
    }
    let used: usize = columns.iter().map(|(_, cells)| cells + 2).sum();
    Table {
        columns,
        name_width: width.saturating_sub(used + 2),
    }
}

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    let Some(snapshot) = app.snapshot() else {
        let message = app
            .trouble
            .as_ref()
            .map_or("reading the target", |trouble| trouble.message.as_str());
        centered(
            frame,
            area,
            vec![Line::styled(message.to_owned(), theme.dim())],
        );
        return;
    };
    let areas = layout::sites(app, area);
    render_filter(frame, areas.filter, app, snapshot);
    let offset = app.sites.cursor.offset;
    let shown: Vec<&Site> = app
        .sites
        .rows
        .iter()
        .skip(offset)
        .take(usize::from(areas.rows.height))
        .filter_map(|index| snapshot.sites.get(*index))
        .collect();
    let width = usize::from(areas.rows.width);
    let table = table(width, &shown, snapshot, app.sites.first_column);
    lines(frame, areas.columns, vec![titles(app, &table, snapshot)]);
    if shown.is_empty() {
        let text = if snapshot.sites.is_empty() {
            "no sampled blocks are live"
        } else {
            "no site passes the filter"
        };
        centered(frame, areas.rows, vec![Line::styled(text, theme.dim())]);
    }
    let rows = shown.iter().enumerate().map(|(index, site)| {
        let selected = offset + index == app.sites.cursor.selected;
        row(app, &table, snapshot, site, selected)
    });
    lines(frame, areas.rows, rows.collect());
    if areas.detail.width > 0
        && let Some(site) = app.selected_site()
    {
        detail::render_pane(frame, areas.detail, app, site);
    }
}

fn titles(app: &App, table: &Table, snapshot: &Snapshot) -> Line<'static> {
    let theme = app.theme;
    // Figures run from large to small by nature, names from A to Z.
    let mark = |order: Option<SortBy>| {
        if order != Some(app.sites.sort) {
            ""
        } else if app.sites.reversed == (order == Some(SortBy::Function)) {
            "▼"
        } else {
            "▲"
        }
    };
    let style = |order: Option<SortBy>| {
        if order == Some(app.sites.sort) {
            theme.strong()
        } else {
            theme.dim()
        }
    };
    let name_order = Some(SortBy::Function);
    let name = format!(
        "function {}/{}{}",
        app.sites.rows.len().min(app.sites.cursor.selected + 1),
        if app.sites.rows.len() == snapshot.sites.len() {
            snapshot.sites.len().to_string()
        } else {
            format!("{} of {}", app.sites.rows.len(), snapshot.sites.len())
        },
        mark(name_order)
    );
    let mut spans = vec![Span::styled(
        format!(
            "  {}",
            text::left(&text::keep_start(&name, table.name_width), table.name_width)
        ),
        style(name_order),
    )];
    for (column, cells) in &table.columns {
        let title = format!("{}{}", column.title(), mark(column.order()));
        spans.push(Span::styled(
            format!("  {}", text::right(&title, *cells)),
            style(column.order()),
        ));
    }
    Line::from(spans)
}

fn row(
    app: &App,
    table: &Table,
    snapshot: &Snapshot,
    site: &Site,
    selected: bool,
) -> Line<'static> {
    let theme = app.theme;
    let direction = figures::direction(site.growth_bytes_per_second.as_ref());
    let base = if selected {
        theme.selected()
    } else {
        theme.text()
    };
    let growth_style = match direction {
        "▲" if !selected => theme.bad(),
        "▼" if !selected => theme.good(),
        _ => base,
    };
    let name = text::keep_end(&display_name(&site.function), table.name_width);
    let mut spans = vec![
        Span::styled(format!("{direction} "), growth_style),
        Span::styled(text::left(&name, table.name_width), base),
    ];
    for (column, cells) in &table.columns {
        let style: Style = if *column == Column::Growth {
            growth_style
        } else {
            base
        };
        spans.push(Span::styled(
            format!("  {}", text::right(&column.cell(site, snapshot), *cells)),
            style,
        ));
    }
    Line::from(spans)
}

fn render_filter(frame: &mut Frame, area: Rect, app: &App, snapshot: &Snapshot) {
    let theme = app.theme;
    let line = match &app.sites.prompt {
        Some(prompt) => {
            let label = "filter: ";
            let (before, rest): (String, String) = {
                let letters: Vec<char> = prompt.text.chars().collect();
                let at = prompt.cursor.min(letters.len());
                let (before, rest) = letters.split_at(at);
                (before.iter().collect(), rest.iter().collect())
            };
            let room = usize::from(area.width).saturating_sub(text::width(label) + 1);
            let before = text::keep_end(&before, room);
            let mut letters = rest.chars();
            let under = letters.next().unwrap_or(' ').to_string();
            let mut spans = vec![
                Span::styled(label, theme.key()),
                Span::raw(before),
                Span::styled(under, theme.selected()),
                Span::raw(letters.collect::<String>()),
            ];
            match &prompt.error {
                Some(error) => spans.push(Span::styled(format!("  {error}"), theme.bad())),
                None => spans.push(Span::styled(
                    format!(
                        "  {} of {} sites",
                        app.sites.rows.len(),
                        snapshot.sites.len()
                    ),
                    theme.dim(),
                )),
            }
            Line::from(spans)
        }
        None => Line::from(vec![
            Span::styled("filter: ", theme.key()),
            Span::raw(app.sites.filter_text.clone()),
            Span::styled(
                format!(
                    "  {} of {} sites; esc shows all",
                    app.sites.rows.len(),
                    snapshot.sites.len()
                ),
                theme.dim(),
            ),
        ]),
    };
    lines(frame, area, vec![line]);
}
