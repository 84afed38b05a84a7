//! Writes the files of a ledger into an archive.
//!
//! Files of full tiles never change, except that a shredded line is replaced by its tombstone. The checkpoint is written behind all
//! files of its tree; its conditional write decides between two programs.

use std::collections::{BTreeMap, BTreeSet};

use super::bundle::{lines_of, written_meanwhile};
use super::rebuild::ArchivedLog;
use super::shredded;
use crate::ledger::Snapshot;
use crate::merkle::Signer;
use crate::merkle::tiles::{self, TILE, Tile, TileKind};
use crate::model::error::{Error, Result};
use crate::model::event::{Position, Tombstone};
use crate::store::ObjectArchive;

/// Files that are read and written together.
const BATCH: usize = 64;

/// What a run added to an archive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Saved {
    /// Events that were in it before.
    pub before: u64,
    /// Events that are in it now.
    pub size: u64,
    /// Files that were written.
    pub files: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// Files that were replaced or deleted because they had shredded lines.
    pub shredded_files: u64,
}

/// Writes everything of a snapshot that the archive does not have.
///
/// # Errors
/// [`Error::Unproven`] if the archive holds another history: it names the first different position.
/// [`Error::Store`] if the object store fails, or another program replaced the checkpoint meanwhile.
pub(crate) fn save(snapshot: &Snapshot<'_>, signer: &Signer, archive: &ObjectArchive) -> Result<Saved> {
    let size = snapshot.head()?.position.get();
    let former = ArchivedLog::open(archive, std::slice::from_ref(signer.verifier()))?;
    let before = former.as_ref().map_or(0, ArchivedLog::size);
    let mut saved = Saved { before, size: size.max(before), ..Saved::default() };
    if let Some(former) = &former {
        if before > size {
            return Err(Error::unproven(format!(
                "the archive {} has {before} events and this ledger {size}: one of them is another copy of the ledger",
                archive.url()
            )));
        }
        if former.root() != snapshot.root_at(before)? {
            return Err(Error::unproven(former.difference(snapshot)?));
        }
    }
    if before < size {
        let note = snapshot.checkpoint(signer)?;
        add_files(snapshot, archive, (before, size), &mut saved)?;
        shredded::announce(snapshot, archive, (before, size))?;
        let version = former.map(ArchivedLog::into_version);
        if !archive.replace(super::rebuild::CHECKPOINT, note.into_bytes(), version)? {
            return Err(written_meanwhile(archive));
        }
        saved.files += 1;
    }
    saved.shredded_files = shredded::remove(snapshot, archive, size)?;
    if before < size {
        remove_filled(archive, (before, size))?;
    }
    Ok(saved)
}

/// Writes the files of new tiles.
fn add_files(
    snapshot: &Snapshot<'_>,
    archive: &ObjectArchive,
    (before, size): (u64, u64),
    saved: &mut Saved,
) -> Result<()> {
    for part in tiles::added_tiles(before, size).chunks(BATCH) {
        let mut files = Vec::new();
        let mut of_path = BTreeMap::new();
        for tile in part {
            of_path.insert(tile.path(), *tile);
            files.extend(content(snapshot, *tile)?);
        }
        saved.files += files.len() as u64;
        saved.bytes += files.iter().map(|(_, bytes)| bytes.len() as u64).sum::<u64>();
        for (path, bytes) in archive.create_all(files)? {
            // An earlier run did not get as far as its checkpoint, or another program saves the same ledger.
            saved.files -= 1;
            saved.bytes -= bytes.len() as u64;
            expect_same(archive, &path, of_path.get(&path).copied(), &bytes)?;
        }
    }
    Ok(())
}

/// The files of a tile: one, and one for each long line of a bundle.
fn content(snapshot: &Snapshot<'_>, tile: Tile) -> Result<Vec<(String, Vec<u8>)>> {
    match tile.kind {
        TileKind::Hashes(level) => {
            let hashes = snapshot.tile_hashes(level, tile.index * TILE, tile.width)?;
            Ok(vec![(tile.path(), tiles::hash_tile(&hashes))])
        }
        TileKind::Entries => {
            let lines = lines_of(snapshot, tile)?;
            let long = (tile.first_position().get()..).zip(&lines).filter(|(_, line)| tiles::is_long(line));
            let mut files: Vec<_> = long
                .map(|(position, line)| (tiles::long_line_path(Position::new(position)), line.clone().into_bytes()))
                .collect();
            files.push((tile.path(), tiles::bundle(&lines)?));
            Ok(files)
        }
    }
}

/// Checks that an existing file holds what this ledger would write. A bundle may have a line where this ledger has its tombstone,
/// or a tombstone where it has the line; the tombstone stays.
fn expect_same(archive: &ObjectArchive, path: &str, tile: Option<Tile>, ours: &[u8]) -> Result<()> {
    let other = || {
        Error::unproven(format!(
            "the archive {} has another {path} than this ledger: another ledger was saved there",
            archive.url()
        ))
    };
    let Some((theirs, version)) = archive.get_version(path)? else {
        return Err(written_meanwhile(archive));
    };
    if theirs == ours {
        return Ok(());
    }
    let Some(tile) = tile.filter(|tile| tile.kind == TileKind::Entries) else { return Err(other()) };
    let (theirs, mut ours) = (tiles::entries(tile, &theirs)?, tiles::entries(tile, ours)?);
    if tiles::leaves(tile, &theirs)? != tiles::leaves(tile, &ours)? {
        return Err(other());
    }
    for (ours, theirs) in ours.iter_mut().zip(theirs) {
        if Tombstone::is(&theirs) && !Tombstone::is(ours) {
            *ours = theirs;
        }
    }
    if archive.replace(path, tiles::bundle(&ours)?, Some(version))? { Ok(()) } else { Err(written_meanwhile(archive)) }
}

/// Deletes the partial files, of any width, of tiles that are full now.
fn remove_filled(archive: &ObjectArchive, (before, size): (u64, u64)) -> Result<()> {
    let now: BTreeSet<_> = tiles::partial_tiles(size).into_iter().map(|tile| (tile.kind, tile.index)).collect();
    for tile in tiles::partial_tiles(before) {
        if !now.contains(&(tile.kind, tile.index)) {
            archive.list(&tile.partial_folder())?.iter().try_for_each(|path| archive.delete(path))?;
        }
    }
    Ok(())
}
