//! Accepts a segment: checks it, stores it, and cosigns its checkpoint.

use super::registry::PushedLedgerEntry;
use super::{EnrolledMachine, FleetAnswer, FleetRefusal, FleetServer, refuse};
use crate::ledger::{Copied, CopiedLine, Ledger};
use crate::merkle::{AddCheckpoint, Checkpoint, ConsistencyProof, Hash, Note, Verifier};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::time::Timestamp;
use crate::projection::root_at;
use crate::store::ReadView;
use crate::sync::protocol::{
    LedgerFork, PushAccepted, PushObstacle, PushRefused, PushSegment, VERSION, hashes, is_ledger_id, read_origin,
};
use crate::sync::segment;
use crate::sync::witness::WitnessAnswer;

/// How often a cosignature is tried while other requests cosign the same ledger.
const ATTEMPTS: usize = 8;

/// A segment whose form and signature were checked.
struct SegmentToAccept<'s> {
    id: &'s str,
    base: u64,
    to: u64,
    verifier: Verifier,
    /// The history that the origin of the key names.
    continues: Option<LedgerFork>,
    note: Note,
    checkpoint: Checkpoint,
    front: &'s PushSegment,
}

/// The last checkpoint that the server cosigned.
#[derive(Clone, Copy)]
struct WitnessedTree {
    size: u64,
    root: Hash,
}

fn invalid<T>(detail: impl Into<String>) -> FleetAnswer<T> {
    refuse(PushObstacle::Invalid, detail)
}

/// The refusal for input of a machine that is wrong, and the failure for an error of the server.
fn of_input(error: Error) -> FleetRefusal {
    match error {
        Error::Invalid { .. }
        | Error::Unproven { .. }
        | Error::UnknownEvent { .. }
        | Error::Conflict { .. }
        | Error::Overflow { .. } => PushRefused::new(PushObstacle::Invalid, error.to_string()).into(),
        other => FleetRefusal::Failed(other),
    }
}

impl FleetServer {
    /// Accepts a segment of a ledger, or refuses it. The same segment can be sent again.
    pub fn accept(
        &self,
        machine: &EnrolledMachine,
        id: &str,
        packed: &[u8],
        now: Timestamp,
    ) -> FleetAnswer<PushAccepted> {
        let _arriving = self.note_arrival();
        let accepted = self.accept_segment(machine, id, packed, now);
        self.refusals.note(&machine.name, id, accepted.as_ref().map(drop), now);
        accepted
    }

    fn accept_segment(
        &self,
        machine: &EnrolledMachine,
        id: &str,
        packed: &[u8],
        now: Timestamp,
    ) -> FleetAnswer<PushAccepted> {
        let (front, lines): (PushSegment, _) = segment::unpack(packed).map_err(of_input)?;
        let segment = SegmentToAccept::read(id, &front, lines.len() as u64)?;
        let entry = self.entry(machine, &segment, now)?;
        let ledger = self.streams.open(id)?;
        let witnessed = match self.witnessed(&entry.origin)? {
            Some((_, checkpoint)) => WitnessedTree { size: checkpoint.size(), root: checkpoint.root() },
            None => WitnessedTree { size: 0, root: Hash::EMPTY },
        };
        self.check(&segment, &ledger, witnessed, &entry)?;
        let lines = CopiedLine::read_all(Position::new(segment.base), lines).map_err(of_input)?;
        let fork = self.fork_check(&segment, &entry)?;
        let accept = |view: &dyn ReadView| {
            if root_at(view, segment.to)? != segment.checkpoint.root() {
                return Err(Error::unproven("the lines do not have the root of their checkpoint"));
            }
            if segment.to >= witnessed.size && root_at(view, witnessed.size)? != witnessed.root {
                return Err(Error::unproven("the history is not the one that this server cosigned"));
            }
            fork.check(view, segment.to)
        };
        let copied = ledger.copy_lines(Position::new(segment.base), lines, now, &accept).map_err(of_input)?;
        let (new, shredded) = match copied {
            Copied::Held { new, shredded } => (new, shredded),
            Copied::Gap(_) => return self.refuse_with_head(PushObstacle::Gap, &segment, &ledger, &entry),
            Copied::Differs(position) => {
                let what = format!(
                    "the history of ledger {id} differs from the one that this server has at position {position}: another \
                     machine pushed it, such as a clone or a restored backup"
                );
                return Err(PushRefused::new(PushObstacle::Fork, what).at(position.get()).into());
            }
        };
        if shredded > 0 && self.streams.erases_alone() {
            // The bodies are out of the ledger. What remains in free pages goes with the next rewrite if this one fails.
            if let Err(error) = ledger.erase() {
                tracing::error!("shredded text of ledger {id} is still in its file: {error}");
            }
        }
        if let Some(fork) = &segment.continues {
            // The machine goes on with another ledger, so the refusal of the former one is settled.
            self.refusals.note(&machine.name, &fork.ledger, Ok(()), now);
        }
        self.note_change(id);
        let cosignature = self.cosign(&segment, &ledger, now)?;
        let head = self.head_of(&ledger, id, &entry.origin)?;
        Ok(PushAccepted { schema: 1, new, shredded, cosignature, head })
    }

