//! `reserve`, `settle`, `release`: reserve tokens before a call.

use std::io::Write;

use clap::Args;

use super::amend_void::answer;
use super::call_args::CallArgs;
use super::context::Context;
use super::record_flags::{count, duration};
use crate::api::{self, reserve::ReservedAnswer};
use crate::budget::{RunRequest, Tier};
use crate::model::error::Error;
use crate::model::event::EventId;
use crate::model::provider::ProviderId;
use crate::present::clock::short;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{JsonAnswer, counted};

/// Reserve tokens for a call, if the provider's windows have room
///
/// Exits 75 if they have no room. Concurrent callers never exceed a limit together. The reservation of a caller that dies
/// ends at its expiry time.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    id=$(usage-ledger reserve anthropic 20000 --for 10m --json | jq -r .id) &&\n  \
    my-agent && usage-ledger settle \"$id\" --input 12000 --output 900 || usage-ledger release \"$id\"")]
pub(crate) struct ReserveArgs {
    /// The provider
    provider: ProviderId,
    /// The number of weighted tokens
    #[arg(value_parser = count, allow_negative_numbers = true)]
    tokens: u64,
    /// The time until expiry: 30m, 2h, 1h30m
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = duration)]
    ttl: i64,
    /// The account
    #[arg(long, value_parser = super::record_flags::text)]
    account: Option<String>,
    /// The model of the call; some models have their own quota
    #[arg(long)]
    model: Option<String>,
    /// The difficulty of the task: trivial, simple, medium, complex or critical
    #[arg(long, default_value = "medium", hide_default_value = true)]
    tier: Tier,
    /// Accept an undeclared provider; it counts as metered
    #[arg(long)]
    allow_undeclared: bool,
    /// A name for this reservation: a repeated call with the same key finds the first one
    #[arg(long, value_parser = super::record_flags::text)]
    key: Option<String>,
}

pub(crate) fn reserve(args: &ReserveArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let now = context.now();
    let ledger = context.write()?;
    let mut request = RunRequest::new(args.provider.as_str())?.tier(args.tier);
    if let Some(account) = &args.account {
        request = request.account(account);
    }
    if let Some(model) = &args.model {
        request = request.model(model);
    }
    if args.allow_undeclared {
        request = request.allow_undeclared();
    }
    let reserved = match api::reserve::make(&ledger, &request, args.tokens, args.ttl, args.key.as_deref(), now) {
        Err(error @ (Error::OverBudget { .. } | Error::Gated { .. })) => {
            print_message(&error.to_string());
            return Err(Failure::Wait);
        }
        done => done?,
    };
    if context.json {
        return JsonAnswer::new(reserved).write(out);
    }
    let ReservedAnswer { provider, reservation } = reserved;
    let until = short(reservation.expires_at, context.zone());
    Ok(writeln!(out, "{}\n{} reserved on {provider} until {until}", reservation.id, counted(args.tokens, "token"))?)
}

/// End a reservation and record the tokens of its call
///
/// The options are those of `record`. Settling again with the same record changes nothing; a different record is refused.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger settle 018c3f6e-0000-7000-8000-000000000000 --model gpt-5 --input 1200 --output 300\n  \
    curl … | usage-ledger settle 018c3f6e-0000-7000-8000-000000000000 --format openai-chat --project acme")]
pub(crate) struct SettleArgs {
    /// The id of the reservation
    reservation: EventId,
    #[command(flatten)]
    call: CallArgs,
}

pub(crate) fn settle(args: &SettleArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let now = context.now();
    let ledger = context.write_existing()?;
    let reserved = api::reserve::reserved(&ledger, args.reservation)?;
    let (record, nested) = args.call.records(Some(&reserved.provider), context)?;
    let ledger = ledger.source(args.call.source.clone());
    let at = args.call.occurred_at.unwrap_or(now);
    let outcome = ledger.settle_with_nested(args.reservation, record, nested, at, now)?;
    answer(&ledger, outcome, context, out)
}

/// End a reservation without a call
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger release 018c3f6e-0000-7000-8000-000000000000 --reason \"timed out\"")]
pub(crate) struct ReleaseArgs {
    /// The id of the reservation
    reservation: EventId,
    /// The reason
    #[arg(long, value_name = "TEXT", default_value = api::reserve::NO_CALL, hide_default_value = true)]
    reason: String,
}

pub(crate) fn release(args: &ReleaseArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.write_existing()?;
    let outcome = ledger.release(args.reservation, &args.reason, context.now())?;
    answer(&ledger, outcome, context, out)
}
