//! `watch` where there is no terminal; what it draws is tested beside it.

#![cfg(feature = "tui")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::Desk;

#[test]
fn a_dashboard_needs_a_terminal() {
    let desk = Desk::new();
    assert!(desk.fails(2, &["watch"]).contains("usage-ledger status"));
    assert!(desk.fails(2, &["--json", "watch"]).contains("status --json"));
    assert!(desk.fails(2, &["watch", "--days", "0"]).contains("--days"));
    assert!(desk.fails(2, &["watch", "--interval", "0"]).contains("--interval"));
    assert!(!desk.ledger().exists());
}
