//! Reconciles a call that was imported before with a new sighting of it: keep, amend or withdraw the earlier record.

use std::collections::HashMap;

use crate::import::engine::match_index::Feed;
use crate::import::engine::merge::{complete, join, unite};
use crate::import::engine::parsed_call::ParsedCall;
use crate::import::engine::read_again::{again_reason, read_again};
use crate::import::engine::telemetry_match::{self, TelemetryMatcher, is_telemetry};
use crate::ledger::Appender;
use crate::model::error::Result;
use crate::model::event::{EventData, EventId, EventVoided, NewEvent, Payload, Position, TELEMETRY, TokensAmended};
use crate::model::time::Timestamp;
use crate::projection::{Effective, began, effective};

/// The source of the sighting, and the conversations reported so far.
pub(in crate::import) struct Reconciler<'m> {
    pub source: &'m str,
    pub now: Timestamp,
    pub began: &'m HashMap<String, Timestamp>,
    /// Finds what telemetry reported, for a sighting from a log.
    pub matcher: Option<&'m TelemetryMatcher>,
    /// The importer's version, if it reads a file that an older version read.
    pub again: Option<u32>,
}

/// Result for a call that is already recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::import) enum Reconciled {
    /// The sighting contains nothing new.
    Unchanged,
    /// The record was amended.
    Amended,
}

