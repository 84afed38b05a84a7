//! The `usage-ledger` command.
fn main() {}
