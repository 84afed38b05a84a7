//! Lines that are on an object store instead of the database: reads them in bundles, and checks each against its leaf hash.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::objects::{ArchiveUrl, ObjectArchive};
use crate::merkle::tiles::{self, TILE, Tile, TileKind};
use crate::merkle::{Hash, leaf_hash, stored_leaf};
use crate::model::error::{Error, Result};
use crate::model::event::{Position, Tombstone};
use crate::model::invariant::bug;
use crate::model::threads::start;

/// Bundles that stay in memory.
const KEPT: usize = 64;

/// The lines of an archive.
pub(crate) struct ArchivedLines {
    archive: ObjectArchive,
    /// The bundles that were read last, the latest at the end.
    bundles: Mutex<VecDeque<(u64, Arc<Vec<String>>)>>,
}

/// The full bundle with a number.
const fn bundle(index: u64) -> Tile {
    Tile { kind: TileKind::Entries, index, width: TILE }
}

/// The number of the bundle with a position, and the place of its entry in it.
fn place(position: Position) -> (u64, usize) {
    let number = position.get().saturating_sub(1);
    (number / TILE, (number % TILE) as usize)
}

impl ArchivedLines {
    /// The lines of the archive at an address. Nothing is requested yet.
    ///
    /// # Errors
    /// [`Error::Store`] for settings that the object store refuses.
    pub fn open(url: &ArchiveUrl) -> Result<Self> {
        Ok(Self { archive: ObjectArchive::open(url.clone())?, bundles: Mutex::default() })
    }

    /// Its address.
    pub const fn url(&self) -> &ArchiveUrl {
        self.archive.url()
    }

    fn failed(&self, position: Position, why: String) -> Error {
        let what = format!("reading the line of position {position} from the archive {}", self.url());
        Error::Store { what, source: why.into() }
    }

    /// Lines with these leaf hashes, in the same order.
    ///
    /// # Errors
    /// [`Error::Store`] if the archive cannot be read, [`Error::Damaged`] for a line with another hash.
    pub fn lines(&self, wanted: &[(Position, Hash)]) -> Result<Vec<String>> {
        let bundles = self.read(wanted)?;
        let line = |(position, leaf): &(Position, Hash)| {
            let line = self.entry(&bundles, *position)?;
            if leaf_hash(line.as_bytes()) == *leaf {
                return Ok(line);
            }
            if Tombstone::is(&line) {
                return Err(self.failed(*position, "another program shredded it meanwhile: repeat the call".to_owned()));
            }
            Err(Error::damaged(
                *position,
                format!("its line in the archive {} does not have the hash that the ledger keeps of it", self.url()),
            ))
        };
        wanted.iter().map(line).collect()
    }

    /// Checks that the archive has lines, or tombstones, with these leaf hashes.
    ///
    /// # Errors
    /// As for [`lines`](Self::lines).
    pub fn expect(&self, wanted: &[(Position, Hash)]) -> Result<()> {
        let bundles = self.read(wanted)?;
        for (position, leaf) in wanted {
            let line = self.entry(&bundles, *position)?;
            if stored_leaf(*position, &line)? != *leaf {
                return Err(Error::damaged(
                    *position,
                    format!(
                        "its line in the archive {} does not have the hash that the ledger keeps of it",
                        self.url()
                    ),
                ));
            }
        }
        Ok(())
    }

    fn entry(&self, bundles: &[(u64, Arc<Vec<String>>)], position: Position) -> Result<String> {
        let (index, offset) = place(position);
        let bundle = bundles.iter().find(|(known, _)| *known == index);
        let entry = bundle.and_then(|(_, lines)| lines.get(offset));
        let entry = entry.ok_or_else(|| bug!("the bundle of position {position} was not read"))?;
        if !entry.is_empty() {
            return Ok(entry.clone());
        }
        let path = tiles::long_line_path(position);
        let read = self.fetch(std::slice::from_ref(&path))?.into_iter().next().flatten();
        let bytes = read.ok_or_else(|| self.failed(position, format!("{path} is missing")))?;
        String::from_utf8(bytes).map_err(|_| self.failed(position, format!("{path} is not UTF-8")))
    }

