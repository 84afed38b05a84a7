//! `reconcile`: compares the ledger with a provider's statement, and records the statement.

mod print;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::input_lines;
use super::prove_total::period;
use crate::bill::{self, FileTerms, Reconciliation};
use crate::ledger::{Ledger, Outcome, Snapshot};
use crate::model::error::Error;
use crate::model::event::{Position, StatementReceived};
use crate::model::time::{Timestamp, Zone};
use crate::present::failure::{Failure, print_message};
use crate::present::output::JsonAnswer;
use crate::readers::statement::{self, Statement};

/// Maximum length of a statement, in bytes.
const LONGEST: u64 = 1 << 28;

/// Compare the ledger with the statement of a provider
///
/// A file is recognised by its columns. Each bucket, model, key and workspace gets a verdict, and a difference gets causes
/// that explain it to the token. The statement is recorded as an event, once; it changes no usage record. A later file of the
/// same period replaces an earlier one in comparisons. Without a file, compare the recorded statements that hold. The command
/// exits with 1 if a difference has no known cause.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger reconcile claude_api_cost_2026_05.csv\n  \
    usage-ledger reconcile usage.csv --account work --tolerance 0.1%\n  \
    usage-ledger reconcile cur.snappy.parquet focus.csv.gz --dry-run\n  \
    usage-ledger reconcile --json")]
pub(crate) struct ReconcileArgs {
    /// The statements; also packed by gzip, and Parquet
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The account of the statements; compare only its records
    #[arg(long, value_name = "NAME", value_parser = super::record_flags::text)]
    account: Option<String>,
    /// The period that a statement covers, in UTC: a month (2026-05), a day, or FROM..UNTIL [default: that of its rows]
    #[arg(long, value_name = "PERIOD", requires = "files")]
    period: Option<String>,
    /// Accept differences up to this part of a value, as a percentage
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = tolerance)]
    tolerance: u32,
    /// List rows that agree too
    #[arg(long)]
    all: bool,
    /// Record nothing
    #[arg(long)]
    dry_run: bool,
}

/// Parses a percentage as parts per million.
fn tolerance(text: &str) -> Result<u32, String> {
    let fault = || format!("`{text}` is not a percentage from 0 to 100: write one such as 0.5%");
    let plain = text.strip_suffix('%').unwrap_or(text);
    let value: rust_decimal::Decimal = plain.parse().map_err(|_| fault())?;
    let ppm = value.checked_mul(rust_decimal::Decimal::from(10_000)).ok_or_else(fault)?;
    u32::try_from(ppm.round()).ok().filter(|ppm| *ppm <= 1_000_000).ok_or_else(fault)
}

/// Where a statement is in the ledger.
#[derive(Serialize)]
struct RecordedAt {
    /// The first part of each of its events.
    positions: Vec<Position>,
    /// Whether this command recorded it.
    new: bool,
}

#[derive(Serialize)]
struct FileAnswer {
    file: String,
    /// The SHA-256 of the file.
    sha256: String,
    /// Null if it is not recorded.
    recorded: Option<RecordedAt>,
    #[serde(flatten)]
    reconciliation: Reconciliation,
}

#[derive(Serialize)]
struct Answer<'a> {
    ok: bool,
    statements: &'a [FileAnswer],
}

/// A file that was read.
struct StatementFile {
    name: String,
    sha256: String,
    statement: Statement,
    events: Vec<StatementReceived>,
}

pub(crate) fn run(args: &ReconcileArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let terms = FileTerms {
        account: args.account.clone(),
        period: args.period.as_deref().map(|text| period(text, Zone::UTC, context.now())).transpose()?,
    };
    // Every file is read before the first event is written, so a fault in one of them leaves nothing half done.
    let files = args.files.iter().map(|path| read(path, &terms, context)).collect::<Result<Vec<_>, _>>()?;
    context.expect_existing()?;
    let is_recording = !args.dry_run && !context.is_past() && !files.is_empty();
    let mut obstacle = None;
    let (ledger, new) = match is_recording.then(|| context.write()) {
        Some(Ok(ledger)) => {
            let new = record(&files, &ledger, context)?;
            (ledger, new)
        }
        // The comparison is valid even if the ledger cannot record the statement.
        Some(Err(Failure::Ledger(error) | Failure::Unreachable(error))) => {
            obstacle = Some(error);
            (context.read()?, BTreeSet::new())
        }
        Some(Err(failure)) => return Err(failure),
        None => (context.read()?, BTreeSet::new()),
    };
    let snapshot = context.snapshot(&ledger)?;
    let answers = if files.is_empty() {
        recorded(args, &snapshot, context.query_time(&snapshot))?
    } else {
        compared(files, args, (&snapshot, &new), context)?
    };
    if let Some(error) = obstacle.filter(|_| answers.iter().any(|answer| answer.recorded.is_none())) {
        print_message(&format!("note: the statement is not recorded: {error}"));
    }
    let ok = !answers.iter().any(|answer| answer.reconciliation.has_unexplained());
    if context.json {
        JsonAnswer::new(Answer { ok, statements: &answers }).write(out)?;
    } else {
        for answer in &answers {
            print::answer(answer, args.all, out)?;
        }
    }
    if ok { Ok(()) } else { Err(Failure::Finding) }
}

