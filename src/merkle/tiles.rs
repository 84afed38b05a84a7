//! The files of a log on an object store or a web server: `c2sp.org/tlog-tiles`.
//!
//! A tile holds up to 256 hashes of a level, where a hash of level L is the root over 256^L leaves. A bundle holds the up to
//! 256 entries of a tile of level 0.

use super::{Hash, stored_leaf};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::invariant::bug;

/// Hashes of a full tile.
pub(crate) const TILE: u64 = 256;
/// The bits of a tile's width.
const BITS: u32 = 8;
/// The most bytes of an entry: a bundle states the length of each in 16 bits.
const LONGEST: usize = u16::MAX as usize;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TileKind {
    /// Hashes of a level.
    Hashes(u8),
    /// Entries.
    Entries,
}

/// A file of a log, full or partial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tile {
    pub kind: TileKind,
    /// Its number among the tiles of its level, from 0.
    pub index: u64,
    /// How many hashes or entries it holds, 1 to 256.
    pub width: u64,
}

impl Tile {
    /// The path of the file.
    pub fn path(self) -> String {
        let partial = if self.width == TILE { String::new() } else { format!(".p/{}", self.width) };
        format!("{}{partial}", self.full_path())
    }

    /// The folder of the partial files of this tile.
    pub fn partial_folder(self) -> String {
        format!("{}.p", self.full_path())
    }

    /// The tile of a path in the partial folder; `None` for any other path.
    pub fn narrower(self, path: &str) -> Option<Self> {
        let width = path.strip_prefix(&self.partial_folder())?.strip_prefix('/')?.parse().ok()?;
        let narrower = Self { width, ..self };
        (width > 0 && width < self.width && narrower.path() == path).then_some(narrower)
    }

    fn full_path(self) -> String {
        let level = match self.kind {
            TileKind::Hashes(level) => level.to_string(),
            TileKind::Entries => "entries".to_owned(),
        };
        // Groups of three digits. All but the last have an x in front.
        let mut number = format!("{:03}", self.index % 1_000);
        let mut rest = self.index / 1_000;
        while rest > 0 {
            number = format!("x{:03}/{number}", rest % 1_000);
            rest /= 1_000;
        }
        format!("tile/{level}/{number}")
    }

    /// The position of its first event, for an error.
    pub fn first_position(self) -> Position {
        let level = match self.kind {
            TileKind::Hashes(level) => u32::from(level),
            TileKind::Entries => 0,
        };
        Position::new((self.index << (BITS * (level + 1))) + 1)
    }
}

/// The files that a log of `new` events has and a log of `old` events has not: entries first, then hashes upwards.
pub(crate) fn added_tiles(old: u64, new: u64) -> Vec<Tile> {
    let mut tiles = Vec::new();
    let mut add = |kind, old: u64, new: u64| {
        if old < new {
            tiles.extend((old / TILE..new / TILE).map(|index| Tile { kind, index, width: TILE }));
            tiles.extend((!new.is_multiple_of(TILE)).then_some(Tile { kind, index: new / TILE, width: new % TILE }));
        }
    };
    add(TileKind::Entries, old, new);
    let (mut level, mut old, mut new) = (0, old, new);
    while new > 0 {
        add(TileKind::Hashes(level), old, new);
        (level, old, new) = (level + 1, old >> BITS, new >> BITS);
    }
    tiles
}

/// The partial files of a log of `size` events.
pub(crate) fn partial_tiles(size: u64) -> Vec<Tile> {
    added_tiles(0, size).into_iter().filter(|tile| tile.width < TILE).collect()
}

/// Whether a line is too long for a bundle. The bundle then has an empty entry, and the line is a file of its own.
pub(crate) fn is_long(line: &str) -> bool {
    line.len() > LONGEST
}

/// The folder of long lines. It is an extension of the specification.
pub(crate) const LONG_LINES: &str = "line";

/// The path of the file with a long line.
pub(crate) fn long_line_path(position: Position) -> String {
    format!("{LONG_LINES}/{position}")
}

/// Writes the entries of a bundle.
pub(crate) fn bundle(lines: &[String]) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(lines.iter().map(|line| line.len() + 2).sum());
    for line in lines {
        let entry = if is_long(line) { "" } else { line };
        let length = u16::try_from(entry.len()).map_err(|_| bug!("an entry of {} bytes is not long", entry.len()))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry.as_bytes());
    }
    Ok(bytes)
}

/// Reads the entries of a bundle. An empty entry stands for a long line.
///
/// # Errors
/// [`Error::Invalid`] if the bytes do not hold exactly the entries of the tile.
pub(crate) fn entries(tile: Tile, mut bytes: &[u8]) -> Result<Vec<String>> {
    let broken = |why: &str| Error::invalid(format!("{} is no bundle of {} entries: {why}", tile.path(), tile.width));
    let mut lines = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, rest) = rest.split_at_checked(length).ok_or_else(|| broken("its end is missing"))?;
        lines.push(String::from_utf8(entry.to_vec()).map_err(|_| broken("an entry is not UTF-8"))?);
        bytes = rest;
    }
    if !bytes.is_empty() || lines.len() as u64 != tile.width {
        return Err(broken(&format!("it has {} and {} bytes", lines.len(), bytes.len())));
    }
    Ok(lines)
}

