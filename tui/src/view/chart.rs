//! The chart of the live heap: the estimate as a line of dots, its 95 % interval as a shaded band.

use ratatui::{buffer::Buffer, layout::Rect, text::Span, widgets::Widget};

use super::text;
use crate::{app::Point, theme::Theme, units};

/// Width of the figures at the left.
const AXIS: u16 = 10;
/// The chart.
pub(super) struct LiveChart<'a> {
    pub(super) points: &'a [Point],
    /// Time at the left and right ends.
    pub(super) start: f64,
    pub(super) end: f64,
    /// Words for both.
    pub(super) labels: (&'a str, &'a str),
    /// The moment of the past that is shown.
    pub(super) cursor: Option<f64>,
    /// The moment compared with.
    pub(super) base: Option<f64>,
    /// Columns of the screen between which the mouse is dragged.
    pub(super) marked: Option<(u16, u16)>,
    pub(super) theme: Theme,
}

/// Where dots are drawn.
pub(super) fn plot(area: Rect) -> Option<Rect> {
    if area.width <= AXIS + 2 || area.height < 2 {
        return None;
    }
    Some(Rect {
        x: area.x + AXIS,
        width: area.width - AXIS,
        height: area.height - 1,
        ..area
    })
}

/// A span of time in few letters.
pub(super) fn span(seconds: f64) -> String {
    if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else if seconds < 7_200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.0} h", seconds / 3_600.0)
    }
}

/// A scale from a figure to rows of dots.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// From zero, unless that would leave more than half of the chart empty.
    fn of(points: &[Point]) -> Self {
        let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
        let low = points
            .iter()
            .map(|point| finite(point.live_bytes.low))
            .fold(f64::INFINITY, f64::min);
        let high = points
            .iter()
            .map(|point| finite(point.live_bytes.high))
            .fold(0.0, f64::max);
        let high = if high > 0.0 { high } else { 1.0 };
        if low.is_finite() && low > high / 2.0 {
            let margin = ((high - low) * 0.1).max(high * 0.01);
            Self {
                low: (low - margin).max(0.0),
                high: high + margin,
            }
        } else {
            Self {
                low: 0.0,
                high: high * 1.05,
            }
        }
    }

    /// The row of dots from the top, for so many rows.
    fn row(self, value: f64, rows: u16) -> u16 {
        let share = (value - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE);
        let from_top = (1.0 - share.clamp(0.0, 1.0)) * f64::from(rows.saturating_sub(1));
        from_top.round() as u16
    }
}

/// A figure between the two looks around a moment; `None` before the first look.
fn at(points: &[Point], moment: f64) -> Option<(f64, f64, f64)> {
    let after = points.partition_point(|point| point.at_seconds < moment);
    let right = points.get(after).or_else(|| points.last())?;
    let left = match after.checked_sub(1) {
        Some(before) => points.get(before)?,
        // Half a step before the first look still counts as it.
        None if right.at_seconds - moment < 0.5 => right,
        None => return None,
    };
    let span = right.at_seconds - left.at_seconds;
    let share = if span > 0.0 {
        ((moment - left.at_seconds) / span).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let between = |a: f64, b: f64| a + (b - a) * share;
    let (a, b) = (&left.live_bytes, &right.live_bytes);
    Some((
        between(a.low, b.low),
        between(a.estimate, b.estimate),
        between(a.high, b.high),
    ))
}

/// Bit of a braille cell: column 0 or 1, row 0 to 3.
fn dot(column: u16, row: u16) -> u32 {
    match (column & 1, row & 3) {
        (0, 0) => 0x01,
        (0, 1) => 0x02,
        (0, 2) => 0x04,
        (0, _) => 0x40,
        (_, 0) => 0x08,
        (_, 1) => 0x10,
        (_, 2) => 0x20,
        (_, _) => 0x80,
    }
}

impl Widget for LiveChart<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        let Some(plot) = plot(area) else {
            return;
        };
        let visible = self.points;
        let window = (self.end - self.start).max(f64::MIN_POSITIVE);
        let start = self.start;
        let scale = Scale::of(visible);
        self.axis(area, plot, scale, buffer);

        let dot_columns = plot.width * 2;
        let dot_rows = plot.height * 4;
        let moment_of = |column: u16| {
            start + window * f64::from(column) / f64::from(dot_columns.saturating_sub(1).max(1))
        };
        for cell_column in 0..plot.width {
            let mut bits = vec![0_u32; usize::from(plot.height)];
            let mut band: Option<(u16, u16)> = None;
            for half in 0..2 {
                let column = cell_column * 2 + half;
                let Some((low, estimate, high)) = at(visible, moment_of(column)) else {
                    continue;
                };
                // Joined to the column before, so that a steep rise stays a line.
                let row = scale.row(estimate, dot_rows);
                let before = column
                    .checked_sub(1)
                    .and_then(|column| at(visible, moment_of(column)))
                    .map_or(row, |(_, estimate, _)| scale.row(estimate, dot_rows));
                let (from, to) = match before.cmp(&row) {
                    std::cmp::Ordering::Less => (before + 1, row),
                    std::cmp::Ordering::Equal => (row, row),
                    std::cmp::Ordering::Greater => (row, before - 1),
                };
                for row in from..=to {
                    if let Some(cell) = bits.get_mut(usize::from(row / 4)) {
                        *cell |= dot(column, row);
                    }
                }
                let top = scale.row(high, dot_rows) / 4;
                let bottom = scale.row(low, dot_rows) / 4;
                band = Some(band.map_or((top, bottom), |(t, b)| (t.min(top), b.max(bottom))));
            }
            for (row, bits) in (0..plot.height).zip(bits) {
                let (symbol, style) = if bits != 0 {
                    (
                        char::from_u32(0x2800 + bits).unwrap_or('•'),
                        self.theme.line(),
                    )
                } else if band.is_some_and(|(top, bottom)| (top..=bottom).contains(&row)) {
                    ('░', self.theme.band())
                } else {
                    continue;
                };
                if let Some(cell) = buffer.cell_mut((plot.x + cell_column, plot.y + row)) {
                    cell.set_char(symbol).set_style(style);
                }
            }
        }
        self.marks(plot, window, buffer);
    }
}

