//! The chart of the live heap: the estimate as a line of dots, its 95 % interval as a shaded band.

use ratatui::{buffer::Buffer, layout::Rect, style::Style, text::Span, widgets::Widget};

use super::text;
use crate::{app::Point, units};

/// Width of the figures at the left.
const AXIS: u16 = 10;
/// Spans of time that the chart shows, in seconds; the smallest that holds the past is taken.
const WINDOWS: [f64; 5] = [30.0, 60.0, 120.0, 300.0, 900.0];

/// The chart.
pub(super) struct LiveChart<'a> {
    pub(super) points: &'a [Point],
    /// Word at the right end of time.
    pub(super) end: &'static str,
    pub(super) line: Style,
    pub(super) band: Style,
    pub(super) dim: Style,
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
        if area.width <= AXIS + 2 || area.height < 2 {
            return;
        }
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return;
        };
        let plot = Rect {
            x: area.x + AXIS,
            width: area.width - AXIS,
            height: area.height - 1,
            ..area
        };
        let elapsed = last.at_seconds - first.at_seconds;
        let window = WINDOWS
            .into_iter()
            .find(|window| *window >= elapsed)
            .unwrap_or(900.0);
        let start = last.at_seconds - window;
        let visible = self
            .points
            .get(
                self.points
                    .partition_point(|point| point.at_seconds < start)..,
            )
            .unwrap_or_default();
        let scale = Scale::of(visible);
        self.axis(area, plot, scale, window, buffer);

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
                    (char::from_u32(0x2800 + bits).unwrap_or('•'), self.line)
                } else if band.is_some_and(|(top, bottom)| (top..=bottom).contains(&row)) {
                    ('░', self.band)
                } else {
                    continue;
                };
                if let Some(cell) = buffer.cell_mut((plot.x + cell_column, plot.y + row)) {
                    cell.set_char(symbol).set_style(style);
                }
            }
        }
    }
}

impl LiveChart<'_> {
    fn axis(&self, area: Rect, plot: Rect, scale: Scale, window: f64, buffer: &mut Buffer) {
        let mut figure = |row: u16, value: f64| {
            let text = text::right(&units::bytes(value), usize::from(AXIS) - 1);
            buffer.set_span(area.x, row, &Span::styled(text, self.dim), AXIS - 1);
        };
        figure(plot.y, scale.high);
        if plot.height >= 5 {
            figure(plot.y + plot.height / 2, (scale.high + scale.low) / 2.0);
        }
        if plot.height >= 2 {
            figure(plot.bottom() - 1, scale.low);
        }
        let from = if window < 120.0 {
            format!("-{window:.0} s")
        } else {
            format!("-{:.0} min", window / 60.0)
        };
        let line = area.bottom() - 1;
        buffer.set_span(plot.x, line, &Span::styled(&from, self.dim), plot.width);
        let legend = "░ 95 % interval";
        let middle = plot.x + plot.width / 2;
        let legend_width = text::width(legend) as u16;
        if plot.width > legend_width + 24 {
            buffer.set_span(
                middle - legend_width / 2,
                line,
                &Span::styled(legend, self.dim),
                legend_width,
            );
        }
        if plot.width > 16 {
            buffer.set_span(plot.right() - 3, line, &Span::styled(self.end, self.dim), 3);
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
                    end: "now",
                    line: Style::new(),
                    band: Style::new(),
                    dim: Style::new(),
                }
                .render(area, &mut buffer);
            }
        }
    }
}
