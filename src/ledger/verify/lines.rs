//! Reads the whole log once: positions, columns, hashes, the tree, and the sums of the records.

use std::collections::BTreeMap;

use super::parts::{LogSums, Whole};
use super::wrong_block::wrong;
use super::{Finding, Findings, StoredPart, is_record};
use crate::ledger::pipeline::in_order;
use crate::merkle::{Hash, leaf_hash};
use crate::model::error::{Error, Result};
use crate::model::event::{
    AccountRef, Envelope, EventId, EventKind, Position, RecordLine, TokenView, Tombstone, is_counted_later,
};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::projection::blocks::{BLOCK, Digest, Summary, block_key, place};
use crate::projection::{FingerprintWeights, alias_entries, leaf_at};
use crate::projection::{GROUP, StreamingTree, group_key};
use crate::store::{GO_ON, ReadView, Table};

/// Rows per batch of a worker: whole blocks.
const BATCH: usize = 2 * BLOCK as usize;

struct VerifiedRow {
    id: EventId,
    kind: u8,
    occurred_at: Timestamp,
    recorded_at: Timestamp,
    start: usize,
    end: usize,
}

#[derive(Default)]
struct LineBatch {
    first: u64,
    rows: Vec<VerifiedRow>,
    text: String,
}

/// The result of one batch.
struct BatchResult {
    leaves: Vec<Hash>,
    sums: LogSums,
    others: Vec<(Position, String)>,
    tombstones: Vec<TombstoneRow>,
    findings: Vec<Finding>,
    /// Lines that this build does not know, if they are as they were appended.
    unknown: Vec<(Position, Error)>,
    /// The full blocks of the batch: the bytes of the column, and the summary; `None` if an event is unreadable.
    blocks: Vec<Option<(Vec<u8>, Summary)>>,
}

/// A row whose body is a tombstone.
pub(super) struct TombstoneRow {
    pub position: Position,
    pub id: EventId,
    pub body: String,
}

/// The results of reading the log.
pub(super) struct VerifiedLog {
    /// The sums of the records.
    records: LogSums,
    /// Every event other than records, and the records that are indexed.
    pub others: Vec<(Position, String)>,
    /// Every event that is shredded.
    pub tombstones: Vec<TombstoneRow>,
    /// The content of each full block, without corrections.
    pub summaries: Vec<Option<Summary>>,
}

impl VerifiedLog {
    /// The whole log.
    pub fn whole(&self) -> Whole<'_> {
        Whole { records: &self.records, others: &self.others }
    }

    /// Adds the next batch, and compares its hashes and blocks with the stored ones.
    fn take(
        &mut self,
        view: &dyn ReadView,
        done: BatchResult,
        tree: &mut StreamingTree,
        findings: &mut Findings,
    ) -> Result<()> {
        self.records.add(done.sums);
        self.others.extend(done.others);
        self.tombstones.extend(done.tombstones);
        findings.0.extend(done.findings);
        for (position, error) in done.unknown {
            let place = usize::try_from(position.get().saturating_sub(tree.size() + 1)).ok();
            let leaf = place.and_then(|place| done.leaves.get(place));
            match leaf_at(view, position) {
                Ok(stored) if leaf == Some(&stored) => return Err(error),
                // The comparison of the tree reports that the line was changed.
                Ok(_) | Err(Error::Damaged { .. }) => {}
                Err(other) => return Err(other),
            }
        }
        for block in done.blocks {
            let number = self.summaries.len() as u64;
            if let Some((column, _)) = &block
                && view.get(Table::Columns, &block_key(number))?.as_ref() != Some(column)
            {
                wrong(number, Table::Columns, findings);
            }
            self.summaries.push(block.map(|(_, summary)| summary));
        }
        for leaf in done.leaves {
            tree.push(leaf, &mut |level, group, nodes| compare_group(view, level, group, nodes, findings))?;
        }
        Ok(())
    }
}

