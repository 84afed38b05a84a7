//! Reconciles a call that was imported before with a new sighting of it: keep, amend or withdraw the earlier record.

use std::collections::HashMap;

use crate::import::engine::merge::{complete, join, unite};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::read_again::{again_reason, read_again};
use crate::import::engine::telemetry_match::{self, SeenConversations, TELEMETRY, is_telemetry};
use crate::ledger::Appender;
use crate::model::error::Result;
use crate::model::event::{EventId, EventVoided, NewEvent, Payload, Position, TokensAmended};
use crate::model::time::Timestamp;
use crate::projection::{Effective, began, effective};

/// The source of the sighting, and the conversations reported so far.
pub(in crate::import) struct Meeting<'m> {
    pub source: &'m str,
    pub now: Timestamp,
    pub began: &'m HashMap<String, Timestamp>,
    /// Conversations that telemetry reported, for a sighting from a log.
    pub heard: Option<&'m SeenConversations>,
    /// The importer's version, if it reads a file that an older version read.
    pub again: Option<u32>,
}

/// Result for a call that is already recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Reconciled {
    /// The sighting contains nothing new.
    Known,
    /// The record was amended.
    Amended,
}

impl Meeting<'_> {
    /// Reconciles a sighting with the recorded calls that have one of its keys. `known` has at least one.
    pub fn meet(&self, appender: &mut Appender<'_>, found: ParsedCall, known: &[Position]) -> Result<Reconciled> {
        let mut counting = Vec::new();
        for position in known {
            if let Some(now) = effective(appender.flushed_view(), *position, None)? {
                counting.push((*position, now));
            }
        }
        let mut counting = counting.into_iter();
        // The record was withdrawn. A new sighting does not restore it.
        let Some((position, keeper)) = counting.next() else { return Ok(Reconciled::Known) };
        // A log does not override a person's correction.
        if !self.may_change(&keeper.source) {
            return Ok(Reconciled::Known);
        }
        let others = counting.filter(|(_, told)| self.may_change(&told.source)).collect();
        self.join(appender, found, (position, keeper), others)
    }

    /// Withdraws a record, unless a person corrected it.
    #[cfg(feature = "web")]
    pub fn withdraw(&self, appender: &mut Appender<'_>, position: Position, reason: &str) -> Result<()> {
        let Some(told) = effective(appender.flushed_view(), position, None)? else { return Ok(()) };
        if !self.may_change(&told.source) {
            return Ok(());
        }
        let void = EventVoided { target: id_at(appender, position)?, reason: reason.to_owned() };
        self.tell(appender, Payload::from(void), told.amended_at)
    }

    /// Returns whether this source may change a record of that source. A log does not change records of another log.
    fn may_change(&self, told_by: &str) -> bool {
        let telemetry = |name: &str| name == TELEMETRY;
        let feed = |name: &str| telemetry(name) || crate::import::names().contains(&name);
        told_by == self.source || ((telemetry(told_by) || telemetry(self.source)) && feed(told_by))
    }

    fn join(
        &self,
        appender: &mut Appender<'_>,
        found: ParsedCall,
        (position, keeper): (Position, Effective),
        mut others: Vec<(Position, Effective)>,
    ) -> Result<Reconciled> {
        let sighting = |told: Effective| ParsedCall { at: told.at, record: told.record };
        let (amended_at, shredded) = (keeper.amended_at, keeper.shredded);
        let before = sighting(keeper);
        let mut after = before.clone();
        {
            let view = appender.flushed_view();
            let records = [&before.record, &found.record];
            let records = records.into_iter().chain(others.iter().map(|(_, told)| &told.record));
            let mut stored = HashMap::new();
            for name in records.filter_map(|record| record.conversation.as_deref()) {
                stored.insert(name.to_owned(), began(view, self.source, name)?);
            }
            let start = |conversation: &str| {
                let stored = stored.get(conversation).copied().flatten();
                [stored, self.began.get(conversation).copied()].into_iter().flatten().min()
            };
            let found = if self.again.is_some() {
                after = read_again(after, found, &start);
                None
            } else {
                Some(found)
            };
            for one in others.iter().map(|(_, told)| sighting(told.clone())).chain(found) {
                after = match (is_telemetry(&after.record), is_telemetry(&one.record)) {
                    (true, false) => complete(one, after),
                    (false, true) => complete(after, one),
                    (true, true) => unite(after, one),
                    (false, false) => join(after, one, &start),
                };
            }
        }
        let has_twin = is_telemetry(&before.record) || others.iter().any(|(_, told)| is_telemetry(&told.record));
        if !has_twin && let Some(twin) = self.twin_of_changed(appender, &before, &after)? {
            after = complete(after, sighting(twin.1.clone()));
            others.push(twin);
        }
        let target = id_at(appender, position)?;
        for (other, told) in &others {
            let void = EventVoided { target: id_at(appender, *other)?, reason: format!("the same call as {target}") };
            self.tell(appender, Payload::from(void), told.amended_at)?;
        }
        if shredded {
            // Counts of a shredded record may still be updated, but its names are not restored.
            after.record = after.record.without_names();
        }
        // A different `counted_at` alone is no reason to amend. Records written before that field existed stay as they
        // are.
        if after.at == before.at && after.record.has_same_content(&before.record) {
            return Ok(Reconciled::Known);
        }
        let reason = match self.again {
            Some(version) => again_reason(version),
            None if self.source == TELEMETRY => "telemetry of the same call".to_owned(),
            None => "later lines of the log".to_owned(),
        };
        let amend = TokensAmended { target, reason, at: Some(after.at), replacement: after.record };
        self.tell(appender, Payload::from(amend), amended_at)?;
        Ok(Reconciled::Amended)
    }

    /// Finds the telemetry record of a call whose counts changed. Telemetry may have recorded the call separately because
    /// the log had only a part of its counts then.
    fn twin_of_changed(
        &self,
        appender: &mut Appender<'_>,
        before: &ParsedCall,
        after: &ParsedCall,
    ) -> Result<Option<(Position, Effective)>> {
        let record = &after.record;
        let changed = record.tokens != before.record.tokens;
        if !changed || telemetry_match::is_met(record) || !self.heard.is_some_and(|heard| heard.of(record)) {
            return Ok(None);
        }
        let view = appender.view()?;
        let Some(position) = telemetry_match::find(view, record, after.at, &|call| is_telemetry(&call.record))? else {
            return Ok(None);
        };
        Ok(effective(view, position, None)?.map(|told| (position, told)))
    }

    /// The correction must be later than the one that it replaces, even if the clock is not.
    fn tell(&self, appender: &mut Appender<'_>, payload: Payload, after: Option<Timestamp>) -> Result<()> {
        let at = after.map_or(self.now, |amended| self.now.max(amended.plus(1)));
        appender.push(NewEvent::new(payload, at).source(self.source.to_owned()))?;
        Ok(())
    }
}

fn id_at(appender: &mut Appender<'_>, position: Position) -> Result<EventId> {
    let line = appender.flushed_view().expect_line(position)?;
    Ok(crate::model::event::Envelope::parse(position, &line)?.id)
}
