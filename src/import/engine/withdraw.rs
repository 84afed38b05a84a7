//! Withdraws calls that a newer version of an importer does not find in a log that has not changed since an older version read it.
//!
//! An agent or a person may have deleted calls from a log since. Those calls were made, so their records stay. A call is therefore
//! withdrawn only if the part of the log that the older version read is unchanged, and if no other log of the conversation may
//! contain the call.

use std::collections::BTreeSet;
use std::io::{self, Read};

use xxhash_rust::xxh3::Xxh3;

use crate::import::engine::agent::Agent;
use crate::import::engine::compression;
use crate::import::engine::log_file::{LogFile, is_unchanged};
use crate::import::engine::read_again::again_reason;
use crate::import::engine::reconcile::correction_time;
use crate::import::engine::telemetry_match::is_reported_by_telemetry;
use crate::import::engine::unmet::{MetRecords, visit_unmet};
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::event::{Event, EventVoided, ImportedFile, NewEvent, Payload, TokenRecord};
use crate::model::secrets;
use crate::model::time::Timestamp;
use crate::projection::file_states;

/// A log that this import read again, and the state that the older version stored.
pub(in crate::import) type ReadAgain<'j> = (&'j LogFile, &'j ImportedFile);

/// Withdraws the records of a source that this import did not meet in their logs. Returns their number.
pub(in crate::import) fn run(
    ledger: &Ledger,
    agent: &Agent,
    again: &[ReadAgain<'_>],
    met: MetRecords<'_>,
    now: Timestamp,
) -> Result<u64> {
    if again.is_empty() {
        return Ok(0);
    }
    let snapshot = ledger.snapshot()?;
    let view = snapshot.view();
    let mut unmet = Vec::new();
    visit_unmet(view, agent.name, met, &mut |position, recorded| {
        // A record stays if a person or telemetry states the call.
        if !recorded.record.keys.is_empty() && !is_reported_by_telemetry(&recorded.record) {
            unmet.push((position, recorded));
        }
        Ok(())
    })?;
    if unmet.is_empty() {
        return Ok(0);
    }
    let whole = WholeLogs::find(agent, again, file_states(view, agent.name)?.into_values());
    let mut voids = Vec::new();
    for (position, recorded) in unmet.into_iter().filter(|(_, recorded)| whole.contain(&recorded.record)) {
        let target = Event::from_line(position, &view.expect_line(position)?)?.id;
        let reason = format!("{}, which does not find the call in its log", again_reason(agent.source.version()));
        let at = correction_time(now, recorded.amended_at);
        voids.push(NewEvent::new(Payload::from(EventVoided { target, reason }), at).source(agent.name));
    }
    drop(snapshot);
    let withdrawn = voids.len() as u64;
    if withdrawn > 0 {
        ledger.append(voids, now)?;
    }
    Ok(withdrawn)
}

/// Logs that were read again to their end and have not changed since an older version read them.
struct WholeLogs {
    conversations: BTreeSet<String>,
    /// Whether there is no other log that may contain a call of the source.
    all: bool,
}

impl WholeLogs {
    fn find(agent: &Agent, again: &[ReadAgain<'_>], states: impl Iterator<Item = ImportedFile>) -> Self {
        let version = agent.source.version();
        let as_before = |state: &ImportedFile| {
            let path = |file: &LogFile| secrets::path(&file.path.to_string_lossy()) == state.path;
            let read = again.iter().find(|(file, _)| path(file));
            read.is_some_and(|(file, older)| state.version == version && is_as_before(agent, file, older, state))
        };
        let (mut conversations, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
        let (mut all, mut may_be_anywhere) = (true, false);
        for state in states {
            if as_before(&state) {
                conversations.extend(state.conversation);
            } else {
                all = false;
                may_be_anywhere |= agent.source.format(state.path.as_ref()).is_database();
                elsewhere.extend(state.conversation);
            }
        }
        conversations.retain(|conversation| !may_be_anywhere && !elsewhere.contains(conversation));
        Self { conversations, all }
    }

    fn contain(&self, record: &TokenRecord) -> bool {
        self.all || record.conversation.as_ref().is_some_and(|conversation| self.conversations.contains(conversation))
    }
}

/// Returns whether a log was read to its end and its beginning is what the older version read.
fn is_as_before(agent: &Agent, file: &LogFile, older: &ImportedFile, state: &ImportedFile) -> bool {
    let is_whole = state.modified == file.modified && state.size == file.size;
    if agent.source.format(&file.path).is_database() {
        return is_whole && is_unchanged(file, older);
    }
    is_whole && beginning(file, older.offset).is_ok_and(|hash| format!("{hash:016x}") == older.hash)
}

/// Returns the hash of the first bytes of a log.
fn beginning(file: &LogFile, length: u64) -> io::Result<u64> {
    let mut hash = Xxh3::new();
    let read = io::copy(&mut compression::open(&file.path)?.take(length), &mut hash)?;
    if read == length { Ok(hash.digest()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
