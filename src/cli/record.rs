//! `record`: records one call from flags or a response, or many from JSON lines.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::call_args::CallArgs;
use super::context::Context;
use super::input_lines::InputLines;
use crate::api;
use crate::api::json_line::JsonLine;
use crate::api::record::RecordTally;
use crate::ledger::{Ledger, is_ahead};
use crate::model::event::NewEvent;
use crate::model::provider::CATALOGUE;
use crate::model::time::Timestamp;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{self, EscapedText, JsonAnswer, counted};

/// Maximum number of undeclared providers to check in one run.
const ODD: usize = 100;

/// Record the tokens of one call, of a response, or of many calls
///
/// The same record with the same key is recorded once. A different record with the same key is refused.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger record --provider anthropic --input 120 --output 40 --key msg_01ABC\n  \
    curl … | usage-ledger record --format openai-chat --project acme\n  \
    usage-ledger record --jsonl calls.jsonl\n  \
    echo '{\"provider\":\"ollama\",\"model\":\"qwen3\",\"input\":9,\"output\":3}' | usage-ledger record --jsonl -")]
pub(crate) struct RecordArgs {
    /// Read records from JSON lines and record all of them or none; - is stdin
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["format", "key", "occurred_at", "CountArgs", "NameArgs"],
        long_help = "Read records from JSON lines and record all of them or none; - is stdin\n\n\
            Fields: provider, account, model, agent, project, conversation, labels, input, output, cache_read, \
            cache_write, cache_write_5m, cache_write_1h, reasoning, cost_usd, duration_ms, occurred_at, counted_at, \
            key, keys and id. Only provider and one count are required."
    )]
    jsonl: Option<PathBuf>,
    #[command(flatten)]
    call: CallArgs,
}

pub(crate) fn run(args: RecordArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.jsonl {
        Some(path) => record_many(&mut InputLines::open(path, context)?, &args.call.source, context, out),
        None => record_one(args, context, out),
    }
}

fn record_one(args: RecordArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let (record, nested) = args.call.records(None, context)?;
    let now = context.now();
    let what = format!(
        "{}{}, {}",
        record.provider,
        record.model.as_ref().map(|model| format!(" {}", EscapedText(model))).unwrap_or_default(),
        counted(record.tokens.total()?, "token")
    );
    let at = args.call.occurred_at.unwrap_or(now);
    let source = args.call.source;
    let event = |record| NewEvent::new(record, at).source(source.clone());
    let ledger = context.write()?;
    let (outcome, receipt) = api::record::record_one(&ledger, event(record), nested.into_iter().map(event), now)?;
    receipt.warnings.iter().for_each(|warning| print_message(warning));
    if context.json {
        return JsonAnswer::new(receipt).write(out);
    }
    output::outcome(out, outcome, &what)
}

/// Validates every line before the ledger is opened, then records all in one transaction.
fn record_many(lines: &mut InputLines, source: &str, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("this command writes")?;
    let now = context.now();
    let (mut odd, mut ahead) = (BTreeSet::new(), 0);
    let records = check(lines, now, &mut odd, &mut ahead)?;
    let tally = if records == 0 { RecordTally::default() } else { take_in(lines, source, &odd, (context, now))? };
    if ahead > 0 {
        print_message(&format!(
            "{} at a time in the future, which will count from then on: `usage-ledger doctor` names a remedy",
            if ahead == 1 { "1 call is".to_owned() } else { format!("{} are", counted(ahead, "call")) }
        ));
    }
    if context.json {
        return JsonAnswer::new(tally).write(out);
    }
    let RecordTally { recorded, duplicates, .. } = tally;
    let already = if duplicates > 0 { format!(", {duplicates} were there already") } else { String::new() };
    Ok(writeln!(out, "{} recorded{already}", counted(recorded, "record"))?)
}

/// Validates and counts all lines, collects undeclared providers, and counts calls with a time in the future.
fn check(lines: &mut InputLines, now: Timestamp, odd: &mut BTreeSet<String>, ahead: &mut u64) -> Result<u64, Failure> {
    let mut records = 0;
    loop {
        let provider = match lines.next() {
            Ok(None) => return Ok(records),
            Ok(Some(line)) => JsonLine::parse(line).map(|parsed| {
                *ahead += u64::from(parsed.occurred_at.is_some_and(|at| is_ahead(at, now)));
                parsed.record.provider
            }),
            Err(error) => Err(error),
        };
        let provider = provider.map_err(|error| Failure::at_line(lines.number(), error))?;
        records += 1;
        if odd.len() < ODD && !odd.contains(&*provider) && CATALOGUE.iter().all(|entry| entry.id != provider) {
            odd.insert(provider.into_owned());
        }
    }
}

fn take_in(
    lines: &mut InputLines,
    source: &str,
    odd: &BTreeSet<String>,
    (context, now): (&Context, Timestamp),
) -> Result<RecordTally, Failure> {
    lines.rewind()?;
    let ledger = context.write()?;
    let recorded = ledger.transact(now, |appender| {
        let mut tally = RecordTally::default();
        while let Some(line) = lines.next()? {
            tally.push(appender, JsonLine::parse(line)?, source, now)?;
        }
        Ok(tally)
    });
    let tally = recorded.map_err(|error| Failure::at_line(lines.number(), error))?;
    for provider in odd {
        hint(provider, &ledger, now)?;
    }
    Ok(tally)
}

/// Warns about an undeclared provider that is similar to a known one.
pub(crate) fn hint(provider: &str, ledger: &Ledger, now: Timestamp) -> Result<(), Failure> {
    if let Some(hint) = api::record::hint(provider, ledger, now)? {
        print_message(&hint);
    }
    Ok(())
}
