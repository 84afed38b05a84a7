//! Prints a comparison for people.

use std::io::Write;

use super::FileAnswer;
use crate::bill::{BillRow, NamedCause};
use crate::model::humanize::number::grouped;
use crate::model::time::{DAY, Timestamp};
use crate::present::failure::Failure;
use crate::present::output::{EscapedText, counted};

/// Prints the rows that differ, or all.
pub(super) fn answer(answer: &FileAnswer, all: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let found = &answer.reconciliation;
    writeln!(out, "{}: {}, {} to {}", EscapedText(&answer.file), EscapedText(&found.source), found.since, found.until)?;
    for row in found.rows.iter().filter(|row| all || !row.agrees()) {
        print_row(row, out)?;
    }
    for line in &found.duplicate_lines {
        writeln!(out, "line {line}: repeats an earlier line; not counted again")?;
    }
    let agreeing = found.rows.iter().filter(|row| row.agrees()).count();
    writeln!(out, "{agreeing} of {} agree", counted(found.rows.len() as u64, "row"))?;
    if found.other_rows > 0 {
        writeln!(out, "{} without tokens left out", counted(found.other_rows, "row"))?;
    }
    for (day, spend) in &found.days {
        writeln!(out, "{day}: {}", spend.text())?;
        if spend.rows_without_amount > 0 {
            writeln!(out, "{day}: {} without a known amount", counted(spend.rows_without_amount, "row"))?;
        }
    }
    if let Some(recorded) = &answer.recorded {
        let positions: Vec<String> = recorded.positions.iter().map(ToString::to_string).collect();
        let word = if recorded.new { "recorded" } else { "already recorded" };
        writeln!(out, "{word} at position {}", positions.join(", "))?;
    }
    Ok(())
}

fn print_row(row: &BillRow, out: &mut dyn Write) -> Result<(), Failure> {
    let names = [Some(row.provider.as_str()), Some(row.model.as_str()), row.key.as_deref(), row.workspace.as_deref()];
    let names: Vec<&str> = names.into_iter().flatten().collect();
    writeln!(out, "{} {}: {}", bucket(row.start, row.end), EscapedText(&names.join(" ")), row.verdict.name())?;
    for (class, pair) in &row.tokens {
        if pair.ledger != pair.statement {
            let size = |count: i128| grouped(count.unsigned_abs());
            writeln!(
                out,
                "  {class}: ledger {}, statement {} ({})",
                size(pair.ledger),
                size(pair.statement),
                signed(pair.statement - pair.ledger)
            )?;
        }
    }
    if let Some(statement) = row.statement_usd {
        let ledger = row.ledger_usd.map_or_else(|| "unknown".to_owned(), |usd| format!("{usd} USD"));
        writeln!(out, "  cost: ledger {ledger}, statement {statement} USD")?;
    }
    for named in &row.causes {
        print_cause(named, out)?;
    }
    let (telemetry, background) = (row.telemetry_requests as u64, row.background_requests as u64);
    if telemetry > 0 || background > 0 {
        writeln!(
            out,
            "  of the ledger: {} only in telemetry, {}",
            counted(telemetry, "call"),
            counted(background, "background call")
        )?;
    }
    Ok(())
}

fn print_cause(named: &NamedCause, out: &mut dyn Write) -> Result<(), Failure> {
    let mut parts: Vec<String> =
        named.tokens.iter().map(|(class, count)| format!("{class} {}", signed(*count))).collect();
    parts.extend(named.usd.map(|usd| format!("{usd} USD")));
    let parts = if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) };
    Ok(writeln!(out, "  {}{parts}", EscapedText(&named.cause.text()))?)
}

fn signed(count: i128) -> String {
    let sign = if count < 0 { '-' } else { '+' };
    format!("{sign}{}", grouped(count.unsigned_abs()))
}

fn bucket(start: Timestamp, end: Timestamp) -> String {
    let text = start.to_string();
    let length = if end.millis() - start.millis() >= DAY { 10 } else { 16 };
    text.get(..length).unwrap_or(&text).to_owned()
}