fn read(path: &Path, terms: &FileTerms, context: &Context) -> Result<StatementFile, Failure> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let length = input_lines::open(path, context)?.take(LONGEST + 1).read_to_end(&mut bytes);
    let length = length.map_err(|source| Error::Io { path: path.to_owned(), source })?;
    if length as u64 > LONGEST {
        return Err(Failure::usage(format!("{name} is longer than {LONGEST} bytes: export a shorter period")));
    }
    let mut statement = statement::read(&name, &bytes)?;
    if let Some(line) = statement.more_pages {
        print_message(&format!(
            "note: {name}:{line}: `has_more` is true, so calls of later pages are missing: append all pages to one file"
        ));
    }
    let sha256 = bill::hash(&bytes);
    let events = bill::events(&name, &statement, &sha256, terms)?;
    if terms.period.is_some() {
        statement.period = terms.period;
    }
    Ok(StatementFile { name, sha256, statement, events })
}

/// Records the statements in one transaction. Returns the positions of the new ones.
fn record(files: &[StatementFile], ledger: &Ledger, context: &Context) -> Result<BTreeSet<Position>, Failure> {
    let mut new = BTreeSet::new();
    let events = files.iter().flat_map(|file| file.events.iter().cloned()).collect();
    for outcome in ledger.receive_statements(events, context.now())? {
        match outcome {
            Outcome::Appended { position, .. } => drop(new.insert(position)),
            Outcome::Existing { position, id } if ledger.snapshot()?.is_void(id)? => print_message(&format!(
                "note: the statement at position {position} was withdrawn, and stays so; void the withdrawal to use it again"
            )),
            Outcome::Existing { .. } => {}
        }
    }
    Ok(new)
}

/// Compares the files.
fn compared(
    files: Vec<StatementFile>,
    args: &ReconcileArgs,
    (snapshot, recorded_now): (&Snapshot<'_>, &BTreeSet<Position>),
    context: &Context,
) -> Result<Vec<FileAnswer>, Failure> {
    let (now, prices) = (context.query_time(snapshot), snapshot.prices()?);
    let mut answers = Vec::new();
    for StatementFile { name, sha256, statement, events } in files {
        let (account, limits) = (args.account.as_deref(), (now, args.tolerance));
        let reconciliation = bill::compare_with_ledger(snapshot, (&name, &statement), account, &prices, limits)?;
        let mut positions = Vec::new();
        for event in &events {
            if let Some(position) = snapshot.position_of_statement(event)? {
                positions.push(position);
            }
        }
        let new = positions.iter().any(|position| recorded_now.contains(position));
        let recorded = (positions.len() == events.len()).then_some(RecordedAt { positions, new });
        answers.push(FileAnswer { file: name, sha256, recorded, reconciliation });
    }
    Ok(answers)
}

/// Compares the recorded statements that hold.
fn recorded(args: &ReconcileArgs, snapshot: &Snapshot<'_>, now: Timestamp) -> Result<Vec<FileAnswer>, Failure> {
    let prices = snapshot.prices()?;
    let mut answers = Vec::new();
    for received in snapshot.statements(now)? {
        let content = &received.content;
        let is_wanted = args.account.is_none() || args.account == content.account;
        if !is_wanted || !received.holds() {
            continue;
        }
        let reconciliation = bill::compare_received(snapshot, &received, &prices, (now, args.tolerance))?;
        answers.push(FileAnswer {
            file: format!("position {}", received.position()?),
            sha256: content.file.clone(),
            recorded: Some(RecordedAt { positions: received.positions.clone(), new: false }),
            reconciliation,
        });
    }
    if answers.is_empty() {
        print_message("no statement is recorded: `usage-ledger reconcile FILE` records one");
    }
    Ok(answers)
}
