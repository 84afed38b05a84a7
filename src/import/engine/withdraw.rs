//! Calls that a newer version of an importer does not find any more in a log that is as the older version read it.
//!
//! A log may have lost calls since, because its agent or a person deleted them: those were used and stay. So only a log counts
//! whose part that was read is unchanged, and only if no other log of the conversation may contain the call.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Read};

use xxhash_rust::xxh3::Xxh3;

use crate::import::engine::agent::Agent;
use crate::import::engine::compression;
use crate::import::engine::log_file::{LogFile, is_unchanged};
use crate::import::engine::read_again::again_reason;
use crate::import::engine::telemetry_match::is_reported_by_telemetry;
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::event::{Event, EventKind, EventVoided, ImportedFile, NewEvent, Payload, Position, TokenRecord};
use crate::model::secrets;
use crate::model::time::Timestamp;
use crate::projection::{Effective, effective, file_states};
use crate::store::{GO_ON, STOP};

/// A log that this import read again, and how far the older version had read it.
pub(in crate::import) type ReadAgain<'j> = (&'j LogFile, &'j ImportedFile);

/// Withdraws the records of a source up to a position that its logs had and that this import did not meet. Gives how many.
pub(in crate::import) fn run(
    ledger: &Ledger,
    agent: &Agent,
    again: &[ReadAgain<'_>],
    (met, until): (&HashSet<Position>, Position),
    now: Timestamp,
) -> Result<u64> {
    if again.is_empty() {
        return Ok(0);
    }
    let unmet = unmet(ledger, agent, met, until)?;
    if unmet.is_empty() {
        return Ok(0);
    }
    let snapshot = ledger.snapshot()?;
    let whole = WholeLogs::find(agent, again, file_states(snapshot.view(), agent.name)?.into_values());
    let mut voids = Vec::new();
    for (position, told) in unmet.into_iter().filter(|(_, told)| whole.contain(&told.record)) {
        let target = Event::from_line(position, &snapshot.view().expect_line(position)?)?.id;
        let reason = format!("{}, which does not find the call in its log", again_reason(agent.source.version()));
        let at = told.amended_at.map_or(now, |amended| now.max(amended.plus(1)));
        voids.push(NewEvent::new(Payload::from(EventVoided { target, reason }), at).source(agent.name));
    }
    drop(snapshot);
    let withdrawn = voids.len() as u64;
    if withdrawn > 0 {
        ledger.append(voids, now)?;
    }
    Ok(withdrawn)
}

/// The records of a source, as they count, that this import did not meet. What a person or telemetry states of a call keeps it.
fn unmet(
    ledger: &Ledger,
    agent: &Agent,
    met: &HashSet<Position>,
    until: Position,
) -> Result<Vec<(Position, Effective)>> {
    let snapshot = ledger.snapshot()?;
    let view = snapshot.view();
    let mut positions = Vec::new();
    let source = format!("\"source\":\"{}\"", agent.name);
    view.rows(Position::START.next(), &mut |position, row| {
        if position > until {
            return STOP;
        }
        if row.is_kind(EventKind::TokensRecorded) && !met.contains(&position) && row.body.contains(&source) {
            positions.push(position);
        }
        GO_ON
    })?;
    let mut found = Vec::new();
    for position in positions {
        let Some(told) = effective(view, position, None)? else { continue };
        let is_own = told.source == agent.name && !told.shredded && !told.record.keys.is_empty();
        if is_own && !is_reported_by_telemetry(&told.record) {
            found.push((position, told));
        }
    }
    Ok(found)
}

/// Logs that were read again whole, and are as they were.
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

/// Whether a log, which was read to its end, has all that the older version read of it.
fn is_as_before(agent: &Agent, file: &LogFile, older: &ImportedFile, state: &ImportedFile) -> bool {
    let is_whole = state.modified == file.modified && state.size == file.size;
    if agent.source.format(&file.path).is_database() {
        return is_whole && is_unchanged(file, older);
    }
    is_whole && beginning(file, older.offset).is_ok_and(|hash| format!("{hash:016x}") == older.hash)
}

/// The hash of the first bytes of a log.
fn beginning(file: &LogFile, length: u64) -> io::Result<u64> {
    let mut hash = Xxh3::new();
    let read = io::copy(&mut compression::open(&file.path)?.take(length), &mut hash)?;
    if read == length { Ok(hash.digest()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
