//! `archive`: the ledger as static files on an object store.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::context::Context;
use super::key_file;
#[cfg(feature = "postgres")]
use crate::api::input::PastState;
use crate::ledger::Ledger;
use crate::merkle::Verifier;
use crate::model::error::Error;
#[cfg(feature = "postgres")]
use crate::model::event::Position;
use crate::present::failure::Failure;
use crate::present::output::{JsonAnswer, counted};
#[cfg(feature = "postgres")]
use crate::projection::blocks::BLOCK;
#[cfg(feature = "postgres")]
use crate::store::ArchivedLines;
use crate::store::{ArchiveUrl, CopyKind, ObjectArchive, PendingCopy, is_taken, refuse_stale_log};
use crate::sync::archive::{ArchivedLog, Saved, expect_tiles, save};

/// Lines that are read back and replaced at once.
#[cfg(feature = "postgres")]
const MOVED_TOGETHER: u64 = 4 * BLOCK;

/// Keep the ledger as static files on S3 or in a directory (c2sp.org/tlog-tiles)
///
/// The address is `s3://BUCKET/PREFIX` or `file:///DIRECTORY`. S3 takes its settings from the environment:
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, and `AWS_ENDPOINT` for other stores with its API.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger archive save s3://acme-usage/laptop\n  \
    usage-ledger archive verify s3://acme-usage/laptop --verifier verifier.pub\n  \
    usage-ledger archive restore s3://acme-usage/laptop restored.db --verifier verifier.pub")]
pub(crate) struct ArchiveArgs {
    #[command(subcommand)]
    command: ArchiveCommand,
}

#[derive(Debug, Subcommand)]
enum ArchiveCommand {
    Save(ArchiveSaveArgs),
    #[cfg(feature = "postgres")]
    Move(ArchiveMoveArgs),
    Verify(ArchiveVerifyArgs),
    Restore(ArchiveRestoreArgs),
}

/// Add to an archive what is new in the ledger, with a signed checkpoint
///
/// It writes only what the archive lacks, so repeat it as often as you like, also after an interruption. It refuses an
/// archive of another ledger or of another future of this one, and names the first different position. Lines that were
/// shredded since are replaced in the archive. In a bucket that keeps old versions, delete those versions yourself.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger archive save s3://acme-usage/laptop\n  \
    AWS_ENDPOINT=https://s3.example.org usage-ledger archive save s3://usage/laptop\n  \
    usage-ledger archive save file:///mnt/archive/laptop")]
struct ArchiveSaveArgs {
    /// The address of the archive
    url: String,
    /// The key that signs the checkpoint [default: usage-ledger/key in the XDG configuration directory]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Move older lines of a ledger in PostgreSQL into an archive
///
/// It saves the ledger as `archive save` does, reads back the bundles of the lines that it moves, and compares each line with its
/// hash. Then the database keeps the hash in place of the line. Keys, sums, blocks and the tree stay. Commands that need an
/// archived line read its bundle and check it. Only whole blocks of 1,024 lines move, because queries read the lines behind the last one. The owner of the tables runs it.
#[cfg(feature = "postgres")]
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger archive move s3://acme-usage/team --before 90d\n  \
    usage-ledger archive move --before 2026-06")]
struct ArchiveMoveArgs {
    /// The address of the archive [default: the one that has lines of the ledger already]
    url: Option<String>,
    /// Move the lines in front of this position, or that were recorded before this time, date or age
    #[arg(long, value_name = "POSITION|TIME|DATE|AGE", value_parser = crate::api::input::as_of)]
    before: PastState,
    /// The key that signs the checkpoint [default: usage-ledger/key in the XDG configuration directory]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Recompute an archive: every line, every hash, every number
///
/// It needs no ledger: it makes a temporary one from the files of the archive, verifies it as `verify` does, and compares
/// all stored hashes. Exits 1 if it finds a difference.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger archive verify s3://acme-usage/laptop --verifier verifier.pub")]
struct ArchiveVerifyArgs {
    /// The address of the archive
    url: String,
    /// The public key that signed the checkpoint, as `key show` prints it, or a file with it; repeat it for replaced keys
    #[arg(long, value_name = "KEY|FILE", required = true)]
    verifier: Vec<String>,
}

/// Make a ledger from an archive alone, verified
///
/// The ledger gets its name only after every line was verified against the signed checkpoint. It overwrites nothing.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  usage-ledger archive restore s3://acme-usage/laptop restored.db --verifier verifier.pub"
)]
struct ArchiveRestoreArgs {
    /// The address of the archive
    url: String,
    /// The file to write [default: the ledger]
    file: Option<PathBuf>,
    /// The public key that signed the checkpoint, as `key show` prints it, or a file with it; repeat it for replaced keys
    #[arg(long, value_name = "KEY|FILE", required = true)]
    verifier: Vec<String>,
}

