//! `watch` without a terminal; unit tests cover its screen.

#![cfg(feature = "tui")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use crate::cli_support;

use cli_support::TestCli;

#[test]
fn a_dashboard_needs_a_terminal() {
    let cli = TestCli::new();
    assert!(cli.fails(2, &["watch"]).contains("usage-ledger status"));
    assert!(cli.fails(2, &["--json", "watch"]).contains("status --json"));
    assert!(cli.fails(2, &["watch", "--days", "0"]).contains("--days"));
    assert!(cli.fails(2, &["watch", "--interval", "0"]).contains("--interval"));
    assert!(!cli.ledger().exists());
}
