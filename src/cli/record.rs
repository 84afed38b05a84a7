//! `record`: one call from flags or a provider's response, or many from lines of JSON.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::PathBuf;

use clap::Args;
use clap::builder::PossibleValuesParser;
use serde::Serialize;

use super::context::Context;
use super::fields::{CountArgs, NameArgs};
use super::json_line::JsonLine;
use super::lines::{self, Lines};
use crate::ledger::{Ledger, Outcome};
use crate::model::error::Error;
use crate::model::event::{NewEvent, Quality, TokenRecord};
use crate::model::provider::{CATALOGUE, ProviderId};
use crate::model::time::Timestamp;
use crate::present::failure::{Failure, say};
use crate::present::output::{self, Answer, AppendReceipt, Plain, counted};
use crate::readers::normalise::agent::{self, Turns};
use crate::readers::normalise::{self, UsageFormat};

/// Longest response accepted, in bytes.
const LONGEST_RESPONSE: u64 = 64 << 20;
/// Providers outside the catalogue that are looked at in one run.
const ODD: usize = 100;

/// Record the tokens of a call, of a provider's response, or of many calls
///
/// The same record under the same key is found, not added again; with other counts it is refused.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger record --provider anthropic --input 120 --output 40 --key msg_01ABC\n  \
    curl … | usage-ledger record --format openai-chat --project acme\n  \
    usage-ledger record --jsonl calls.jsonl\n  \
    echo '{\"provider\":\"ollama\",\"model\":\"qwen3\",\"input\":9,\"output\":3}' | usage-ledger record --jsonl -")]
pub(crate) struct RecordArgs {
    /// A response of this API is read for its usage: a body, a bare usage object, or a stream
    ///
    /// agent-output: what a run of an agent prints (Claude's result, Codex' turns): one document, or lines of which
    /// totals replace each other and turns add up. It needs --provider where the shape does not tell it.
    #[arg(long, value_parser = PossibleValuesParser::new(formats()), conflicts_with = "CountArgs")]
    format: Option<String>,
    /// The file that holds the response; - is stdin
    #[arg(value_name = "FILE", default_value = "-", requires = "format")]
    response: PathBuf,
    /// Records from lines of JSON, all or none; - is stdin
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["format", "key", "occurred_at", "CountArgs", "NameArgs"],
        long_help = "Records from lines of JSON, all or none; - is stdin\n\n\
            A line takes provider, account, model, agent, project, conversation, labels, input, output, cache_read, \
            cache_write, cache_write_5m, cache_write_1h, reasoning, cost_usd, duration_ms, occurred_at, counted_at, \
            key, keys and id; only provider and one count are required."
    )]
    jsonl: Option<PathBuf>,
    /// A name for this call that no other call of the provider has, such as its message id
    #[arg(long)]
    key: Option<String>,
    /// When the call ended [default: now]
    #[arg(long, value_name = "RFC3339")]
    occurred_at: Option<Timestamp>,
    /// Who tells [default: cli]
    #[arg(long, value_name = "NAME", default_value = "cli", hide_default_value = true)]
    source: String,
    #[command(flatten)]
    counts: CountArgs,
    #[command(flatten)]
    names: NameArgs,
}

pub(crate) fn run(args: RecordArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.jsonl {
        Some(path) => many(&mut Lines::open(path)?, &args.source, context, out),
        None => one(args, context, out),
    }
}

fn one(args: RecordArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let mut record = if let Some(format) = &args.format {
        let text = response(&args.response)?;
        if format == AGENT_OUTPUT {
            agent_output(&text, args.names.provider.as_ref())?
        } else {
            normalise::response(format.parse()?, &text)?
        }
    } else {
        let provider = args.names.provider.as_ref().ok_or_else(|| {
            Failure::usage("who served the tokens? Give --provider, or --format for a response, or --jsonl")
        })?;
        TokenRecord::new(provider.as_str(), "")
    };
    args.counts.apply(&mut record);
    args.names.apply(&mut record);
    if let Some(key) = args.key {
        // The response's own id still finds the record.
        record.keys.retain(|known| *known != key);
        record.keys.insert(0, key);
    }
    record.validate()?;
    let now = context.now();
    let provider = record.provider.to_string();
    let what = format!(
        "{}{}, {}",
        provider,
        record.model.as_ref().map(|model| format!(" {}", Plain(model))).unwrap_or_default(),
        counted(record.tokens.total()?, "token")
    );
    let event = NewEvent::new(record, args.occurred_at.unwrap_or(now)).source(args.source);
    let mut ledger = context.write()?;
    let outcome = match ledger.append([event], now)?.as_slice() {
        [outcome] => *outcome,
        _ => return Err(Failure::usage("one record was given, and not one was answered for")),
    };
    hint(&provider, &mut ledger, now)?;
    if context.json {
        let id = ledger.event(outcome.position())?.id;
        return Answer::new(AppendReceipt::one(outcome, id)).write(out);
    }
    output::outcome(out, outcome, &what)
}

