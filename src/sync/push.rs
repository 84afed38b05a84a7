//! The side of a machine: sends new events, and finds where two histories part.

use std::thread;

use super::protocol::{
    CompareRoots, ComparedRoots, PushAccepted, PushHead, PushObstacle, PushRefused, PushSegment, VERSION,
    WitnessedProof, hex,
};
use super::push_state::PushState;
use super::segment::{self, MOST_EVENTS};
use crate::ledger::Snapshot;
use crate::merkle::{Checkpoint, Hash, Note, Signer, Witness};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::invariant::bug;
use crate::model::secrets;
use crate::model::threads::start;

/// Roots that are compared in one request.
const COMPARED: u64 = 256;
/// Answers about another state of the server that a push follows before it gives up.
const ATTEMPTS: u32 = 8;

/// A request to a server.
pub(crate) struct SyncRequest {
    /// The path behind the server's address.
    pub path: String,
    /// The body of a POST with its media type; none for a GET.
    pub body: Option<(Vec<u8>, &'static str)>,
}

/// An answer over HTTP.
pub(crate) struct SyncResponse {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Sends a request. The error states why there is no answer.
pub(crate) type SyncTransport<'t> = &'t (dyn Fn(&SyncRequest) -> std::result::Result<SyncResponse, String> + Sync);

/// The result of a push.
#[derive(Debug)]
pub(crate) struct Pushed {
    /// Events that the server did not have.
    pub events: u64,
    /// Bodies that the server erased.
    pub shredded: u64,
    /// Events of the ledger on the server.
    pub size: u64,
    /// Requests.
    pub requests: u64,
}

/// Why a server did not accept a request.
#[derive(Debug)]
pub(crate) enum SyncFailure {
    /// An error of this machine.
    Local(Error),
    /// There is no answer.
    Unreachable(String),
    /// The server refused.
    Refused(Box<PushRefused>),
    /// The histories differ from this position on.
    Fork(u64),
    /// The server has a longer history that begins with this one.
    Older {
        /// Events of the ledger on the server.
        server: u64,
        /// Events of this ledger.
        here: u64,
    },
    /// The answer of the server is wrong.
    Untrusted(String),
}

impl From<Error> for SyncFailure {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}

pub(crate) type SyncResult<T> = std::result::Result<T, SyncFailure>;

/// Sends a request and reads the answer.
pub(crate) fn ask<A: serde::de::DeserializeOwned>(send: SyncTransport<'_>, request: &SyncRequest) -> SyncResult<A> {
    let body = ask_bytes(send, request)?;
    serde_json::from_slice(&body)
        .map_err(|error| SyncFailure::Untrusted(format!("its answer to {} cannot be read ({error})", request.path)))
}

/// Sends a request and returns the body of the answer.
pub(crate) fn ask_bytes(send: SyncTransport<'_>, request: &SyncRequest) -> SyncResult<Vec<u8>> {
    let answer = send(request).map_err(SyncFailure::Unreachable)?;
    if answer.status == 200 {
        return Ok(answer.body);
    }
    if let Ok(refused) = serde_json::from_slice::<PushRefused>(&answer.body) {
        return Err(SyncFailure::Refused(Box::new(refused)));
    }
    // A guard of the server, or a proxy in front of it.
    let title = match answer.status {
        401 => PushObstacle::Unauthorized,
        403 => PushObstacle::Forbidden,
        404 => PushObstacle::NotFound,
        408 | 413 => PushObstacle::TooLarge,
        429 | 500.. => PushObstacle::Unavailable,
        _ => PushObstacle::Invalid,
    };
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = secrets::name(&text).chars().take(300).collect();
    let detail = format!("status {}: {}", answer.status, text.trim());
    let refused = PushRefused { title, status: answer.status, detail, position: None, head: None };
    Err(SyncFailure::Refused(Box::new(refused)))
}

pub(crate) fn head_request(ledger: &str) -> SyncRequest {
    SyncRequest { path: format!("/push/v1/ledgers/{ledger}/head"), body: None }
}

/// A segment that can be sent.
struct PreparedSegment {
    /// Events in front of it.
    base: u64,
    /// Events up to its end.
    to: u64,
    /// The signed checkpoint of its end.
    checkpoint: String,
    request: SyncRequest,
}

/// A push in progress.
struct PushRun<'p> {
    snapshot: &'p Snapshot<'p>,
    signer: Signer,
    send: SyncTransport<'p>,
    size: u64,
    most_events: usize,
    /// The segment behind the one that was sent last.
    next: Option<PreparedSegment>,
    done: Pushed,
}

/// Sends what the server does not have, and keeps each cosigned checkpoint with `keep` before the next segment.
pub(crate) fn push(
    snapshot: &Snapshot<'_>,
    state: &mut PushState,
    send: SyncTransport<'_>,
    keep: &mut dyn FnMut(&PushState) -> Result<()>,
) -> SyncResult<Pushed> {
    snapshot.expect_whole()?;
    let size = snapshot.head()?.position.get();
    let done = Pushed { events: 0, shredded: 0, size: 0, requests: 0 };
    let signer = state.signer()?;
    let mut run = PushRun { snapshot, signer, send, size, most_events: MOST_EVENTS, next: None, done };
    let mut head = run.presumed(state)?;
    let mut attempts = 0;
    loop {
        let current = match head.take() {
            Some(head) => head,
            None => match run.ask_head(state)? {
                Some(head) => head,
                None => PushHead::of_nothing(state),
            },
        };
        if current.size > size || current.witnessed > size {
            return Err(run.longer(state, &current));
        }
        if current.size > 0 && snapshot.root_at(current.size)?.to_string() != current.root {
            return Err(run.fork(state, current.size));
        }
        let is_complete = current.size == size && current.witnessed == size && current.checkpoint.is_some();
        if is_complete || size == 0 {
            run.keep_found(state, &current, keep)?;
            run.done.size = current.size;
            return Ok(run.done);
        }
        match run.send_segment(state, &current) {
            Ok(accepted) if accepted.new == 0 && accepted.cosignature.is_none() => {
                return Err(SyncFailure::Untrusted(
                    "it accepted a segment, but neither stored nor cosigned it".to_owned(),
                ));
            }
            Ok(accepted) => {
                attempts = 0;
                run.take(state, accepted, keep, &mut head)?;
            }
            Err(SyncFailure::Refused(refused)) => {
                attempts += 1;
                head = run.recover(state, &current, *refused, attempts)?;
            }
            Err(other) => return Err(other),
        }
    }
}

impl PushHead {
    /// The state of a ledger that the server does not have.
    fn of_nothing(state: &PushState) -> Self {
        Self {
            ledger: state.ledger.clone(),
            size: 0,
            root: Hash::EMPTY.to_string(),
            witnessed: 0,
            witnessed_root: Hash::EMPTY.to_string(),
            checkpoint: None,
            server: state.server.clone().unwrap_or_default(),
        }
    }
}

impl PushRun<'_> {
    /// The state of the server after the last push, if there are new events. Asking for it would be one more request.
    fn presumed(&self, state: &PushState) -> Result<Option<PushHead>> {
        let (Some(cosigned), Some(server)) = (state.cosigned()?, &state.server) else {
            // Nothing was pushed yet, so the server has nothing.
            return Ok((state.checkpoint.is_none() && self.size > 0).then(|| PushHead::of_nothing(state)));
        };
        let root = cosigned.root().to_string();
        Ok((cosigned.size() < self.size).then(|| PushHead {
            ledger: state.ledger.clone(),
            size: cosigned.size(),
            root: root.clone(),
            witnessed: cosigned.size(),
            witnessed_root: root,
            checkpoint: state.checkpoint.clone(),
            server: server.clone(),
        }))
    }

