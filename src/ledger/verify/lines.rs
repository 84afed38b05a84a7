//! Reads the whole log once: positions, columns, hashes, the tree, and the sums of the records.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};

use super::parts::{LogSums, Whole};
use super::wrong_block::wrong;
use super::{Finding, Findings, StoredPart, is_record};
use crate::merkle::{Hash, leaf_hash};
use crate::model::error::{Error, Result};
use crate::model::event::{AccountRef, Envelope, EventId, EventKind, Position, TokenView, Tombstone, is_counted_later};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::projection::blocks::{BLOCK, Digest, Summary, block_key, place};
use crate::projection::{FingerprintWeights, alias_entries};
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
    number: u64,
    first: u64,
    rows: Vec<VerifiedRow>,
    text: String,
}

/// The result of one batch.
#[derive(Default)]
struct BatchResult {
    number: u64,
    leaves: Vec<Hash>,
    others: Vec<(Position, String)>,
    stubs: Vec<TombstoneRow>,
    findings: Vec<Finding>,
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
    pub stubs: Vec<TombstoneRow>,
    /// The content of each full block, without corrections.
    pub summaries: Vec<Option<Summary>>,
}

impl VerifiedLog {
    /// The whole log.
    pub fn whole(&self) -> Whole<'_> {
        Whole { records: &self.records, others: &self.others }
    }
}

/// Reads every line, checks its hash on all cores, and builds the tree.
pub(super) fn read(
    view: &dyn ReadView,
    weights: FingerprintWeights,
    tree: &mut StreamingTree,
    findings: &mut Findings,
) -> Result<VerifiedLog> {
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (to_workers, batches) = sync_channel::<LineBatch>(2 * workers);
    let batches = Mutex::new(batches);
    let (to_main, done) = channel::<Result<BatchResult>>();
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..workers)
            .map(|_| {
                let (batches, to_main) = (&batches, to_main.clone());
                scope.spawn(move || work(batches, &to_main, weights))
            })
            .collect();
        drop(to_main);
        let mut order = InOrder { next: 0, waiting: BTreeMap::new(), ..InOrder::default() };
        let fed = feed(view, &to_workers, &done, &mut order, tree, findings);
        drop(to_workers);
        for result in done {
            order.take(view, result, tree, findings)?;
        }
        let mut records = LogSums::new(weights);
        for handle in handles {
            records.add(handle.join().map_err(|_| Error::damaged(None, "a verifying thread failed"))?);
        }
        fed?;
        let InOrder { others, stubs, summaries, .. } = order;
        Ok(VerifiedLog { records, others, stubs, summaries })
    })
}

fn feed(
    view: &dyn ReadView,
    to_workers: &SyncSender<LineBatch>,
    done: &Receiver<Result<BatchResult>>,
    order: &mut InOrder,
    tree: &mut StreamingTree,
    findings: &mut Findings,
) -> Result<()> {
    let mut expected = Position::START;
    let mut recorded = Timestamp::MIN;
    let mut batch = LineBatch { first: 1, ..LineBatch::default() };
    let closed = || Error::damaged(None, "a verifying thread failed");
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
            let next = LineBatch { number: batch.number + 1, first: position.get() + 1, ..LineBatch::default() };
            to_workers.send(std::mem::replace(&mut batch, next)).map_err(|_| closed())?;
            while let Ok(result) = done.try_recv() {
                order.take(view, result, tree, findings)?;
            }
        }
        GO_ON
    });
    if !batch.rows.is_empty() {
        to_workers.send(batch).map_err(|_| closed())?;
    }
    read
}

fn work(
    batches: &Mutex<Receiver<LineBatch>>,
    to_main: &std::sync::mpsc::Sender<Result<BatchResult>>,
    weights: FingerprintWeights,
) -> LogSums {
    let mut sums = LogSums::new(weights);
    loop {
        let batch = match batches.lock() {
            Ok(queue) => queue.recv(),
            Err(_) => break,
        };
        let Ok(batch) = batch else { break };
        if to_main.send(check(&batch, &mut sums)).is_err() {
            break;
        }
    }
    sums
}

