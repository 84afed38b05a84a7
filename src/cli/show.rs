//! `show`: prints one event, its position, and its current values.

use std::io::Write;

use clap::Args;

use super::context::Context;
use super::json_indent::pretty;
use crate::api::show::{self, ShownEvent, TombstoneAnswer};
use crate::model::error::Error;
use crate::model::provider::ProviderId;
use crate::model::time::Zone;
use crate::present::clock::full;
use crate::present::failure::Failure;
use crate::present::output::{JsonAnswer, counted};
use crate::present::summary::record;

/// Show an event: its current values, its line, and the proof that it is in the tree
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger show 120\n  \
    usage-ledger show msg_01ABC")]
pub(crate) struct ShowArgs {
    /// A position, an event id, or the provider's own key: a message, response or request id
    #[arg(value_name = "POSITION|ID|KEY")]
    event: String,
    /// The provider of the key
    #[arg(long)]
    provider: Option<ProviderId>,
}

pub(crate) fn run(args: &ShowArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let position = match &args.provider {
        Some(provider) => snapshot
            .find(provider.as_str(), &args.event)?
            .ok_or_else(|| Error::NotFound { what: format!("of {provider} with the key `{}`", args.event) })?,
        None => show::find(&snapshot, &args.event)?,
    };
    let (shown, event, stored_line) = show::answer(&snapshot, position)?;
    if context.json {
        return JsonAnswer::new(shown).write(out);
    }
    let zone = context.zone();
    writeln!(out, "position {position}")?;
    writeln!(out, "leaf     {}", shown.leaf)?;
    writeln!(out, "happened {}", full(event.occurred_at, zone))?;
    writeln!(out, "recorded {}", full(event.recorded_at, zone))?;
    writeln!(out, "holds    {}", state(&shown))?;
    if let Some(now) = shown.counts_as.as_ref().filter(|_| shown.amended) {
        writeln!(out, "as       {}", crate::present::output::EscapedText(&record(&now.record)))?;
    }
    if let Some(shredded) = &shown.shredded {
        writeln!(out, "shredded {}", crate::present::output::EscapedText(&describe(shredded, zone)))?;
    }
    writeln!(out, "{}", pretty(&stored_line))?;
    let Some(proof) = &shown.proof else {
        return Ok(writeln!(out, "proof    none: the tree is damaged; run `usage-ledger verify`")?);
    };
    writeln!(out, "root     {} over {}", proof.root, counted(proof.size, "event"))?;
    for (index, hash) in proof.hashes.iter().enumerate() {
        writeln!(out, "{:<8} {hash}", if index == 0 { "proof" } else { "" })?;
    }
    Ok(())
}

/// States who erased an event, when and why.
fn describe(tombstone: &TombstoneAnswer, zone: Zone) -> String {
    let at = tombstone.at.map_or_else(|| ", later than this".to_owned(), |at| format!(", {}", full(at, zone)));
    let author = tombstone.author.as_ref().map(|author| format!(", requested by {author}")).unwrap_or_default();
    let reason = tombstone.reason.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default();
    format!("at position {}{at}{author}{reason}", tombstone.position)
}

fn state(shown: &ShownEvent) -> String {
    match &shown.counts_as {
        _ if shown.void => "no: it is withdrawn".to_owned(),
        Some(now) if shown.amended => format!("as amended at position {}", now.position),
        _ if shown.holds => "yes".to_owned(),
        _ => "no: its record is missing, withdrawn, or amended later".to_owned(),
    }
}
