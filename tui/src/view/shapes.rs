//! Sizes and lifetimes of the heap, and the sites of short-lived blocks.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use riptide_reader::{
    profile::{HeapShape, LifetimeBucket, SizeClass},
    symbolize::display_name,
};

use super::{figures, layout, lines, rule, text, waiting};
use crate::{app::App, theme::Theme, units};

/// Where the parts lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    sizes: Rect,
    lifetimes: Rect,
    /// Title and columns of the sites of short-lived blocks.
    titles: Rect,
    /// These sites.
    pub(super) rows: Rect,
}

pub(super) fn plan(app: &App, body: Rect) -> Plan {
    let wide = layout::is_wide(app);
    let list = (body.height / if wide { 4 } else { 3 })
        .max(3)
        .min(body.height);
    let top = body.height - list;
    let half = body.width / 2;
    let gap = 2.min(body.width - half);
    Plan {
        sizes: Rect {
            width: half,
            height: top,
            ..body
        },
        lifetimes: Rect {
            x: body.x + half + gap,
            width: body.width - half - gap,
            height: top,
            ..body
        },
        titles: Rect {
            y: body.y + top,
            height: list.min(2),
            ..body
        },
        rows: Rect {
            y: body.y + top + list.min(2),
            height: list - list.min(2),
            ..body
        },
    }
}

/// Sites of short-lived blocks on a page.
#[must_use]
pub fn rows(app: &App) -> usize {
    usize::from(plan(app, layout::areas(app).body).rows.height)
}

pub(super) fn render(frame: &mut Frame, area: Rect, app: &App) {
    let parts = app.parts().and_then(|parts| parts.shape.as_deref());
    let Some(shape) = parts else {
        waiting(frame, area, app);
        return;
    };
    let plan = plan(app, area);
    render_sizes(frame, plan.sizes, app, shape);
    render_lifetimes(frame, plan.lifetimes, app, shape);
    render_temporary(frame, &plan, app, shape);
}

/// A bar in eighths of a cell.
pub(super) fn bar(share: f64, cells: usize) -> String {
    const PARTS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let share = if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    };
    let eighths = (share * cells as f64 * 8.0).round() as usize;
    let mut out = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        out.extend(PARTS.get(eighths % 8));
    } else if eighths == 0 && share > 0.0 {
        // Something is never made to look like nothing.
        out.push('▏');
    }
    out
}

/// A row of a bar chart: a name, a bar, a figure.
struct Bar {
    name: String,
    share: f64,
    figure: String,
}

fn bars(rows: &[Bar], width: usize, theme: Theme) -> Vec<Line<'static>> {
    let widest = |of: fn(&Bar) -> &str| rows.iter().map(|row| text::width(of(row))).max();
    let name = widest(|row| &row.name).unwrap_or(0);
    let figure = widest(|row| &row.figure).unwrap_or(0);
    let room = width.saturating_sub(name + figure + 3);
    rows.iter()
        .map(|row| {
            let drawn = text::left(&bar(row.share, room), room);
            Line::from(vec![
                Span::styled(format!("{} ", text::right(&row.name, name)), theme.dim()),
                Span::styled(drawn, theme.line()),
                Span::raw(format!("  {}", text::right(&row.figure, figure))),
            ])
        })
        .collect()
}

/// Puts neighbours together until the rest fits.
fn coarser<T: Clone>(rows: &[T], most: usize, merge: impl Fn(&[T]) -> T) -> Vec<T> {
    if rows.len() <= most || most == 0 {
        return rows.to_vec();
    }
    let size = rows.len().div_ceil(most);
    rows.chunks(size).map(merge).collect()
}

fn render_sizes(frame: &mut Frame, area: Rect, app: &App, shape: &HeapShape) {
    let theme = app.theme;
    let sizes = &shape.shapes.sizes_bytes;
    let size = |bytes: u64| units::bytes(bytes as f64);
    let title = "live bytes by size class";
    let mut out = vec![rule(title, area.width, theme.strong(), theme.dim())];
    if shape.sizes.is_empty() {
        out.push(Line::styled("no sampled blocks are live", theme.dim()));
        lines(frame, area, out);
        return;
    }
    let quantiles = format!(
        "blocks: median {}, 90% up to {}, 99% {}, most {}",
        size(sizes.p50),
        size(sizes.p90),
        size(sizes.p99),
        size(sizes.max)
    );
    let width = usize::from(area.width);
    let quantiles = text::wrap(&quantiles, width);
    let room = usize::from(area.height).saturating_sub(1 + quantiles.len());
    out.extend(
        quantiles
            .into_iter()
            .map(|line| Line::styled(line, theme.dim())),
    );
    let classes = coarser(&shape.sizes, room, |some| {
        let mut sum = some.last().cloned().unwrap_or(SizeClass {
            usable_bytes: 0,
            live_bytes: Default::default(),
            live_objects: Default::default(),
        });
        for other in some.iter().rev().skip(1) {
            for (to, from) in [
                (&mut sum.live_bytes, &other.live_bytes),
                (&mut sum.live_objects, &other.live_objects),
            ] {
                *to = figures::sum(to, from);
            }
        }
        sum
    });
    let most = classes
        .iter()
        .map(|class| class.live_bytes.estimate)
        .fold(0.0, f64::max);
    let merged = classes.len() < shape.sizes.len();
    let rows: Vec<Bar> = classes
        .iter()
        .map(|class| Bar {
            name: format!(
                "{}{}",
                if merged { "up to " } else { "" },
                size(class.usable_bytes)
            ),
            share: class.live_bytes.estimate / most.max(f64::MIN_POSITIVE),
            figure: units::bytes_with_error(&class.live_bytes),
        })
        .collect();
    out.extend(bars(&rows, width, theme));
    lines(frame, area, out);
}