/// Reads every line, checks its hash on all cores, and builds the tree.
pub(super) fn read(
    view: &dyn ReadView,
    weights: FingerprintWeights,
    tree: &mut StreamingTree,
    findings: &mut Findings,
) -> Result<VerifiedLog> {
    let mut log = VerifiedLog {
        records: LogSums::new(weights),
        others: Vec::new(),
        tombstones: Vec::new(),
        summaries: Vec::new(),
    };
    let mut of_rows = Findings::default();
    let done =
        in_order(|send| feed(view, send, &mut of_rows), &|batch| check(&batch, weights), &mut |result: Result<
            BatchResult,
        >| {
            log.take(view, result?, tree, findings)
        });
    findings.0.extend(of_rows.0);
    done.map(|()| log)
}

fn feed(view: &dyn ReadView, send: &mut dyn FnMut(LineBatch) -> Result<()>, findings: &mut Findings) -> Result<()> {
    let mut expected = Position::START;
    let mut recorded = Timestamp::MIN;
    let mut batch = LineBatch { first: 1, ..LineBatch::default() };
    let read = view.rows(Position::START, &mut |position, row| {
        if position == Position::START {
            findings.add(None, "a row precedes position 1: no append wrote it");
            return GO_ON;
        }
        expected = expected.next();
        if position != expected {
            let gap = Error::damaged(expected, format!("there is no event here; the next one is at {position}"));
            return Err(gap);
        }
        if row.recorded_at < recorded {
            findings.add(position, "it was recorded before the event in front of it");
        }
        recorded = row.recorded_at;
        let start = batch.text.len();
        batch.text.push_str(row.body);
        batch.rows.push(VerifiedRow {
            id: row.id,
            kind: row.kind,
            occurred_at: row.occurred_at,
            recorded_at: row.recorded_at,
            start,
            end: batch.text.len(),
        });
        if batch.rows.len() == BATCH {
            let next = LineBatch { first: position.get() + 1, ..LineBatch::default() };
            send(std::mem::replace(&mut batch, next))?;
        }
        GO_ON
    });
    // The rows in front of an unreadable one are checked too.
    if !batch.rows.is_empty() {
        send(batch)?;
    }
    read
}

fn check(batch: &LineBatch, weights: FingerprintWeights) -> Result<BatchResult> {
    let mut check = BatchCheck::new(weights);
    for (row, number) in batch.rows.iter().zip(batch.first..) {
        let position = Position::new(number);
        let line = batch.text.get(row.start..row.end);
        let line = line.ok_or_else(|| bug!("the batch has no text of the line at position {position}"))?;
        check.line(position, row, line)?;
    }
    let read = batch.first + batch.rows.len() as u64 - 1;
    check.digests.retain(|number, _| (number + 1) * BLOCK <= read);
    let blocks = check.digests.into_values().map(|digest| digest.map(|digest| (digest.column(), digest.summary)));
    check.done.blocks.extend(blocks);
    Ok(check.done)
}

/// The check of one batch.
struct BatchCheck {
    done: BatchResult,
    weights: FingerprintWeights,
    digests: BTreeMap<u64, Option<Digest>>,
    /// The account of the last record.
    last: Option<AccountRef<'static>>,
}

impl BatchCheck {
    fn new(weights: FingerprintWeights) -> Self {
        let done = BatchResult {
            leaves: Vec::with_capacity(BATCH),
            sums: LogSums::new(weights),
            others: Vec::new(),
            tombstones: Vec::new(),
            findings: Vec::new(),
            unknown: Vec::new(),
            blocks: Vec::new(),
        };
        Self { done, weights, digests: BTreeMap::new(), last: None }
    }

    fn add_finding(&mut self, position: Position, what: impl Into<String>) {
        self.done.findings.push(Finding::new(position, what));
    }

    /// Adds an event to its block. A block with an unreadable event has no valid rows.
    fn add_to_block(&mut self, position: Position, add: impl FnOnce(&mut Digest, u16) -> Result<()>) {
        let (block, offset) = place(position);
        let digest = self.digests.entry(block).or_insert_with(|| Some(Digest::default()));
        if digest.as_mut().is_some_and(|digest| add(digest, offset).is_err()) {
            *digest = None;
        }
    }

