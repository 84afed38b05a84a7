//! `switch`: records the change to another provider.

use std::io::Write;

use clap::Args;

use super::context::Context;
use crate::api::{self, input::SwitchInput};
use crate::model::event::Payload;
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{self, EscapedText, JsonAnswer};

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
    /// A name for this switch: a repeated call with the same key finds the first one
    #[arg(long, value_parser = super::record_flags::text)]
    key: Option<String>,
}

pub(crate) fn run(args: &SwitchArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let to = args.provider.as_str();
    let input = SwitchInput {
        provider: to.to_owned(),
        reason: Some(args.reason.clone()),
        occurred_at: args.occurred_at.map(|at| at.to_string()),
        key: args.key.clone(),
    };
    let ledger = context.write()?;
    let (outcome, receipt) = api::switch::switch(&ledger, &input, context.now())?;
    receipt.warnings.iter().for_each(|warning| print_message(warning));
    if context.json {
        return JsonAnswer::new(receipt).write(out);
    }
    let Payload::ProviderSwitched(switch) = ledger.event(outcome.position())?.payload else {
        return output::outcome(out, outcome, &format!("switched to {to}"));
    };
    let from = switch.from.map(|from| format!(" from {from}")).unwrap_or_default();
    let why = switch.reason.map(|reason| format!(": {}", EscapedText(&reason))).unwrap_or_default();
    output::outcome(out, outcome, &format!("switched{from} to {to}{why}"))
}
