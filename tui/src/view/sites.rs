//! The table of sites; at the right, or behind enter, the stack of the selected one.

use ratatui::{
    Frame,
    layout::{Position, Rect},
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
    layout, lines, status, text, waiting,
};
use crate::{
    app::{App, Column, PromptKind, SortBy},
    look::Grouping,
    units,
};

/// Narrowest column of names; optional columns give way to it.
const NAME_MIN: usize = 30;

fn cell(column: Column, app: &App, site: &Site, snapshot: &Snapshot) -> String {
    let figures = Figures::of(snapshot);
    match column {
        Column::Live => figures.live_bytes(&site.live_bytes),
        Column::Share => units::percent(site.live_bytes.estimate, snapshot.live.bytes.estimate),
        Column::Change => {
            let base = app.base.as_ref();
            let change = base.and_then(|base| base.change(app.sites.grouping, site));
            change.map_or_else(|| "-".to_owned(), |change| figures::change(&change))
        }
        Column::Growth => figures::growth(site.growth_bytes_per_second.as_ref()),
        Column::Verdict => app.finding_of(site).map_or_else(
            || "-".to_owned(),
            |finding| finding.verdict.word().to_owned(),
        ),
        Column::Objects => figures.live_objects(&site.live_objects),
        Column::Alloc => figures::or_dash(site.allocations_per_second, units::count),
        Column::Age => figures::or_dash(site.median_age_seconds, units::duration),
    }
}

/// The optional columns that there are now.
fn optional(app: &App) -> Vec<Column> {
    Column::OPTIONAL
        .into_iter()
        .filter(|column| match column {
            // Without a base there is nothing to compare with; verdicts are on sites.
            Column::Change => app.base.is_some(),
            Column::Verdict => app.sites.grouping == Grouping::Site,
            _ => true,
        })
        .filter(|column| !app.sites.hidden.contains(column))
        .collect()
}

/// The order of the column whose title is under the mouse.
#[must_use]
pub fn order_at(app: &App, body: Rect, at: Position) -> Option<SortBy> {
    let areas = layout::sites(app, body);
    if !areas.columns.contains(at) {
        return None;
    }
    let snapshot = app.snapshot()?;
    let shown = shown(app, areas.rows.height);
    let table = table(usize::from(areas.rows.width), &shown, snapshot, app);
    let mut from = 2 + table.name_width;
    let column = usize::from(at.x - areas.columns.x);
    if column < from {
        return Some(SortBy::Function);
    }
    for (of, cells) in &table.columns {
        let to = from + 2 + cells;
        if (from..to).contains(&column) {
            let of_live = (*of == Column::Share).then_some(SortBy::Live);
            return of.order().or(of_live);
        }
        from = to;
    }
    None
}

/// The rows on this page.
fn shown(app: &App, height: u16) -> Vec<&Site> {
    let sites = app.grouped();
    app.sites
        .rows
        .iter()
        .skip(app.sites.cursor.offset)
        .take(usize::from(height))
        .filter_map(|index| sites.get(*index))
        .collect()
}

struct Table {
    columns: Vec<(Column, usize)>,
    name_width: usize,
}

/// Decides which columns fit beside the name: a figure is shown whole or not at all.
fn table(width: usize, rows: &[&Site], snapshot: &Snapshot, app: &App) -> Table {
    let mut room = width.saturating_sub(NAME_MIN + 2);
    let mut columns = Vec::new();
    let optional = optional(app);
    let first = app.sites.first_column.min(optional.len().saturating_sub(1));
    let wanted = std::iter::once(Column::Live).chain(optional.into_iter().skip(first));
    for column in wanted {
        // The title carries the mark of the order.
        let title = column.title().len() + 1;
        let cells = rows
            .iter()
            .map(|site| text::width(&cell(column, app, site, snapshot)))
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
        waiting(frame, area, app);
        return;
    };
    let areas = layout::sites(app, area);
    render_filter(frame, areas.filter, app);
    let offset = app.sites.cursor.offset;
    let shown = shown(app, areas.rows.height);
    let width = usize::from(areas.rows.width);
    let table = table(width, &shown, snapshot, app);
    lines(frame, areas.columns, vec![titles(app, &table)]);
    if shown.is_empty() {
        let text = if snapshot.sites.is_empty() {
            "no sampled blocks are live"
        } else if app.grouped().is_empty() {
            "reading the target"
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

fn titles(app: &App, table: &Table) -> Line<'static> {
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
    let all = app.grouped().len();
    let name = format!(
        "{} {}/{}{}",
        match app.sites.grouping {
            Grouping::Site | Grouping::Function => "function",
            other => other.name(),
        },
        app.sites.rows.len().min(app.sites.cursor.selected + 1),
        if app.sites.rows.len() == all {
            all.to_string()
        } else {
            format!("{} of {all}", app.sites.rows.len())
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
        let mark = mark(column.order());
        // In ASCII the mark is a letter.
        let has_room = text::width(column.title()) + 2 <= *cells;
        let gap = if theme.is_ascii && has_room && !mark.is_empty() {
            " "
        } else {
            ""
        };
        let title = format!("{}{gap}{mark}", column.title());
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
            format!(
                "  {}",
                text::right(&cell(*column, app, site, snapshot), *cells)
            ),
            style,
        ));
    }
    Line::from(spans)
}

fn render_filter(frame: &mut Frame, area: Rect, app: &App) {
    let theme = app.theme;
    let count = format!("  {} of {}", app.sites.rows.len(), app.grouped().len());
    let typed = app
        .prompt
        .as_ref()
        .filter(|prompt| prompt.kind == PromptKind::Filter);
    let line = match typed {
        Some(prompt) => {
            let tail = match &prompt.error {
                // Why stands in the footer, where there is room.
                Some(_) => Span::styled("  not understood", theme.bad()),
                None => Span::styled(count, theme.dim()),
            };
            status::typed(app, prompt, "filter: ", tail, area.width)
        }
        None => Line::from(vec![
            Span::styled("filter: ", theme.key()),
            Span::raw(app.sites.filter_text.clone()),
            Span::styled(format!("{count}; esc shows all"), theme.dim()),
        ]),
    };
    lines(frame, area, vec![line]);
}
