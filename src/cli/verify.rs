//! `verify` and `replay`: compare the stored state with what the events yield.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::checkpoint;
use super::context::Context;
use super::key_file;
use super::witness;
use crate::ledger::{Finding, Verification};
use crate::merkle::{Signer, signed_by_any};
use crate::model::error::Error;
use crate::model::event::Position;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{EscapedText, JsonAnswer, counted};

/// Recompute every hash, position, id and projection, and report every difference
///
/// With checkpoints from another place, it also detects changes that recompute all hashes: a truncated ledger, an older
/// copy, or a rewritten history. Exits 1 if it finds a difference.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger verify\n  \
    usage-ledger --ledger usage.db --json verify\n  \
    usage-ledger verify --checkpoint kept/*.checkpoint --verifier kept/verifier.pub\n  \
    usage-ledger verify --checkpoint kept/*.checkpoint --verifier old.pub --verifier new.pub")]
pub(crate) struct VerifyArgs {
    /// Signed checkpoints that the ledger must extend
    #[arg(long, value_name = "FILE", num_args = 1..)]
    checkpoint: Vec<PathBuf>,
    /// The policy that each checkpoint must meet (c2sp.org/tlog-policy): the keys of logs, and how many of which witnesses
    /// must have cosigned it
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    policy: Option<PathBuf>,
    /// The public key that signed the checkpoints and the seals, as `key show` prints it, or a file with it; repeat it for
    /// replaced keys: a signature by any of them is valid
    #[arg(long, value_name = "KEY|FILE")]
    verifier: Vec<String>,
    /// The key that signed the seals, to recompute their blinded rows [default: usage-ledger/key in the XDG configuration
    /// directory, if it exists]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Recompute all counters from the first event and compare them with the stored counters
///
/// Exits 1 if they differ.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger replay\n  \
    usage-ledger replay --write")]
pub(crate) struct ReplayArgs {
    /// Store the recomputed counters; the events do not change
    #[arg(long)]
    write: bool,
}

/// The result of `replay --write`.
#[derive(Serialize)]
struct Replayed {
    rebuilt: bool,
    size: u64,
    root: String,
}

pub(crate) fn verify(args: &VerifyArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("an audit looks at all there is")?;
    let verifiers =
        args.verifier.iter().map(|given| key_file::verifier(given, context)).collect::<Result<Vec<_>, _>>()?;
    let policy = args.policy.as_deref().map(|path| witness::policy(path, context)).transpose()?;
    if !args.checkpoint.is_empty() && policy.is_none() && verifiers.is_empty() {
        return Err(Failure::usage(
            "a checkpoint is checked with the public key that signed it: give --verifier, or --policy with a line `log`",
        ));
    }
    let mut checkpoints = Vec::new();
    let mut unsigned = Vec::new();
    for path in &args.checkpoint {
        let checkpoint_note = checkpoint::read(path, context)?;
        let opened = match &policy {
            Some(policy) => policy.check(&checkpoint_note.note, &verifiers).map(|witnessed| witnessed.checkpoint),
            None => signed_by_any(&checkpoint_note.note, &verifiers),
        };
        match opened {
            Ok(checkpoint) => checkpoints.push(checkpoint),
            // An unsigned checkpoint proves nothing about the ledger, but the user should look at it.
            Err(Error::Unproven { what }) => {
                let what = format!("the checkpoint {} proves nothing: {what}", path.display());
                unsigned.push(Finding::new(Position::new(checkpoint_note.checkpoint.size()), what));
            }
            Err(other) => return Err(other.into()),
        }
    }
    let signer = signer(args.key.as_deref(), context)?;
    let ledger = context.read_existing()?;
    if !ledger.built.is_empty() {
        print_message(&format!(
            "note: no rows were in {}: an earlier build wrote the file, or something emptied it. The rows have been built \
             from the events",
            ledger.built.join(", ")
        ));
    }
    let mut verification = ledger.verify_signed(&checkpoints, &verifiers)?;
    verification.add(unsigned);
    if verification.ok {
        verification.add(ledger.verify_seals(signer.as_slice())?);
    }
    let done = match args.checkpoint.len() as u64 {
        0 => "verified".to_owned(),
        some => format!("verified against {}", counted(some, "checkpoint")),
    };
    answer(&verification, &done, context, out)
}

/// Reads the given key, or the default one if it exists.
fn signer(given: Option<&Path>, context: &Context) -> Result<Option<Signer>, Failure> {
    if given.is_some() {
        return key_file::read(&key_file::place(given)?, context).map(Some);
    }
    let Some(path) = key_file::place(None).ok().filter(|path| path.exists()) else { return Ok(None) };
    match key_file::read(&path, context) {
        Ok(signer) => Ok(Some(signer)),
        // The audit does not depend on this key. Without it, only blinded rows are not recomputed.
        Err(failure) => {
            let why = failure.message().unwrap_or_else(|| format!("the key {} cannot be read", path.display()));
            print_message(&format!("the rows of seals are not recomputed: {why}"));
            Ok(None)
        }
    }
}

pub(crate) fn replay(args: &ReplayArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("a replay folds all there is")?;
    let ledger = context.read_existing()?;
    if !args.write {
        return answer(&ledger.replay()?, "replayed", context, out);
    }
    ledger.rebuild()?;
    let replayed = Replayed { rebuilt: true, size: ledger.head()?.position.get(), root: ledger.root()?.to_string() };
    if context.json {
        return JsonAnswer::new(replayed).write(out);
    }
    Ok(writeln!(out, "rebuilt from {}, root {}", counted(replayed.size, "event"), replayed.root)?)
}

/// Prints one line per finding, with its position.
pub(crate) fn places(findings: &[Finding], out: &mut dyn Write) -> Result<(), Failure> {
    for finding in findings {
        let place = finding.position.map_or_else(|| "nowhere".to_owned(), |at| format!("position {at}"));
        writeln!(out, "{place}: {}", EscapedText(&finding.what))?;
    }
    Ok(())
}

fn answer(verification: &Verification, done: &str, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if context.json {
        JsonAnswer::new(verification).write(out)?;
    } else {
        places(&verification.findings, out)?;
        let size = counted(verification.size, "event");
        let root = verification.root;
        match verification.findings.len() as u64 {
            0 => writeln!(out, "ok: {size} {done}, root {root}")?,
            found => writeln!(out, "{}: {size} {done}, root {root}", counted(found, "finding"))?,
        }
    }
    if verification.ok { Ok(()) } else { Err(Failure::Finding) }
}
