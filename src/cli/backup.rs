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

/// Write a verified copy of the ledger while other programs use it
///
/// If a signing key exists (`key generate`), the command also writes a signed checkpoint of the copy to FILE.checkpoint.
/// Keep the checkpoint in another place: it proves later that the backup did not change.
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
}

pub(crate) fn backup(args: &BackupArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("a backup has all there is")?;
    context.refuse_ledger(&args.file)?;
    let key = key_file::place(args.key.as_deref())?;
    // A key that the user names must exist.
    let signer = if args.key.is_some() || key.exists() { Some(key_file::read(&key, context)?) } else { None };
    let made = context.read_existing()?.backup(&args.file, args.replace, signer.as_ref())?;
    let beside = made.checkpoint.as_ref().map(|note| {
        let mut name = args.file.clone().into_os_string();
        name.push(".checkpoint");
        let path = PathBuf::from(name);
        checkpoint::replace(&path, note, context)?;
        Ok::<_, Failure>(path.display().to_string())
    });
    let beside = beside.transpose()?;
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
    Ok(())
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
        return JsonAnswer::new(BackupAnswer { file, size: done.size, root, checkpoint: None, former }).write(out);
    }
    writeln!(out, "{file}: {} verified, root {root}", counted(done.size, "event"))?;
    if let Some(former) = &done.former {
        writeln!(out, "{}: what was there", former.display())?;
    }
    Ok(())
}
