//! Removes shredded lines from an archive.
//!
//! Without the new checkpoint nobody can tell a shredded line from a lost one, so lines are removed behind the checkpoint. A list
//! of their bundles is written in front of it, and is deleted at the end. The next run continues with the lists it finds.

use std::collections::BTreeSet;

use super::bundle::{lines_of, written_meanwhile};
use crate::ledger::Snapshot;
use crate::merkle::tiles::{self, TILE, Tile, TileKind};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, Payload, Position, Tombstone};
use crate::store::ObjectArchive;

/// The folder of the lists. The name of a list states the sizes of the former and of the new checkpoint.
const LISTS: &str = "shredding";

/// Writes which bundles have lines that were shredded between two checkpoints.
pub(super) fn announce(snapshot: &Snapshot<'_>, archive: &ObjectArchive, (before, size): (u64, u64)) -> Result<()> {
    let mut bundles: BTreeSet<u64> = BTreeSet::new();
    snapshot.lines(Position::new(before + 1), &mut |position, line| {
        if line.contains("event_shredded")
            && !Tombstone::is(line)
            && let Payload::EventShredded(shredded) = Event::from_line(position, line)?.payload
        {
            bundles.insert(shredded.position.get().saturating_sub(1) / TILE);
        }
        Ok(position.get() < size)
    })?;
    if !bundles.is_empty() {
        let list = bundles.iter().map(u64::to_string).collect::<Vec<_>>().join("\n");
        archive.create_all(vec![(format!("{LISTS}/{before}-{size}"), list.into_bytes())])?;
    }
    Ok(())
}

/// Removes the lines of all lists. Returns how many files it replaced or deleted.
pub(super) fn remove(snapshot: &Snapshot<'_>, archive: &ObjectArchive, size: u64) -> Result<u64> {
    let mut done = Vec::new();
    let mut bundles: BTreeSet<u64> = BTreeSet::new();
    for path in archive.list(LISTS)? {
        let unreadable = || Error::unproven(format!("{path} of the archive {} is no list of bundles", archive.url()));
        let (_, until) = path.rsplit_once('-').ok_or_else(unreadable)?;
        // A later state of the ledger than this one wrote the list.
        if until.parse::<u64>().map_err(|_| unreadable())? > size {
            continue;
        }
        let Some(list) = archive.get(&path)? else { continue };
        for line in std::str::from_utf8(&list).map_err(|_| unreadable())?.lines() {
            let bundle: u64 = line.parse().map_err(|_| unreadable())?;
            if bundle >= size.div_ceil(TILE) {
                return Err(unreadable());
            }
            bundles.insert(bundle);
        }
        done.push(path);
    }
    let mut files = 0;
    for index in &bundles {
        files += remove_from(snapshot, archive, *index, size)?;
    }
    if !bundles.is_empty() {
        for path in archive.list(tiles::LONG_LINES)? {
            let position = path.rsplit('/').next().and_then(|name| name.parse().ok()).map(Position::new);
            if let Some(position) = position.filter(|position| position.get() <= size)
                && Tombstone::is(&snapshot.stored(position)?)
            {
                archive.delete(&path)?;
                files += 1;
            }
        }
    }
    done.iter().try_for_each(|path| archive.delete(path))?;
    Ok(files)
}

/// Replaces the file of a bundle by what the ledger holds, and deletes its other partial files.
fn remove_from(snapshot: &Snapshot<'_>, archive: &ObjectArchive, index: u64, size: u64) -> Result<u64> {
    let width = (size - index * TILE).min(TILE);
    let bundle = Tile { kind: TileKind::Entries, index, width };
    let (path, bytes) = (bundle.path(), tiles::bundle(&lines_of(snapshot, bundle)?)?);
    let Some((former, version)) = archive.get_version(&path)? else {
        return Err(Error::unproven(format!("the archive {} lost {path}", archive.url())));
    };
    let mut files = 0;
    if former != bytes {
        if !archive.replace(&path, bytes, Some(version))? {
            return Err(written_meanwhile(archive));
        }
        files += 1;
    }
    for partial in archive.list(&bundle.partial_folder())? {
        if partial != path {
            archive.delete(&partial)?;
            files += 1;
        }
    }
    Ok(files)
}
