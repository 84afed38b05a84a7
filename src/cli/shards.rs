//! `shards`: the clusters of a map, which ledger is on which of them, and moves.

use std::io::Write;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::context::Context;
use crate::model::error::Error;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{EscapedText, JsonAnswer, counted};
use crate::store::{CITUS, LedgerHeadRow, MoveState, ShardMap};
use crate::sync::moving::{MovedLedger, copies, move_ledger};

/// Show and move ledgers on several PostgreSQL clusters
///
/// The map of clusters is that of the ledger: `--ledger shards:PATH?ledger=NAME`. See docs/scale.md.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger shards list\n  \
    usage-ledger shards show team\n  \
    usage-ledger shards move team --to b\n  \
    usage-ledger shards citus | psql usage")]
pub(crate) struct ShardsArgs {
    #[command(subcommand)]
    command: ShardsCommand,
}

#[derive(Debug, Subcommand)]
enum ShardsCommand {
    List(ShardsListArgs),
    Show(ShardsShowArgs),
    Move(ShardsMoveArgs),
    Citus(CitusArgs),
}

/// List the ledgers of all clusters
///
/// Exits 1 if a ledger takes events on two clusters, and 3 if a cluster does not answer.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger shards list --json")]
struct ShardsListArgs {}

/// Show on which clusters a ledger has rows
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger shards show team")]
struct ShardsShowArgs {
    /// The name of the ledger
    name: String,
}

/// Move a ledger to another cluster while it is written
///
/// It copies the ledger, ends the commits at the former place, copies the rest, compares the roots, and opens the new place. Programs
/// with an older map follow. The same command continues a move that was interrupted.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  usage-ledger shards move team --to b\n  usage-ledger shards move team")]
struct ShardsMoveArgs {
    /// The name of the ledger
    name: String,
    /// The cluster [default: the one that the hash gives]
    #[arg(long, value_name = "CLUSTER")]
    to: Option<String>,
}

/// Print the statements that distribute the tables over the nodes of Citus
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger shards citus | psql -v ON_ERROR_STOP=1 usage")]
struct CitusArgs {}

/// The rows of a ledger on a cluster.
#[derive(Serialize)]
struct ListedCopy {
    ledger: String,
    cluster: String,
    events: u64,
    /// `here`, or the state of a move.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<String>,
    hashed: String,
}

#[derive(Serialize)]
struct SilentCluster {
    cluster: String,
    error: String,
}

#[derive(Serialize)]
struct ShardsAnswer {
    ledgers: Vec<ListedCopy>,
    unreachable: Vec<SilentCluster>,
}

#[derive(Serialize)]
struct MoveAnswer<'a> {
    ledger: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    to: &'a str,
    copied: u64,
    events: u64,
    root: String,
    removed: &'a [String],
}

pub(crate) fn run(args: &ShardsArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.command {
        ShardsCommand::List(ShardsListArgs {}) => list(context, out),
        ShardsCommand::Show(args) => show(args, context, out),
        ShardsCommand::Move(args) => move_one(args, context, out),
        ShardsCommand::Citus(CitusArgs {}) => Ok(out.write_all(CITUS.as_bytes())?),
    }
}

fn listed(ledger: &str, cluster: &str, row: LedgerHeadRow, map: &ShardMap) -> ListedCopy {
    let (state, other) = match row.redirect {
        None => ("here", None),
        Some(redirect) => (redirect.state.name(), Some(redirect.to.name)),
    };
    ListedCopy {
        ledger: ledger.to_owned(),
        cluster: cluster.to_owned(),
        events: row.position,
        state,
        other,
        hashed: map.hashed(ledger).to_owned(),
    }
}

fn list(context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let clusters = context.shards()?;
    let map = clusters.map()?;
    let (mut ledgers, mut silent) = (Vec::new(), Vec::new());
    for cluster in map.clusters().keys() {
        match clusters.rows_on(&map, cluster) {
            // The row that is left of a former copy says nothing new.
            Ok(rows) => ledgers.extend(
                rows.into_iter()
                    .map(|(ledger, row)| listed(&ledger, cluster, row, &map))
                    .filter(|copy| copy.state != MoveState::Moved.name() || copy.events > 0),
            ),
            Err(error @ Error::Store { .. }) => silent.push((cluster.clone(), error)),
            Err(other) => return Err(other.into()),
        }
    }
    ledgers.sort_by(|one, other| (&one.ledger, &one.cluster).cmp(&(&other.ledger, &other.cluster)));
    answer(ledgers, silent, context, out)
}

