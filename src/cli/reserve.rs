//! `reserve`, `settle`, `release`: tokens set aside before a call.

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::call::CallArgs;
use super::context::Context;
use super::correct::answer;
use super::fields::{count, duration};
use crate::budget::{Ask, Tier};
use crate::model::error::Error;
use crate::model::event::{EventId, Payload};
use crate::model::provider::ProviderId;
use crate::present::clock::short;
use crate::present::failure::{Failure, say};
use crate::present::output::{Answer, counted};
use crate::usage::Reservation;

/// Set tokens aside for a call, if the provider's windows can bear it
///
/// Exits 75 when they cannot. Callers that ask at once never pass a limit together; one that dies keeps its tokens
/// until they lapse.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    id=$(usage-ledger reserve anthropic 20000 --for 10m --json | jq -r .id) &&\n  \
    my-agent && usage-ledger settle \"$id\" --input 12000 --output 900 || usage-ledger release \"$id\"")]
pub(crate) struct ReserveArgs {
    /// The provider
    provider: ProviderId,
    /// Limit tokens
    #[arg(value_parser = count, allow_negative_numbers = true)]
    tokens: u64,
    /// How long at most: 30m, 2h, 1h30m
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    ttl: i64,
    /// The account
    #[arg(long, value_parser = super::fields::text)]
    account: Option<String>,
    /// The model of the call: some have a quota of their own, some are served by a paid cloud
    #[arg(long)]
    model: Option<String>,
    /// How hard the task is: trivial, simple, medium, complex or critical
    #[arg(long, default_value = "medium", hide_default_value = true)]
    tier: Tier,
    /// Accept a provider that nobody has declared: it counts as metered
    #[arg(long)]
    allow_undeclared: bool,
}

#[derive(Serialize)]
struct Reserved {
    provider: String,
    #[serde(flatten)]
    reservation: Reservation,
}

pub(crate) fn reserve(args: &ReserveArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let now = context.now();
    let mut ledger = context.write()?;
    let mut ask = Ask::new(args.provider.as_str())?.tier(args.tier);
    if let Some(account) = &args.account {
        ask = ask.account(account);
    }
    if let Some(model) = &args.model {
        ask = ask.model(model);
    }
    if args.allow_undeclared {
        ask = ask.allow_undeclared();
    }
    let provider = ask.provider().as_str();
    let reservation = match ledger.reserve_run(&ask, args.tokens, args.ttl, now) {
        Err(error @ (Error::OverBudget { .. } | Error::Gated { .. })) => {
            say(&error.to_string());
            return Err(Failure::Wait);
        }
        done => done?,
    };
    if context.json {
        return Answer::new(Reserved { provider: provider.to_owned(), reservation }).write(out);
    }
    let until = short(reservation.expires_at, context.zone());
    Ok(writeln!(out, "{}\n{} reserved on {provider} until {until}", reservation.id, counted(args.tokens, "token"))?)
}

/// End a reservation with the tokens its call used
///
/// It takes what `record` takes. Settling again with the same record finds it; with another one it is refused.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger settle 018c3f6e-0000-7000-8000-000000000000 --model gpt-5 --input 1200 --output 300\n  \
    curl … | usage-ledger settle 018c3f6e-0000-7000-8000-000000000000 --format openai-chat --project acme")]
pub(crate) struct SettleArgs {
    /// Id of the reservation
    reservation: EventId,
    #[command(flatten)]
    call: CallArgs,
}

pub(crate) fn settle(args: &SettleArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let now = context.now();
    let mut ledger = context.write_known()?;
    let position = ledger.snapshot()?.position(args.reservation)?;
    let Payload::BudgetReserved(reserved) = ledger.event(position)?.payload else {
        return Err(Failure::usage(format!("event {} reserves nothing", args.reservation)));
    };
    let record = args.call.record(Some(&reserved.provider))?;
    let mut ledger = ledger.source(args.call.source.clone());
    let outcome = ledger.settle_at(args.reservation, record, args.call.occurred_at.unwrap_or(now), now)?;
    answer(&mut ledger, outcome, context, out)
}

/// Give a reservation back
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger release 018c3f6e-0000-7000-8000-000000000000 --reason \"timed out\"")]
pub(crate) struct ReleaseArgs {
    /// Id of the reservation
    reservation: EventId,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "the call did not happen", hide_default_value = true)]
    reason: String,
}

pub(crate) fn release(args: &ReleaseArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let mut ledger = context.write_known()?;
    let outcome = ledger.release(args.reservation, &args.reason, context.now())?;
    answer(&mut ledger, outcome, context, out)
}