/// Writes the hashes of a tile.
pub(crate) fn hash_tile(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Reads the hashes of a tile.
///
/// # Errors
/// [`Error::Invalid`] if the bytes do not hold exactly its hashes.
pub(crate) fn hashes(tile: Tile, bytes: &[u8]) -> Result<Vec<Hash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if hashes.len() as u64 != tile.width || !rest.is_empty() {
        let (path, width) = (tile.path(), tile.width);
        return Err(Error::invalid(format!("{path} is no tile of {width} hashes: it has {} bytes", bytes.len())));
    }
    Ok(hashes.iter().map(|hash| Hash::from_bytes(*hash)).collect())
}

/// The leaf hashes of the lines of a bundle.
///
/// # Errors
/// As for [`stored_leaf`].
pub(crate) fn leaves(tile: Tile, lines: &[String]) -> Result<Vec<Hash>> {
    let first = tile.first_position().get();
    (first..).zip(lines).map(|(position, line)| stored_leaf(Position::new(position), line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_the_specification() {
        let tile = |kind, index, width| Tile { kind, index, width }.path();
        assert_eq!(tile(TileKind::Hashes(0), 1_234_067, TILE), "tile/0/x001/x234/067");
        assert_eq!(tile(TileKind::Hashes(1), 273, 112), "tile/1/273.p/112");
        assert_eq!(tile(TileKind::Entries, 0, 1), "tile/entries/000.p/1");
        assert_eq!(tile(TileKind::Entries, 1_000, TILE), "tile/entries/x001/000");
    }

    #[test]
    fn a_partial_file_of_a_smaller_log_is_told_by_its_path() {
        let tile = Tile { kind: TileKind::Entries, index: 8, width: 9 };
        assert_eq!(tile.narrower("tile/entries/008.p/7"), Some(Tile { width: 7, ..tile }));
        for other in ["9", "10", "0", "07", "+7", "7x", "-1", ""] {
            assert_eq!(tile.narrower(&format!("tile/entries/008.p/{other}")), None, "{other}");
        }
        assert_eq!(tile.narrower("tile/entries/007.p/7"), None);
        assert_eq!(tile.narrower("tile/entries/008.p7"), None);
    }

    #[test]
    fn the_example_of_the_specification_has_its_tiles() {
        // "a log of size 70,000 has 273 full tiles and one partial tile at level 0, and so on"
        let of_level = |level| {
            let tiles = added_tiles(0, 70_000).into_iter().filter(move |tile| tile.kind == TileKind::Hashes(level));
            tiles.map(|tile| tile.width).collect::<Vec<_>>()
        };
        assert_eq!((of_level(0).len(), of_level(0).last()), (274, Some(&112)));
        assert_eq!(of_level(1), [TILE, 17]);
        assert_eq!(of_level(2), [1]);
        assert!(of_level(3).is_empty());
    }

    #[test]
    fn growing_in_steps_writes_every_full_tile_once() {
        let all: Vec<Tile> = added_tiles(0, 200_000).into_iter().filter(|tile| tile.width == TILE).collect();
        let mut steps = Vec::new();
        let mut size = 0;
        for step in [1, 254, 1, 1, 255, 66_000, 0, 65_536, 17, 68_000 - 65] {
            steps.extend(added_tiles(size, size + step).into_iter().filter(|tile| tile.width == TILE));
            size += step;
        }
        assert_eq!(size, 200_000);
        steps.sort_unstable();
        let mut sorted = all;
        sorted.sort_unstable();
        assert_eq!(steps, sorted);
        assert_eq!(partial_tiles(70_000).iter().map(|tile| tile.width).collect::<Vec<_>>(), [112, 112, 17, 1]);
        assert_eq!(partial_tiles(65_536), [Tile { kind: TileKind::Hashes(2), index: 0, width: 1 }]);
    }

    #[test]
    fn bundles_round_trip_and_broken_ones_are_refused() {
        let lines: Vec<String> =
            ["{}", "ü\n", "", &"y".repeat(LONGEST), &"x".repeat(LONGEST + 1)].map(str::to_owned).into();
        let tile = Tile { kind: TileKind::Entries, index: 3, width: 5 };
        let bytes = bundle(&lines).unwrap();
        let read = entries(tile, &bytes).unwrap();
        assert_eq!(read[..4], lines[..4]);
        assert_eq!(read[4], "", "a long line is a file of its own");
        for broken in [&bytes[..bytes.len() - 1], &bytes[1..], &bytes[..5], b""] {
            assert!(entries(tile, broken).is_err());
        }
        assert!(entries(Tile { width: 4, ..tile }, &bytes).is_err());
        assert!(entries(Tile { width: 1, ..tile }, b"\x00\x01\xff").unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn hash_tiles_round_trip() {
        let tile = Tile { kind: TileKind::Hashes(0), index: 0, width: 2 };
        let two = [Hash::of_line("a"), Hash::of_line("b")];
        assert_eq!(hashes(tile, &hash_tile(&two)).unwrap(), two);
        assert!(hashes(tile, &hash_tile(&two)[..63]).is_err());
        assert!(hashes(Tile { width: 1, ..tile }, &hash_tile(&two)).is_err());
    }
}