    /// The state of the ledger on the server; `None` if the server does not have it.
    fn ask_head(&mut self, state: &PushState) -> SyncResult<Option<PushHead>> {
        self.done.requests += 1;
        match ask(self.send, &head_request(&state.ledger)) {
            Ok(head) => Ok(Some(head)),
            // A server that cosigned the ledger has it.
            Err(SyncFailure::Refused(refused))
                if refused.title == PushObstacle::NotFound && state.checkpoint.is_none() =>
            {
                Ok(None)
            }
            Err(other) => Err(other),
        }
    }

    /// Packs the events behind `base`. `witnessed` is the size that the server cosigned.
    fn prepare(&self, state: &PushState, base: u64, witnessed: u64) -> Result<PreparedSegment> {
        let lines = segment::lines_after(self.snapshot, Position::new(base), self.most_events)?;
        let to = base + lines.len() as u64;
        let checkpoint = Checkpoint::new(self.signer.verifier().name(), to, self.snapshot.root_at(to)?)?;
        let proof =
            |old: u64, new: u64| -> Result<Vec<String>> { Ok(hex(&self.snapshot.prove_consistency(old, new)?.hashes)) };
        let witnessed = if witnessed > to {
            Some(WitnessedProof { size: witnessed, consistency: proof(to, witnessed)? })
        } else {
            None
        };
        let front = PushSegment {
            v: VERSION,
            base,
            count: lines.len() as u64,
            verifier: self.signer.verifier().to_string(),
            checkpoint: checkpoint.sign(&self.signer)?,
            consistency: proof(base, to)?,
            witnessed,
        };
        let request = SyncRequest {
            path: format!("/push/v1/ledgers/{}/segments", state.ledger),
            body: Some((segment::pack(&front, &lines)?, segment::MEDIA_TYPE)),
        };
        Ok(PreparedSegment { base, to, checkpoint: front.checkpoint, request })
    }

