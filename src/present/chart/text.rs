//! Draws figures on a terminal.

use std::fmt::Write as _;

use super::figure::{Figure, FigureShape, Panel, Unit};
use crate::model::event::Percent;
use crate::present::tint::tint;

/// Colours of series in the 256-colour palette, and characters that distinguish series without colours.
const SERIES: [(u8, char); 7] = [(75, '█'), (179, '▓'), (79, '▒'), (203, '░'), (141, '#'), (215, '='), (245, '-')];
/// Shades of a matrix, from zero to the maximum.
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];
/// Widest column of labels.
const LABEL: usize = 28;

/// Draws a figure with lines of at most `width` characters.
pub(crate) fn text(figure: &Figure, width: usize, colours: bool) -> String {
    let mut out = format!("{}\n\n", figure.title);
    match &figure.shape {
        FigureShape::Stacked { columns, series, values } => {
            stacked(&mut out, figure.unit, columns, series, values, TextArea { width, colours });
        }
        FigureShape::Matrix { rows, columns, values } => matrix(&mut out, figure.unit, rows, columns, values, width),
        FigureShape::Bars { rows } => {
            let (names, sums): (Vec<String>, Vec<u128>) = rows.iter().cloned().unzip();
            stacked(&mut out, figure.unit, &names, &[], &[sums], TextArea { width, colours });
        }
        FigureShape::Use { panels, columns } => {
            for panel in panels {
                window_use(&mut out, panel, columns, TextArea { width, colours });
            }
        }
    }
    out
}

#[derive(Clone, Copy)]
struct TextArea {
    width: usize,
    colours: bool,
}

/// Draws one line per column of the figure: label, bar of its series, and sum.
fn stacked(
    out: &mut String,
    unit: Unit,
    columns: &[String],
    series: &[String],
    values: &[Vec<u128>],
    TextArea { width, colours }: TextArea,
) {
    let sum = |column: usize| values.iter().filter_map(|series| series.get(column)).sum::<u128>();
    let most = (0..columns.len()).map(sum).max().unwrap_or(0).max(1);
    let shown: Vec<String> = (0..columns.len()).map(|column| unit.show(sum(column))).collect();
    let label = columns.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(LABEL);
    let number = shown.iter().map(String::len).max().unwrap_or(0);
    let cells = width.saturating_sub(label + number + 4).max(10);
    for (column, (name, number_text)) in columns.iter().zip(&shown).enumerate() {
        // Writing to a string does not fail.
        let _ = write!(out, "{:<label$}  ", ending(name, label));
        let (mut below, mut drawn) = (0_u128, 0);
        for (values, (colour, character)) in values.iter().zip(SERIES) {
            below += values.get(column).copied().unwrap_or(0);
            let end = scale(below, most, cells);
            let (part, character) = (end.saturating_sub(drawn), if colours { '█' } else { character });
            if part > 0 && colours {
                let _ = write!(out, "\u{1b}[38;5;{colour}m{}\u{1b}[0m", character.to_string().repeat(part));
            } else {
                out.extend(std::iter::repeat_n(character, part));
            }
            drawn = end.max(drawn);
        }
        out.extend(std::iter::repeat_n(' ', cells.saturating_sub(drawn)));
        let _ = writeln!(out, "  {number_text:>number$}");
    }
    if series.len() > 1 {
        out.push('\n');
        for (name, (colour, character)) in series.iter().zip(SERIES) {
            let _ = if colours {
                writeln!(out, "\u{1b}[38;5;{colour}m██\u{1b}[0m {name}")
            } else {
                writeln!(out, "{character}{character} {name}")
            };
        }
    }
}

/// An area of the use in percent, a line for every 10 points, with a mark below each reset.
fn window_use(out: &mut String, panel: &Panel, columns: &[String], TextArea { width, colours }: TextArea) {
    const AXIS: usize = 7;
    const STEPS: u32 = 10;
    let cells = width.saturating_sub(AXIS + 1).clamp(10, columns.len().max(10));
    let limit = panel.limit.as_ref().map(|limit| format!(", {limit}")).unwrap_or_default();
    let _ = writeln!(out, "{}{limit}", panel.name);
    // Of several instants of a cell the fullest is shown.
    let range = |cell: usize| {
        cell * columns.len() / cells..((cell + 1) * columns.len() / cells).max(cell * columns.len() / cells + 1)
    };
    let full = |cell: usize| panel.percent.get(range(cell)).into_iter().flatten().copied().max().flatten();
    for step in (1..=STEPS).rev() {
        let from = step * 10_000 / STEPS;
        let scale = if step % 5 == 0 { format!("{:>4} %", from / 100) } else { String::new() };
        let _ = write!(out, "{scale:>AXIS$} ");
        for cell in 0..cells {
            // A line is filled from half of it on.
            let filled = full(cell).is_some_and(|used| used + 5_000 / STEPS >= from);
            let colour = full(cell).map_or(79, |used| tint(Percent::from_hundredths(used)).colour());
            let _ = match (filled, colours) {
                (true, true) => write!(out, "\u{1b}[38;5;{colour}m█\u{1b}[0m"),
                (true, false) => write!(out, "█"),
                (false, _) => write!(out, "{}", if step == STEPS { '┄' } else { ' ' }),
            };
        }
        out.push('\n');
    }
    let _ = write!(out, "{:>AXIS$} ", "resets");
    for cell in 0..cells {
        let range = range(cell);
        out.push(if panel.resets.iter().any(|reset| range.contains(reset)) { '▲' } else { '─' });
    }
    let (first, last) = (columns.first().map_or("", String::as_str), columns.last().map_or("", String::as_str));
    let gap = cells.saturating_sub(first.len() + last.len());
    let _ = writeln!(out, "\n{:AXIS$} {first}{}{last}\n", "", " ".repeat(gap.max(1)));
}

