//! Figures as marks on a canvas, which files of several formats show.

use super::figure::{Figure, FigureShape, Panel, Unit};
use super::text::ending;

/// Colours of series that are distinguishable in light and dark, also with colour blindness (Okabe and Ito).
const SERIES: [&str; 7] = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#999999"];
/// Colour of the largest value in a matrix.
const HEAT: &str = "#0072B2";
pub(super) const WIDTH: f64 = 880.0;
const PLOT_HEIGHT: f64 = 260.0;
const TOP: f64 = 46.0;
/// Height of a window's panel.
const PANEL: f64 = 150.0;
/// The colour of a reset.
const RESET: &str = "#D55E00";
/// Maximum number of characters of a label.
const LABEL: usize = 34;
/// Width of a character of labels, in pixels.
pub(super) const CHARACTER: f64 = 6.7;
/// Horizontal lines of a scale.
const LINES: u32 = 4;

/// The alignment of a text at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextAnchor {
    Start,
    Middle,
    End,
}

/// A part of a drawing. Places are in pixels from the upper left corner; those of texts are at their baseline.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mark {
    Text {
        x: f64,
        y: f64,
        anchor: TextAnchor,
        text: String,
    },
    /// A text that ends at its place and is turned by 35 degrees.
    Turned {
        x: f64,
        y: f64,
        text: String,
    },
    /// A rectangle of a colour such as `#0072B2`, with a text that a reader can ask for.
    Rectangle {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        fill: &'static str,
        opacity: f64,
        title: String,
    },
    /// A horizontal line.
    Line {
        x: f64,
        y: f64,
        to_x: f64,
    },
}

/// The marks of a drawing, and its height so far.
#[derive(Default)]
pub(super) struct Canvas {
    pub marks: Vec<Mark>,
    bottom: f64,
}

/// Draws a figure.
pub(super) fn drawn(figure: &Figure) -> Canvas {
    let mut canvas = Canvas::default();
    match &figure.shape {
        FigureShape::Stacked { columns, series, values } => stacked(&mut canvas, figure.unit, columns, series, values),
        FigureShape::Matrix { rows, columns, values } => matrix(&mut canvas, figure.unit, rows, columns, values),
        FigureShape::Bars { rows } => bars(&mut canvas, figure.unit, rows),
        FigureShape::Use { panels, columns } => {
            for (number, panel) in panels.iter().enumerate() {
                window_use(&mut canvas, panel, columns, TOP + number as f64 * (PANEL + 66.0));
            }
        }
    }
    canvas
}

impl Canvas {
    /// The height of the drawing with a margin.
    pub fn height(&self) -> f64 {
        self.bottom + 16.0
    }

    fn text(&mut self, x: f64, y: f64, anchor: TextAnchor, text: &str) {
        self.marks.push(Mark::Text { x, y, anchor, text: text.to_owned() });
        self.bottom = self.bottom.max(y + 6.0);
    }

    /// Adds a label below a column, rotated so that neighbours do not overlap.
    fn turned(&mut self, x: f64, y: f64, text: &str) {
        self.marks.push(Mark::Turned { x, y, text: text.to_owned() });
        self.bottom = self.bottom.max(y + text.chars().count() as f64 * CHARACTER * 0.6);
    }

    /// Adds a rectangle with a tooltip.
    fn rectangle(
        &mut self,
        (x, y, width, height): (f64, f64, f64, f64),
        fill: &'static str,
        opacity: f64,
        title: &str,
    ) {
        self.marks.push(Mark::Rectangle { x, y, width, height, fill, opacity, title: title.to_owned() });
        self.bottom = self.bottom.max(y + height);
    }

    fn line(&mut self, x: f64, y: f64, to_x: f64) {
        self.marks.push(Mark::Line { x, y, to_x });
    }
}

