//! The form of a row whose line is in an archive, and the archive of a ledger once it was needed.

#[cfg(feature = "archive")]
use std::sync::{Arc, Mutex};

#[cfg(feature = "archive")]
use super::super::archived::ArchivedLines;
use crate::merkle::Hash;

/// The first byte of the body of an archived line. The rest is the leaf hash. No line begins with it.
const MARK: u8 = 0;
/// The leaf hash of an archived line; `None` for the body of a line.
pub(super) fn archived_leaf(body: &[u8]) -> Option<Hash> {
    let (mark, hash) = body.split_first()?;
    if *mark != MARK {
        return None;
    }
    Some(Hash::from_bytes(hash.try_into().ok()?))
}

/// The archive of the lines of a ledger, as far as it was needed.
#[cfg(feature = "archive")]
#[derive(Default)]
pub(super) struct LineArchive {
    pub lines: Mutex<Option<Arc<ArchivedLines>>>,
}