fn check(batch: &LineBatch, sums: &mut LogSums) -> Result<BatchResult> {
    let mut done = BatchResult { number: batch.number, ..BatchResult::default() };
    let mut digests: BTreeMap<u64, Option<Digest>> = BTreeMap::new();
    let mut last: Option<AccountRef<'static>> = None;
    for (row, number) in batch.rows.iter().zip(batch.first..) {
        let position = Position::new(number);
        let (block, offset) = place(position);
        let digest = digests.entry(block).or_insert_with(|| Some(Digest::default()));
        let line = batch.text.get(row.start..row.end);
        let line = line.ok_or_else(|| bug!("the batch has no text of the line at position {position}"))?;
        let mut add_finding = |what: String| done.findings.push(Finding::new(position, what));
        match Tombstone::read(position, line) {
            Ok(None) => done.leaves.push(leaf_hash(line.as_bytes())),
            // An invalid hash cannot equal the one in the tree.
            Ok(Some(tombstone)) => {
                done.leaves.push(tombstone.leaf.parse().unwrap_or(Hash::EMPTY));
                done.stubs.push(TombstoneRow { position, id: row.id, body: line.to_owned() });
            }
            Err(_) => done.leaves.push(Hash::EMPTY),
        }
        let envelope = match Envelope::parse(position, line) {
            Ok(envelope) => envelope,
            Err(Error::Damaged { what, .. }) => {
                add_finding(what);
                *digest = None;
                continue;
            }
            Err(other) => return Err(other),
        };
        let columns = (row.id, Some(row.kind), row.occurred_at, row.recorded_at);
        if columns
            != (
                envelope.id,
                EventKind::named(&envelope.kind).map(EventKind::code),
                envelope.occurred_at,
                envelope.recorded_at,
            )
        {
            add_finding("the columns differ from the line".to_owned());
        }
        if !is_record(&envelope.kind) {
            done.others.push((position, line.to_owned()));
            // The comparison of projections reports an unreadable event.
            let event = envelope.open(position);
            add(digest, |digest| event.and_then(|event| digest.event(offset, event.occurred_at, &event.payload)));
            continue;
        }
        match serde_json::from_str::<TokenView<'_>>(envelope.data.get()) {
            Ok(record) => {
                add(digest, |digest| digest.record(offset, envelope.occurred_at, &record));
                sums.sums.record(envelope.occurred_at, &record, false)?;
                if is_counted_later(envelope.occurred_at, record.counted_at) {
                    done.others.push((position, line.to_owned()));
                }
                for entry in alias_entries(record.ids(), envelope.id, position) {
                    sums.sums.row(Table::Keys, &entry);
                }
                let account = AccountRef::new(&record.provider, record.account.as_deref());
                if last.as_ref() != Some(&account) {
                    let account = account.into_owned();
                    sums.accounts.insert(account.clone());
                    last = Some(account);
                }
            }
            Err(e) => {
                *digest = None;
                add_finding(format!("this record is unreadable ({e})"));
            }
        }
    }
    let read = batch.first + batch.rows.len() as u64 - 1;
    digests.retain(|number, _| (number + 1) * BLOCK <= read);
    done.blocks.extend(digests.into_values().map(|digest| digest.map(|digest| (digest.column(), digest.summary))));
    Ok(done)
}

/// Adds an event to a block. A block with an unreadable event has no valid rows.
fn add(digest: &mut Option<Digest>, add: impl FnOnce(&mut Digest) -> Result<()>) {
    if digest.as_mut().is_some_and(|digest| add(digest).is_err()) {
        *digest = None;
    }
}

/// Delivers batches in the order of the log, whichever worker finishes first.
#[derive(Default)]
struct InOrder {
    next: u64,
    waiting: BTreeMap<u64, BatchResult>,
    others: Vec<(Position, String)>,
    stubs: Vec<TombstoneRow>,
    summaries: Vec<Option<Summary>>,
}

impl InOrder {
    fn take(
        &mut self,
        view: &dyn ReadView,
        done: Result<BatchResult>,
        tree: &mut StreamingTree,
        findings: &mut Findings,
    ) -> Result<()> {
        let done = done?;
        self.waiting.insert(done.number, done);
        while let Some(done) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.others.extend(done.others);
            self.stubs.extend(done.stubs);
            findings.0.extend(done.findings);
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