/// Returns the share of the largest value, from 0 to 1. Pixels need no exact arithmetic.
fn part(value: u128, most: u128) -> f64 {
    value as f64 / most.max(1) as f64
}

/// Returns the next larger round number, for readable values on the scale.
fn rounder(value: u128) -> u128 {
    let mut unit = 1_u128;
    while unit.saturating_mul(10) < value.max(1) {
        unit = unit.saturating_mul(10);
    }
    [1, 2, 4, 6, 8, 10].map(|times| unit.saturating_mul(times)).into_iter().find(|it| *it >= value).unwrap_or(value)
}

fn stacked(canvas: &mut Canvas, unit: Unit, columns: &[String], series: &[String], values: &[Vec<u128>]) {
    let sum = |column: usize| values.iter().filter_map(|series| series.get(column)).sum::<u128>();
    let most = rounder((0..columns.len()).map(sum).max().unwrap_or(0).max(1));
    let (left, right, bottom) = (84.0, WIDTH - 16.0, TOP + PLOT_HEIGHT);
    for line in 0..=LINES {
        let y = bottom - PLOT_HEIGHT * f64::from(line) / f64::from(LINES);
        canvas.line(left, y, right);
        canvas.text(left - 8.0, y + 4.0, TextAnchor::End, &unit.show(most * u128::from(line) / u128::from(LINES)));
    }
    let step = (right - left) / columns.len().max(1) as f64;
    let width = (step * 0.8).max(0.5);
    for (column, name) in columns.iter().enumerate() {
        let (x, mut top) = (left + step * column as f64 + (step - width) / 2.0, bottom);
        for ((values, colour), series) in values.iter().zip(SERIES).zip(series) {
            let value = values.get(column).copied().unwrap_or(0);
            if value > 0 {
                let height = PLOT_HEIGHT * part(value, most);
                top -= height;
                canvas.rectangle(
                    (x, top, width, height),
                    colour,
                    1.0,
                    &format!("{name} {series}: {}", unit.show(value)),
                );
            }
        }
    }
    labels_below(canvas, columns, (left, step, bottom + 18.0));
    if series.len() > 1 {
        legend(canvas, series, bottom + 44.0);
    }
}

/// Adds column labels, as many as fit.
fn labels_below(canvas: &mut Canvas, columns: &[String], (left, step, y): (f64, f64, f64)) {
    let widest = columns.iter().map(|name| name.chars().count().min(16)).max().unwrap_or(1) as f64 * CHARACTER + 10.0;
    let every = ((widest / step).ceil() as usize).max(1);
    for (column, name) in columns.iter().enumerate().step_by(every) {
        canvas.text(left + step * (column as f64 + 0.5), y, TextAnchor::Middle, &ending(name, 16));
    }
}

fn legend(canvas: &mut Canvas, series: &[String], top: f64) {
    let (mut x, mut y) = (84.0, top);
    for (name, colour) in series.iter().zip(SERIES) {
        let name = ending(name, LABEL);
        let width = name.chars().count() as f64 * CHARACTER + 40.0;
        if x + width > WIDTH && x > 84.0 {
            (x, y) = (84.0, y + 20.0);
        }
        canvas.rectangle((x, y - 10.0, 12.0, 12.0), colour, 1.0, &name);
        canvas.text(x + 18.0, y, TextAnchor::Start, &name);
        x += width;
    }
}

fn label_width<'n>(names: impl Iterator<Item = &'n String>) -> f64 {
    names.map(|name| name.chars().count().min(LABEL)).max().unwrap_or(0) as f64 * CHARACTER
}

