//! Proof that nothing was altered: the RFC 6962 tree over all event lines.

mod hash;
mod tree;

pub use hash::Hash;

pub(crate) use hash::leaf_hash;
pub(crate) use tree::{GROUP, StreamingTree, append_leaves, group_key, root};
