//! `checkpoint`: size and root of the ledger, signed.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::NamedTempFile;

use super::context::Context;
use super::key_file;
use crate::api::proofs::{CheckpointNote, SignedCheckpoint};
use crate::ledger::Snapshot;
use crate::merkle::{Checkpoint, Signer};
use crate::model::error::Error;
use crate::present::failure::Failure;
use crate::present::output::JsonAnswer;

/// Sign a checkpoint: the size of the ledger and the root of its tree
///
/// Keep the checkpoint where the owner of the ledger cannot change it. It commits to every event up to its size: later,
/// `verify --checkpoint` detects a changed, moved, missing or truncated event among them.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger checkpoint > ~/anchors/$(date +%F).checkpoint\n  \
    usage-ledger checkpoint --out ~/anchors/ledger.checkpoint && git -C ~/anchors add -A && git -C ~/anchors commit -qm checkpoint")]
pub(crate) struct CheckpointArgs {
    /// The key [default: usage-ledger/key in the XDG configuration directory]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The file to write; an existing checkpoint is replaced only by one that extends it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Reads the checkpoint in a file.
pub(crate) fn read(path: &Path, context: &Context) -> Result<CheckpointNote, Failure> {
    let text = key_file::text(path, context)?;
    CheckpointNote::of(&text).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Checks that the ledger extends a checkpoint.
pub(crate) fn expect(checkpoint_note: &CheckpointNote, snapshot: &Snapshot<'_>) -> Result<(), Failure> {
    match snapshot.check(&checkpoint_note.checkpoint)? {
        None => Ok(()),
        Some(finding) => Err(Error::Unproven { what: finding.what }.into()),
    }
}

pub(crate) fn run(args: &CheckpointArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let signer = key_file::read(&key_file::place(args.key.as_deref())?, context)?;
    let ledger = context.read_existing()?;
    let snapshot = context.snapshot(&ledger)?;
    if let Some(path) = &args.out {
        expect_older(path, &signer, &snapshot, context)?;
    }
    let note = snapshot.checkpoint(&signer)?;
    if let Some(path) = &args.out {
        replace(path, &note, context)?;
    }
    if context.json {
        return JsonAnswer::new(SignedCheckpoint::new(note)?).write(out);
    }
    if args.out.is_none() {
        write!(out, "{note}")?;
    }
    Ok(())
}

/// An existing file must be a checkpoint of this log that the ledger extends: a log must never sign two histories.
pub(crate) fn expect_older(
    path: &Path,
    signer: &Signer,
    snapshot: &Snapshot<'_>,
    context: &Context,
) -> Result<(), Failure> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(meta) if !meta.is_file() || meta.len() == 0 => return Ok(()),
        _ => {}
    }
    let checkpoint_note = read(path, context)?;
    match Checkpoint::open(&checkpoint_note.note, signer.verifier()) {
        Ok(_) => expect(&checkpoint_note, snapshot).map_err(|failure| match failure {
            Failure::Ledger(Error::Unproven { what }) => {
                Error::Unproven { what: format!("{} is not replaced: {what}", path.display()) }.into()
            }
            other => other,
        }),
        Err(Error::Unproven { what }) => {
            Err(Failure::usage(format!("{} is not replaced: {what}; name another file", path.display())))
        }
        Err(other) => Err(other.into()),
    }
}

/// Writes the content of a file completely or not at all. Pipes and devices are written directly.
pub(crate) fn replace(path: &Path, bytes: impl AsRef<[u8]>, context: &Context) -> Result<(), Failure> {
    context.refuse_ledger(path)?;
    put(path, bytes.as_ref()).map_err(|error| key_file::trouble(path, error))?;
    context.note_written();
    Ok(())
}

fn put(path: &Path, content: &[u8]) -> std::io::Result<()> {
    if path.metadata().is_ok_and(|meta| !meta.is_file()) {
        return fs::File::options().write(true).open(path)?.write_all(content);
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
