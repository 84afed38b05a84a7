//! The common parts of both proof texts: lines with a name and a number, hashes, an empty line, a checkpoint.

use std::fmt;
use std::str::FromStr;

use super::text::{decode_hash, decode_number, encode_hash};
use super::{Checkpoint, Hash, Note};
use crate::model::error::{Error, Result};

/// A proof for 2^64 leaves has fewer hashes.
const MOST_HASHES: usize = 128;

pub(super) fn bad(why: impl fmt::Display) -> Error {
    Error::invalid(format!("this is no proof: {why}"))
}

/// Checks that a checkpoint has the size of a proof.
pub(super) fn same_size(checkpoint: &Note, size: u64) -> Result<()> {
    let checkpoint_size = Checkpoint::from_str(checkpoint.text())?.size();
    if checkpoint_size == size {
        Ok(())
    } else {
        Err(bad(format!("it is about {size} events, its checkpoint about {checkpoint_size}")))
    }
}

/// The lines of a proof, and the note after the first empty line.
pub(super) fn halves<'t>(text: &'t str, kind: &str) -> Result<(&'t str, Note)> {
    let (head, note) = text.split_once("\n\n").ok_or_else(|| bad("an empty line and a checkpoint end it"))?;
    if head.lines().next() != Some(kind) {
        return Err(bad(format!("its first line is `{kind}`")));
    }
    Ok((head, note.parse()?))
}

/// The number in a line `NAME NUMBER`.
pub(super) fn field(line: Option<&str>, name: &str) -> Result<u64> {
    line.and_then(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .and_then(decode_number)
        .filter(|number| *number < u64::MAX)
        .ok_or_else(|| bad(format!("a line `{name} NUMBER` is missing")))
}

/// The hashes on the remaining lines.
pub(super) fn hashes<'t>(lines: impl Iterator<Item = &'t str>) -> Result<Vec<Hash>> {
    let hashes: Vec<Hash> = lines.take(MOST_HASHES + 1).map(decode_hash).collect::<Result<_>>()?;
    if hashes.len() > MOST_HASHES { Err(bad("it has too many hashes")) } else { Ok(hashes) }
}

/// Writes the hashes and the checkpoint.
pub(super) fn tail(f: &mut fmt::Formatter<'_>, hashes: &[Hash], checkpoint: &Note) -> fmt::Result {
    hashes.iter().try_for_each(|hash| writeln!(f, "{}", encode_hash(hash)))?;
    write!(f, "\n{checkpoint}")
}
