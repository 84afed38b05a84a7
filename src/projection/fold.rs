//! The fold: applies one event after another to the projections.

use super::blocks::Collector;
use super::corrections::{self, effective};
use super::deltas::Deltas;
use super::event_index;
use super::imports;
use super::orphan_corrections::Orphans;
use crate::model::error::Result;
use crate::model::event::{Event, EventId, Payload, Position, RecordLine, TokenRecord, TokenView, is_counted_later};
use crate::store::{KeyRange, ReadView, Table, WriteView};

/// A fold in progress. Small changes are written at once; counters are collected until [`flush`](Self::flush).
#[derive(Clone, Default)]
pub(crate) struct Fold {
    /// Pending changes of counters.
    pub deltas: Deltas,
    keys: Vec<[u8; 13]>,
    index: event_index::PendingEntries,
    orphans: Orphans,
    blocks: Collector,
}

impl Fold {
    /// Folds the event at `position`. It and all earlier events must be in the log already.
    pub fn apply(&mut self, sink: &mut dyn WriteView, position: Position, line: &str) -> Result<()> {
        if let Some(RecordLine { id, occurred_at, data: record, .. }) = RecordLine::<TokenView<'_>>::read(line)
            && !self.orphans.is_corrected(&*sink, id, position)?
        {
            // The common case, without copying any text.
            self.keys.extend(alias_entries(record.ids(), id, position));
            self.deltas.add(occurred_at, &record, false)?;
            self.blocks.record(position, occurred_at, &record)?;
            if is_counted_later(occurred_at, record.counted_at) {
                self.index.take(&Event::from_line(position, line)?, position);
            }
            return Ok(());
        }
        let event = Event::from_line(position, line)?;
        self.event(sink, position, &event, None)
    }

    /// Folds an event; `ids` are the ids of a record's keys, if they are already computed.
    pub fn event(
        &mut self,
        sink: &mut dyn WriteView,
        position: Position,
        event: &Event,
        ids: Option<&[EventId]>,
    ) -> Result<()> {
        if !matches!(event.payload, Payload::TokensRecorded(_)) {
            self.blocks.event(position, event.occurred_at, &event.payload)?;
        }
        match &event.payload {
            Payload::TokensRecorded(record) => {
                self.index.take(event, position);
                match ids {
                    Some(ids) => self.keys.extend(alias_entries(ids.iter().copied(), event.id, position)),
                    None => self.keys.extend(alias_entries(record.ids(), event.id, position)),
                }
                let view = TokenView::from(record);
                self.blocks.record(position, event.occurred_at, &view)?;
                if !self.orphans.is_corrected(&*sink, event.id, position)? {
                    return self.deltas.add(event.occurred_at, &view, false);
                }
                self.blocks.correct(position, corrections::amended_times(&*sink, event.id)?);
                // Its corrections arrived earlier. The account is added as if they had come later.
                self.deltas.name(record);
                if let Some(now) = effective(&*sink, position, None)? {
                    self.deltas.add(now.at, &TokenView::from(&now.record), false)?;
                }
            }
            Payload::TokensAmended(_) | Payload::EventVoided(_) => {
                if let Payload::TokensAmended(amend) = &event.payload {
                    self.keys.extend(alias_entries(amend.replacement.ids(), amend.target, position));
                    self.deltas.name(&amend.replacement);
                }
                self.correct(sink, position, event)?;
            }
            Payload::Imported(run) => imports::file(sink, run)?,
            _ => self.index.take(event, position),
        }
        Ok(())
    }

    fn correct(&mut self, sink: &mut dyn WriteView, position: Position, event: &Event) -> Result<()> {
        self.orphans.read(&*sink)?;
        file_small(sink, event, position)?;
        if let Some(target) = event.payload.corrects() {
            self.orphans.note(&*sink, target, position)?;
            if let Some(record) = corrections::record_before(&*sink, target, position)? {
                let at = if let Payload::TokensAmended(amend) = &event.payload { amend.at } else { None };
                self.blocks.correct(record, at.into_iter().collect());
            }
        }
        let Some(root) = corrections::root(&*sink, event, position)? else { return Ok(()) };
        if let Some(before) = effective(&*sink, root, Some(event.id))? {
            self.deltas.add(before.at, &TokenView::from(&before.record), true)?;
        }
        if let Some(after) = effective(&*sink, root, None)? {
            self.deltas.add(after.at, &TokenView::from(&after.record), false)?;
        }
        Ok(())
    }

    /// Writes all pending changes.
    pub fn flush(&mut self, sink: &mut dyn WriteView) -> Result<()> {
        // Each part states what it reads, even if another one fails.
        let done = self.flush_small(sink);
        let done = done.and(self.deltas.flush(sink));
        done.and(self.blocks.flush(sink))
    }

    /// Writes pending natural keys and index entries, so that lookups find them.
    pub fn flush_small(&mut self, sink: &mut dyn WriteView) -> Result<()> {
        self.keys.sort_unstable();
        sink.put_all(Table::Keys, &mut self.keys.iter().map(|key| (key.as_slice(), &[][..])))?;
        self.keys.clear();
        self.index.file(sink)
    }
}

