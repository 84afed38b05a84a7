//! Reads an archive: makes a ledger from its files alone, and checks the files.

use object_store::UpdateVersion;

use crate::ledger::{Copied, CopiedLine, Ledger, Snapshot};
use crate::merkle::tiles::{self, TILE, Tile, TileKind};
use crate::merkle::{Checkpoint, Hash, Note, Verifier, signed_by_any, stored_leaf};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::time::Timestamp;
use crate::store::ObjectArchive;

/// The path of the signed checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint";
/// Files that are read together.
const BATCH: u64 = 32;

/// The log in an archive, as its signed checkpoint states it.
pub(crate) struct ArchivedLog<'a> {
    archive: &'a ObjectArchive,
    checkpoint: Checkpoint,
    note: String,
    version: UpdateVersion,
}

impl<'a> ArchivedLog<'a> {
    /// Reads the checkpoint; `None` if the archive has none.
    ///
    /// # Errors
    /// [`Error::Unproven`] if none of these keys signed it, [`Error::Store`] if the object store fails.
    pub fn open(archive: &'a ObjectArchive, verifiers: &[Verifier]) -> Result<Option<Self>> {
        let Some((bytes, version)) = archive.get_version(CHECKPOINT)? else { return Ok(None) };
        let unreadable =
            || Error::unproven(format!("the checkpoint of the archive {} is no signed note", archive.url()));
        let text = String::from_utf8(bytes).map_err(|_| unreadable())?;
        let note: Note = text.parse().map_err(|_| unreadable())?;
        match signed_by_any(&note, verifiers) {
            Ok(checkpoint) => Ok(Some(Self { archive, checkpoint, note: text, version })),
            Err(Error::Unproven { what }) => {
                Err(Error::unproven(format!("the checkpoint of the archive {}: {what}", archive.url())))
            }
            Err(other) => Err(other),
        }
    }

    /// How many events it has.
    pub const fn size(&self) -> u64 {
        self.checkpoint.size()
    }

    /// The root of its tree.
    pub const fn root(&self) -> Hash {
        self.checkpoint.root()
    }

    /// The signed note.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The version of the checkpoint file.
    pub fn into_version(self) -> UpdateVersion {
        self.version
    }

    /// Says where the log and a ledger that is at least as long differ first.
    pub fn difference(&self, snapshot: &Snapshot<'_>) -> Result<String> {
        let mut index = 0;
        while index * TILE < self.size() {
            let tiles = self.tiles(TileKind::Hashes(0), index..index + BATCH);
            for (tile, bytes) in tiles.iter().zip(self.read(&tiles)?) {
                let (theirs, first) =
                    (tiles::hashes(*tile, &bytes).map_err(|error| self.unsound(error))?, tile.first_position().get());
                for (position, hash) in (first..).map(Position::new).zip(theirs) {
                    if hash != snapshot.leaf(position)? {
                        return Ok(format!(
                            "the archive {} holds another history: it has another event at position {position}",
                            self.archive.url()
                        ));
                    }
                }
            }
            index += BATCH;
        }
        Ok(format!("the checkpoint of the archive {} does not belong to its files", self.archive.url()))
    }

    /// The tiles of a kind with these numbers, as far as the log goes.
    fn tiles(&self, kind: TileKind, numbers: std::ops::Range<u64>) -> Vec<Tile> {
        let level = match kind {
            TileKind::Hashes(level) => u32::from(level),
            TileKind::Entries => 0,
        };
        let count = self.size() >> (8 * level);
        let of_number = |index: u64| {
            let width = count.saturating_sub(index * TILE).min(TILE);
            (width > 0).then_some(Tile { kind, index, width })
        };
        numbers.map_while(of_number).collect()
    }