impl Reconciler<'_> {
    /// Reconciles a sighting with the recorded calls that have one of its keys. `positions` has at least one.
    pub fn reconcile(
        &self,
        appender: &mut Appender<'_>,
        sighting: ParsedCall,
        positions: &[Position],
    ) -> Result<Reconciled> {
        let mut counting = Vec::new();
        for position in positions {
            if let Some(now) = effective(appender.flushed_view(), *position, None)? {
                counting.push((*position, now));
            }
        }
        let mut counting = counting.into_iter();
        // The record was withdrawn. A new sighting does not restore it.
        let Some((position, keeper)) = counting.next() else { return Ok(Reconciled::Unchanged) };
        // A log does not override a person's correction.
        if !self.may_change(&keeper.source) {
            return Ok(Reconciled::Unchanged);
        }
        let others = counting.filter(|(_, recorded)| self.may_change(&recorded.source)).collect();
        self.join(appender, sighting, (position, keeper), others)
    }

    /// Withdraws a record, unless a person corrected it.
    #[cfg(feature = "web")]
    pub fn withdraw(&self, appender: &mut Appender<'_>, position: Position, reason: &str) -> Result<()> {
        let Some(recorded) = effective(appender.flushed_view(), position, None)? else { return Ok(()) };
        if !self.may_change(&recorded.source) {
            return Ok(());
        }
        let void = EventVoided { target: id_at(appender, position)?, reason: reason.to_owned() };
        self.append(appender, Payload::from(void), recorded.amended_at)
    }

    /// Returns whether this source may change a record of that source. A log does not change records of another log.
    fn may_change(&self, source: &str) -> bool {
        let telemetry = |name: &str| name == TELEMETRY;
        let feed = |name: &str| telemetry(name) || crate::import::names().contains(&name);
        source == self.source || ((telemetry(source) || telemetry(self.source)) && feed(source))
    }

    fn join(
        &self,
        appender: &mut Appender<'_>,
        sighting: ParsedCall,
        (position, keeper): (Position, Effective),
        mut others: Vec<(Position, Effective)>,
    ) -> Result<Reconciled> {
        let as_call = |recorded: Effective| ParsedCall { at: recorded.at, record: recorded.record };
        let (amended_at, shredded) = (keeper.amended_at, keeper.shredded);
        let before = as_call(keeper);
        let mut after = before.clone();
        {
            let view = appender.flushed_view();
            let records = [&before.record, &sighting.record];
            let records = records.into_iter().chain(others.iter().map(|(_, recorded)| &recorded.record));
            let mut stored = HashMap::new();
            for name in records.filter_map(|record| record.conversation.as_deref()) {
                stored.insert(name.to_owned(), began(view, self.source, name)?);
            }
            let start = |conversation: &str| {
                let stored = stored.get(conversation).copied().flatten();
                [stored, self.began.get(conversation).copied()].into_iter().flatten().min()
            };
            let sighting = if self.again.is_some() {
                after = read_again(after, sighting, &start);
                None
            } else {
                Some(sighting)
            };
            for one in others.iter().map(|(_, recorded)| as_call(recorded.clone())).chain(sighting) {
                after = match (is_telemetry(&after.record), is_telemetry(&one.record)) {
                    (true, false) => complete(one, after),
                    (false, true) => complete(after, one),
                    (true, true) => unite(after, one),
                    (false, false) => join(after, one, &start),
                };
            }
        }
        let has_telemetry =
            is_telemetry(&before.record) || others.iter().any(|(_, recorded)| is_telemetry(&recorded.record));
        if !has_telemetry && let Some(telemetry_record) = self.matching_telemetry(appender, &before, &after)? {
            after = complete(after, as_call(telemetry_record.1.clone()));
            others.push(telemetry_record);
        }
        let target = id_at(appender, position)?;
        for (other, recorded) in &others {
            let void = EventVoided { target: id_at(appender, *other)?, reason: format!("the same call as {target}") };
            self.append(appender, Payload::from(void), recorded.amended_at)?;
        }
        if shredded {
            // Counts of a shredded record may still be updated, but its names are not restored.
            after.record = after.record.without_names();
        }
        // A different `counted_at` alone is no reason to amend. Records written before that field existed stay as they
        // are.
        if after.at == before.at && after.record.has_same_content(&before.record) {
            return Ok(Reconciled::Unchanged);
        }
        let reason = match self.again {
            Some(version) => again_reason(version),
            None if self.source == TELEMETRY => "telemetry of the same call".to_owned(),
            None => "later lines of the log".to_owned(),
        };
        let amend = TokensAmended { target, reason, at: Some(after.at), replacement: after.record };
        self.append(appender, Payload::from(amend), amended_at)?;
        Ok(Reconciled::Amended)
    }

    /// Finds the telemetry record of a call whose counts changed. Telemetry may have recorded the call separately because
    /// the log had only a part of its counts then.
    fn matching_telemetry(
        &self,
        appender: &mut Appender<'_>,
        before: &ParsedCall,
        after: &ParsedCall,
    ) -> Result<Option<(Position, Effective)>> {
        let record = &after.record;
        let Some(matcher) = self.matcher.filter(|matcher| matcher.is_reported(record)) else { return Ok(None) };
        if record.tokens == before.record.tokens || telemetry_match::is_reported_by_telemetry(record) {
            return Ok(None);
        }
        let is_of_telemetry = |feed: Feed| matches!(feed, Feed::Telemetry | Feed::Instrumentation);
        let found = matcher.find(appender, record, after.at, &is_of_telemetry, &|call| is_telemetry(&call.record))?;
        let Some(position) = found else { return Ok(None) };
        let view = appender.view()?;
        Ok(effective(view, position, None)?.map(|record| (position, record)))
    }

    fn append(&self, appender: &mut Appender<'_>, payload: Payload, after: Option<Timestamp>) -> Result<()> {
        let at = correction_time(self.now, after);
        appender.push(NewEvent::new(payload, at).source(self.source.to_owned()))?;
        Ok(())
    }
}

/// Returns the time of a correction. It is later than the correction that it replaces, even if the clock is not.
pub(in crate::import) fn correction_time(now: Timestamp, replaced: Option<Timestamp>) -> Timestamp {
    replaced.map_or(now, |replaced| now.max(replaced.plus(1)))
}

fn id_at(appender: &mut Appender<'_>, position: Position) -> Result<EventId> {
    let line = appender.flushed_view().expect_line(position)?;
    Ok(crate::model::event::Envelope::parse(position, &line)?.id)
}