#[derive(Serialize)]
struct SaveAnswer {
    archive: String,
    size: u64,
    added: u64,
    files: u64,
    bytes: u64,
    shredded_files: u64,
}

#[cfg(feature = "postgres")]
#[derive(Serialize)]
struct MoveLinesAnswer {
    archive: String,
    size: u64,
    moved: u64,
    /// The last position whose line is in the archive alone.
    until: u64,
}

#[derive(Serialize)]
struct ReadAnswer {
    archive: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    size: u64,
    root: String,
    checkpoint: String,
}

pub(crate) fn run(args: &ArchiveArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.command {
        ArchiveCommand::Save(args) => save_ledger(args, context, out),
        #[cfg(feature = "postgres")]
        ArchiveCommand::Move(args) => move_lines(args, context, out),
        ArchiveCommand::Verify(args) => verify(args, context, out),
        ArchiveCommand::Restore(args) => restore(args, context, out),
    }
}

fn save_ledger(args: &ArchiveSaveArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    context.refuse_as_of("an archive has all there is")?;
    let url: ArchiveUrl = args.url.parse()?;
    let signer = key_file::read(&key_file::place(args.key.as_deref())?, context)?;
    let ledger = context.read_existing()?;
    let snapshot = ledger.snapshot()?;
    let archive = ObjectArchive::open_to_write(url)?;
    let Saved { before, size, files, bytes, shredded_files } = save(&snapshot, &signer, &archive)?;
    context.note_written();
    let (archive, added) = (archive.url().to_string(), size - before);
    if context.json {
        return JsonAnswer::new(SaveAnswer { archive, size, added, files, bytes, shredded_files }).write(out);
    }
    let new = counted(added, "new event");
    writeln!(
        out,
        "{archive}: {new}, {} in all; {}, {bytes} bytes written",
        counted(size, "event"),
        counted(files, "file")
    )?;
    if shredded_files > 0 {
        writeln!(out, "shredded lines were removed from {}", counted(shredded_files, "file"))?;
    }
    Ok(())
}

