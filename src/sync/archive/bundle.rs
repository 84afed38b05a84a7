//! The lines that a bundle of an archive gets.

use crate::ledger::Snapshot;
use crate::merkle::tiles::{self, TILE, Tile};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::invariant::bug;
use crate::store::ObjectArchive;

/// The stored lines of a bundle. Each must have the hash that the tree keeps, so that a damaged ledger does not reach the
/// archive.
pub(super) fn lines_of(snapshot: &Snapshot<'_>, tile: Tile) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    snapshot.lines(tile.first_position(), &mut |_, line| {
        lines.push(line.to_owned());
        Ok((lines.len() as u64) < tile.width)
    })?;
    if lines.len() as u64 != tile.width {
        return Err(bug!("{} lines for {}", lines.len(), tile.path()));
    }
    let hashes = snapshot.tile_hashes(0, tile.index * TILE, tile.width)?;
    match tiles::leaves(tile, &lines)?.iter().zip(&hashes).position(|(of_line, kept)| of_line != kept) {
        None => Ok(lines),
        Some(offset) => Err(Error::damaged(
            Position::new(tile.first_position().get() + offset as u64),
            "the line does not have the hash that the tree keeps of it",
        )),
    }
}

/// The error if a file is not the one any more that was read.
pub(super) fn written_meanwhile(archive: &ObjectArchive) -> Error {
    Error::Store {
        what: format!("another program wrote into the archive {} meanwhile", archive.url()),
        source: "repeat the command".into(),
    }
}
