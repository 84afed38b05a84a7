//! `prove check`: a proof, for somebody who has no ledger.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::checkpoint::Kept;
use super::context::Context;
use super::failure::Failure;
use super::key_file;
use super::output::{Answer, counted};
use crate::audit::{Checkpoint, Continuation, Receipt};
use crate::event::Stub;

/// Check a proof; no ledger is needed
///
/// Exits 1 when it proves nothing.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger prove check 120.tlog-proof --line 120.json --verifier verifier.pub\n  \
    usage-ledger prove check proof --old monday.checkpoint --verifier verifier.pub")]
pub(super) struct CheckArgs {
    /// The proof, of either kind
    proof: PathBuf,
    /// The key that must have signed, as `key show` prints it, or a file with it
    #[arg(long, value_name = "KEY|FILE")]
    verifier: String,
    /// For a proof of inclusion: a file with the event's line as `export` prints it
    #[arg(long, value_name = "FILE", conflicts_with = "old")]
    line: Option<PathBuf>,
    /// For a proof of consistency: the earlier checkpoint
    #[arg(long, value_name = "FILE")]
    old: Option<PathBuf>,
}

/// The checkpoint that a proof leads to.
#[derive(Serialize)]
struct Proven {
    ok: bool,
    origin: String,
    size: u64,
    root: String,
}

pub(super) fn run(args: &CheckArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let verifier = key_file::verifier(&args.verifier)?;
    let read = |path: &PathBuf| fs::read_to_string(path).map_err(|error| key_file::trouble(path, error));
    let text = read(&args.proof)?;
    let (what, checkpoint) = match (&args.line, &args.old) {
        (Some(line), _) => {
            let line = read(line)?;
            let receipt: Receipt = text.parse()?;
            let line = line.strip_suffix('\n').unwrap_or(&line);
            let position = receipt.proof().position;
            match Stub::read_exported(position, line)? {
                None => (format!("the event is at position {position}"), receipt.verify(line, &verifier)?),
                Some(leaf) => (
                    format!("the event at position {position} is shredded, and had this hash"),
                    receipt.verify_leaf(&leaf.parse()?, &verifier)?,
                ),
            }
        }
        (None, Some(old)) => {
            let old = Checkpoint::open(&Kept::read(old)?.note, &verifier)?;
            let checkpoint = text.parse::<Continuation>()?.verify(&old, &verifier)?;
            (format!("the first {} are as they were", counted(old.size(), "event")), checkpoint)
        }
        (None, None) => {
            return Err(Failure::usage(
                "say what is to be proven: --line FILE with the event, or --old FILE with the earlier checkpoint",
            ));
        }
    };
    if context.json {
        let (origin, root) = (checkpoint.origin().to_owned(), checkpoint.root().to_string());
        return Answer::new(Proven { ok: true, origin, size: checkpoint.size(), root }).write(out);
    }
    let size = counted(checkpoint.size(), "event");
    Ok(writeln!(out, "ok: {what}, of {size} that {} signed, root {}", checkpoint.origin(), checkpoint.root())?)
}