#[cfg(feature = "postgres")]
fn move_lines(args: &ArchiveMoveArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(key) = &args.key {
        context.refuse_ledger(key)?;
    }
    let store = context.database()?;
    let place = store.archive_place()?;
    let given = args.url.as_deref().map(str::parse::<ArchiveUrl>).transpose()?;
    let url = match (given, &place) {
        (Some(given), Some(place)) if given != place.url => {
            return Err(Failure::usage(format!(
                "older lines of this ledger are in {}: leave out the address, or give that one",
                place.url
            )));
        }
        (Some(given), _) => given,
        (None, Some(place)) => place.url.clone(),
        (None, None) => return Err(Failure::usage("give the address of an archive: s3://BUCKET/PREFIX")),
    };
    let signer = key_file::read(&key_file::place(args.key.as_deref())?, context)?;
    let ledger = context.read_existing()?;
    let snapshot = ledger.snapshot()?;
    let before = match args.before {
        PastState::Position(position) => position.get().saturating_sub(1),
        PastState::Time(moment) => snapshot.position_at(moment.resolve(context.zone(), context.now()).plus(-1))?.get(),
    };
    let archive = ObjectArchive::open_to_write(url.clone())?;
    let size = save(&snapshot, &signer, &archive)?.size;
    drop(archive);
    let done = place.map_or(0, |place| place.until);
    let until = (before.min(size) / BLOCK * BLOCK).max(done);
    let lines = ArchivedLines::open(&url)?;
    let mut moved = 0;
    for first in (done..until).step_by(MOVED_TOGETHER as usize) {
        let count = MOVED_TOGETHER.min(until - first);
        let leaves = snapshot.tile_hashes(0, first, count)?;
        let wanted: Vec<_> = (first + 1..).map(Position::new).zip(leaves).collect();
        lines.expect(&wanted)?;
        moved += store.archive_lines(&url, Position::new(first + 1), Position::new(first + count))?;
    }
    let archive = url.to_string();
    if context.json {
        return JsonAnswer::new(MoveLinesAnswer { archive, size, moved, until }).write(out);
    }
    let lines = counted(moved, "line");
    Ok(writeln!(out, "{archive}: {lines} moved; the database has the lines behind position {until} of {size}")?)
}

fn verify(args: &ArchiveVerifyArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let (archive, verifiers) = to_read(&args.url, &args.verifier, context)?;
    let log = open(&archive, &verifiers)?;
    let folder = tempfile::tempdir().map_err(|source| Error::Io { path: std::env::temp_dir(), source })?;
    let ledger = Ledger::open(folder.path().join("archive.db"))?;
    log.rebuild(&ledger, context.now())?;
    expect_tiles(&log, &ledger.snapshot()?)?;
    answer(&log, &archive, None, context, out)
}

fn restore(args: &ArchiveRestoreArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let place = match &args.file {
        Some(file) => {
            context.refuse_ledger(file)?;
            file.clone()
        }
        None => context.place()?,
    };
    if is_taken(&place)? {
        return Err(Error::AlreadyExists { path: place }.into());
    }
    refuse_stale_log(&place)?;
    let (archive, verifiers) = to_read(&args.url, &args.verifier, context)?;
    let log = open(&archive, &verifiers)?;
    let copy = PendingCopy::beside(&place, CopyKind::Archive)?;
    log.rebuild(&Ledger::open(copy.path())?, context.now())?;
    copy.keep_at(&place)?;
    context.note_written();
    answer(&log, &archive, Some(place), context, out)
}

fn to_read(url: &str, verifiers: &[String], context: &Context) -> Result<(ObjectArchive, Vec<Verifier>), Failure> {
    let verifiers = verifiers.iter().map(|given| key_file::verifier(given, context)).collect::<Result<_, _>>()?;
    Ok((ObjectArchive::open(url.parse()?)?, verifiers))
}

fn open<'a>(archive: &'a ObjectArchive, verifiers: &[Verifier]) -> Result<ArchivedLog<'a>, Failure> {
    ArchivedLog::open(archive, verifiers)?
        .ok_or_else(|| Failure::usage(format!("there is no archive at {}: it has no checkpoint", archive.url())))
}

fn answer(
    log: &ArchivedLog<'_>,
    archive: &ObjectArchive,
    file: Option<PathBuf>,
    context: &Context,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (archive, size, root) = (archive.url().to_string(), log.size(), log.root().to_string());
    if context.json {
        let checkpoint = log.note().to_owned();
        return JsonAnswer::new(ReadAnswer { archive, file, size, root, checkpoint }).write(out);
    }
    let name = file.map_or(archive, |file| file.display().to_string());
    Ok(writeln!(out, "{name}: {} verified, root {root}", counted(size, "event"))?)
}
