//! `quota`: records and shows providers' reports about their windows.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::account_hint::account_hint;
use super::context::Context;
use super::input_lines;
use super::record::hint;
use crate::ledger::{Ledger, Outcome};
use crate::model::error::Error;
use crate::model::event::{EventId, Percent, Position, QuotaObserved};
use crate::model::humanize::duration::window_length;
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::model::window::kind_of;
use crate::present::clock;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{self, EscapedText, JsonAnswer, counted};
use crate::readers::quota::{self, Observed, QuotaFormat};

/// Maximum size of a document in bytes.
const LONGEST: u64 = 4 << 20;

/// Record and show what providers report about their quota windows
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger quota observe --format anthropic-oauth usage.json")]
pub(crate) struct QuotaArgs {
    #[command(subcommand)]
    command: QuotaCommand,
}

#[derive(Debug, Subcommand)]
enum QuotaCommand {
    Observe(ObserveArgs),
    /// Show the windows of a provider and who used its tokens in the last seven days
    #[command(after_help = "Example:\n  usage-ledger quota show anthropic")]
    Show {
        /// The provider [default: the active provider]
        provider: Option<ProviderId>,
    },
}

/// Record the windows in a document of a provider
///
/// You supply the document: the command sends no request to a provider and needs no credential. The same document at the
/// same time is recorded once.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger quota observe --format claude-statusline --changes < statusline.json\n  \
    curl -sD - -o answer.json … | usage-ledger quota observe --format anthropic-headers\n  \
    grep token_count rollout.jsonl | tail -1 | usage-ledger quota observe --format codex-rate-limits")]
struct ObserveArgs {
    /// The format of the document
    #[arg(long, value_parser = PossibleValuesParser::new(QuotaFormat::ALL.map(QuotaFormat::name)))]
    format: String,
    /// The provider [default: the provider of the format]
    #[arg(long)]
    provider: Option<ProviderId>,
    /// The account, if you have several
    #[arg(long)]
    account: Option<String>,
    /// The time at which you received the document [default: now]
    #[arg(long, value_name = "RFC3339", value_parser = crate::present::clock::instant)]
    occurred_at: Option<Timestamp>,
    /// Record a window only if its percentage, reset or status changed, or after 5 minutes
    #[arg(long)]
    changes: bool,
    /// The file with the document; - is stdin
    #[arg(value_name = "FILE", default_value = "-")]
    document: PathBuf,
}

pub(crate) fn run(args: QuotaArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        QuotaCommand::Observe(args) => observe(&args, context, out),
        QuotaCommand::Show { provider } => super::quota_page::show(provider.as_ref(), context, out),
    }
}

/// A recorded window.
#[derive(Serialize)]
struct ObservedAnswer<'a> {
    position: Position,
    id: EventId,
    provider: &'a str,
    account: Option<&'a str>,
    window_minutes: u32,
    scope: Option<&'a str>,
    used_percent: Option<Percent>,
    resets_at: Option<Timestamp>,
    status: Option<&'a str>,
    feed: &'a str,
}

#[derive(Serialize)]
struct AppendedAnswer<'a> {
    observed: Vec<ObservedAnswer<'a>>,
    /// Number of windows without news.
    unchanged: usize,
    warnings: &'a [String],
}