fn matrix(out: &mut String, unit: Unit, rows: &[String], columns: &[String], values: &[Vec<u128>], width: usize) {
    let most = values.iter().flatten().copied().max().unwrap_or(0).max(1);
    let label = rows.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(LABEL);
    // Short column labels are above their column; long ones are replaced by a number and a legend.
    let numbered = columns.iter().any(|name| name.chars().count() > 2);
    let cell = if (label + 2 + columns.len() * 3) <= width { 3 } else { 2 };
    let _ = write!(out, "{:label$} ", "");
    for (number, name) in columns.iter().enumerate() {
        let head = if numbered { (number + 1).to_string() } else { name.clone() };
        let _ = write!(out, "{head:>cell$}");
    }
    out.push('\n');
    for (name, row) in rows.iter().zip(values) {
        let _ = write!(out, "{:<label$} ", ending(name, label));
        for value in row {
            let shade = SHADES.get(level(*value, most)).copied().unwrap_or('█');
            let _ = write!(out, "{:>cell$}", shade.to_string().repeat(cell - 1));
        }
        let _ = writeln!(out, "  {}", unit.show(row.iter().sum()));
    }
    if numbered {
        out.push('\n');
        for (number, name) in columns.iter().enumerate() {
            let _ = writeln!(out, "{:>3} {name}", number + 1);
        }
    }
    let _ = writeln!(out, "\n█ up to {}", unit.show(most));
}

/// Returns how many of `cells` a value fills, rounded half up; `most` fills all.
fn scale(value: u128, most: u128, cells: usize) -> usize {
    usize::try_from((value.saturating_mul(cells as u128 * 2) + most) / (2 * most)).unwrap_or(cells).min(cells)
}

/// Returns the shade of a value: 0 for zero, 1 to 4 for quarters of the maximum.
pub(super) fn level(value: u128, most: u128) -> usize {
    if value == 0 { 0 } else { usize::try_from(value.saturating_mul(4).div_ceil(most)).unwrap_or(4).clamp(1, 4) }
}

/// Truncates a long text at the front, because names of projects differ at their ends.
pub(super) fn ending(text: &str, width: usize) -> String {
    let count = text.chars().count();
    if count <= width {
        return text.to_owned();
    }
    let end: String = text.chars().skip(count + 1 - width).collect();
    format!("…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fill_the_width() {
        assert_eq!([0, 1, 50, 99, 100].map(|value| scale(value, 100, 10)), [0, 0, 5, 10, 10]);
        assert_eq!([0, 1, 25, 26, 100].map(|value| level(value, 100)), [0, 1, 1, 2, 4]);
        assert_eq!(ending("/home/me/acme", 6), "…/acme");
    }

    #[test]
    fn series_are_stacked() {
        let shape = FigureShape::Stacked {
            columns: vec!["2026-06-01".to_owned(), "2026-06-02".to_owned()],
            series: vec!["a".to_owned(), "b".to_owned()],
            values: vec![vec![30, 0], vec![10, 20]],
        };
        let figure = Figure { title: "tokens by day and provider".to_owned(), unit: Unit::Tokens, shape };
        let drawn = text(&figure, 40, false);
        assert!(drawn.contains("2026-06-01  ██████████████████▓▓▓▓▓▓  40\n"), "{drawn}");
        assert!(drawn.contains("2026-06-02  ▓▓▓▓▓▓▓▓▓▓▓▓              20\n"), "{drawn}");
        assert!(drawn.ends_with("██ a\n▓▓ b\n"), "{drawn}");
        assert!(drawn.lines().all(|line| line.chars().count() <= 40), "{drawn}");
    }
}
