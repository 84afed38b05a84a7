//! The finding about a stored block.

use super::{Findings, StoredPart};
use crate::model::event::Position;
use crate::projection::blocks::{BLOCK, position_at};
use crate::store::Table;

/// Adds a finding about a block.
pub(super) fn wrong(number: u64, table: Table, findings: &mut Findings) {
    let (first, last) = (position_at(number, 0), Position::new((number + 1) * BLOCK));
    let what = format!("{}: the row of positions {first} to {last} does not say what the events say", table.name());
    findings.add_of(StoredPart::Folded, first, what);
}
