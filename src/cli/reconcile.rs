//! `reconcile`: compares the ledger with a provider's statement.

use std::io::{Read, Write};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::input_lines;
use crate::bill::{self, BillRow, BillVerdict, ComparisonOptions, Reconciliation};
use crate::model::error::Error;
use crate::model::humanize::number::grouped;
use crate::model::time::{DAY, Timestamp};
use crate::present::failure::Failure;
use crate::present::output::{EscapedText, JsonAnswer, counted};
use crate::readers::statement;

/// Maximum length of a statement, in bytes.
const LONGEST: u64 = 1 << 28;

/// Compare the ledger with the statement of a provider
///
/// A file is recognised by its columns. Each bucket, model, key and workspace gets a verdict, and a difference gets the
/// first cause that explains it to the token. The command changes nothing. It exits with 1 if a difference has no known
/// cause.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger reconcile claude_api_cost_2026_05.csv\n  \
    usage-ledger reconcile usage.csv --account work --tolerance 0.1%\n  \
    usage-ledger reconcile usage.csv --json")]
pub(crate) struct ReconcileArgs {
    /// The statements
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Compare only the records of this account
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Accept differences up to this part of a value, as a percentage
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = tolerance)]
    tolerance: u32,
    /// List rows that agree too
    #[arg(long)]
    all: bool,
}

/// Parses a percentage as parts per million.
fn tolerance(text: &str) -> Result<u32, String> {
    let fault = || format!("`{text}` is not a percentage from 0 to 100: write one such as 0.5%");
    let plain = text.strip_suffix('%').unwrap_or(text);
    let value: rust_decimal::Decimal = plain.parse().map_err(|_| fault())?;
    let ppm = value.checked_mul(rust_decimal::Decimal::from(10_000)).ok_or_else(fault)?;
    u32::try_from(ppm.round()).ok().filter(|ppm| *ppm <= 1_000_000).ok_or_else(fault)
}

#[derive(Serialize)]
struct FileAnswer {
    file: String,
    #[serde(flatten)]
    reconciliation: Reconciliation,
}

#[derive(Serialize)]
struct Answer<'a> {
    ok: bool,
    statements: &'a [FileAnswer],
}

pub(crate) fn run(args: &ReconcileArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    // Every file is read before the first answer, so a fault in one of them leaves no half of an answer.
    let mut statements = Vec::new();
    for path in &args.files {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        let length = input_lines::open(path, context)?.take(LONGEST + 1).read_to_end(&mut bytes);
        let length = length.map_err(|source| Error::Io { path: path.clone(), source })?;
        if length as u64 > LONGEST {
            return Err(Failure::usage(format!("{name} is longer than {LONGEST} bytes: export a shorter period")));
        }
        statements.push((name.clone(), statement::read(&name, &bytes)?));
    }
    let ledger = context.read_existing()?;
    let snapshot = context.snapshot(&ledger)?;
    let now = context.query_time(&snapshot);
    let prices = snapshot.prices()?;
    let mut answers = Vec::new();
    for (file, statement) in statements {
        let (since, until) = bill::period(&file, &statement)?;
        let around = bill::calls(&snapshot, (since.plus(-DAY), until.plus(DAY)), args.account.as_deref(), &prices)?;
        let options = ComparisonOptions { now, tolerance_ppm: args.tolerance };
        let reconciliation = bill::compare(&file, &statement, &around, options)?;
        answers.push(FileAnswer { file, reconciliation });
    }
    let ok = !answers.iter().any(|answer| answer.reconciliation.has_unexplained());
    if context.json {
        JsonAnswer::new(Answer { ok, statements: &answers }).write(out)?;
    } else {
        for answer in &answers {
            print(answer, args.all, out)?;
        }
    }
    if ok { Ok(()) } else { Err(Failure::Finding) }
}

fn print(answer: &FileAnswer, all: bool, out: &mut dyn Write) -> Result<(), Failure> {
    let found = &answer.reconciliation;
    writeln!(out, "{}: {}, {} to {}", EscapedText(&answer.file), found.source, found.since, found.until)?;
    let agree = |row: &&BillRow| matches!(row.verdict, BillVerdict::Equal | BillVerdict::WithinRounding);
    for row in found.rows.iter().filter(|row| all || !agree(row)) {
        print_row(row, out)?;
    }
    for line in &found.duplicate_lines {
        writeln!(out, "line {line}: repeats an earlier line; not counted again")?;
    }
    let agreeing = found.rows.iter().filter(agree).count();
    writeln!(out, "{agreeing} of {} agree", counted(found.rows.len() as u64, "row"))?;
    if found.other_rows > 0 {
        writeln!(out, "{} without tokens left out", counted(found.other_rows, "row"))?;
    }
    for (day, spend) in &found.days {
        writeln!(
            out,
            "{day}: {} USD confirmed, {} explained, {} unexplained, {} provisional",
            spend.confirmed, spend.explained, spend.unexplained, spend.provisional
        )?;
        if spend.rows_without_amount > 0 {
            writeln!(out, "{day}: {} without a known amount", counted(spend.rows_without_amount, "row"))?;
        }
    }
    Ok(())
}

fn print_row(row: &BillRow, out: &mut dyn Write) -> Result<(), Failure> {
    let names = [Some(row.provider.as_str()), Some(row.model.as_str()), row.key.as_deref(), row.workspace.as_deref()];
    let names: Vec<&str> = names.into_iter().flatten().collect();
    let cause = row.cause.as_ref().map(|cause| format!(": {}", cause.text())).unwrap_or_default();
    writeln!(
        out,
        "{} {}: {}{}",
        bucket(row.start, row.end),
        EscapedText(&names.join(" ")),
        row.verdict.name(),
        EscapedText(&cause)
    )?;
    for (class, pair) in &row.tokens {
        if pair.ledger != pair.statement {
            let size = |count: i128| grouped(count.unsigned_abs());
            let sign = if pair.statement > pair.ledger { '+' } else { '-' };
            let apart = size(pair.statement - pair.ledger);
            writeln!(
                out,
                "  {class}: ledger {}, statement {} ({sign}{apart})",
                size(pair.ledger),
                size(pair.statement)
            )?;
        }
    }
    if let Some(statement) = row.statement_usd {
        let ledger = row.ledger_usd.map_or_else(|| "unknown".to_owned(), |usd| format!("{usd} USD"));
        writeln!(out, "  cost: ledger {ledger}, statement {statement} USD")?;
    }
    Ok(())
}

fn bucket(start: Timestamp, end: Timestamp) -> String {
    let text = start.to_string();
    let length = if end.millis() - start.millis() >= DAY { 10 } else { 16 };
    text.get(..length).unwrap_or(&text).to_owned()
}
