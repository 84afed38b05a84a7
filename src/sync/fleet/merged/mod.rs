//! One ledger of all machines, in a file that follows from the pushed ledgers: deleting it loses nothing.
//!
//! A call that several ledgers report counts once. Its best sighting counts: the largest total, then one with an account, then
//! the smallest id of a ledger. This order does not depend on the order in which ledgers arrive. Everything that windows and
//! decisions are made of is copied, so an account that several machines use has one set of windows.
//!
//! An `imported` event states the position of each ledger up to which its events are in the file, in the transaction that adds
//! them. These positions are the head vector of every answer.
//!
//! A background thread merges what arrives (`worker`). A question takes a snapshot of the merged ledger and reads the head vector
//! from the same snapshot, so its answer is about exactly these positions.

mod batch;
mod merge;
mod sighting;
mod worker;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use self::merge::{Merge, MergeProgress};
use self::sighting::LedgerOwner;
use super::{EnrolledMachine, FleetRegistry, FleetServer};
use crate::ledger::{Ledger, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::time::Timestamp;
use crate::projection::file_states;
use crate::sync::files::{self, FormerFile};

/// The file of the merged ledger.
const FILE: &str = "merged.db";
/// What the merged ledger was made by. Another value makes it again.
const RULES_FILE: &str = "merged.json";
const LOCK: &str = "merged.lock";
/// The version of the rules of this module.
const RULES: u32 = 2;
/// The source of its events.
const SOURCE: &str = "fleet";
/// The name of the server's own ledger in the head vector. It is no id of a pushed ledger.
pub(super) const OWN: &str = "server";
/// Events that one question merges at most. It answers about the positions that it reached.
const MOST_FOR_QUESTION: u64 = 20_000;

/// How often a question looks for a merged ledger that is not made again at the moment.
const ATTEMPTS: usize = 4;

/// The positions up to which the events of each ledger count in an answer.
pub(crate) type HeadVector = BTreeMap<String, u64>;

/// The owner of each ledger.
type LedgerOwners = BTreeMap<String, LedgerOwner>;

/// How the merged ledger was made.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MergeRules {
    rules: u32,
    owners: LedgerOwners,
}

/// Why a ledger is not merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MergeFailure {
    pub at: Timestamp,
    pub message: String,
}

/// What could not be merged.
#[derive(Clone, Debug, Default)]
pub(crate) struct MergeFailures {
    /// Why nothing could be merged.
    pub whole: Option<MergeFailure>,
    /// The ledgers that could not be merged, by their ids.
    pub ledgers: BTreeMap<String, MergeFailure>,
}

/// The merged ledger of a server.
#[derive(Default)]
pub(super) struct MergedLedger {
    /// One merge at a time.
    turn: Mutex<()>,
    state: Mutex<MergedState>,
    /// Wakes the background thread.
    news: Condvar,
}

#[derive(Default)]
struct MergedState {
    ledger: Option<Ledger>,
    /// The list of machines that the file was compared with, and the owners of the ledgers.
    owners: Option<(Arc<FleetRegistry>, Arc<LedgerOwners>)>,
    /// The ledgers that changed since they were merged; `None` stands for all. A merge takes them when it begins.
    changed: Option<BTreeSet<String>>,
    /// A merge has begun, and its ledgers are no longer among the changed ones.
    is_merging: bool,
    /// The position up to which the server's own ledger is merged.
    own: u64,
    /// Whether each ledger was merged at least once since the file was made, so that sums are those of all machines.
    is_whole: bool,
    /// Questions that wait for their turn. The background thread lets them go first.
    questions: usize,
    /// Segments that are being accepted.
    arriving: usize,
    /// When the last segment was accepted or refused.
    arrived: Option<Instant>,
    /// The background thread tries again.
    failures: MergeFailures,
    is_ending: bool,
}

impl MergedLedger {
    fn state(&self) -> MutexGuard<'_, MergedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FleetServer {
    /// Notes that a ledger changed.
    pub(super) fn note_change(&self, id: &str) {
        if let Some(changed) = self.merged.state().changed.as_mut() {
            changed.insert(id.to_owned());
        }
        self.merged.news.notify_all();
    }

