//! Restores a ledger from a server, and verifies it against the checkpoint that the server cosigned.

use super::protocol::{PulledSegment, PushHead, PushedLedgerInfo, PushedLedgerList};
use super::push::{SyncFailure, SyncRequest, SyncResult, SyncTransport, ask, ask_bytes, head_request};
use super::segment;
use crate::ledger::{Copied, CopiedLine, Ledger};
use crate::merkle::{Checkpoint, Note, Verifier, Witness};
use crate::model::error::Error;
use crate::model::event::Position;
use crate::model::time::Timestamp;

/// A restored ledger.
#[derive(Debug)]
pub(crate) struct Pulled {
    /// Its state on the server.
    pub head: PushHead,
    /// The cosigned checkpoint.
    pub checkpoint: Checkpoint,
}

/// The ledgers of the machine that the token belongs to.
pub(crate) fn ledgers(send: SyncTransport<'_>) -> SyncResult<PushedLedgerList> {
    ask(send, &SyncRequest { path: "/push/v1/ledgers".to_owned(), body: None })
}

/// Copies a ledger from the server into an empty one. `server` is the key of the server's cosignatures, if it is known.
pub(crate) fn pull(
    listed: &PushedLedgerInfo,
    copy: &Ledger,
    server: Option<&Witness>,
    now: Timestamp,
    send: SyncTransport<'_>,
) -> SyncResult<Pulled> {
    let head: PushHead = ask(send, &head_request(&listed.ledger))?;
    let checkpoint = cosigned(listed, &head, server)?;
    if head.size < checkpoint.size() {
        return Err(SyncFailure::Untrusted(format!(
            "it cosigned {} events and has {}: it lost events, and cannot restore them",
            checkpoint.size(),
            head.size
        )));
    }
    let mut at = Position::START;
    while at.get() < head.size {
        let path = format!("/push/v1/ledgers/{}/segments?after={at}&until={}", listed.ledger, head.size);
        let (front, lines) = segment::unpack::<PulledSegment>(&ask_bytes(send, &SyncRequest { path, body: None })?)?;
        if front.base != at.get() || front.count != lines.len() as u64 || lines.is_empty() {
            return Err(SyncFailure::Untrusted(format!("its answer does not continue at position {}", at.next())));
        }
        let lines = CopiedLine::read_all(at, lines)?;
        let count = lines.len() as u64;
        match copy.copy_lines(at, lines, now, &|_| Ok(()))? {
            Copied::Held { .. } => at = Position::new(at.get() + count),
            other => return Err(SyncFailure::Untrusted(format!("its answers do not continue each other ({other:?})"))),
        }
    }
    expect_sound(copy, &checkpoint)?;
    Ok(Pulled { head, checkpoint })
}

/// The cosigned checkpoint in a head.
fn cosigned(info: &PushedLedgerInfo, head: &PushHead, server: Option<&Witness>) -> SyncResult<Checkpoint> {
    let Some(text) = &head.checkpoint else {
        return Err(SyncFailure::Untrusted(
            "it has cosigned nothing of this ledger, so nothing can be verified".to_owned(),
        ));
    };
    let note: Note = text.parse()?;
    let stated: Witness = head.server.parse()?;
    if let Some(known) = server.filter(|known| **known != stated) {
        return Err(SyncFailure::Untrusted(format!("its key is {stated}, not {known}")));
    }
    if stated.cosigned(&note)?.is_none() {
        return Err(SyncFailure::Untrusted("its checkpoint has no cosignature by its key".to_owned()));
    }
    let keys = info.keys.iter().map(|key| key.parse::<Verifier>());
    for key in keys {
        let key = key?;
        if key.name() == info.origin && note.verify(&key).is_ok() {
            return Ok(Checkpoint::open(&note, &key)?);
        }
    }
    Err(SyncFailure::Untrusted("no key of the ledger signed its checkpoint".to_owned()))
}

/// Verifies a copy whole, and against the checkpoint.
fn expect_sound(ledger: &Ledger, checkpoint: &Checkpoint) -> SyncResult<()> {
    let verified = ledger.verify_against(std::slice::from_ref(checkpoint))?;
    verified.first().map_or(Ok(()), |first| {
        Err(SyncFailure::Local(Error::unproven(format!("the copy of the server is not sound: {first}"))))
    })
}
