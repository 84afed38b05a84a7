//! Proofs, seals and shredding, also checked by programs that share no code with the ledger.

#![allow(clippy::pedantic, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "../cli_support/mod.rs"]
mod cli_support;
#[path = "../cli_support/push_server.rs"]
mod push_server;

mod fleet;
mod proofs;
mod seals;
mod shred;
mod standalone;
mod sync;
mod totals;
mod witness;