    /// The entry of the ledger. A first segment creates it for the machine.
    fn entry(
        &self,
        machine: &EnrolledMachine,
        segment: &SegmentToAccept<'_>,
        now: Timestamp,
    ) -> FleetAnswer<PushedLedgerEntry> {
        let key = segment.verifier.to_string();
        let origin = segment.verifier.name();
        let own = |entry: PushedLedgerEntry| {
            if entry.machine != machine.name {
                return refuse(
                    PushObstacle::Forbidden,
                    format!("the ledger {} belongs to another machine", segment.id),
                );
            }
            if entry.origin != origin {
                return invalid(format!("the checkpoints of ledger {} have the origin {}", segment.id, entry.origin));
            }
            Ok(entry)
        };
        if let Some(entry) = self.registry()?.ledgers().get(segment.id) {
            let entry = own(entry.clone())?;
            if entry.keys.contains(&key) {
                return Ok(entry);
            }
        }
        // The token allows another key, for a machine that was restored without its key.
        let new = PushedLedgerEntry {
            machine: machine.name.clone(),
            origin: origin.to_owned(),
            keys: Vec::new(),
            continues: segment.continues.clone(),
            created_at: now,
        };
        own(self.registry.change(|registry| registry.add_key(segment.id, &key, new))?)
    }

    /// Checks a segment against what the server holds and what it cosigned, before anything is stored.
    fn check(
        &self,
        segment: &SegmentToAccept<'_>,
        ledger: &Ledger,
        witnessed: WitnessedTree,
        entry: &PushedLedgerEntry,
    ) -> FleetAnswer<()> {
        let snapshot = ledger.snapshot()?;
        let size = snapshot.head()?.position.get();
        if segment.base > size {
            return self.refuse_with_head(PushObstacle::Gap, segment, ledger, entry);
        }
        let proof = ConsistencyProof {
            old: segment.base,
            new: segment.to,
            hashes: hashes(&segment.front.consistency).map_err(of_input)?,
        };
        if proof.verify(&snapshot.root_at(segment.base)?, &segment.checkpoint.root()).is_err() {
            let what = "the checkpoint does not extend the history that this server has";
            return Err(PushRefused::new(PushObstacle::Fork, what).into());
        }
        // While the store has the lines, comparing them names the first position that differs.
        if segment.to == witnessed.size && segment.checkpoint.root() != witnessed.root && size < segment.to {
            let what = "this server cosigned another history of this size";
            return Err(PushRefused::new(PushObstacle::Fork, what).into());
        }
        if segment.to < witnessed.size && size < witnessed.size {
            let Some(later) = segment.front.witnessed.as_ref().filter(|later| later.size == witnessed.size) else {
                return self.refuse_with_head(PushObstacle::Behind, segment, ledger, entry);
            };
            let hashes = hashes(&later.consistency).map_err(of_input)?;
            let later = ConsistencyProof { old: segment.to, new: witnessed.size, hashes };
            if later.verify(&segment.checkpoint.root(), &witnessed.root).is_err() {
                return invalid("the events are not part of the history that this server cosigned");
            }
        }
        Ok(())
    }

    fn refuse_with_head<T>(
        &self,
        title: PushObstacle,
        segment: &SegmentToAccept<'_>,
        ledger: &Ledger,
        entry: &PushedLedgerEntry,
    ) -> FleetAnswer<T> {
        let head = self.head_of(ledger, segment.id, &entry.origin)?;
        let detail = match title {
            PushObstacle::Behind => format!(
                "the store has {} events and the server cosigned {}: send a proof that the segment belongs to them",
                head.size, head.witnessed
            ),
            _ => format!("the server has {} events: send those behind them first", head.size),
        };
        Err(PushRefused::new(title, detail).with_head(head).into())
    }