fn matrix(canvas: &mut Canvas, unit: Unit, rows: &[String], columns: &[String], values: &[Vec<u128>]) {
    let most = values.iter().flatten().copied().max().unwrap_or(0).max(1);
    let left = 24.0 + label_width(rows.iter());
    let step = ((WIDTH - 16.0 - left) / columns.len().max(1) as f64).min(90.0);
    let height = 24.0;
    for (row, (name, values)) in rows.iter().zip(values).enumerate() {
        let y = TOP + height * row as f64;
        canvas.text(left - 8.0, y + 16.0, TextAnchor::End, &ending(name, LABEL));
        for (column, value) in values.iter().enumerate() {
            let x = left + step * column as f64;
            let of = columns.get(column).map_or("", String::as_str);
            // A value above zero must be visible.
            let shade = if *value == 0 { 0.05 } else { 0.15 + 0.85 * part(*value, most) };
            let title = format!("{name} {of}: {}", unit.show(*value));
            canvas.rectangle((x + 1.0, y + 1.0, step - 2.0, height - 2.0), HEAT, shade, &title);
        }
    }
    let bottom = TOP + height * rows.len() as f64;
    if columns.iter().all(|name| name.chars().count() as f64 * CHARACTER < step) {
        labels_below(canvas, columns, (left, step, bottom + 18.0));
    } else {
        for (column, name) in columns.iter().enumerate() {
            canvas.turned(left + step * (column as f64 + 0.5), bottom + 14.0, &ending(name, LABEL));
        }
    }
    canvas.text(left, canvas.bottom + 18.0, TextAnchor::Start, &format!("darkest: {}", unit.show(most)));
}

fn bars(canvas: &mut Canvas, unit: Unit, rows: &[(String, u128)]) {
    let most = rows.iter().map(|(_, value)| *value).max().unwrap_or(0).max(1);
    let left = 24.0 + label_width(rows.iter().map(|(name, _)| name));
    let room = WIDTH - left - 110.0;
    for (row, (name, value)) in rows.iter().enumerate() {
        let (y, shown) = (TOP + 24.0 * row as f64, unit.show(*value));
        canvas.text(left - 8.0, y + 15.0, TextAnchor::End, &ending(name, LABEL));
        let width = (room * part(*value, most)).max(0.5);
        canvas.rectangle((left, y + 3.0, width, 16.0), HEAT, 1.0, &format!("{name}: {shown}"));
        canvas.text(left + width + 8.0, y + 15.0, TextAnchor::Start, &shown);
    }
}

/// The use of a window as an area below its limit, with a mark at each reset.
fn window_use(canvas: &mut Canvas, panel: &Panel, columns: &[String], top: f64) {
    let (left, right, top) = (84.0, WIDTH - 16.0, top + 20.0);
    let bottom = top + PANEL;
    let limit = panel.limit.as_ref().map(|limit| format!(", {limit}")).unwrap_or_default();
    canvas.text(left, top - 8.0, TextAnchor::Start, &format!("{}{limit}", panel.name));
    for percent in [0, 50, 100] {
        let y = bottom - PANEL * f64::from(percent) / 100.0;
        canvas.line(left, y, right);
        canvas.text(left - 8.0, y + 4.0, TextAnchor::End, &format!("{percent} %"));
    }
    let step = (right - left) / columns.len().max(1) as f64;
    for (number, used) in panel.percent.iter().enumerate() {
        let Some(used) = used else { continue };
        let height = PANEL * f64::from(*used).min(10_000.0) / 10_000.0;
        let title = format!("{}: {} %", columns.get(number).map_or("", String::as_str), f64::from(*used) / 100.0);
        canvas.rectangle((left + step * number as f64, bottom - height, step, height), HEAT, 0.85, &title);
    }
    for reset in &panel.resets {
        let when = columns.get(*reset).map_or("", String::as_str);
        canvas.rectangle((left + step * *reset as f64, top, 1.5, PANEL), RESET, 0.9, &format!("reset at {when}"));
    }
    labels_below(canvas, columns, (left, step, bottom + 18.0));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_end_at_readable_numbers() {
        assert_eq!([1, 7, 10, 11, 45, 61, 99, 100].map(rounder), [1, 8, 10, 20, 60, 80, 100, 100]);
    }
}