    /// Sends the events behind the server's head. While the server works, this machine prepares the next segment.
    fn send_segment(&mut self, state: &PushState, head: &PushHead) -> SyncResult<PushAccepted> {
        // A prepared segment fits if the server has everything in front of it, and nothing more.
        let fits = |next: &PreparedSegment| next.base == head.size && head.witnessed <= next.base;
        let segment = match self.next.take().filter(fits) {
            Some(segment) => segment,
            None => self.prepare(state, head.size, head.witnessed)?,
        };
        self.done.requests += 1;
        let send = self.send;
        let answer = if segment.to < self.size {
            let (answer, next) = thread::scope(|scope| {
                let answer = start(scope, || ask(send, &segment.request))?;
                let next = self.prepare(state, segment.to, segment.to);
                let answer = answer.join().map_err(|_| bug!("the thread that sends a segment panicked"))?;
                Ok::<_, Error>((answer, next))
            })?;
            // A segment that was accepted is kept, whatever prevents the next one: that one is prepared again.
            self.next = next.ok();
            answer
        } else {
            ask(send, &segment.request)
        };
        self.expect_accepted(state, &segment, answer?)
    }

    /// Checks the answer to a segment.
    fn expect_accepted(
        &self,
        state: &PushState,
        segment: &PreparedSegment,
        accepted: PushAccepted,
    ) -> SyncResult<PushAccepted> {
        if let Some(cosignature) = &accepted.cosignature {
            let note: Note = segment.checkpoint.parse::<Note>()?.with_signatures(cosignature)?;
            self.expect_cosigned(state, &note, &accepted.head.server)?;
        }
        if accepted.head.size < segment.to {
            let what =
                format!("it accepted events up to {}, and states that it has {}", segment.to, accepted.head.size);
            return Err(SyncFailure::Untrusted(what));
        }
        Ok(accepted)
    }

    /// Keeps the cosigned checkpoint of a segment.
    fn take(
        &mut self,
        state: &mut PushState,
        accepted: PushAccepted,
        keep: &mut dyn FnMut(&PushState) -> Result<()>,
        head: &mut Option<PushHead>,
    ) -> SyncResult<()> {
        self.done.events += accepted.new;
        self.done.shredded += accepted.shredded;
        self.keep_found(state, &accepted.head, keep)?;
        *head = Some(accepted.head);
        Ok(())
    }

    /// Keeps the server's last cosigned checkpoint if it is one of this ledger, and newer.
    fn keep_found(
        &self,
        state: &mut PushState,
        head: &PushHead,
        keep: &mut dyn FnMut(&PushState) -> Result<()>,
    ) -> SyncResult<()> {
        let Some(text) = &head.checkpoint else { return Ok(()) };
        let note: Note = text.parse()?;
        let checkpoint: Checkpoint = note.text().parse()?;
        if checkpoint.size() > self.size || self.snapshot.root_at(checkpoint.size())? != checkpoint.root() {
            return Err(SyncFailure::Untrusted("its cosigned checkpoint is not one of this ledger".to_owned()));
        }
        self.expect_cosigned(state, &note, &head.server)?;
        if state.cosigned()?.is_some_and(|known| known.size() >= checkpoint.size()) && state.server.is_some() {
            return Ok(());
        }
        state.server = Some(head.server.clone());
        state.checkpoint = Some(text.clone());
        Ok(keep(state)?)
    }

