//! One ledger of all machines, in a file that follows from the pushed ledgers: deleting it loses nothing.
//!
//! A call that several ledgers report counts once. Its best sighting counts: the largest total, then one with an account, then
//! the smallest id of a ledger. This order does not depend on the order in which ledgers arrive. Everything that windows and
//! decisions are made of is copied, so an account that several machines use has one set of windows.
//!
//! An `imported` event states the position of each ledger up to which its events are in the file, in the transaction that adds
//! them. These positions are the head vector of every answer.

mod batch;
mod sighting;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub(crate) use self::sighting::LABELS;

use self::batch::StreamBatch;
use self::sighting::{LedgerOwner, Sighting, is_better, sighting};
use super::{FleetRegistry, FleetServer};
use crate::ledger::{Appender, Ledger, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::event::{
    Event, EventId, EventVoided, Imported, ImportedFile, NewEvent, Payload, Position, TokenRecord, TokensAmended,
};
use crate::model::time::Timestamp;
use crate::projection::{effective, file_states, find_record};
use crate::store::ReadView;
use crate::sync::files::{self, FormerFile};

/// The file of the merged ledger.
const FILE: &str = "merged.db";
/// What the merged ledger was made by. Another value makes it again.
const RULES_FILE: &str = "merged.json";
const LOCK: &str = "merged.lock";
/// The version of the rules of this module.
const RULES: u32 = 1;
/// The source of its events.
const SOURCE: &str = "fleet";

/// The positions up to which the events of each ledger count in an answer.
pub(crate) type HeadVector = BTreeMap<String, u64>;

/// How the merged ledger was made.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MergeRules {
    rules: u32,
    owners: BTreeMap<String, LedgerOwner>,
}

/// A change of the merged ledger.
enum MergeStep {
    New(EventId, Sighting),
    Amend(EventId, Timestamp, Sighting),
    Void(EventId),
}

/// A merge in progress.
struct Merge<'m> {
    server: &'m FleetServer,
    merged: &'m Ledger,
    owners: &'m BTreeMap<String, LedgerOwner>,
    /// The positions that are merged.
    heads: RefCell<HeadVector>,
    now: Timestamp,
}

impl FleetServer {
    /// The ledgers that changed since the last merge; `None` stands for all.
    fn changed(&self) -> std::sync::MutexGuard<'_, Option<BTreeSet<String>>> {
        self.changed.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Notes that a ledger changed.
    pub(super) fn note_change(&self, id: &str) {
        if let Some(changed) = self.changed().as_mut() {
            changed.insert(id.to_owned());
        }
    }