    /// The file of the merged ledger.
    pub fn merged_file(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// What is not merged, and why.
    pub fn merge_failures(&self) -> MergeFailures {
        self.merged.state().failures.clone()
    }

    /// Merges everything that the ledgers have, and returns the positions that were reached.
    pub fn merge_all(&self, now: Timestamp) -> Result<HeadVector> {
        self.merge_some(now, u64::MAX)?;
        let ledger = self.merged_ledger()?;
        let MergeFailures { whole, ledgers } = self.merge_failures();
        let one = || ledgers.into_iter().next().map(|(id, failure)| (format!("merging the ledger {id}"), failure));
        if let Some((what, failure)) = whole.map(|failure| ("merging the ledgers".to_owned(), failure)).or_else(one) {
            return Err(Error::Store { what, source: failure.message.into() });
        }
        heads(&ledger.snapshot()?)
    }

    /// The positions that are merged, without merging more.
    pub(super) fn merged_heads(&self) -> Result<HeadVector> {
        heads(&self.merged_ledger()?.snapshot()?)
    }

    /// Asks the merged ledger. The head vector is that of the snapshot, so the answer is about exactly these positions.
    ///
    /// A question merges what the background thread has not merged yet, up to a bounded number of events.
    pub fn ask_merged<T>(&self, now: Timestamp, ask: impl FnOnce(&Snapshot<'_>, &HeadVector) -> T) -> Result<T> {
        if !self.is_up_to_date()? {
            let is_whole = self.merged.state().is_whole;
            let merged = self.merge_for_question(now, if is_whole { MOST_FOR_QUESTION } else { u64::MAX });
            // What is merged already can be asked, whatever prevents more.
            if !self.merged.state().is_whole {
                merged?;
            }
        }
        for _ in 0..ATTEMPTS {
            if let Some(ledger) = self.whole_ledger()? {
                match ledger.snapshot() {
                    // The file was made again meanwhile.
                    Err(Error::Replaced { .. }) => {}
                    snapshot => {
                        let snapshot = snapshot?;
                        let heads = heads(&snapshot)?;
                        return Ok(ask(&snapshot, &heads));
                    }
                }
            }
            self.merge_for_question(now, u64::MAX)?;
        }
        Err(Error::Busy { seconds: 0 })
    }

    /// The merged ledger, if all machines are in it.
    fn whole_ledger(&self) -> Result<Option<Ledger>> {
        let mut state = self.merged.state();
        if state.is_whole { self.open_in(&mut state).map(Some) } else { Ok(None) }
    }

    /// Merges before the background thread goes on.
    fn merge_for_question(&self, now: Timestamp, most: u64) -> Result<()> {
        self.merged.state().questions += 1;
        let merged = self.merge_some(now, most);
        self.merged.state().questions -= 1;
        self.merged.news.notify_all();
        merged.map(drop)
    }

    /// Whether everything that this process knows of is merged.
    fn is_up_to_date(&self) -> Result<bool> {
        let registry = self.registry()?;
        let own = self.own_size()?;
        let state = self.merged.state();
        Ok(state.is_whole
            && !state.is_merging
            && (state.own == own || state.failures.ledgers.contains_key(OWN))
            && state.changed.as_ref().is_some_and(BTreeSet::is_empty)
            && state.owners.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, &registry)))
    }

    fn own_size(&self) -> Result<u64> {
        self.own.as_ref().map_or(Ok(0), |own| Ok(own.head()?.position.get()))
    }

    /// Merges up to a number of events; true if nothing is left. A server that ends merges nothing.
    fn merge_some(&self, now: Timestamp, most: u64) -> Result<bool> {
        let _turn = self.merged.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.merged.state().is_merging = true;
        let done = self.merge_in_turn(now, most);
        let mut state = self.merged.state();
        state.is_merging = false;
        if let Err(error) = &done {
            // What a failed merge leaves undone is looked for in all ledgers.
            state.changed = None;
            let message = error.to_string();
            if state.failures.whole.as_ref().is_none_or(|known| known.message != message) {
                tracing::error!("the ledgers of the machines cannot be merged: {message}");
                state.failures.whole = Some(MergeFailure { at: now, message });
            }
        } else {
            state.failures.whole = None;
        }
        done
    }

