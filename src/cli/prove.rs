//! `prove`: prints proofs that others can check without the ledger.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::checkpoint;
use super::context::Context;
use super::event_ref::EventRef;
use super::key_file;
use super::{prove_check, prove_total};
use crate::api::proofs::{self, CheckpointNote, ProvenState};
use crate::ledger::Snapshot;
use crate::present::failure::Failure;
use crate::present::output::JsonAnswer;

/// Prove that an event is in the ledger, that one checkpoint extends another, or what one project used; check a proof
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger prove inclusion 120 > 120.tlog-proof\n  \
    usage-ledger prove consistency monday.checkpoint friday.checkpoint\n  \
    usage-ledger prove total --project acme --period 2026-05 > acme.proof")]
pub(crate) struct ProveArgs {
    #[command(subcommand)]
    command: ProveCommand,
}

#[derive(Debug, Subcommand)]
enum ProveCommand {
    Inclusion(InclusionArgs),
    Consistency(ConsistencyArgs),
    Total(prove_total::TotalArgs),
    Check(prove_check::CheckArgs),
}

/// Print the proof that an event is in the ledger (c2sp.org/tlog-proof)
///
/// The line of the event, the proof and the public key are sufficient to check it.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger prove inclusion 120 > 120.tlog-proof\n  \
    usage-ledger prove inclusion 120 --checkpoint friday.checkpoint")]
struct InclusionArgs {
    /// A position or an event id
    #[arg(value_name = "POSITION|ID")]
    event: EventRef,
    /// The signed checkpoint that the proof refers to [default: a new checkpoint of the whole ledger]
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    checkpoint: Option<PathBuf>,
    /// The key that signs the new checkpoint [default: usage-ledger/key in the XDG configuration directory]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Print the proof that a later checkpoint extends an earlier one: events were only added
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger prove consistency monday.checkpoint friday.checkpoint\n  \
    usage-ledger prove consistency 80 --key ledger.key")]
struct ConsistencyArgs {
    /// The earlier size, or the file of its checkpoint
    #[arg(value_name = "OLD")]
    old: CheckMark,
    /// The later size, or the file of its checkpoint [default: the whole ledger]
    #[arg(value_name = "NEW")]
    new: Option<CheckMark>,
    /// The key that signs the later checkpoint [default: usage-ledger/key in the XDG configuration directory]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// A state of the ledger.
#[derive(Clone, Debug)]
enum CheckMark {
    Size(u64),
    File(PathBuf),
}

impl From<String> for CheckMark {
    fn from(text: String) -> Self {
        text.parse().map_or_else(|_| Self::File(text.into()), Self::Size)
    }
}

pub(crate) fn run(args: ProveArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        ProveCommand::Inclusion(args) => inclusion(&args, context, out),
        ProveCommand::Consistency(args) => consistency(args, context, out),
        ProveCommand::Total(args) => prove_total::run(&args, context, out),
        ProveCommand::Check(args) => prove_check::run(&args, context, out),
    }
}

fn inclusion(args: &InclusionArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let position = args.event.position(&snapshot)?;
    let checkpoint_note = match &args.checkpoint {
        Some(path) => read_checkpoint(path, &snapshot, context)?,
        None => sign(None, args.key.as_deref(), &snapshot, context)?,
    };
    let proof = proofs::inclusion(&snapshot, position, ProvenState::signed(checkpoint_note))?;
    print(proof.proof.clone(), proof, context, out)
}

fn consistency(args: ConsistencyArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let old = match args.old {
        CheckMark::Size(size) => (size, snapshot.root_at(size)?),
        CheckMark::File(path) => {
            let checkpoint_note = read_checkpoint(&path, &snapshot, context)?;
            (checkpoint_note.checkpoint.size(), checkpoint_note.checkpoint.root())
        }
    };
    let checkpoint_note = match args.new {
        Some(CheckMark::File(path)) => read_checkpoint(&path, &snapshot, context)?,
        Some(CheckMark::Size(size)) => sign(Some(size), args.key.as_deref(), &snapshot, context)?,
        None => sign(None, args.key.as_deref(), &snapshot, context)?,
    };
    let proof = proofs::consistency(&snapshot, old, ProvenState::signed(checkpoint_note))?;
    print(proof.proof.clone(), proof, context, out)
}

/// Prints a proof as text, or as JSON.
fn print(text: Option<String>, proof: impl Serialize, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if context.json {
        return JsonAnswer::new(proof).write(out);
    }
    let text = text.ok_or_else(|| Failure::usage("this proof is not signed: name a key with --key"))?;
    Ok(write!(out, "{text}")?)
}

/// Reads a checkpoint that this ledger extends.
fn read_checkpoint(path: &Path, snapshot: &Snapshot<'_>, context: &Context) -> Result<CheckpointNote, Failure> {
    let checkpoint_note = checkpoint::read(path, context)?;
    checkpoint::expect(&checkpoint_note, snapshot)?;
    Ok(checkpoint_note)
}

/// Signs a checkpoint of a size, now.
fn sign(
    size: Option<u64>,
    key: Option<&Path>,
    snapshot: &Snapshot<'_>,
    context: &Context,
) -> Result<CheckpointNote, Failure> {
    let signer = key_file::read(&key_file::place(key)?, context)?;
    Ok(CheckpointNote::sign(snapshot, size, &signer)?)
}
