//! The names in a stored record, and the hashes of names in the summary of a block.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::model::event::{NameKind, TokenView};

impl NameKind {
    /// The 32-bit hash of a name of this kind. Two names of one block rarely share a hash. A collision costs reading
    /// the block, but never gives a wrong answer.
    pub fn hash(self, name: &str) -> u32 {
        (xxh3_64_with_seed(name.as_bytes(), self as u64) >> 32) as u32
    }
}

/// Visits the names of a record.
pub(super) fn names_of_record(record: &TokenView<'_>, visit: &mut dyn FnMut(NameKind, &str)) {
    visit(NameKind::Provider, &record.provider);
    let others = [
        (NameKind::Account, &record.account),
        (NameKind::Model, &record.model),
        (NameKind::Agent, &record.agent),
        (NameKind::Project, &record.project),
        (NameKind::Conversation, &record.conversation),
    ];
    for (kind, name) in others {
        if let Some(name) = name {
            visit(kind, name);
        }
    }
}