    /// Checks a cosignature. The key of the server is the one of the first push.
    fn expect_cosigned(&self, state: &PushState, note: &Note, server: &str) -> SyncResult<()> {
        if let Some(known) = state.server.as_deref().filter(|known| *known != server) {
            return Err(SyncFailure::Untrusted(format!(
                "its key is {server}, and it was {known} at the first push: another server answers, or it lost its key"
            )));
        }
        let witness: Witness = server.parse()?;
        let checkpoint: Checkpoint = note.text().parse()?;
        if checkpoint.origin() != self.signer.verifier().name() || witness.cosigned(note)?.is_none() {
            return Err(SyncFailure::Untrusted("its checkpoint has no cosignature by its key".to_owned()));
        }
        Ok(())
    }

    /// Where to continue after a refusal.
    fn recover(
        &mut self,
        state: &PushState,
        sent: &PushHead,
        refused: PushRefused,
        attempts: u32,
    ) -> SyncResult<Option<PushHead>> {
        let give_up = attempts > ATTEMPTS;
        match refused.title {
            PushObstacle::Fork => match refused.position {
                Some(position) => Err(SyncFailure::Fork(position)),
                None => Err(self.fork(state, sent.size.max(1))),
            },
            PushObstacle::Gap | PushObstacle::Behind if !give_up && refused.head.is_some() => Ok(refused.head),
            PushObstacle::TooLarge if self.most_events > 1 => {
                self.most_events = (self.most_events / 4).max(1);
                Ok(Some(sent.clone()))
            }
            _ => Err(SyncFailure::Refused(Box::new(refused))),
        }
    }

    /// The failure for a server that has more events than this ledger.
    fn longer(&mut self, state: &PushState, head: &PushHead) -> SyncFailure {
        if head.size < self.size {
            return SyncFailure::Older { server: head.witnessed, here: self.size };
        }
        match self.difference(state, self.size) {
            Ok(Some(position)) => SyncFailure::Fork(position),
            Ok(None) => SyncFailure::Older { server: head.size.max(head.witnessed), here: self.size },
            Err(failure) => failure,
        }
    }

    /// The failure for a history that differs at a position up to `high`.
    fn fork(&mut self, state: &PushState, high: u64) -> SyncFailure {
        match self.difference(state, high) {
            Ok(Some(position)) => SyncFailure::Fork(position),
            Ok(None) => SyncFailure::Untrusted("it states different roots for one size".to_owned()),
            Err(failure) => failure,
        }
    }

    /// The first position up to `high` at which the histories differ: the smallest size with different roots.
    fn difference(&mut self, state: &PushState, high: u64) -> SyncResult<Option<u64>> {
        let (mut low, mut high, mut found) = (0, high, false);
        while !found || high - low > 1 {
            let span = high - low;
            let step = span.div_ceil(COMPARED).max(1);
            let mut sizes: Vec<u64> = (low + 1..=high).step_by(usize::try_from(step).unwrap_or(usize::MAX)).collect();
            if sizes.last() != Some(&high) {
                sizes.push(high);
            }
            let roots = sizes.iter().map(|size| Ok((*size, self.snapshot.root_at(*size)?.to_string())));
            let body = CompareRoots { roots: roots.collect::<Result<_>>()? };
            let body = serde_json::to_vec(&body).map_err(|error| SyncFailure::Untrusted(error.to_string()))?;
            let path = format!("/push/v1/ledgers/{}/compare", state.ledger);
            self.done.requests += 1;
            let compared: ComparedRoots =
                ask(self.send, &SyncRequest { path, body: Some((body, "application/json")) })?;
            let Some(differs) = compared.differs else { return Ok(None) };
            let equal = compared.equal.max(low);
            let is_progress = !found || differs < high || equal > low;
            if equal >= differs || differs > high || !is_progress {
                return Err(SyncFailure::Untrusted("its comparison of roots contradicts itself".to_owned()));
            }
            (low, high, found) = (equal, differs, true);
        }
        Ok(Some(high))
    }
}
