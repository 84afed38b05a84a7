//! Searches the rows of one instance.

use std::path::Path;

use super::{AGENT, row};
use crate::import::engine::regular;
use crate::model::error::Result;
use crate::model::event::TokenRecord;
use crate::model::secrets;
use crate::model::time::{Timestamp, Zone};
use crate::projection::file_state;
use crate::store::ReadView;

/// Maximum size of a day's rows in bytes.
const LARGEST: u64 = 64 << 20;

/// Whether an instance has a matching row from one time to another. `usage` is the directory of its rows.
pub(super) fn any(
    view: &dyn ReadView,
    usage: &Path,
    (from, to): (Timestamp, Timestamp),
    zone: Zone,
    matches: &dyn Fn(&TokenRecord) -> bool,
) -> Result<bool> {
    let last = zone.day(to);
    for day in zone.day(from).iter_days().take_while(|day| *day <= last) {
        let path = usage.join(format!("{day}.jsonl"));
        let is_match = |line: &[u8]| {
            let found = row::read(line.trim_ascii(), day, zone);
            found.is_ok_and(|(at, record, _)| (from..=to).contains(&at) && matches(&record))
        };
        let found = match regular::read(&path, LARGEST) {
            Ok(bytes) => bytes.split(|byte| *byte == b'\n').any(is_match),
            // The ledger may have the rows of a file that was deleted since.
            Err(_) => file_state(view, AGENT, &secrets::path(&path.to_string_lossy()))?.is_some(),
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
