//! `pause` and `resume`: stop and continue work. No counter changes.

use std::io::Write;

use clap::Args;

use super::amend_void::answer;
use super::context::Context;
use super::record::hint;
use super::record_flags::duration;
use crate::model::event::{Paused, Percent, UsageOverridden, WindowKind};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::present::failure::Failure;

/// Pause work
///
/// A quota pause and a pause with an end time end by themselves. Every other pause ends with `resume`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger pause\n  \
    usage-ledger pause --for 1h30m --note lunch\n  \
    usage-ledger pause --reason quota --until 2026-06-01T17:00:00Z")]
pub(crate) struct PauseArgs {
    /// The reason: quota, timed, manual or another word [default: manual; with an end time: timed]
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// The end time
    #[arg(long, value_name = "RFC3339", conflicts_with = "for_", value_parser = crate::present::clock::instant)]
    until: Option<Timestamp>,
    /// The duration: 30m, 2h, 1h30m
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    for_: Option<i64>,
    /// A note
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub(crate) fn pause(args: PauseArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let now = context.now();
    let until = match args.for_.map(|length| now.plus(length)) {
        // An end beyond the last time would be shortened without a word.
        Some(end) if !end.is_plausible() => {
            return Err(Failure::usage(
                "--for is too long: a pause ends before the year 2200. Omit it to pause until `resume`",
            ));
        }
        Some(end) => Some(end),
        None => args.until,
    };
    let reason = args.reason.unwrap_or_else(|| if until.is_some() { "timed" } else { "manual" }.to_owned());
    if until.is_some() && reason != "quota" && reason != "timed" {
        return Err(Failure::usage(format!(
            "only a quota or a timed pause ends by itself: omit --reason and put {reason} into --note"
        )));
    }
    let ledger = context.write()?;
    let outcome = ledger.pause(Paused { reason, until, note: args.note }, now)?;
    answer(&ledger, outcome, context, out)
}

/// End a pause
///
/// The command changes no counter. If you have checked that the provider's quota is open again, add --quota-verified: it
/// sets the session window to 0 % by an override, and ends quota pauses only.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  usage-ledger resume --reason \"back from lunch\"\n  \
    usage-ledger resume --quota-verified anthropic")]
pub(crate) struct ResumeArgs {
    /// The reason
    #[arg(long, value_name = "TEXT", default_value = "resumed by hand", hide_default_value = true)]
    reason: String,
    /// The provider whose session window is open again
    #[arg(long, value_name = "PROVIDER")]
    quota_verified: Option<ProviderId>,
    /// The account of that provider
    #[arg(long, requires = "quota_verified", value_parser = super::record_flags::text)]
    account: Option<String>,
}

pub(crate) fn resume(args: ResumeArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let now = context.now();
    let ledger = context.write_existing()?;
    let outcome = match args.quota_verified {
        None => ledger.resume(&args.reason, now)?,
        Some(provider) => {
            let named = provider.as_str().to_owned();
            let word = UsageOverridden {
                provider,
                account: args.account,
                window: WindowKind::Session,
                used_percent: Percent::default(),
                resets_at: None,
                author: super::override_usage::author(),
                reason: args.reason,
            };
            let outcome = ledger.override_with(word, now)?;
            hint(&named, &ledger, now)?;
            outcome
        }
    };
    answer(&ledger, outcome, context, out)
}
