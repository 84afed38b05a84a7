//! `verify` and `replay`: what is stored against what it ought to be.

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::failure::Failure;
use super::output::{Answer, Plain, counted};
use crate::ledger::Verification;

/// Fold all events again from the first one and compare with the stored counters
///
/// Exits 1 when they differ.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger replay\n  \
    usage-ledger replay --write")]
pub(super) struct ReplayArgs {
    /// Write the counters anew; the log is not touched
    #[arg(long)]
    write: bool,
}

/// What `replay --write` did.
#[derive(Serialize)]
struct Replayed {
    rebuilt: bool,
    size: u64,
    root: String,
}

pub(super) fn verify(context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("an audit looks at all there is")?;
    let verification = context.read_aloud()?.verify()?;
    answer(&verification, "verified", context, out)
}

pub(super) fn replay(args: &ReplayArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("a replay folds all there is")?;
    let mut ledger = context.read_aloud()?;
    if !args.write {
        return answer(&ledger.replay()?, "replayed", context, out);
    }
    ledger.rebuild()?;
    let replayed = Replayed { rebuilt: true, size: ledger.head()?.position.get(), root: ledger.root()?.to_string() };
    if context.json {
        return Answer::new(replayed).write(out);
    }
    Ok(writeln!(out, "rebuilt from {}, root {}", counted(replayed.size, "event"), replayed.root)?)
}

fn answer(verification: &Verification, done: &str, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if context.json {
        Answer::new(verification).write(out)?;
    } else {
        for finding in &verification.findings {
            let place = finding.position.map_or_else(|| "nowhere".to_owned(), |at| format!("position {at}"));
            writeln!(out, "{place}: {}", Plain(&finding.what))?;
        }
        let size = counted(verification.size, "event");
        let root = verification.root;
        match verification.findings.len() as u64 {
            0 => writeln!(out, "ok: {size} {done}, root {root}")?,
            found => writeln!(out, "{}: {size} {done}, root {root}", counted(found, "finding"))?,
        }
    }
    if verification.ok { Ok(()) } else { Err(Failure::Finding) }
}
