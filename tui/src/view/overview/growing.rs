//! The growing sites of the Overview.

use ratatui::{Frame, text::Line};
use riptide_reader::{leak::Verdict, profile::Site, symbolize::display_name};

use super::{
    super::{
        figures::{self, Figures},
        lines, rule, text,
    },
    Plan,
};
use crate::app::{App, Picture};

/// Width of the trend, and of the verdict.
const TREND_CELLS: usize = 16;
const VERDICT_CELLS: usize = 7;

pub(super) fn render(frame: &mut Frame, plan: &Plan, app: &App, picture: &Picture) {
    let theme = app.theme;
    let snapshot = &*picture.snapshot;
    let growth_is_known = snapshot
        .sites
        .iter()
        .any(|site| site.growth_bytes_per_second.is_some());
    let title = if growth_is_known {
        "growing sites"
    } else {
        "largest sites"
    };
    lines(
        frame,
        plan.sites_title,
        vec![rule(
            title,
            plan.sites_title.width,
            theme.strong(),
            theme.dim(),
        )],
    );
    let shown: Vec<&Site> = app
        .overview_sites()
        .into_iter()
        .take(usize::from(plan.site_rows.height))
        .collect();
    let figures = Figures::of(snapshot);
    let cells: Vec<[String; 2]> = shown
        .iter()
        .map(|site| {
            [
                figures::growth(site.growth_bytes_per_second.as_ref()),
                figures.live_bytes(&site.live_bytes),
            ]
        })
        .collect();
    let column = |index: usize| {
        cells
            .iter()
            .filter_map(|row| row.get(index))
            .map(|cell| text::width(cell))
            .max()
            .unwrap_or_default()
    };
    let (growth_width, live_width) = (column(0), column(1));
    let total = usize::from(plan.site_rows.width);
    let fixed = 2 + growth_width + 2 + live_width + 2;
    let is_told = shown.iter().any(|site| {
        let finding = app.finding_of(site);
        finding.is_some_and(|of| of.verdict <= Verdict::Growing)
    });
    let verdict_width = if is_told && total >= fixed + VERDICT_CELLS + 2 + 20 {
        VERDICT_CELLS
    } else {
        0
    };
    let fixed = fixed + verdict_width + 2 * usize::from(verdict_width > 0);
    let trend_cells = if total >= fixed + TREND_CELLS + 2 + 20 {
        TREND_CELLS
    } else {
        0
    };
    let room = total.saturating_sub(fixed + trend_cells + 2 * usize::from(trend_cells > 0));
    let rows = shown
        .iter()
        .zip(&cells)
        .enumerate()
        .map(|(index, (site, row))| {
            let [growth, live] = row;
            let direction = figures::direction(site.growth_bytes_per_second.as_ref());
            let trend = if trend_cells > 0 {
                let values = app.history.trend(site, app.shown_until());
                format!("{}  ", text::sparkline(&values, trend_cells))
            } else {
                String::new()
            };
            let name = text::keep_end(&display_name(&site.function), room);
            let verdict = match app.finding_of(site) {
                Some(of) if of.verdict <= Verdict::Growing => of.verdict.word(),
                _ => "",
            };
            let verdict = if verdict_width > 0 {
                format!("{}  ", text::left(verdict, verdict_width))
            } else {
                String::new()
            };
            let line = format!(
                "{direction} {}  {}  {verdict}{trend}{name}",
                text::right(growth, growth_width),
                text::right(live, live_width),
            );
            let style = if index == app.overview.selected {
                theme.selected()
            } else if direction == "▲" {
                theme.bad()
            } else {
                theme.text()
            };
            Line::styled(text::left(&line, total), style)
        });
    lines(frame, plan.site_rows, rows.collect());
}