/// The name of [`agent::extract`] among the formats.
const AGENT_OUTPUT: &str = "agent-output";

fn formats() -> Vec<&'static str> {
    UsageFormat::ALL.map(UsageFormat::name).into_iter().chain([AGENT_OUTPUT]).collect()
}

fn agent_output(text: &str, provider: Option<&ProviderId>) -> Result<TokenRecord, Failure> {
    let run = agent::extract_as(text, Turns::Told, provider)?
        .ok_or_else(|| Failure::usage("this output of an agent states no tokens"))?;
    let is_claude = run.model.as_deref().is_some_and(|model| model.starts_with("claude"));
    let provider = match (provider, run.format) {
        (Some(provider), _) => provider.as_str(),
        (None, "codex") => "openai",
        (None, "claude") if is_claude => "anthropic",
        (None, _) => return Err(Failure::usage("this output does not tell who served the tokens: give --provider")),
    };
    let mut record = TokenRecord::new(provider, run.model.unwrap_or_default());
    record.tokens = run.tokens;
    record.cost = run.cost;
    record.quality = if run.residual.is_some() { Quality::Derived } else { Quality::Reported };
    record.residual = run.residual;
    record.normaliser = Some("agent-output/1".into());
    Ok(record)
}

fn response(path: &std::path::Path) -> Result<String, Failure> {
    let mut text = String::new();
    let mut limited = lines::open(path)?.take(LONGEST_RESPONSE + 1);
    limited.read_to_string(&mut text).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    if text.len() as u64 > LONGEST_RESPONSE {
        return Err(Failure::usage(format!("the response is longer than {LONGEST_RESPONSE} bytes")));
    }
    Ok(text)
}

/// What became of many lines.
#[derive(Default, Serialize)]
struct RecordTally {
    recorded: u64,
    duplicates: u64,
}

/// Looks at every line before the ledger is touched, then takes them all in, in one transaction.
fn many(lines: &mut Lines, source: &str, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("this command writes")?;
    let mut odd = BTreeSet::new();
    let records = check(lines, &mut odd)?;
    let tally = if records == 0 { RecordTally::default() } else { take_in(lines, source, &odd, context)? };
    if context.json {
        return Answer::new(tally).write(out);
    }
    let RecordTally { recorded, duplicates } = tally;
    let already = if duplicates > 0 { format!(", {duplicates} were there already") } else { String::new() };
    Ok(writeln!(out, "{} recorded{already}", counted(recorded, "record"))?)
}

/// Reads all lines and counts them; providers outside the catalogue are gathered.
fn check(lines: &mut Lines, odd: &mut BTreeSet<String>) -> Result<u64, Failure> {
    let mut records = 0;
    loop {
        let provider = match lines.next() {
            Ok(None) => return Ok(records),
            Ok(Some(line)) => JsonLine::parse(line).map(|parsed| parsed.record.provider),
            Err(error) => Err(error),
        };
        let provider = provider.map_err(|error| Failure::at_line(lines.number(), error))?;
        records += 1;
        if odd.len() < ODD && !odd.contains(&*provider) && CATALOGUE.iter().all(|known| known.id != provider) {
            odd.insert(provider.into_owned());
        }
    }
}

fn take_in(lines: &mut Lines, source: &str, odd: &BTreeSet<String>, context: &Context) -> Result<RecordTally, Failure> {
    lines.rewind()?;
    let now = context.now();
    let mut ledger = context.write()?;
    let taken = ledger.transact(now, |appender| {
        let mut tally = RecordTally::default();
        while let Some(line) = lines.next()? {
            let parsed = JsonLine::parse(line)?;
            let mut event = NewEvent::new(parsed.record, parsed.occurred_at.unwrap_or(now)).source(source.to_owned());
            event.id = parsed.id;
            match appender.push(event)? {
                Outcome::Appended(_) => tally.recorded += 1,
                Outcome::Existing(_) => tally.duplicates += 1,
            }
        }
        Ok(tally)
    });
    let tally = taken.map_err(|error| Failure::at_line(lines.number(), error))?;
    for provider in odd {
        hint(provider, &mut ledger, now)?;
    }
    Ok(tally)
}

/// A provider outside the catalogue is taken as it is, but one that looks misspelt is worth a word, until it is declared.
pub(crate) fn hint(provider: &str, ledger: &mut Ledger, now: Timestamp) -> Result<(), Failure> {
    if let Some(near) = ProviderId::new(provider)?.near_miss()
        && !ledger.provider(provider, now)?.declared
    {
        say(&format!(
            "hint: `{provider}` is not in the catalogue and was taken as it is; did you mean `{near}`? \
             If not, declare it: usage-ledger provider declare {provider} --metered"
        ));
    }
    Ok(())
}
