//! Shared forms of answers: JSON, numbers with separators, tables.

use std::fmt;
use std::io::Write;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

use crate::ledger::Outcome;
use crate::model::event::SkippedLine;
pub(crate) use crate::model::humanize::number::{counted, grouped};
use crate::present::failure::Failure;
use crate::present::money;
use crate::present::visible::{Breaks, visible};
use crate::usage::Usage;

/// A JSON answer with the version of its shape.
#[derive(Serialize)]
pub(crate) struct JsonAnswer<T> {
    schema: u32,
    #[serde(flatten)]
    body: T,
}

impl<T: Serialize> JsonAnswer<T> {
    pub const fn new(body: T) -> Self {
        Self { schema: 1, body }
    }

    pub fn write(&self, out: &mut dyn Write) -> Result<(), Failure> {
        json(out, self)
    }
}

/// Writes one line of JSON.
pub(crate) fn json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer(&mut *out, value)?;
    Ok(writeln!(out)?)
}

/// Formats a skipped line or entry as `FILE line 3: why`; a skipped file has no line.
pub(crate) fn skipped(skipped: &SkippedLine) -> String {
    let line = if skipped.line == 0 { String::new() } else { format!(" line {}", skipped.line) };
    format!("{}{line}: {}", EscapedText(&skipped.file), EscapedText(&skipped.why))
}

/// Formats `401,000 tokens, 2 requests, $1.20`; without a known price there is no cost.
pub(crate) fn used(usage: &Usage) -> String {
    let tokens = counted(usage.tokens.total(), "token");
    format!("{tokens}, {}{}", counted(usage.requests, "request"), and_cost(usage))
}

/// Formats `, $1.20`, or nothing if no call has a known price.
pub(crate) fn and_cost(usage: &Usage) -> String {
    usage.cost.usd.map(|_| format!(", {}", money::cost(&usage.cost))).unwrap_or_default()
}

/// Formats a foreign text for a terminal: on one line, with hidden characters escaped.
pub(crate) struct EscapedText<'a>(pub &'a str);

impl fmt::Display for EscapedText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&visible(self.0, Breaks::Blank))
    }
}

/// Wraps a text at `width` characters. A longer word is not broken.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Prints the result of an append; `what` describes the event.
pub(crate) fn outcome(out: &mut dyn Write, outcome: Outcome, what: &str) -> Result<(), Failure> {
    match outcome {
        Outcome::Appended { position, .. } => writeln!(out, "position {position}: {what}")?,
        Outcome::Existing { position, .. } => {
            writeln!(out, "already at position {position}: {what}; nothing was added")?;
        }
    }
    Ok(())
}

/// The result of an append in JSON, with the field names of `record`.
#[derive(Serialize)]
pub(crate) struct AppendReceipt {
    pub recorded: u64,
    pub duplicates: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Suspicious values. The event was appended nevertheless.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl AppendReceipt {
    pub fn one(outcome: Outcome, id: impl fmt::Display) -> Self {
        let appended = outcome.is_new();
        Self {
            recorded: u64::from(appended),
            duplicates: u64::from(!appended),
            positions: vec![outcome.position().get()],
            id: Some(id.to_string()),
            warnings: Vec::new(),
        }
    }
}

/// Names up to this width are not broken.
pub(crate) const UNBROKEN: u16 = 20;

/// Builds a table without frames. The first `names` columns are text; the others are numbers, which are not broken.
pub(crate) fn table(header: Vec<String>, names: usize, rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = Table::new();
    let last = header.len().saturating_sub(1);
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(header);
    table.add_rows(rows);
    let widths = table.column_max_content_widths();
    for (index, (column, width)) in table.column_iter_mut().zip(widths).enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
        if index >= names {
            column.set_cell_alignment(CellAlignment::Right);
        }
        column.set_constraint(if index >= names || width <= UNBROKEN {
            ColumnConstraint::ContentWidth
        } else {
            ColumnConstraint::LowerBoundary(Width::Fixed(UNBROKEN))
        });
    }
    table
}

/// Returns the width of the terminal in characters; 80 without a terminal.
pub(crate) fn width() -> usize {
    Table::new().width().map_or(80, usize::from)
}

/// Returns whether a table fits the terminal if long names are broken. Without a terminal every table fits.
pub(crate) fn fits(table: &Table, names: usize) -> bool {
    let Some(available) = table.width() else { return true };
    let widths = table.column_max_content_widths();
    let needed: u32 = widths
        .iter()
        .enumerate()
        .map(|(index, width)| 2 + u32::from(if index < names { (*width).min(UNBROKEN) } else { *width }))
        .sum();
    needed <= u32::from(available) + 2
}

/// Writes a table without trailing blanks.
pub(crate) fn write_table(out: &mut dyn Write, table: &Table) -> Result<(), Failure> {
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (number, text) in [(0_u64, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        assert_eq!(grouped(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn words_are_never_broken() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("unbreakable it is", 5), ["unbreakable", "it is"]);
        assert!(wrapped("", 5).is_empty());
    }

    #[test]
    fn foreign_text_cannot_control_the_terminal() {
        assert_eq!(EscapedText("a\u{1b}[31mb\nc").to_string(), "a\\u{1b}[31mb c");
    }
}