    /// The bundles of some positions.
    fn read(&self, wanted: &[(Position, Hash)]) -> Result<Vec<(u64, Arc<Vec<String>>)>> {
        let indexes: BTreeSet<u64> = wanted.iter().map(|(position, _)| place(*position).0).collect();
        let mut found: Vec<(u64, Arc<Vec<String>>)> = {
            let kept = self.bundles.lock().unwrap_or_else(PoisonError::into_inner);
            kept.iter().filter(|(index, _)| indexes.contains(index)).cloned().collect()
        };
        let missing: Vec<u64> =
            indexes.into_iter().filter(|index| !found.iter().any(|(known, _)| known == index)).collect();
        let paths: Vec<String> = missing.iter().map(|index| bundle(*index).path()).collect();
        let mut new = Vec::new();
        for ((index, path), bytes) in missing.iter().zip(&paths).zip(self.fetch(&paths)?) {
            let first = bundle(*index).first_position();
            let bytes = bytes.ok_or_else(|| self.failed(first, format!("{path} is missing")))?;
            let lines = tiles::entries(bundle(*index), &bytes);
            new.push((*index, Arc::new(lines.map_err(|error| self.failed(first, error.to_string()))?)));
        }
        let mut kept = self.bundles.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(new.iter().cloned());
        while kept.len() > KEPT {
            kept.pop_front();
        }
        found.extend(new);
        Ok(found)
    }

    /// Reads files. A thread of its own waits for them, because the caller's may be one that drives other requests.
    fn fetch(&self, paths: &[String]) -> Result<Vec<Option<Vec<u8>>>> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        apart(|| self.archive.get_all(paths))
    }
}

/// Runs work on a thread of its own.
fn apart<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| start(scope, work)?.join().map_err(|_| bug!("a thread that uses an archive panicked"))?)
}

/// Replaces lines in an archive by their tombstones, which are in the order of positions.
///
/// # Errors
/// [`Error::Store`] if the object store fails, or another program writes into the archive.
pub(crate) fn replace_by_tombstones(url: &ArchiveUrl, tombstones: &[(Position, String)]) -> Result<()> {
    if tombstones.is_empty() {
        return Ok(());
    }
    apart(|| {
        let archive = ObjectArchive::open_to_write(url.clone())?;
        for of_bundle in tombstones.chunk_by(|(one, _), (other, _)| place(*one).0 == place(*other).0) {
            let index = of_bundle.first().map_or(0, |(position, _)| place(*position).0);
            let full = bundle(index);
            // Files of a bundle that is not full yet, or was not when they were written.
            let partial = archive.list(&full.partial_folder())?.into_iter().filter_map(|path| {
                let width = path.rsplit('/').next()?.parse().ok().filter(|width| (1..TILE).contains(width))?;
                Some(Tile { width, ..full })
            });
            for tile in partial.chain([full]) {
                replace_in(&archive, tile, of_bundle)?;
            }
        }
        Ok(())
    })
}

/// Replaces lines in one file of an archive by their tombstones. Lines that were not saved yet are saved with their tombstones.
fn replace_in(archive: &ObjectArchive, tile: Tile, tombstones: &[(Position, String)]) -> Result<()> {
    let path = tile.path();
    let Some((bytes, version)) = archive.get_version(&path)? else { return Ok(()) };
    let mut entries = tiles::entries(tile, &bytes)?;
    let mut changed = false;
    for (position, tombstone) in tombstones {
        let Some(entry) = entries.get_mut(place(*position).1) else { continue };
        if entry.is_empty() {
            archive.delete(&tiles::long_line_path(*position))?;
        }
        if entry != tombstone {
            tombstone.clone_into(entry);
            changed = true;
        }
    }
    if !changed || archive.replace(&path, tiles::bundle(&entries)?, Some(version))? {
        return Ok(());
    }
    Err(Error::Store {
        what: format!("another program wrote into the archive {} meanwhile", archive.url()),
        source: "repeat the command".into(),
    })
}