fn observe(args: &ObserveArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("this command writes")?;
    if args.account.as_ref().is_some_and(|account| account.trim().is_empty()) {
        return Err(Failure::usage("the account is empty: leave it out or give it a name"));
    }
    let (format, now): (QuotaFormat, _) = (args.format.parse()?, context.now());
    let at = args.occurred_at.unwrap_or(now);
    let observed = quota::observe(format, &document(&args.document, context)?, at)?;
    let mut observed = observed.of(args.provider.as_ref(), args.account.as_deref());
    if !context.json || observed.observations.is_empty() {
        for warning in &observed.warnings {
            print_message(&EscapedText(warning).to_string());
        }
    }
    if observed.observations.is_empty() {
        let why = if observed.warnings.is_empty() { ": it states no limit" } else { "" };
        return Err(Failure::usage(format!(
            "the {format} document names no window{why}; nothing was written. Give {}",
            format.wants()
        )));
    }
    let ledger = context.write()?;
    let count = observed.observations.len();
    let outcomes = if args.changes {
        let (news, outcomes) = ledger.observe(observed.observations, at, now)?.into_iter().unzip();
        observed.observations = news;
        outcomes
    } else {
        let snapshot = ledger.snapshot()?;
        for seen in &mut observed.observations {
            seen.account = snapshot.account_of(&seen.provider, seen.account.take())?;
        }
        drop(snapshot);
        ledger.append(observed.events(at).map(|event| event.source("cli")), now)?
    };
    let unchanged = count - observed.observations.len();
    if args.account.is_none()
        && let Some(seen) = observed.observations.first()
    {
        account_hint(&seen.provider, &ledger)?;
    }
    if let Some(provider) = &args.provider {
        hint(provider.as_str(), &ledger, now)?;
    }
    if context.json {
        return json(&observed, unchanged, &outcomes, &ledger, out);
    }
    if unchanged == count {
        return Ok(writeln!(out, "{} unchanged; nothing was added", counted(count as u64, "window"))?);
    }
    for (seen, outcome) in observed.observations.iter().zip(outcomes) {
        output::outcome(out, outcome, &line(seen, context.zone()))?;
    }
    Ok(())
}

fn document(path: &Path, context: &Context) -> Result<String, Failure> {
    let mut text = String::new();
    let mut limited = input_lines::open(path, context)?.take(LONGEST + 1);
    limited.read_to_string(&mut text).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    if text.len() as u64 > LONGEST {
        return Err(Failure::usage(format!("the document is longer than {LONGEST} bytes: it is another one")));
    }
    Ok(text)
}

fn json(
    observed: &Observed,
    unchanged: usize,
    outcomes: &[Outcome],
    ledger: &Ledger,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut appended = AppendedAnswer { observed: Vec::new(), unchanged, warnings: &observed.warnings };
    for (seen, outcome) in observed.observations.iter().zip(outcomes) {
        let position = outcome.position();
        appended.observed.push(ObservedAnswer {
            position,
            id: ledger.event(position)?.id,
            provider: seen.provider.as_str(),
            account: seen.account.as_deref(),
            window_minutes: seen.window_minutes,
            scope: seen.scope.as_deref(),
            used_percent: seen.used_percent,
            resets_at: seen.resets_at,
            status: seen.status.as_deref(),
            feed: &seen.feed,
        });
    }
    JsonAnswer::new(appended).write(out)
}

/// Formats an observation: `anthropic session 42 % resets 2026-11-23T23:00:00+00:00`.
fn line(seen: &QuotaObserved, zone: Zone) -> String {
    let account = seen.account.iter().map(|account| format!("({})", EscapedText(account)));
    let window = match (kind_of(seen.window_minutes), &seen.scope) {
        (Some(kind), None) => kind.name().to_owned(),
        _ => window_length(seen.window_minutes),
    };
    let scope = seen.scope.iter().map(|scope| EscapedText(scope).to_string());
    let used = seen.used_percent.map(|used| format!("{used} %"));
    let resets = seen.resets_at.map(|at| format!("resets {}", clock::full(at, zone)));
    let parts: Vec<String> = std::iter::once(seen.provider.to_string())
        .chain(account)
        .chain([window])
        .chain(scope)
        .chain(used)
        .chain(resets)
        .chain(seen.status.iter().map(|status| EscapedText(status).to_string()))
        .collect();
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_is_one_line() {
        let at = "2026-11-23T20:00:00Z".parse().unwrap();
        let json = r#"{"rate_limits":{"five_hour":{"used_percentage":42,"resets_at":1795474800},
            "seven_day_opus":{"used_percentage":7.25}}}"#;
        let seen = quota::observe(QuotaFormat::ClaudeStatusline, json, at).unwrap().of(None, Some("work"));
        let lines: Vec<_> = seen.observations.iter().map(|seen| line(seen, Zone::UTC)).collect();
        assert_eq!(
            lines,
            [
                "anthropic (work) session 42 % resets 2026-11-23T23:00:00+00:00",
                "anthropic (work) 7d seven_day_opus 7.25 %"
            ]
        );
    }
}