    fn line(&mut self, position: Position, row: &VerifiedRow, line: &str) -> Result<()> {
        self.done.sums.ids.add(self.weights, row.id, position);
        match Tombstone::read(position, line) {
            Ok(None) => self.done.leaves.push(leaf_hash(line.as_bytes())),
            // An invalid hash cannot equal the one in the tree.
            Ok(Some(tombstone)) => {
                self.done.leaves.push(tombstone.leaf.parse().unwrap_or(Hash::EMPTY));
                self.done.tombstones.push(TombstoneRow { position, id: row.id, body: line.to_owned() });
            }
            Err(_) => self.done.leaves.push(Hash::EMPTY),
        }
        match RecordLine::<TokenView<'_>>::read(line) {
            Some(read) => {
                let columns = (read.id, Some(EventKind::TokensRecorded), read.occurred_at, read.recorded_at);
                self.compare_columns(position, row, columns);
                self.record(position, (read.id, read.occurred_at), &read.data, line)
            }
            None => self.other_line(position, row, line),
        }
    }

    /// Adds a line of another build, or one that was changed so that it looks like one. Its hash decides.
    fn add_unknown(&mut self, position: Position, error: Error) {
        self.done.unknown.push((position, error));
        self.add_to_block(position, |_, _| Err(bug!("an unknown line")));
    }

    fn compare_columns(
        &mut self,
        position: Position,
        row: &VerifiedRow,
        (id, kind, occurred_at, recorded_at): (EventId, Option<EventKind>, Timestamp, Timestamp),
    ) {
        let of_line = (id, kind.map(EventKind::code), occurred_at, recorded_at);
        if (row.id, Some(row.kind), row.occurred_at, row.recorded_at) != of_line {
            self.add_finding(position, "the columns differ from the line");
        }
    }

    /// The line of another event, a tombstone, or an unreadable line.
    fn other_line(&mut self, position: Position, row: &VerifiedRow, line: &str) -> Result<()> {
        let envelope = match Envelope::parse(position, line) {
            Ok(envelope) => envelope,
            Err(unknown @ Error::UnknownEvent { .. }) => {
                self.add_unknown(position, unknown);
                return Ok(());
            }
            Err(Error::Damaged { what, .. }) => {
                self.add_finding(position, what);
                self.add_to_block(position, |_, _| Err(bug!("an unreadable line")));
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        let kind = EventKind::named(&envelope.kind);
        self.compare_columns(position, row, (envelope.id, kind, envelope.occurred_at, envelope.recorded_at));
        if !is_record(&envelope.kind) {
            // The comparison of projections reports an unreadable event.
            let event = match envelope.open(position) {
                Err(unknown @ Error::UnknownEvent { .. }) => {
                    self.add_unknown(position, unknown);
                    return Ok(());
                }
                event => event,
            };
            self.done.others.push((position, line.to_owned()));
            self.add_to_block(position, |digest, offset| {
                event.and_then(|event| digest.event(offset, event.occurred_at, &event.payload))
            });
            return Ok(());
        }
        match serde_json::from_str::<TokenView<'_>>(envelope.data.get()) {
            Ok(record) => self.record(position, (envelope.id, envelope.occurred_at), &record, line),
            Err(e) => {
                self.add_to_block(position, |_, _| Err(bug!("an unreadable record")));
                self.add_finding(position, format!("this record is unreadable ({e})"));
                Ok(())
            }
        }
    }

    fn record(
        &mut self,
        position: Position,
        (id, at): (EventId, Timestamp),
        record: &TokenView<'_>,
        line: &str,
    ) -> Result<()> {
        self.add_to_block(position, |digest, offset| digest.record(offset, at, record));
        let sums = &mut self.done.sums;
        sums.sums.record(at, record, false)?;
        for entry in alias_entries(record.ids(), id, position) {
            sums.sums.row(Table::Keys, &entry);
        }
        let account = AccountRef::new(&record.provider, record.account.as_deref());
        if self.last.as_ref() != Some(&account) {
            let account = account.into_owned();
            sums.accounts.insert(account.clone());
            self.last = Some(account);
        }
        if is_counted_later(at, record.counted_at) {
            self.done.others.push((position, line.to_owned()));
        }
        Ok(())
    }
}