    /// Reads files, all of which must be there. The full file of a tile stands for a partial one that is gone: the log has grown
    /// since its checkpoint was read.
    fn read(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>> {
        let paths: Vec<String> = tiles.iter().map(|tile| tile.path()).collect();
        let mut read = Vec::new();
        for ((tile, path), bytes) in tiles.iter().zip(&paths).zip(self.archive.get_all(&paths)?) {
            let bytes = match bytes {
                None if tile.width < TILE => self.part_of_full(*tile)?,
                other => other,
            };
            read.push(
                bytes.ok_or_else(|| Error::unproven(format!("the archive {} has no {path}", self.archive.url())))?,
            );
        }
        Ok(read)
    }

    /// The content that a partial tile has, out of the full one.
    fn part_of_full(&self, tile: Tile) -> Result<Option<Vec<u8>>> {
        let full = Tile { width: TILE, ..tile };
        let Some(bytes) = self.archive.get(&full.path())? else { return Ok(None) };
        let part = match tile.kind {
            TileKind::Hashes(_) => tiles::hashes(full, &bytes).map(|mut hashes| {
                hashes.truncate(tile.width as usize);
                tiles::hash_tile(&hashes)
            }),
            TileKind::Entries => tiles::entries(full, &bytes).and_then(|mut entries| {
                entries.truncate(tile.width as usize);
                tiles::bundle(&entries)
            }),
        };
        part.map(Some).map_err(|error| self.unsound(error))
    }

    /// Copies the log into an empty ledger, and verifies the copy whole, against the checkpoint.
    ///
    /// # Errors
    /// [`Error::Unproven`] if a file is missing, or is not what the checkpoint commits to; [`Error::Store`] if the object
    /// store fails; the ledger's own errors.
    pub fn rebuild(&self, into: &Ledger, now: Timestamp) -> Result<()> {
        let mut at = Position::START;
        while at.get() < self.size() {
            let index = at.get() / TILE;
            let lines = self.lines(index..index + BATCH)?;
            let count = lines.len() as u64;
            match into.copy_lines(at, lines, now, &|_| Ok(())).map_err(|error| self.unsound(error))? {
                Copied::Held { .. } => at = Position::new(at.get() + count),
                other => return Err(Error::invalid(format!("the ledger to fill is not empty ({other:?})"))),
            }
        }
        let verified = into.verify_against(std::slice::from_ref(&self.checkpoint))?;
        verified.first().map_or(Ok(()), |first| Err(self.unsound(Error::invalid(first))))
    }

    /// The lines of bundles, each with the hash of its leaf.
    fn lines(&self, numbers: std::ops::Range<u64>) -> Result<Vec<CopiedLine>> {
        let bundles = self.tiles(TileKind::Entries, numbers.clone());
        let leaves = self.tiles(TileKind::Hashes(0), numbers);
        let (bundles_read, leaves_read) = (self.read(&bundles)?, self.read(&leaves)?);
        let mut copied = Vec::new();
        for ((bundle, entries), (leaf_tile, hashes)) in
            bundles.iter().zip(bundles_read).zip(leaves.iter().zip(leaves_read))
        {
            let hashes = tiles::hashes(*leaf_tile, &hashes).map_err(|error| self.unsound(error))?;
            for (position, line) in self.lines_with(*bundle, &entries, &hashes)? {
                copied.push(CopiedLine::read(position, line).map_err(|error| self.unsound(error))?);
            }
        }
        Ok(copied)
    }

    /// The lines of a bundle, which must have these hashes.
    fn lines_with(&self, bundle: Tile, entries: &[u8], hashes: &[Hash]) -> Result<Vec<(Position, String)>> {
        let entries = tiles::entries(bundle, entries).map_err(|error| self.unsound(error))?;
        let mut lines = Vec::new();
        for ((position, entry), hash) in (bundle.first_position().get()..).zip(entries).zip(hashes) {
            let position = Position::new(position);
            let line = if entry.is_empty() { self.long_line(position)? } else { entry };
            let found = stored_leaf(position, &line).map_err(|error| self.unsound(error))?;
            if found != *hash {
                let file = bundle.path();
                let what =
                    format!("the line of position {position} in {file} does not have the hash that the tree has");
                return Err(self.unsound(Error::invalid(what)));
            }
            lines.push((position, line));
        }
        Ok(lines)
    }

    /// The error for content that the checkpoint does not commit to. Errors of this machine stay what they are.
    fn unsound(&self, error: Error) -> Error {
        match error {
            Error::Invalid { what } => {
                Error::unproven(format!("the archive {} is not sound: {what}", self.archive.url()))
            }
            Error::Damaged { position, what } => {
                let place = position.map(|position| format!(" at position {position}")).unwrap_or_default();
                Error::unproven(format!("the archive {} is not sound{place}: {what}", self.archive.url()))
            }
            other => other,
        }
    }

    fn long_line(&self, position: Position) -> Result<String> {
        let path = tiles::long_line_path(position);
        let bytes = self.archive.get(&path)?;
        let bytes =
            bytes.ok_or_else(|| Error::unproven(format!("the archive {} has no {path}", self.archive.url())))?;
        String::from_utf8(bytes)
            .map_err(|_| Error::unproven(format!("{path} of the archive {} is not UTF-8", self.archive.url())))
    }
}

/// Checks that the files of an archive hold what a ledger holds that was made from its lines: the hash tiles of the checkpoint, and
/// the partial files that earlier checkpoints left beside them.
///
/// # Errors
/// [`Error::Unproven`] at the first file that differs, [`Error::Store`] if the object store fails.
pub(crate) fn expect_tiles(log: &ArchivedLog<'_>, snapshot: &Snapshot<'_>) -> Result<()> {
    let tiles: Vec<Tile> =
        tiles::added_tiles(0, log.size()).into_iter().filter(|tile| matches!(tile.kind, TileKind::Hashes(_))).collect();
    for part in tiles.chunks(BATCH as usize) {
        for (tile, bytes) in part.iter().zip(log.read(part)?) {
            expect_tile(log, snapshot, *tile, &bytes)?;
        }
    }
    for tile in tiles::partial_tiles(log.size()) {
        for path in log.archive.list(&tile.partial_folder())? {
            // A program that saves the ledger meanwhile deletes these files.
            if let Some(earlier) = tile.narrower(&path)
                && let Some(bytes) = log.archive.get(&path)?
            {
                expect_tile(log, snapshot, earlier, &bytes)?;
            }
        }
    }
    Ok(())
}

fn expect_tile(log: &ArchivedLog<'_>, snapshot: &Snapshot<'_>, tile: Tile, bytes: &[u8]) -> Result<()> {
    let hashes = |level| snapshot.tile_hashes(level, tile.index * TILE, tile.width);
    match tile.kind {
        TileKind::Entries => log.lines_with(tile, bytes, &hashes(0)?).map(drop),
        TileKind::Hashes(level) => {
            if tiles::hashes(tile, bytes).map_err(|error| log.unsound(error))? == hashes(level)? {
                return Ok(());
            }
            Err(Error::unproven(format!("{} of the archive {} has other hashes", tile.path(), log.archive.url())))
        }
    }
}
