//! The sums by label of a ledger that an earlier build wrote. They are sums of rows of the finest rollup.

use std::collections::BTreeMap;

use super::day::{self, Quarters};
use super::key::day_of;
use super::series::{DAY_BYTES, KeyEnds, Level};
use crate::model::error::{Error, Result};
use crate::store::{GO_ON, KeyRange, Order, ReadView, STOP, WriteView, after_prefix};

/// Whether a ledger has counters but no sums by label, because an earlier build wrote it. A ledger with some of them is
/// damaged.
pub(crate) fn lacks_labels(view: &dyn ReadView) -> Result<bool> {
    let has_row = |level: Level| view.has_any(&KeyRange::whole(level.table()));
    Ok(has_row(Level::Conversation)? && !has_row(Level::Label)?)
}

/// Writes the sums by label, one day at a time.
pub(crate) fn build(sink: &mut dyn WriteView) -> Result<()> {
    let finest = Level::Conversation.table();
    let unreadable = || Error::damaged(None, format!("a row of {} is unreadable", finest.name()));
    let mut from = Vec::new();
    loop {
        let mut rows: BTreeMap<Vec<u8>, Quarters> = BTreeMap::new();
        let mut today: Option<Vec<u8>> = None;
        sink.scan(finest, &from, &[], Order::Ascending, &mut |key, value| {
            let day = key.get(..DAY_BYTES).filter(|_| day_of(key).is_some()).ok_or_else(unreadable)?;
            if today.get_or_insert_with(|| day.to_vec()) != day {
                return STOP;
            }
            let ends = KeyEnds::of(key).ok_or_else(unreadable)?;
            let quarters = day::decode(value).ok_or_else(unreadable)?;
            let sums = rows.entry(Level::Label.key_in(key, ends)?.into_owned()).or_default();
            for (quarter, totals) in quarters {
                sums.entry(quarter).or_default().add(&totals)?;
            }
            GO_ON
        })?;
        let Some(day) = today else { return Ok(()) };
        from = after_prefix(&day);
        for (key, quarters) in &rows {
            sink.put(Level::Label.table(), key, Some(&day::encode(quarters)?))?;
        }
        if from.is_empty() {
            return Ok(());
        }
    }
}
