//! `amend` and `void`: replace or withdraw an earlier event with a reason. The original remains.

use std::io::Write;

use clap::Args;

use super::context::Context;
use super::event_ref::EventRef;
use super::record_flags::{CountArgs, NameArgs};
use crate::model::time::Timestamp;
use crate::present::failure::Failure;
use crate::present::output::{self, AppendReceipt, JsonAnswer};
use crate::present::summary::summary;

/// Correct a token record; values that you do not give are unchanged
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger amend 120 --output 40 --reason \"the stream was cut off\"")]
pub(crate) struct AmendArgs {
    /// The record's position or id
    #[arg(value_name = "POSITION|ID")]
    event: EventRef,
    /// The reason
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// When the call ended
    #[arg(long, value_name = "RFC3339", value_parser = crate::present::clock::instant)]
    occurred_at: Option<Timestamp>,
    #[command(flatten)]
    counts: CountArgs,
    #[command(flatten)]
    names: NameArgs,
}

/// Withdraw an event of any kind; to restore it, withdraw the withdrawal
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger void 120 --reason \"recorded twice\"")]
pub(crate) struct VoidArgs {
    /// The event's position or id
    #[arg(value_name = "POSITION|ID")]
    event: EventRef,
    /// The reason
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
}

fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("a correction needs a reason".to_owned()) } else { Ok(text.to_owned()) }
}

pub(crate) fn amend(args: &AmendArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if args.counts.is_empty() && args.names.is_empty() && args.occurred_at.is_none() {
        return Err(Failure::usage("nothing to amend: give what changes, such as --output 40"));
    }
    let ledger = context.write_existing()?;
    let target = args.event.id(&ledger.snapshot()?)?;
    let outcome = ledger.revise(target, &args.reason, context.now(), |at, record| {
        *at = args.occurred_at.unwrap_or(*at);
        args.counts.apply(record);
        args.names.apply(record);
    })?;
    answer(&ledger, outcome, context, out)
}

pub(crate) fn void(args: &VoidArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.write_existing()?;
    let target = args.event.id(&ledger.snapshot()?)?;
    let outcome = ledger.void(target, &args.reason, context.now())?;
    answer(&ledger, outcome, context, out)
}

/// Prints the result.
pub(crate) fn answer(
    ledger: &crate::Ledger,
    outcome: crate::Outcome,
    context: &Context,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let event = ledger.event(outcome.position())?;
    if context.json {
        return JsonAnswer::new(AppendReceipt::one(outcome, event.id)).write(out);
    }
    let kind = event.payload.kind().replace('_', " ");
    output::outcome(out, outcome, &format!("{kind}: {}", summary(&event.payload)))
}