/// Stores everything but counters: index entries, corrections, how far files were imported.
pub(crate) fn file_small(sink: &mut dyn WriteView, event: &Event, position: Position) -> Result<()> {
    match &event.payload {
        Payload::Imported(run) => return imports::file(sink, run),
        Payload::TokensAmended(_) | Payload::EventVoided(_) => {
            if let Some(target) = event.payload.corrects() {
                corrections::file(sink, target, event, position)?;
            }
        }
        _ => {}
    }
    let mut entries = event_index::PendingEntries::default();
    entries.take(event, position);
    entries.file(sink)
}

/// The index entries of every natural key other than the one in the event's own id.
pub(crate) fn alias_entries(
    aliases: impl Iterator<Item = EventId>,
    id: EventId,
    position: Position,
) -> impl Iterator<Item = [u8; 13]> {
    aliases.filter(move |alias| *alias != id).map(move |alias| key_entry(alias, position))
}

/// 8 bytes of hash, 5 of position: enough for 10^12 events.
fn key_entry(alias: EventId, position: Position) -> [u8; 13] {
    let mut entry = [0; 13];
    let tail = position.get().to_be_bytes();
    for (slot, byte) in entry.iter_mut().zip(alias.prefix().to_be_bytes().into_iter().chain(tail.into_iter().skip(3))) {
        *slot = byte;
    }
    entry
}

/// The record with a natural key of a provider: the position of its `tokens_recorded` event.
pub(crate) fn position_of_key(view: &dyn ReadView, provider: &str, key: &str) -> Result<Option<Position>> {
    position_by_key(view, (provider, key), None)
}

/// The record with a natural key. No event has the id `absent`, so that id is not looked up.
fn position_by_key(
    view: &dyn ReadView,
    (provider, key): (&str, &str),
    absent: Option<EventId>,
) -> Result<Option<Position>> {
    let id = EventId::from_key(provider, key);
    if absent != Some(id)
        && let Some(position) = view.position_of(id)?
    {
        return Ok(Some(position));
    }
    find_alias(view, id, &|record| {
        (record.provider == provider && record.keys.iter().any(|k| k == key)) || record.key_ids.contains(&id)
    })
}

/// The record with the id of a natural key.
fn position_of_id(view: &dyn ReadView, id: EventId) -> Result<Option<Position>> {
    if let Some(position) = view.position_of(id)? {
        return Ok(Some(position));
    }
    find_alias(view, id, &|record| record.ids().any(|known| known == id))
}

fn find_alias(view: &dyn ReadView, alias: EventId, matches: &dyn Fn(&TokenRecord) -> bool) -> Result<Option<Position>> {
    for candidate in candidates(view, alias)? {
        if let Some(positions) = record_of_event(view, candidate, matches)? {
            return Ok(Some(positions));
        }
    }
    Ok(None)
}

/// The positions of all records with a natural key of a provider; several if some were voided.
#[cfg(feature = "web")]
pub(crate) fn positions_of_key(view: &dyn ReadView, provider: &str, key: &str) -> Result<Vec<Position>> {
    let id = EventId::from_key(provider, key);
    let matches = |record: &TokenRecord| record.provider == provider && record.keys.iter().any(|k| k == key);
    let mut positions: Vec<Position> = view.position_of(id)?.into_iter().collect();
    for candidate in candidates(view, id)? {
        positions.extend(record_of_event(view, candidate, &matches)?.filter(|position| !positions.contains(position)));
    }
    Ok(positions)
}

/// The events with a key that has the same hash.
fn candidates(view: &dyn ReadView, alias: EventId) -> Result<Vec<Position>> {
    view.collect(&KeyRange::prefix(Table::Keys, &alias.prefix().to_be_bytes()), |key, _| {
        let bytes = key.get(5..).and_then(|tail| tail.split_first_chunk::<8>());
        Ok(bytes.map(|(bytes, _)| Position::new(u64::from_be_bytes(*bytes) & 0xff_ffff_ffff)))
    })
}

/// The record of an event, if it matches.
fn record_of_event(
    view: &dyn ReadView,
    event: Position,
    matches: &dyn Fn(&TokenRecord) -> bool,
) -> Result<Option<Position>> {
    match Event::from_line(event, &view.expect_line(event)?)?.payload {
        Payload::TokensRecorded(record) if matches(&record) => Ok(Some(event)),
        Payload::TokensAmended(amend) if matches(&amend.replacement) => {
            // The record may not have arrived, or the amendment may be invalid.
            let Some(target) = view.position_of(amend.target)? else { return Ok(None) };
            let kind = Event::from_line(target, &view.expect_line(target)?)?.payload.kind();
            Ok((kind == "tokens_recorded").then_some(target))
        }
        _ => Ok(None),
    }
}

/// The positions of all records that share a key with this one, in order.
pub(crate) fn find_record(view: &dyn ReadView, record: &TokenRecord) -> Result<Vec<Position>> {
    find_record_beside(view, record, None)
}

/// Like [`find_record`], if it is known already that no event has the id `absent`.
pub(crate) fn find_record_beside(
    view: &dyn ReadView,
    record: &TokenRecord,
    absent: Option<EventId>,
) -> Result<Vec<Position>> {
    let mut positions = Vec::new();
    for key in &record.keys {
        positions.extend(position_by_key(view, (&record.provider, key), absent)?);
    }
    for id in &record.key_ids {
        positions.extend(position_of_id(view, *id)?);
    }
    positions.sort_unstable();
    positions.dedup();
    Ok(positions)
}