    fn merge_in_turn(&self, now: Timestamp, most: u64) -> Result<bool> {
        crate::store::directory::make_private(&self.directory)
            .map_err(|source| Error::Io { path: self.directory.clone(), source })?;
        let _lock = files::lock(&self.directory.join(LOCK))?;
        let registry = self.registry()?;
        let known = self.merged.state().owners.clone().filter(|(known, _)| Arc::ptr_eq(known, &registry));
        let owners = if let Some((_, owners)) = known {
            owners
        } else {
            let owners = Arc::new(owners(&registry, self.own.is_some()));
            self.expect_rules(&owners)?;
            self.merged.state().owners = Some((registry, Arc::clone(&owners)));
            owners
        };
        let mut is_new_file = false;
        loop {
            let merged = self.merged_ledger()?;
            match self.merge_into(&merged, &owners, now, most) {
                Ok(MergeProgress::Lost) | Err(Error::Replaced { .. }) if !is_new_file => {
                    is_new_file = true;
                    drop(merged);
                    self.make_again()?;
                }
                Ok(MergeProgress::Lost) => return Err(Error::Busy { seconds: 0 }),
                Ok(done) => {
                    let is_done = matches!(done, MergeProgress::Whole);
                    self.merged.state().is_whole |= is_done;
                    return Ok(is_done);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds what is new to the merged ledger.
    fn merge_into(&self, merged: &Ledger, owners: &LedgerOwners, now: Timestamp, most: u64) -> Result<MergeProgress> {
        let heads = heads(&merged.snapshot()?)?;
        // What changes from now on is for the next merge.
        let changed = self.merged.state().changed.replace(BTreeSet::new());
        let failed = self.merged.state().failures.ledgers.clone();
        let mut ids: BTreeSet<&String> = match &changed {
            Some(changed) => {
                let is_new = |id: &String| !heads.contains_key(id) && !failed.contains_key(id);
                owners.keys().filter(|id| changed.contains(*id) || is_new(id)).collect()
            }
            None => owners.keys().collect(),
        };
        if self.own_size()? != heads.get(OWN).copied().unwrap_or(0) {
            ids.extend(owners.get_key_value(OWN).map(|(id, _)| id));
        }
        let merge = Merge::new(self, merged, owners, heads, now, most);
        let mut progress = MergeProgress::Whole;
        for id in ids {
            match merge.ledger(id) {
                Ok(MergeProgress::Whole) => drop(self.merged.state().failures.ledgers.remove(id)),
                Ok(MergeProgress::Partial) => {
                    progress = MergeProgress::Partial;
                    if let Some(changed) = self.merged.state().changed.as_mut() {
                        changed.insert(id.clone());
                    }
                }
                Ok(MergeProgress::Lost) => return Ok(MergeProgress::Lost),
                Err(error @ Error::Replaced { .. }) => return Err(error),
                // One ledger that cannot be read must not keep the others away.
                Err(error) => self.note_failure(id, &error, now),
            }
        }
        self.merged.state().own = merge.heads().get(OWN).copied().unwrap_or(0);
        Ok(progress)
    }

    fn note_failure(&self, id: &str, error: &Error, now: Timestamp) {
        let message = error.to_string();
        let mut state = self.merged.state();
        if state.failures.ledgers.get(id).is_none_or(|known| known.message != message) {
            tracing::error!("the ledger {id} cannot be merged: {message}");
            state.failures.ledgers.insert(id.to_owned(), MergeFailure { at: now, message });
        }
    }

    fn merged_ledger(&self) -> Result<Ledger> {
        self.open_in(&mut self.merged.state())
    }

    fn open_in(&self, state: &mut MergedState) -> Result<Ledger> {
        if let Some(ledger) = &state.ledger {
            return Ok(ledger.clone());
        }
        let ledger = match Ledger::open(self.merged_file()) {
            // It was being removed when the server was killed. Everything in it comes from the other ledgers.
            Err(Error::StaleLog { .. }) => {
                self.remove_merged()?;
                Ledger::open(self.merged_file())?
            }
            opened => opened?,
        };
        let ledger = ledger.source(SOURCE);
        state.ledger = Some(ledger.clone());
        Ok(ledger)
    }

    /// Removes a merged ledger of other rules or owners.
    fn expect_rules(&self, owners: &LedgerOwners) -> Result<()> {
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
            self.make_again()?;
        }
        let mut text = serde_json::to_vec(&current).map_err(|error| Error::Store {
            what: "writing the rules of the merged ledger".to_owned(),
            source: Box::new(error),
        })?;
        text.push(b'\n');
        files::write(&path, &text, FormerFile::Replaced)
    }

    /// Removes the file, so that it is made again from all ledgers.
    fn make_again(&self) -> Result<()> {
        let mut state = self.merged.state();
        (state.ledger, state.changed, state.is_whole) = (None, None, false);
        drop(state);
        self.remove_merged()
    }

    fn remove_merged(&self) -> Result<()> {
        for end in ["", "-wal", "-shm", "-journal", "-queue"] {
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

/// The head vector of a snapshot of the merged ledger.
fn heads(snapshot: &Snapshot<'_>) -> Result<HeadVector> {
    Ok(file_states(snapshot.view(), SOURCE)?.into_iter().map(|(id, file)| (id, file.offset)).collect())
}

/// The owner of each ledger.
fn owners(registry: &FleetRegistry, has_own: bool) -> LedgerOwners {
    let machines: BTreeMap<&str, &EnrolledMachine> =
        registry.machines().iter().map(|machine| (machine.name.as_str(), machine)).collect();
    let pushed = registry.ledgers().iter().map(|(id, entry)| {
        let machine = machines.get(entry.machine.as_str());
        let owner = LedgerOwner {
            machine: Some(entry.machine.clone()),
            person: machine.and_then(|machine| machine.person.clone()),
            team: machine.and_then(|machine| machine.team.clone()),
            from: entry.continues.as_ref().map_or(1, |fork| fork.position),
        };
        (id.clone(), owner)
    });
    let own = has_own.then(|| (OWN.to_owned(), LedgerOwner { machine: None, person: None, team: None, from: 1 }));
    pushed.chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TokenRecord;
    use crate::sync::fleet::{MachineChange, StreamPlace};

    #[test]
    fn a_server_that_ends_does_not_wait_for_a_merge() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_780_308_000_000);
        let own = Ledger::in_memory().unwrap();
        own.record(TokenRecord::new("openai", "gpt-5").input(1), now).unwrap();
        let place = StreamPlace::Files(directory.path().join("ledgers"));
        let server = FleetServer::new(directory.path(), place).with_own(own.clone());
        let size = |server: &FleetServer| server.ask_merged(now, |_, heads| heads.get(OWN).copied());
        assert_eq!(size(&server).unwrap(), Some(1));
        own.record(TokenRecord::new("openai", "gpt-5").input(2), now).unwrap();
        server.end_merging();
        assert!(!server.merge_some(now, u64::MAX).unwrap());
        // What is merged can be asked. A merged ledger that is made again cannot.
        assert_eq!(size(&server).unwrap(), Some(1));
        server.make_again().unwrap();
        assert!(matches!(size(&server).unwrap_err(), Error::Busy { .. }));
    }

    #[test]
    fn a_question_waits_for_a_merge_that_has_begun() {
        let directory = tempfile::tempdir().unwrap();
        let now = Timestamp::from_millis(1_780_308_000_000);
        let place = StreamPlace::Files(directory.path().join("ledgers"));
        let server = FleetServer::new(directory.path(), place);
        let enrol = MachineChange::Enrol { name: "laptop", person: None, team: None, renew: false, now };
        server.change_machine(&enrol, None).unwrap();
        server.merge_all(now).unwrap();
        assert!(server.is_up_to_date().unwrap());
        std::thread::scope(|scope| {
            let held = files::lock(&directory.path().join(LOCK)).unwrap();
            let merge = scope.spawn(|| server.merge_some(now, 1));
            while !server.merged.state().is_merging {
                std::thread::yield_now();
            }
            assert!(!server.is_up_to_date().unwrap(), "its ledgers may have been taken from the changed ones");
            drop(held);
            assert!(merge.join().unwrap().unwrap());
        });
        assert!(server.is_up_to_date().unwrap());
    }
}
