//! `switch`: a marker that work moves to another provider.

use std::io::Write;

use clap::Args;

use super::context::Context;
use super::record::hint;
use crate::model::event::Payload;
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::present::failure::Failure;
use crate::present::output::{self, Answer, AppendReceipt, Plain};

/// Record that work moves to another provider; no counter changes
///
/// A switch to the active provider records nothing.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger switch ollama --reason \"rate limited\"")]
pub(crate) struct SwitchArgs {
    /// The new active provider
    provider: ProviderId,
    /// The reason
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// The time of the switch [default: now]
    #[arg(long, value_name = "RFC3339", value_parser = crate::present::clock::instant)]
    occurred_at: Option<Timestamp>,
}

pub(crate) fn run(args: &SwitchArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let now = context.now();
    let ledger = context.write()?;
    let to = args.provider.as_str();
    let outcome = ledger.switch_provider_at(to, &args.reason, args.occurred_at.unwrap_or(now), now)?;
    let event = ledger.event(outcome.position())?;
    hint(to, &ledger, now)?;
    if context.json {
        return Answer::new(AppendReceipt::one(outcome, event.id)).write(out);
    }
    let Payload::ProviderSwitched(switch) = event.payload else {
        return output::outcome(out, outcome, &format!("switched to {to}"));
    };
    let from = switch.from.map(|from| format!(" from {from}")).unwrap_or_default();
    let why = switch.reason.map(|reason| format!(": {}", Plain(&reason))).unwrap_or_default();
    output::outcome(out, outcome, &format!("switched{from} to {to}{why}"))
}
