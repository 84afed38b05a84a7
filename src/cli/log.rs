//! `log`: lists events, one per line.

use std::io::Write;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::context::Context;
use crate::api::events::shown as verbatim;
use crate::export;
use crate::ledger::{EventFilter, Snapshot};
use crate::model::error::Result;
use crate::model::event::{Envelope, Event, EventKind, NameKind, Payload, Position, Tombstone};
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::{self, Moment};
use crate::present::failure::Failure;
use crate::present::summary::summary;

/// Interval of `--follow`.
const WAIT: Duration = Duration::from_millis(200);

/// List events: position, time, kind, summary, id
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger log --limit 20\n  \
    usage-ledger log --kind provider_switched --since 2026-06 --json\n  \
    usage-ledger log --activity --since today\n  \
    usage-ledger log --project /src/app --limit 20\n  \
    usage-ledger log --follow --provider anthropic")]
pub(crate) struct LogArgs {
    /// Only the last N matching events
    #[arg(long, short = 'n', value_name = "N")]
    limit: Option<usize>,
    /// Only this kind; may be repeated
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(Payload::KINDS), hide_possible_values = true)]
    kind: Vec<String>,
    /// Only events about this provider; may be repeated
    #[arg(long)]
    provider: Vec<ProviderId>,
    /// Only events about this account; may be repeated
    #[arg(long)]
    account: Vec<String>,
    /// Only calls of this model; may be repeated
    #[arg(long)]
    model: Vec<String>,
    /// Only calls by this agent; may be repeated
    #[arg(long)]
    agent: Vec<String>,
    /// Only calls of this project; may be repeated
    #[arg(long)]
    project: Vec<String>,
    /// Only calls of this conversation; may be repeated
    #[arg(long)]
    conversation: Vec<String>,
    /// Only events at or after this time, date or month
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// Only events before this time, date or month
    #[arg(long, value_name = "TIME")]
    until: Option<Moment>,
    /// Continue with new events until interrupted
    #[arg(long, short, conflicts_with = "reverse")]
    follow: bool,
    /// Only calls, one readable line each: project, type, duration, tokens, cache, cost, model, mission
    #[arg(long)]
    activity: bool,
    /// Latest first
    #[arg(long, short)]
    reverse: bool,
}

/// Selection and form of the list.
struct LogAnswer<'a> {
    args: &'a LogArgs,
    filter: EventFilter,
    zone: Zone,
    json: bool,
}

pub(crate) fn run(args: &LogArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if args.follow {
        context.refuse_as_of("the past does not go on")?;
    }
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let zone = context.zone();
    let (since, until) = clock::range(args.since, args.until, zone, context.query_time(&snapshot))?;
    let log = LogAnswer { args, filter: filter(args, since, until), zone, json: context.json };
    let head = snapshot.head()?.position;
    match (args.limit, args.reverse) {
        (None, false) => log.forward(&snapshot, Position::START.next(), out)?,
        (limit, true) => {
            log.back(&snapshot, limit.unwrap_or(usize::MAX), &mut |line| Ok(writeln!(out, "{line}")?))?;
        }
        (Some(limit), false) => {
            let mut last = Vec::new();
            log.back(&snapshot, limit, &mut |line| {
                last.push(line.to_owned());
                Ok(())
            })?;
            last.iter().rev().try_for_each(|line| writeln!(out, "{line}"))?;
        }
    }
    drop(snapshot);
    if args.follow { log.follow(context, head, out) } else { Ok(()) }
}

impl LogAnswer<'_> {
    /// Returns the line of an event, if it is selected.
    fn show(&self, snapshot: &Snapshot<'_>, position: Position, line: &str) -> Result<Option<String>> {
        let envelope = Envelope::parse(position, line)?;
        if self.args.activity && envelope.kind != "tokens_recorded" {
            return Ok(None);
        }
        if self.json && !self.filter.has_names() {
            return verbatim(position, line).map(Some);
        }
        let event = envelope.open(position)?;
        if !self.filter.is_named(&event.payload) {
            return Ok(None);
        }
        if self.args.activity && !self.json {
            // Use the current values: a withdrawn call is no activity.
            let counted = snapshot.effective(position)?;
            return Ok(counted.map(|counted| export::activity(&counted.record, counted.at, self.zone)));
        }
        Ok(Some(if self.json { verbatim(position, line)? } else { self.human(position, &event, Tombstone::is(line)) }))
    }

    fn human(&self, position: Position, event: &Event, shredded: bool) -> String {
        let time = clock::full(event.occurred_at, self.zone);
        let mark = if shredded { "  (shredded)" } else { "" };
        let text = summary(&event.payload);
        format!("{position:>6}  {time}  {:<17}  {text}  {}{mark}", event.payload.kind(), event.id)
    }

    fn forward(&self, snapshot: &Snapshot<'_>, from: Position, out: &mut dyn Write) -> Result<(), Failure> {
        let mut failed = Ok(());
        snapshot.find_forward(&self.filter, from, &mut |position, line| {
            if let Some(shown) = self.show(snapshot, position, line)? {
                failed = writeln!(out, "{shown}");
            }
            Ok(failed.is_ok())
        })?;
        Ok(failed?)
    }

    /// Visits the last selected events backwards.
    fn back(
        &self,
        snapshot: &Snapshot<'_>,
        limit: usize,
        visit: &mut dyn FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (mut left, mut visited) = (limit, Ok(()));
        if left > 0 {
            snapshot.find_back(&self.filter, None, &mut |position, line| {
                if let Some(shown) = self.show(snapshot, position, line)? {
                    visited = visit(&shown);
                    left -= 1;
                }
                Ok(left > 0 && visited.is_ok())
            })?;
        }
        visited
    }

    /// Prints new events until the reader closes the output.
    fn follow(&self, context: &Context, mut head: Position, out: &mut dyn Write) -> Result<(), Failure> {
        loop {
            out.flush()?;
            std::thread::sleep(WAIT);
            // A ledger may have been created since.
            let ledger = context.read()?;
            loop {
                let snapshot = ledger.snapshot()?;
                let now = snapshot.head()?.position;
                if now > head {
                    self.forward(&snapshot, head.next(), out)?;
                    head = now;
                } else if now == Position::START {
                    break;
                }
                drop(snapshot);
                out.flush()?;
                std::thread::sleep(WAIT);
            }
        }
    }
}

/// Builds the filter.
fn filter(args: &LogArgs, since: Option<Timestamp>, until: Option<Timestamp>) -> EventFilter {
    let kinds = args.kind.iter().filter_map(|kind| EventKind::named(kind));
    let calls = (args.activity && args.kind.is_empty()).then_some(EventKind::TokensRecorded);
    EventFilter::between(since, until)
        .kinds(kinds.chain(calls))
        .names(NameKind::Provider, args.provider.iter().map(ProviderId::as_str))
        .names(NameKind::Account, &args.account)
        .names(NameKind::Model, &args.model)
        .names(NameKind::Agent, &args.agent)
        .names(NameKind::Project, &args.project)
        .names(NameKind::Conversation, &args.conversation)
}