impl LiveChart<'_> {
    /// The moment shown, the moment compared with, and what is being marked.
    fn marks(&self, plot: Rect, window: f64, buffer: &mut Buffer) {
        let column = |at: f64| {
            let share = (at - self.start) / window;
            let is_inside = (0.0..=1.0).contains(&share);
            is_inside.then(|| plot.x + (share * f64::from(plot.width - 1)).round() as u16)
        };
        let lines = [
            (self.base, '┊', self.theme.dim()),
            (self.cursor, '│', self.theme.strong()),
        ];
        for (at, symbol, style) in lines {
            let Some(x) = at.and_then(column) else {
                continue;
            };
            for y in plot.y..plot.bottom() {
                if let Some(cell) = buffer.cell_mut((x, y)) {
                    cell.set_char(symbol).set_style(style);
                }
            }
        }
        let Some((from, to)) = self.marked else {
            return;
        };
        let from = from.clamp(plot.x, plot.right() - 1);
        let to = to.clamp(plot.x, plot.right() - 1);
        let marked = Rect {
            x: from,
            width: to - from + 1,
            ..plot
        };
        buffer.set_style(marked, self.theme.selected());
    }

    fn axis(&self, area: Rect, plot: Rect, scale: Scale, buffer: &mut Buffer) {
        let dim = self.theme.dim();
        let mut figure = |row: u16, value: f64| {
            let text = text::right(&units::bytes(value), usize::from(AXIS) - 1);
            buffer.set_span(area.x, row, &Span::styled(text, dim), AXIS - 1);
        };
        figure(plot.y, scale.high);
        if plot.height >= 5 {
            figure(plot.y + plot.height / 2, (scale.high + scale.low) / 2.0);
        }
        if plot.height >= 2 {
            figure(plot.bottom() - 1, scale.low);
        }
        let (from, to) = self.labels;
        let line = area.bottom() - 1;
        buffer.set_span(plot.x, line, &Span::styled(from, dim), plot.width);
        let legend = "░ 95 % interval";
        let middle = plot.x + plot.width / 2;
        let legend_width = text::width(legend) as u16;
        if plot.width > legend_width + 24 {
            buffer.set_span(
                middle - legend_width / 2,
                line,
                &Span::styled(legend, dim),
                legend_width,
            );
        }
        let to_width = text::width(to) as u16;
        if plot.width > to_width + text::width(from) as u16 + 2 {
            buffer.set_span(
                plot.right() - to_width,
                line,
                &Span::styled(to, dim),
                to_width,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::estimate;

    fn points(values: &[f64]) -> Vec<Point> {
        values
            .iter()
            .enumerate()
            .map(|(second, value)| Point {
                at_seconds: second as f64,
                live_bytes: estimate(*value, value / 10.0),
            })
            .collect()
    }

    #[test]
    fn the_scale_starts_at_zero_unless_that_wastes_the_chart() {
        assert_eq!(Scale::of(&points(&[10.0, 100.0])).low, 0.0);
        assert!(Scale::of(&points(&[90.0, 100.0])).low > 50.0);
        assert!(Scale::of(&[]).high > 0.0);
    }

    #[test]
    fn between_two_looks_the_figure_lies_between() {
        let points = points(&[10.0, 20.0]);
        let (_, estimate, _) = at(&points, 0.5).unwrap();
        assert!((estimate - 15.0).abs() < 1e-9);
        assert!(at(&points, -1.0).is_none());
        assert!(at(&[], 0.0).is_none());
    }

    #[test]
    fn odd_figures_and_sizes_do_not_panic() {
        for values in [
            vec![],
            vec![0.0],
            vec![f64::NAN, f64::INFINITY],
            vec![1e300, 1.0],
        ] {
            for (width, height) in [(0, 0), (1, 1), (13, 2), (40, 9)] {
                let area = Rect::new(0, 0, width, height);
                let mut buffer = Buffer::empty(area);
                LiveChart {
                    points: &points(&values),
                    start: -3.0,
                    end: 9.0,
                    labels: ("-12 s", "now"),
                    cursor: Some(4.0),
                    base: Some(f64::NAN),
                    marked: Some((0, 900)),
                    theme: Theme::new(true),
                }
                .render(area, &mut buffer);
            }
        }
    }
}