/// Compares a recomputed group with the stored one.
fn compare_group(view: &dyn ReadView, level: u8, group: u64, nodes: &[Hash], findings: &mut Findings) -> Result<()> {
    let stored = view.get(Table::Tree, &group_key(level, group))?.unwrap_or_default();
    let (hashes, rest) = stored.as_chunks::<32>();
    for (index, node) in nodes.iter().enumerate() {
        if hashes.get(index).is_none_or(|hash| hash != node.as_bytes()) {
            let child = group * GROUP + index as u64;
            let position = Position::new((child << (4 * u32::from(level))) + 1);
            let (part, what) = match level {
                0 => (StoredPart::Log, "the line does not have the hash that the tree keeps of it"),
                _ => (StoredPart::Tree, "a node of the tree above this event is not the hash of what is below it"),
            };
            findings.add_of(part, position, what);
        }
    }
    if hashes.len() > nodes.len() || !rest.is_empty() {
        let beyond = Position::new(((group * GROUP + nodes.len() as u64) << (4 * u32::from(level))) + 1);
        findings.add(beyond, "the tree knows of an event here, the log does not: its end was cut off");
    }
    Ok(())
}

/// Compares the groups at the right edge with the stored ones, and finds groups beyond the end.
pub(super) fn compare_partial_groups(view: &dyn ReadView, tree: &StreamingTree, findings: &mut Findings) -> Result<()> {
    for (level, group, nodes) in tree.partial() {
        compare_group(view, level, group, nodes, findings)?;
    }
    let groups_of = |level: u8| tree.size().checked_shr(4 * u32::from(level)).unwrap_or(0).div_ceil(GROUP);
    let first_of = |level: u8, group: u64| group.checked_mul(1_u64.checked_shl(4 * (u32::from(level) + 1))?);
    view.scan(Table::Tree, &[], &[], crate::store::Order::Ascending, &mut |key, _| {
        let number = key.get(1..).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        let place = key.first().copied().zip(number);
        match place.map(|(level, group)| (group < groups_of(level), first_of(level, group))) {
            Some((true, _)) => {}
            Some((false, Some(first))) => {
                let what = "the tree knows of an event here, the log does not: its end was cut off";
                findings.add(Position::new(first).next(), what);
            }
            _ => findings.add_of(StoredPart::Tree, None, "the tree has a row that belongs to no event"),
        }
        GO_ON
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;
    use crate::model::event::{Paused, TokenRecord};
    use crate::store::{EventStore, MemoryStore, STOP};

    #[test]
    fn a_line_is_of_another_build_only_if_its_hash_is_that_of_the_tree() {
        let at = Timestamp::from_millis(1_780_000_000_000);
        for (from, to) in [("\"v\":1", "\"v\":2"), ("\"kind\":\"paused\"", "\"kind\":\"pavsed\"")] {
            let store = MemoryStore::new();
            let ledger = Ledger::with_store(Box::new(store.clone()));
            for n in 0..20 {
                ledger.record(TokenRecord::new("openai", "m").input(n), at).unwrap();
            }
            ledger.pause(Paused::new("manual"), at).unwrap();
            let mut line = String::new();
            let last = Position::new(21);
            let read = store.read().unwrap().rows(last, &mut |_, row| {
                row.body.clone_into(&mut line);
                STOP
            });
            read.unwrap();
            let changed = line.replace(from, to);
            assert_ne!(changed, line);
            let mut tx = store.write().unwrap();
            tx.shred(last, &changed).unwrap();
            tx.commit().unwrap();
            let found = ledger.verify().unwrap().findings;
            assert!(found.iter().any(|one| one.what.contains("does not have the hash")), "{found:?}");
            assert!(found.iter().all(|one| one.position == Some(last)), "{found:?}");
            assert!(!ledger.repair().unwrap().refused.is_empty());
            // A newer build that appended the line has written its hash too.
            let mut tx = store.write().unwrap();
            let mut leaves = tx.get(Table::Tree, &group_key(0, 1)).unwrap().unwrap();
            leaves[4 * 32..].copy_from_slice(leaf_hash(changed.as_bytes()).as_bytes());
            tx.put(Table::Tree, &group_key(0, 1), Some(&leaves)).unwrap();
            tx.commit().unwrap();
            assert!(matches!(ledger.verify(), Err(Error::UnknownEvent { position, .. }) if position == last));
        }
    }
}
