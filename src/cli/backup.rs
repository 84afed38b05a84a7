//! `backup` and `restore`: verified copies of the ledger.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::checkpoint;
use super::context::Context;
use super::key_file;
use crate::ledger::Ledger;
use crate::merkle::{Checkpoint, signed_by_any};
use crate::present::failure::{Failure, print_message};
use crate::present::output::{JsonAnswer, counted};
use crate::store::former_name;

/// Write a verified copy of the ledger while other programs use it
///
/// If a signing key exists (`key generate`), the command also writes a signed checkpoint of the copy to FILE.checkpoint.
/// Keep the checkpoint in another place: it proves later that the backup did not change. It replaces only a checkpoint
/// that it extends; with --replace, another one is renamed.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger backup /mnt/usb/usage-$(date +%F).db\n  \
    usage-ledger backup --replace ~/backup/usage.db")]
pub(crate) struct BackupArgs {
    /// The file to write; it is written completely or not at all
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace an existing file
    #[arg(long)]
    replace: bool,
    /// The key that signs the checkpoint [default: usage-ledger/key in the XDG configuration directory, if it exists]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Verify a backup and put it in the place of the ledger
///
/// The command replaces an existing ledger only with --replace, and keeps it in the same directory under another name.
/// With --checkpoint, the backup must extend these checkpoints.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger restore /mnt/usb/usage-2026-11-27.db\n  \
    usage-ledger restore backup.db --replace --checkpoint kept/*.checkpoint --verifier kept/verifier.pub")]
pub(crate) struct RestoreArgs {
    /// The backup; it does not change
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace an existing ledger
    #[arg(long)]
    replace: bool,
    /// Signed checkpoints that the backup must extend
    #[arg(long, value_name = "FILE", num_args = 1.., requires = "verifier")]
    checkpoint: Vec<PathBuf>,
    /// The public key that signed the checkpoints, as `key show` prints it, or a file with it
    #[arg(long, value_name = "KEY|FILE")]
    verifier: Vec<String>,
}

#[derive(Serialize)]
struct BackupAnswer<'a> {
    file: String,
    size: u64,
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    checkpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    former: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    former_checkpoint: Option<&'a Path>,
}

pub(crate) fn backup(args: &BackupArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("a backup has all there is")?;
    context.refuse_ledger(&args.file)?;
    let key = key_file::place(args.key.as_deref())?;
    // A key that the user names must exist.
    let signer = if args.key.is_some() || key.exists() { Some(key_file::read(&key, context)?) } else { None };
    let ledger = context.read_existing()?;
    let note_file = note_path(&args.file);
    // Before a file is written. The ledger only grows meanwhile.
    let extends = match &signer {
        Some(signer) => checkpoint::expect_older(&note_file, signer, &ledger.snapshot()?, context),
        None => Ok(()),
    };
    let is_older = extends.is_ok();
    if !args.replace {
        extends?;
    }
    let made = ledger.backup(&args.file, args.replace, signer.as_ref())?;
    context.note_written();
    let beside = made.checkpoint.as_ref().map(|note| {
        let written = || format!("the backup {} is written, without a checkpoint", args.file.display());
        let former_note = keep_note(&note_file, made.former.as_deref(), is_older)
            .and_then(|former| checkpoint::replace(&note_file, note, context).map(|()| former))
            .map_err(|failure| failure.after_writing(written()))?;
        Ok::<_, Failure>((note_file.display().to_string(), former_note))
    });
    let (beside, former_note) = beside.transpose()?.unzip();
    let former_note = former_note.flatten();
    if beside.is_none() {
        print_message("hint: there is no key, so no checkpoint was signed: `usage-ledger key generate` makes one");
    }
    let (file, root) = (args.file.display().to_string(), made.root.to_string());
    if context.json {
        return JsonAnswer::new(BackupAnswer {
            file,
            size: made.size,
            root,
            checkpoint: beside,
            former: made.former.as_deref(),
            former_checkpoint: former_note.as_deref(),
        })
        .write(out);
    }
    writeln!(out, "{file}: {} verified, root {root}", counted(made.size, "event"))?;
    if let Some(beside) = beside {
        writeln!(out, "{beside}: a signed checkpoint of it")?;
    }
    if let Some(former) = &made.former {
        writeln!(out, "{}: what was there, with events that are not in the copy", former.display())?;
    }
    if let Some(former) = &former_note {
        writeln!(out, "{}: the checkpoint of what was there", former.display())?;
    }
    Ok(())
}

/// Renames a checkpoint that the new one does not replace: that of a ledger that was renamed, or one that the backup
/// does not extend. Returns its new path.
fn keep_note(note_file: &Path, former: Option<&Path>, is_older: bool) -> Result<Option<PathBuf>, Failure> {
    if !note_file.is_file() {
        return Ok(None);
    }
    let kept = match former {
        Some(former) => note_path(former),
        None if is_older => return Ok(None),
        None => former_name(note_file),
    };
    std::fs::rename(note_file, &kept).map_err(|error| key_file::trouble(note_file, error))?;
    Ok(Some(kept))
}

/// The path of the checkpoint of a backup.
fn note_path(backup: &Path) -> PathBuf {
    let mut path = backup.to_owned().into_os_string();
    path.push(".checkpoint");
    path.into()
}

pub(crate) fn restore(args: &RestoreArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let place = context.place()?;
    let verifiers =
        args.verifier.iter().map(|given| key_file::verifier(given, context)).collect::<Result<Vec<_>, _>>()?;
    let checkpoints = args.checkpoint.iter().map(|path| {
        let checkpoint_note = checkpoint::read(path, context)?;
        Ok::<Checkpoint, Failure>(signed_by_any(&checkpoint_note.note, &verifiers)?)
    });
    let checkpoints = checkpoints.collect::<Result<Vec<_>, _>>()?;
    let done = Ledger::restore(&args.file, &place, args.replace, &checkpoints)?;
    let (file, root) = (place.display().to_string(), done.root.to_string());
    if context.json {
        let former = done.former.as_deref();
        let answer = BackupAnswer { file, size: done.size, root, checkpoint: None, former, former_checkpoint: None };
        return JsonAnswer::new(answer).write(out);
    }
    writeln!(out, "{file}: {} verified, root {root}", counted(done.size, "event"))?;
    if let Some(former) = &done.former {
        writeln!(out, "{}: what was there", former.display())?;
    }
    Ok(())
}
