//! `shred`: erases names. Numbers and proofs remain.

use std::io::Write;

use clap::{ArgGroup, Args};
use serde::Serialize;

use super::context::Context;
use super::event_ref::EventRef;
use super::override_usage::author;
use super::record_flags;
use crate::ledger::{Shred, Shredding};
use crate::model::error::Error;
use crate::model::event::Position;
use crate::present::failure::Failure;
use crate::present::output::{JsonAnswer, counted, grouped};

/// Maximum number of positions to list for people.
const NAMED: usize = 20;

/// Erase names for privacy: project, conversation, labels, keys and texts; numbers stay
///
/// A shredded event keeps its position, its leaf hash and its numbers: proofs stay valid and totals do not change. Reports by
/// project, conversation or label show its numbers without a name. The command also shreds the corrections of the event. It
/// cannot be undone. It does not change backups, exports, copies of checkpoints or the logs of agents.
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("what").required(true).multiple(true).args(["event", "project", "conversation", "label", "finish"]),
    after_help = "Examples:\n  \
    usage-ledger shred --project acme --reason \"the customer asked\" --dry-run\n  \
    usage-ledger shred 120 121 --reason \"a name in a label\"\n  \
    usage-ledger shred --finish"
)]
pub(crate) struct ShredArgs {
    /// The positions or ids of events of any kind
    #[arg(value_name = "POSITION|ID")]
    event: Vec<EventRef>,
    /// All records of this project and the import notes of their logs; may be repeated
    #[arg(long, value_name = "NAME", value_parser = record_flags::text)]
    project: Vec<String>,
    /// All records of this conversation and the import notes of its log; may be repeated
    #[arg(long, value_name = "ID", value_parser = record_flags::text)]
    conversation: Vec<String>,
    /// All records with this label; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = record_flags::label)]
    label: Vec<(String, String)>,
    /// The reason; the ledger keeps it
    #[arg(long, value_name = "TEXT", value_parser = record_flags::text, required_unless_present = "finish")]
    reason: Option<String>,
    /// The person who requests it; the ledger keeps the name [default: the user's name]
    #[arg(long, value_name = "NAME", value_parser = record_flags::text)]
    author: Option<String>,
    /// List the events that would be shredded, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Only rewrite the file, if an earlier run could not
    #[arg(long, conflicts_with_all = ["event", "project", "conversation", "label", "reason", "author", "dry_run"])]
    finish: bool,
}

#[derive(Serialize)]
struct ShredAnswer<'a> {
    events: &'a [Position],
    /// Lines that still contain a name in a part that remains.
    still: &'a [Position],
    /// Whether the file no longer contains the erased bytes; `None` if nothing was written.
    erased: Option<bool>,
}

pub(crate) fn run(args: &ShredArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.write_existing()?;
    if args.finish {
        ledger.erase()?;
        return print(&[], &[], Some(true), "the file holds nothing of what was shredded", context, out);
    }
    let mut shred =
        Shred::because(args.reason.as_deref().unwrap_or_default()).author(args.author.clone().unwrap_or_else(author));
    {
        let snapshot = ledger.snapshot()?;
        for target in &args.event {
            shred = shred.event(target.id(&snapshot)?);
        }
    }
    shred = args.project.iter().fold(shred, Shred::project);
    shred = args.conversation.iter().fold(shred, Shred::conversation);
    shred = args.label.iter().fold(shred, |shred, (name, value)| shred.label(name, value));
    if args.dry_run {
        let events = ledger.would_shred(&shred)?;
        let what = format!("{} would be shredded{}", counted(events.len() as u64, "event"), at(&events));
        return print(&events, &[], None, &what, context, out);
    }
    let Shredding { events, still, erased, unerased } = ledger.shred(&shred, context.now())?;
    let what = if events.is_empty() {
        let file = if erased { "; the file was written anew, in case an earlier shredding could not" } else { "" };
        format!("nothing was shredded: no event holds anything of it that can go{file}")
    } else {
        format!("{} shredded{}", counted(events.len() as u64, "event"), at(&events))
    };
    let erased = (erased || unerased.is_some()).then_some(erased);
    print(&events, &still, erased, &what, context, out)?;
    unerased.map_or(Ok(()), |error: Error| Err(error.into()))
}

fn print(
    events: &[Position],
    still: &[Position],
    erased: Option<bool>,
    what: &str,
    context: &Context,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    if context.json {
        return JsonAnswer::new(ShredAnswer { events, still, erased }).write(out);
    }
    writeln!(out, "{what}")?;
    if !still.is_empty() {
        let lines = counted(still.len() as u64, "line");
        let hold = if still.len() == 1 { "holds" } else { "hold" };
        writeln!(
            out,
            "{lines} still {hold} a name in a part that remains{}: look with `usage-ledger show`",
            at(still)
        )?;
    }
    Ok(())
}

/// Formats ` at position 1, 2, 3`.
fn at(positions: &[Position]) -> String {
    let mut names: Vec<String> = positions.iter().take(NAMED).map(ToString::to_string).collect();
    let more = positions.len().saturating_sub(NAMED);
    if more > 0 {
        names.push(format!("and {} more", grouped(more as u64)));
    }
    if names.is_empty() { String::new() } else { format!(" at position {}", names.join(", ")) }
}
