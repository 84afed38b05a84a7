//! `prove check`: checks a proof without a ledger.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::checkpoint;
use super::context::Context;
use super::key_file;
use super::prove_total;
use crate::merkle::{ConsistencyProofText, InclusionProofText, TOTAL_PROOF, by_any, signed_by_any};
use crate::model::error::Error;
use crate::model::event::ExportedLine;
use crate::present::failure::Failure;
use crate::present::output::{JsonAnswer, counted};

/// Check a proof; no ledger is needed
///
/// Exits 1 if the proof is not valid.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger prove check 120.tlog-proof --line 120.json --verifier verifier.pub\n  \
    usage-ledger prove check proof --old monday.checkpoint --verifier verifier.pub\n  \
    usage-ledger prove check acme.proof --seal may.seal --verifier verifier.pub")]
pub(crate) struct CheckArgs {
    /// The file with the proof
    proof: PathBuf,
    /// The public key that signed the checkpoint, as `key show` prints it, or a file with it; repeat it for replaced keys: a
    /// signature by any of them is valid
    #[arg(long, value_name = "KEY|FILE", required = true)]
    verifier: Vec<String>,
    /// For an inclusion proof: a file with the line of the event, as `export` prints it
    #[arg(long, value_name = "FILE", conflicts_with = "old")]
    line: Option<PathBuf>,
    /// For a consistency proof: the earlier checkpoint
    #[arg(long, value_name = "FILE")]
    old: Option<PathBuf>,
    /// For a proof of a total: the seal that you keep; the proof must be of that seal
    #[arg(long, value_name = "FILE", conflicts_with_all = ["line", "old"])]
    seal: Option<PathBuf>,
}

/// The checkpoint that a proof refers to.
#[derive(Serialize)]
struct ProvenCheckpoint {
    ok: bool,
    origin: String,
    size: u64,
    root: String,
}

pub(crate) fn run(args: &CheckArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let verifiers =
        args.verifier.iter().map(|given| key_file::verifier(given, context)).collect::<Result<Vec<_>, _>>()?;
    // The kind of the proof decides which file is read; none of them may be the ledger.
    for path in [&args.line, &args.old, &args.seal].into_iter().flatten() {
        context.refuse_ledger(path)?;
    }
    let read = |path: &PathBuf| key_file::text(path, context);
    let named = |error: Error| match error {
        Error::Invalid { what } => Failure::usage(format!("{}: {what}", args.proof.display())),
        other => other.into(),
    };
    if let Some(path) = &args.seal {
        context.refuse_ledger(path)?;
    }
    let text = read(&args.proof)?;
    if text.lines().next() == Some(TOTAL_PROOF) {
        if args.line.is_some() || args.old.is_some() {
            return Err(Failure::usage("a proof of a total is checked without --line and --old"));
        }
        return prove_total::check(&text, &verifiers, args.seal.as_ref(), context, out);
    }
    if args.seal.is_some() {
        return Err(Failure::usage("--seal belongs to a proof of a total, which `prove total` prints"));
    }
    let (what, checkpoint) = match (&args.line, &args.old) {
        (Some(line), _) => {
            let line = read(line)?;
            let receipt: InclusionProofText = text.parse().map_err(named)?;
            let line = line.strip_suffix('\n').unwrap_or(&line);
            let position = receipt.proof().position;
            match ExportedLine::read(position, line)? {
                ExportedLine::Line(line) => (
                    format!("the event is at position {position}"),
                    by_any(&verifiers, |verifier| receipt.verify(&*line, verifier))?,
                ),
                ExportedLine::Leaf(leaf) => {
                    let leaf = leaf.parse()?;
                    (
                        format!("the event at position {position} is shredded, and had this hash"),
                        by_any(&verifiers, |verifier| receipt.verify_leaf(&leaf, verifier))?,
                    )
                }
            }
        }
        (None, Some(old)) => {
            let old = signed_by_any(&checkpoint::read(old, context)?.note, &verifiers)?;
            let proof: ConsistencyProofText = text.parse().map_err(named)?;
            let checkpoint = by_any(&verifiers, |verifier| proof.verify(&old, verifier))?;
            (format!("the first {} are as they were", counted(old.size(), "event")), checkpoint)
        }
        (None, None) => {
            return Err(Failure::usage("give --line FILE with the event, or --old FILE with the earlier checkpoint"));
        }
    };
    if context.json {
        let (origin, root) = (checkpoint.origin().to_owned(), checkpoint.root().to_string());
        return JsonAnswer::new(ProvenCheckpoint { ok: true, origin, size: checkpoint.size(), root }).write(out);
    }
    let size = counted(checkpoint.size(), "event");
    Ok(writeln!(out, "ok: {what}, of {size} that {} signed, root {}", checkpoint.origin(), checkpoint.root())?)
}
