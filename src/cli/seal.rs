//! `seal`: a period is closed, in a signed statement.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::clock::{Moment, range};
use super::context::Context;
use super::correct::answer;
use super::failure::Failure;
use super::key_file;
use super::output::counted;
use crate::event::Payload;
use crate::report::Seal;
use crate::tokens::TokenClass;

/// Close a period: totals, positions and root in one signed statement
///
/// The statement is a checkpoint with further lines, so `verify --checkpoint` takes it too. What is learned of the period
/// later is accepted and shown as a restatement: see `report --sealed`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger seal --until 2026-06 > may.seal\n  \
    usage-ledger report --sealed --by provider\n  \
    usage-ledger verify --checkpoint may.seal --verifier verifier.pub")]
pub(super) struct SealArgs {
    /// The period's end, which is not in it: a time, a date or a month
    #[arg(long, value_name = "TIME")]
    until: Moment,
    /// Its beginning [default: where the last seal ended]
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// The key [default: usage-ledger/key in the XDG configuration directory]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(super) fn run(args: &SealArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let signer = key_file::read(&key_file::place(args.key.as_deref())?)?;
    let now = context.now();
    let (since, until) = range(args.since, Some(args.until), context.zone(), now)?;
    let mut ledger = context.write_known()?;
    let outcome = ledger.seal(since, until.unwrap_or(now), &signer, now)?;
    if context.json {
        return answer(&mut ledger, outcome, context, out);
    }
    let Payload::PeriodSealed(sealed) = ledger.event(outcome.position())?.payload else {
        return answer(&mut ledger, outcome, context, out);
    };
    Ok(write!(out, "{}", sealed.statement)?)
}

/// Tells which seal a report stands on, and what came later.
pub(super) fn stands_on(seal: &Seal, out: &mut dyn Write) -> Result<(), Failure> {
    let sealed = &seal.sealed;
    let since = sealed.since.map(|since| format!(" from {since}")).unwrap_or_default();
    writeln!(
        out,
        "sealed at position {}: the period{since} until {}, over positions {} to {}\nroot {}",
        seal.position, sealed.until, sealed.first, sealed.size, sealed.root
    )?;
    if seal.restatement.is_nothing() {
        return Ok(writeln!(out, "nothing of it was restated since")?);
    }
    let tokens: Vec<String> = TokenClass::ALL
        .iter()
        .zip(seal.restatement.tokens)
        .filter(|(_, count)| *count != 0)
        .map(|(class, count)| format!("{} {count:+}", class.name()))
        .collect();
    let (more, requests) = (seal.restatement.requests, seal.restatement.requests.unsigned_abs());
    let sign = if more < 0 { "-" } else { "+" };
    Ok(writeln!(out, "restated since: {sign}{}, tokens {}", counted(requests, "request"), tokens.join(", "))?)
}