fn milliseconds(ms: u64) -> String {
    if ms < 1_000 {
        return format!("{ms} ms");
    }
    let seconds = (ms as f64 / 1_000.0).round();
    if seconds < 60.0 {
        format!("{seconds:.0} s")
    } else if seconds < 3_600.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3_600.0)
    }
}

fn render_lifetimes(frame: &mut Frame, area: Rect, app: &App, shape: &HeapShape) {
    let theme = app.theme;
    let lives = &shape.shapes.lifetimes_ms;
    let title = "lifetimes of freed samples";
    let mut out = vec![rule(title, area.width, theme.strong(), theme.dim())];
    if lives.count == 0 {
        out.push(Line::styled("nothing was freed yet", theme.dim()));
        lines(frame, area, out);
        return;
    }
    let width = usize::from(area.width);
    let time = |ms: u64| units::duration(ms as f64 / 1_000.0);
    let quantiles = format!(
        "median {}, 90% within {}, 99% {}; by doublings",
        time(lives.p50),
        time(lives.p90),
        time(lives.p99)
    );
    let quantiles = text::wrap(&quantiles, width);
    let room = usize::from(area.height).saturating_sub(1 + quantiles.len());
    out.extend(
        quantiles
            .into_iter()
            .map(|line| Line::styled(line, theme.dim())),
    );
    let buckets = coarser(&shape.lifetimes, room, |some| LifetimeBucket {
        from_ms: some.first().map_or(0, |first| first.from_ms),
        to_ms: some.last().and_then(|last| last.to_ms),
        samples: some.iter().map(|of| of.samples).sum(),
    });
    let total: u64 = buckets.iter().map(|of| of.samples).sum();
    let most = buckets
        .iter()
        .map(|of| of.samples)
        .max()
        .unwrap_or(1)
        .max(1);
    let rows: Vec<Bar> = buckets
        .iter()
        .map(|of| Bar {
            name: match of.to_ms {
                Some(to) => format!("< {}", milliseconds(to)),
                None => format!(">= {}", milliseconds(of.from_ms)),
            },
            share: of.samples as f64 / most as f64,
            figure: units::percent(of.samples as f64, total as f64),
        })
        .collect();
    out.extend(bars(&rows, width, theme));
    lines(frame, area, out);
}

fn render_temporary(frame: &mut Frame, plan: &Plan, app: &App, shape: &HeapShape) {
    let theme = app.theme;
    let total = usize::from(plan.titles.width);
    let cells: Vec<[String; 4]> = shape
        .temporary
        .iter()
        .skip(app.shapes.offset)
        .take(usize::from(plan.rows.height))
        .map(|row| {
            [
                units::count_with_error(&row.objects),
                format!("{:.0}%", row.share * 100.0),
                figures::or_dash(row.allocations_per_second, units::count),
                units::bytes(row.mean_bytes),
            ]
        })
        .collect();
    const TITLES: [&str; 4] = ["blocks", "of freed", "allocs/s", "each"];
    let mut widths = TITLES.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(text::width(cell));
        }
    }
    let used: usize = widths.iter().map(|width| width + 2).sum();
    let room = total.saturating_sub(used);
    let line = |cells: &[&str], name: &str| {
        let mut out = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            out.push_str(&format!("{}  ", text::right(cell, width)));
        }
        out.push_str(&text::keep_end(name, room));
        out
    };
    let title = if shape.temporary.is_empty() {
        "no blocks that were freed within a millisecond".to_owned()
    } else {
        format!(
            "blocks freed within a millisecond, by site {}/{}",
            shape.temporary.len().min(app.shapes.selected + 1),
            shape.temporary.len()
        )
    };
    let mut head = vec![rule(&title, plan.titles.width, theme.strong(), theme.dim())];
    if !shape.temporary.is_empty() {
        head.push(Line::styled(line(&TITLES, "function"), theme.dim()));
    }
    lines(frame, plan.titles, head);
    let sites = shape.temporary.iter().skip(app.shapes.offset).zip(&cells);
    let body = sites.enumerate().map(|(index, (site, row))| {
        let cells: Vec<&str> = row.iter().map(String::as_str).collect();
        let text = line(&cells, &display_name(&site.function));
        let style = if app.shapes.offset + index == app.shapes.selected {
            theme.selected()
        } else {
            theme.text()
        };
        Line::styled(text::left(&text, total), style)
    });
    lines(frame, plan.rows, body.collect());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_eighths_and_something_is_never_nothing() {
        assert_eq!(bar(1.0, 3), "███");
        assert_eq!(bar(0.5, 3), "█▌");
        assert_eq!(bar(0.001, 3), "▏");
        assert_eq!(bar(0.0, 3), "");
        assert_eq!(bar(f64::NAN, 3), "");
    }

    #[test]
    fn rows_are_put_together_until_they_fit() {
        let sum = |some: &[u32]| some.iter().sum();
        assert_eq!(coarser(&[1, 2, 3, 4, 5], 3, sum), [3, 7, 5]);
        assert_eq!(coarser(&[1, 2], 3, sum), [1, 2]);
        assert_eq!(coarser(&[1, 2], 0, sum), [1, 2]);
    }
}