    /// What a ledger that continues another one must not repeat.
    fn fork_check(&self, segment: &SegmentToAccept<'_>, entry: &PushedLedgerEntry) -> FleetAnswer<ForkCheck> {
        let Some(fork) = &entry.continues else { return Ok(ForkCheck::default()) };
        let shared = fork.position - 1;
        if segment.base > fork.position || segment.to < shared {
            return Ok(ForkCheck::default());
        }
        let Some(other) = self.streams.open_existing(&fork.ledger)? else {
            return invalid(format!("this server has no ledger {}, which this one continues", fork.ledger));
        };
        let snapshot = other.snapshot()?;
        let size = snapshot.head()?.position.get();
        if size < shared {
            return invalid(format!(
                "ledger {} has {size} events here, so this one cannot leave it at position {}",
                fork.ledger, fork.position
            ));
        }
        let shared_root = snapshot.root_at(shared)?;
        let next_root = if size > shared { Some(snapshot.root_at(fork.position)?) } else { None };
        Ok(ForkCheck { expected: Some(ExpectedFork { ledger: fork.ledger.clone(), shared, shared_root, next_root }) })
    }

    /// Cosigns the checkpoint, unless the store is behind an earlier cosignature. The new state of the witness is durable
    /// before the cosignature is returned.
    fn cosign(&self, segment: &SegmentToAccept<'_>, ledger: &Ledger, now: Timestamp) -> FleetAnswer<Option<String>> {
        let log = self.witness_log(vec![segment.verifier.clone()])?;
        for _ in 0..ATTEMPTS {
            let old = self.witnessed(segment.verifier.name())?.map_or(0, |(_, checkpoint)| checkpoint.size());
            if segment.to < old {
                return Ok(None);
            }
            let proof = ledger.snapshot()?.prove_consistency(old, segment.to)?;
            let request = AddCheckpoint::new(old, proof.hashes, segment.note.clone()).to_string();
            match log.add_checkpoint(&request, now)? {
                WitnessAnswer::Cosigned(lines) => return Ok(Some(lines)),
                // Another request cosigned a later checkpoint at the same moment.
                WitnessAnswer::Conflict(_) => {}
                other => return invalid(other.body().trim_end().to_owned()),
            }
        }
        refuse(PushObstacle::Unavailable, "other requests cosign this ledger: send the segment again")
    }
}

/// The history that a ledger shares with the one that it continues.
#[derive(Default)]
struct ForkCheck {
    expected: Option<ExpectedFork>,
}

struct ExpectedFork {
    ledger: String,
    shared: u64,
    shared_root: Hash,
    next_root: Option<Hash>,
}

impl ForkCheck {
    /// The events in front of the fork are those of the other ledger, and the first one behind it is not: so the sums of
    /// both ledgers count each event once.
    fn check(&self, view: &dyn ReadView, to: u64) -> Result<()> {
        let Some(ExpectedFork { ledger, shared, shared_root, next_root }) = &self.expected else { return Ok(()) };
        if root_at(view, *shared)? != *shared_root {
            return Err(Error::invalid(format!(
                "the events up to position {shared} are not those of ledger {ledger}: name the first position that differs \
                 with --from"
            )));
        }
        let next = shared + 1;
        if to >= next
            && let Some(root) = next_root
            && root_at(view, next)? == *root
        {
            return Err(Error::invalid(format!(
                "the event at position {next} is also in ledger {ledger}: name the first position that differs with --from"
            )));
        }
        Ok(())
    }
}

impl<'s> SegmentToAccept<'s> {
    fn read(id: &'s str, front: &'s PushSegment, lines: u64) -> FleetAnswer<Self> {
        if front.v != VERSION {
            return invalid(format!("this server knows version {VERSION} of segments, not {}", front.v));
        }
        let to = front.base.checked_add(front.count).filter(|to| i64::try_from(*to).is_ok());
        let Some(to) = to.filter(|_| front.count == lines) else {
            return invalid(format!("the segment has {lines} lines, and its head states {}", front.count));
        };
        let verifier: Verifier = front.verifier.parse().map_err(of_input)?;
        let named = read_origin(verifier.name()).filter(|(ledger, _)| is_ledger_id(id) && ledger == id);
        let Some((_, continues)) = named else {
            return invalid(format!("the key {} is not one of ledger {id}", verifier.name()));
        };
        let note: Note = front.checkpoint.parse().map_err(of_input)?;
        let checkpoint = Checkpoint::open(&note, &verifier).map_err(of_input)?;
        if checkpoint.size() != to {
            return invalid(format!(
                "the checkpoint is about {} events, and the segment ends at {to}",
                checkpoint.size()
            ));
        }
        Ok(Self { id, base: front.base, to, verifier, continues, note, checkpoint, front })
    }
}