    /// The file of the merged ledger.
    pub fn merged_file(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Brings the merged ledger up to date and asks it. No other query changes it meanwhile, so the answer is about exactly
    /// the positions of the head vector.
    pub fn ask_merged<T>(&self, now: Timestamp, ask: impl FnOnce(&Ledger, &HeadVector) -> T) -> Result<T> {
        let mut open = self.merged.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _lock = self.lock_merged()?;
        let owners = owners(&self.registry()?);
        self.expect_rules(&owners, &mut open)?;
        let mut attempt = 0;
        loop {
            let merged = match open.as_ref() {
                Some(merged) => merged.clone(),
                None => open.insert(Ledger::open(self.merged_file())?.source(SOURCE)).clone(),
            };
            // What changes from now on is for the next merge. What a failed one leaves undone is looked for in all ledgers.
            let changed = self.changed().replace(BTreeSet::new());
            let done = self.merge(&merged, &owners, changed.as_ref(), now);
            if !matches!(done, Ok(Some(_))) {
                *self.changed() = None;
            }
            if let Some(heads) = done? {
                return Ok(ask(&merged, &heads));
            }
            attempt += 1;
            if attempt > 1 {
                return Err(Error::Busy { seconds: 0 });
            }
            drop(merged);
            *open = None;
            self.remove_merged()?;
        }
    }

    /// Adds what is new to the merged ledger; `None` if it must be made again.
    fn merge(
        &self,
        merged: &Ledger,
        owners: &BTreeMap<String, LedgerOwner>,
        changed: Option<&BTreeSet<String>>,
        now: Timestamp,
    ) -> Result<Option<HeadVector>> {
        let states = file_states(merged.snapshot()?.view(), SOURCE)?;
        let heads = states.into_iter().map(|(id, file)| (id, file.offset)).collect();
        let merge = Merge { server: self, merged, owners, heads: RefCell::new(heads), now };
        Ok(if merge.all(changed)? { Some(merge.heads.into_inner()) } else { None })
    }

    fn lock_merged(&self) -> Result<File> {
        files::lock(&self.directory.join(LOCK))
    }

    /// Removes a merged ledger of other rules or owners.
    fn expect_rules(&self, owners: &BTreeMap<String, LedgerOwner>, open: &mut Option<Ledger>) -> Result<()> {
        let path = self.directory.join(RULES_FILE);
        let known: Option<MergeRules> = match fs::read_to_string(&path) {
            // A file that cannot be read is one of other rules.
            Ok(text) => serde_json::from_str(&text).ok(),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(source) => return Err(Error::Io { path, source }),
        };
        let current = MergeRules { rules: RULES, owners: owners.clone() };
        if known.as_ref() == Some(&current) {
            return Ok(());
        }
        let is_extended = known.is_some_and(|known| {
            known.rules == RULES && known.owners.iter().all(|(id, owner)| owners.get(id) == Some(owner))
        });
        if !is_extended {
            *open = None;
            self.remove_merged()?;
        }
        let mut text = serde_json::to_vec(&current).map_err(|error| Error::Store {
            what: "writing the rules of the merged ledger".to_owned(),
            source: Box::new(error),
        })?;
        text.push(b'\n');
        files::write(&path, &text, FormerFile::Replaced)
    }

    fn remove_merged(&self) -> Result<()> {
        for end in ["", "-wal", "-shm", "-queue"] {
            let mut name = self.merged_file().into_os_string();
            name.push(end);
            match fs::remove_file(Path::new(&name)) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(Error::Io { path: name.into(), source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The owner of each ledger.
fn owners(registry: &FleetRegistry) -> BTreeMap<String, LedgerOwner> {
    let ledgers = registry.ledgers().iter();
    let owner = |machine: &str, from: u64| {
        let known = registry.machines().iter().find(|known| known.name == machine);
        LedgerOwner {
            machine: machine.to_owned(),
            person: known.and_then(|known| known.person.clone()),
            team: known.and_then(|known| known.team.clone()),
            from,
        }
    };
    ledgers
        .map(|(id, entry)| {
            (id.clone(), owner(&entry.machine, entry.continues.as_ref().map_or(1, |fork| fork.position)))
        })
        .collect()
}

impl Merge<'_> {
    /// Adds what is new of the ledgers that changed, or of all; false if the merged ledger must be made again.
    fn all(&self, changed: Option<&BTreeSet<String>>) -> Result<bool> {
        for (id, owner) in self.owners {
            if changed.is_some_and(|changed| !changed.contains(id)) {
                continue;
            }
            let Some(stream) = self.server.streams.open_existing(id)? else { continue };
            if !self.stream(id, owner, &stream.snapshot()?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds what is new of a ledger, in transactions of bounded size; false if events that are merged already were erased or
    /// lost.
    fn stream(&self, id: &str, owner: &LedgerOwner, snapshot: &Snapshot<'_>) -> Result<bool> {
        let size = snapshot.head()?.position.get();
        loop {
            let known = self.merged_up_to(id, owner);
            if known >= size {
                return Ok(known == size || known < owner.from);
            }
            let Some(batch) = StreamBatch::read(snapshot, known, owner.from)? else { return Ok(false) };
            let end = batch.end;
            self.merged.transact(self.now, |appender| self.add(appender, id, owner, snapshot, batch))?;
            self.heads.borrow_mut().insert(id.to_owned(), end);
        }
    }

    fn add(
        &self,
        appender: &mut Appender<'_>,
        id: &str,
        owner: &LedgerOwner,
        snapshot: &Snapshot<'_>,
        batch: StreamBatch,
    ) -> Result<()> {
        let now = appender.recorded_at();
        let mut steps = Vec::new();
        for position in &batch.records {
            steps.extend(self.step(appender.view()?, id, owner, snapshot, *position)?);
        }
        for event in batch.shared {
            let view = appender.view()?;
            let is_known = view.position_of(event.id)?.is_some();
            // A withdrawal of something that is not merged concerns one machine.
            let is_apart = match event.payload.corrects() {
                Some(target) => view.position_of(target)?.is_none(),
                None => false,
            };
            if !is_known && !is_apart && is_valid(&event.payload, id) {
                let new = NewEvent {
                    id: Some(event.id),
                    occurred_at: event.occurred_at,
                    source: SOURCE.into(),
                    payload: event.payload,
                };
                appender.push_new(event.id, new, None)?;
            }
        }
        for step in steps {
            let new = match step {
                MergeStep::New(id, sighting) => {
                    NewEvent { id: Some(id), ..NewEvent::new(sighting.record, sighting.at) }
                }
                MergeStep::Amend(target, first, Sighting { at, record }) => {
                    let at = (at != first).then_some(at);
                    let reason = "another sighting counts".to_owned();
                    NewEvent::new(TokensAmended { target, reason, at, replacement: record }, now)
                }
                MergeStep::Void(target) => {
                    NewEvent::new(EventVoided { target, reason: "no ledger counts it".to_owned() }, now)
                }
            };
            if is_valid(&new.payload, id) {
                let new = new.source(SOURCE);
                match new.id {
                    Some(id) => appender.push_new(id, new, None)?,
                    None => appender.push(new)?,
                };
            }
        }
        let mut run = Imported::new(SOURCE);
        run.files =
            vec![ImportedFile { path: id.to_owned(), offset: batch.end, size: batch.end, ..ImportedFile::default() }];
        appender.push(NewEvent::new(run, now).source(SOURCE))?;
        Ok(())
    }

    /// What changes for a record of a ledger.
    fn step(
        &self,
        merged: &dyn ReadView,
        ledger: &str,
        owner: &LedgerOwner,
        snapshot: &Snapshot<'_>,
        position: Position,
    ) -> Result<Option<MergeStep>> {
        let event = snapshot.event(position)?;
        let Payload::TokensRecorded(original) = &event.payload else { return Ok(None) };
        let own = sighting(snapshot, position, ledger, owner)?;
        let known = match find_record(merged, own.as_ref().map_or(original, |own| &own.record))?.first() {
            Some(known) => Some(*known),
            None => merged.position_of(event.id)?,
        };
        let Some(known) = known else { return Ok(own.map(|own| MergeStep::New(event.id, own))) };
        let first = Event::from_line(known, &merged.expect_line(known)?)?;
        let counted = effective(merged, known, None)?.map(|now| Sighting { at: now.at, record: now.record });
        let is_own = counted
            .as_ref()
            .is_none_or(|counted| counted.record.labels.get("ledger").is_some_and(|name| name == ledger));
        // What this ledger counted became smaller or was withdrawn, so another sighting may count now.
        let shrinks = counted.as_ref().is_some_and(|counted| own.as_ref().is_none_or(|own| is_better(counted, own)));
        let mut best = own;
        if is_own && shrinks {
            best = self.best_elsewhere(ledger, original, event.id, best)?;
        } else if !is_own
            && best.as_ref().is_none_or(|own| counted.as_ref().is_some_and(|counted| !is_better(own, counted)))
        {
            return Ok(None);
        }
        Ok(match (best, counted) {
            (None, None) => None,
            (None, Some(_)) => Some(MergeStep::Void(first.id)),
            (Some(best), Some(counted)) if best.at == counted.at && best.record == counted.record => None,
            (Some(best), _) => Some(MergeStep::Amend(first.id, first.occurred_at, best)),
        })
    }

    /// The best sighting of a call, in all other ledgers and `own`.
    fn best_elsewhere(
        &self,
        ledger: &str,
        record: &TokenRecord,
        id: EventId,
        own: Option<Sighting>,
    ) -> Result<Option<Sighting>> {
        let mut best = own;
        for (other, owner) in self.owners.iter().filter(|(other, _)| *other != ledger) {
            let Some(stream) = self.server.streams.open_existing(other)? else { continue };
            let snapshot = stream.snapshot()?;
            let found = find_record(snapshot.view(), record)?.first().copied();
            let Some(position) = found.map_or_else(|| snapshot.view().position_of(id), |found| Ok(Some(found)))? else {
                continue;
            };
            // A position behind the merged part is added, and compared, later.
            if position.get() < owner.from || position.get() > self.merged_up_to(other, owner) {
                continue;
            }
            if let Some(there) = sighting(&snapshot, position, other, owner)?
                && best.as_ref().is_none_or(|best| is_better(&there, best))
            {
                best = Some(there);
            }
        }
        Ok(best)
    }

    fn merged_up_to(&self, id: &str, owner: &LedgerOwner) -> u64 {
        self.heads.borrow().get(id).copied().unwrap_or(owner.from - 1)
    }
}

/// Whether an event may be in the merged ledger. Nobody else checks the lines of a machine, and one line must not keep the
/// answers about all machines away.
fn is_valid(payload: &Payload, ledger: &str) -> bool {
    payload.validate().inspect_err(|why| tracing::warn!("an event of ledger {ledger} does not count: {why}")).is_ok()
}
