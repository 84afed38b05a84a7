//! When conversations were active, from the rollup of conversations.

use std::collections::HashMap;

use super::Report;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::time::{DAY, QUARTER, Timestamp};
use crate::projection::{Level, scan_days};
use crate::store::GO_ON;

/// The start of the first quarter of an hour with a call of each conversation, and the end of the last one.
pub(crate) type ConversationTimes = HashMap<String, (Timestamp, Timestamp)>;

impl Snapshot<'_> {
    /// The times of the conversations in a report.
    pub(crate) fn conversation_times(&self, report: &Report) -> Result<ConversationTimes> {
        let mut times = ConversationTimes::new();
        let first = report.since.map(Timestamp::utc_day);
        let last = report.until.map(|until| until.plus(-1).utc_day());
        scan_days(self.view(), Level::Conversation, first, last, &mut |row| {
            let Some(name) = row.series.conversation.filter(|_| report.admits(&row.series)) else { return GO_ON };
            let mut of_row: Option<(Timestamp, Timestamp)> = None;
            row.quarter_numbers(&mut |number| {
                let at = Timestamp::from_millis(row.day * DAY + i64::from(number) * QUARTER);
                if report.covers(at) || report.covers(at.plus(QUARTER - 1)) {
                    let first = of_row.map_or(at, |(first, _)| first);
                    of_row = Some((first, at.plus(QUARTER)));
                }
            })?;
            if let Some((first, end)) = of_row {
                match times.get_mut(name) {
                    None => drop(times.insert(name.to_owned(), (first, end))),
                    Some((since, until)) => (*since, *until) = ((*since).min(first), (*until).max(end)),
                }
            }
            GO_ON
        })?;
        Ok(times)
    }
}
