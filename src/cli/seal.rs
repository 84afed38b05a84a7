//! `seal`: closes a period with a signed statement.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::amend_void::answer;
use super::context::Context;
use super::key_file;
use crate::ledger::{Ledger, Snapshot};
use crate::model::event::{Payload, Position};
use crate::model::time::Timestamp;
use crate::model::tokens::{TokenClass, Usd};
use crate::present::clock::{Moment, range};
use crate::present::failure::Failure;
use crate::present::output::counted;
use crate::report::{ReportKey, Restatement, Seal};

/// Maximum number of events to list for people.
const NAMED: usize = 20;

/// Close a period: sign its totals, positions and root
///
/// The signed statement is a checkpoint with further lines, so `verify --checkpoint` accepts it. Later records and
/// corrections of the period are accepted; `report --sealed` shows them as restatements.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger seal --until 2026-06 > may.seal\n  \
    usage-ledger seal --until 2026-06 --rows-by label:customer\n  \
    usage-ledger report --sealed --by provider\n  \
    usage-ledger report --sealed=120 --by provider\n  \
    usage-ledger verify --checkpoint may.seal --verifier verifier.pub")]
pub(crate) struct SealArgs {
    /// The end of the period, exclusive: a time, a date or a month
    #[arg(long, value_name = "TIME")]
    until: Moment,
    /// The start of the period [default: the end of the last sealed period]
    #[arg(long, value_name = "TIME")]
    since: Option<Moment>,
    /// The key of the totals that `prove total` can prove: project, account, provider, model, agent, conversation, machine,
    /// person, team or label:NAME
    #[arg(long, value_name = "KEY", default_value = "project")]
    rows_by: String,
    /// The key [default: usage-ledger/key in the XDG configuration directory]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

pub(crate) fn run(args: &SealArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let signer = key_file::read(&key_file::place(args.key.as_deref())?, context)?;
    let now = context.now();
    let (since, until) = range(args.since, Some(args.until), context.zone(), now)?;
    let rows_by: ReportKey = args.rows_by.parse()?;
    context.expect_existing()?;
    let ledger = context.write()?;
    let outcome = ledger.seal_by(&rows_by, since, until.unwrap_or(now), &signer, now)?;
    if context.json {
        return answer(&ledger, outcome, context, out);
    }
    let Payload::PeriodSealed(sealed) = ledger.event(outcome.position())?.payload else {
        return answer(&ledger, outcome, context, out);
    };
    Ok(write!(out, "{}", sealed.statement)?)
}

/// Finds the seal of a report, and the snapshot at that seal.
pub(crate) fn find(ledger: &Ledger, which: Option<Position>, now: Timestamp) -> Result<(Seal, Snapshot<'_>), Failure> {
    match which {
        None => ledger
            .sealed(now)?
            .ok_or_else(|| Failure::usage("nothing was sealed yet: `usage-ledger seal --until TIME` closes a period")),
        Some(position) => ledger.sealed_at(position, now)?.ok_or_else(|| {
            Failure::usage(format!(
                "there is no seal that holds at position {position}: `usage-ledger log --kind period_sealed` lists them"
            ))
        }),
    }
}

/// Prints the seal of a report, later events, and earlier seals that were restated.
pub(crate) fn print_basis(seal: &Seal, earlier: &[Seal], out: &mut dyn Write) -> Result<(), Failure> {
    let sealed = &seal.sealed;
    let since = sealed.since.map(|since| format!(" from {since}")).unwrap_or_default();
    writeln!(
        out,
        "sealed at position {}: the period{since} until {}, over positions {} to {}\nroot {}",
        seal.position, sealed.until, sealed.first, sealed.size, sealed.root
    )?;
    writeln!(out, "{}", restated(&seal.restatement))?;
    for seal in earlier {
        writeln!(
            out,
            "the period {} was {} (report --sealed={})",
            seal.sealed.period(),
            restated(&seal.restatement),
            seal.position
        )?;
    }
    Ok(())
}

fn restated(restatement: &Restatement) -> String {
    if restatement.is_nothing() {
        return "nothing of it was restated since".to_owned();
    }
    let mut parts = Vec::new();
    let (more, requests) = (restatement.requests, restatement.requests.unsigned_abs());
    if more != 0 {
        parts.push(format!("{}{}", if more < 0 { "-" } else { "+" }, counted(requests, "request")));
    }
    let tokens: Vec<String> = TokenClass::ALL
        .iter()
        .zip(restatement.tokens)
        .filter(|(_, count)| *count != 0)
        .map(|(class, count)| format!("{} {count:+}", class.name()))
        .collect();
    if !tokens.is_empty() {
        parts.push(format!("tokens {}", tokens.join(", ")));
    }
    if restatement.reported_usd != Usd::default() {
        let cost = restatement.reported_usd.to_string();
        parts.push(format!("reported cost {}{cost} USD", if cost.starts_with('-') { "" } else { "+" }));
    }
    if parts.is_empty() {
        parts.push("no sum, but what it is made of".to_owned());
    }
    let named: Vec<String> = restatement.events.iter().take(NAMED).map(ToString::to_string).collect();
    let rest = restatement.events_total.saturating_sub(named.len() as u64);
    let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    let by = if named.is_empty() { String::new() } else { format!(", by position {}{rest}", named.join(", ")) };
    format!("restated since: {}{by}", parts.join(", "))
}