fn show(args: &ShardsShowArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let clusters = context.shards()?;
    let map = clusters.map()?;
    let (found, silent) = copies(&clusters, &map, &args.name)?;
    let ledgers: Vec<_> = found.into_iter().map(|copy| listed(&args.name, &copy.cluster, copy.row, &map)).collect();
    if ledgers.is_empty() && silent.is_empty() {
        return Err(Failure::usage(format!(
            "no cluster has the ledger {}: the first command that writes creates it on `{}`",
            args.name,
            map.place(&args.name)
        )));
    }
    answer(ledgers, silent, context, out)
}

fn answer(
    ledgers: Vec<ListedCopy>,
    silent: Vec<(String, Error)>,
    context: &Context,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let here = |copy: &&ListedCopy| copy.state == "here";
    let mut open: Vec<&str> = ledgers.iter().filter(here).map(|copy| copy.ledger.as_str()).collect();
    open.sort_unstable();
    let is_double = open.windows(2).any(|two| two.first() == two.last());
    let unreachable = silent
        .iter()
        .map(|(cluster, error)| SilentCluster { cluster: cluster.clone(), error: error.with_causes() })
        .collect();
    let answer = ShardsAnswer { ledgers, unreachable };
    if context.json {
        JsonAnswer::new(answer).write(out)?;
    } else {
        for copy in &answer.ledgers {
            writeln!(out, "{}", line(copy))?;
        }
    }
    match silent.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None if is_double => Err(Failure::Finding),
        None => Ok(()),
    }
}

fn line(copy: &ListedCopy) -> String {
    let (ledger, cluster) = (EscapedText(&copy.ledger), EscapedText(&copy.cluster));
    let events = counted(copy.events, "event");
    let note = match (copy.state, copy.other.as_deref()) {
        (_, None) if copy.hashed == copy.cluster => String::new(),
        (_, None) => format!("  (its hash gives {}: `usage-ledger shards move {ledger}`)", copy.hashed),
        ("incoming", Some(other)) => format!("  (a copy that is being made of the ledger on {other})"),
        ("leaving", Some(other)) => {
            format!("  (moving to {other}; if that was interrupted: `usage-ledger shards move {ledger} --to {other}`)")
        }
        (_, Some(other)) => format!(
            "  (a former copy; the ledger is on {other}: `usage-ledger shards move {ledger} --to {other}` removes it)"
        ),
    };
    format!("{ledger}  {cluster}  {events}{note}")
}

fn move_one(args: &ShardsMoveArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("this command writes")?;
    let clusters = context.shards()?;
    let map = clusters.map()?;
    let to = args.to.as_deref().unwrap_or_else(|| map.hashed(&args.name));
    let MovedLedger { from, copied, size, root, map: unwritten, removed, kept } =
        move_ledger(&clusters, &args.name, to, context.now())?;
    let (name, root) = (args.name.as_str(), root.to_string());
    if context.json {
        let answer = MoveAnswer { ledger: name, from, to, copied, events: size, root, removed: &removed };
        JsonAnswer::new(answer).write(out)?;
    } else {
        let events = counted(size, "event");
        match from {
            Some(from) => writeln!(out, "{name}: moved from {from} to {to}: {events}, root {root}")?,
            None => writeln!(out, "{name}: on {to}: {events}, root {root}")?,
        }
        for cluster in &removed {
            writeln!(out, "the former copy on {cluster} was removed")?;
        }
    }
    if let Some(error) = unwritten {
        print_message(&format!(
            "note: {} does not name the new place ({}): programs find it a little later without that",
            clusters.path().display(),
            error.with_causes()
        ));
    }
    for (cluster, error) in kept {
        print_message(&format!(
            "note: the former copy on {cluster} stays ({}): repeat the command as the owner of its tables",
            error.with_causes()
        ));
    }
    Ok(())
}
