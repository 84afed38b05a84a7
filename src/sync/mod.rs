//! Exchange with other machines: witnesses, and copies of ledgers on a server, archives.
//!
//! A machine pushes the lines of its ledger (`push`) and gets cosignatures of the checkpoints that it sent; `pull` restores
//! the ledger from the server. `fleet` is the side of the server. `protocol` defines what both send, `segment` the form of
//! the lines. `archive` keeps a ledger as static files on an object store.

#[cfg(feature = "archive")]
pub(crate) mod archive;
mod files;
#[cfg(feature = "web")]
pub(crate) mod fleet;
#[cfg(feature = "postgres")]
pub(crate) mod moving;
pub(crate) mod protocol;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod push_state;
pub(crate) mod segment;
pub mod witness;
