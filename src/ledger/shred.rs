//! Shredding: names that must go, out of the log, the projections and the file, while numbers and proofs stay.

mod carried;
mod plan;
mod request;

use super::{Ledger, Snapshot};
use crate::merkle::{Hash, stored_leaf};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventKind, EventShredded, NewEvent, Payload, Position, Raw, Stub};
use crate::model::time::Timestamp;
use crate::projection::blocks::{place, position_at, refresh};
use crate::projection::leaf_at;
use crate::projection::{Subject, facts, refile, root};
use crate::store::clear;
use crate::store::{GO_ON, Order, ReadView, STOP, Table, WriteView};
pub use request::Shred;

use carried::{Carried, Mentions};
use plan::Plan;

/// Events shredded at a time: their words are written before their bodies go.
const CHUNK: usize = 512;
/// Lines named that still hold what was shredded elsewhere.
const STILL: usize = 1_000;

/// What became of a shredding.
///
/// ```
/// use usage_ledger::{Ledger, Shred, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "acme-tuned").input(1).project("acme"), now)?;
/// let done = ledger.shred(&Shred::because("asked").project("acme"), now)?;
/// assert_eq!(done.events, [1.into()]);
/// assert_eq!(done.still, [1.into(), 2.into()]); // the model has that name too, and models stay
/// assert!(done.unerased.is_none());
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Shredding {
    /// The events whose bodies went, in order.
    pub events: Vec<Position>,
    /// Lines in which a name that was to go still stands, as part of something that stays; at most the first thousand.
    pub still: Vec<Position>,
    /// Whether the store's files were written anew, so that nothing of this shredding or an earlier one is in them.
    pub erased: bool,
    /// Why the store's files still hold what was shredded, if they do: [`Ledger::erase`] goes on from there.
    pub unerased: Option<Error>,
}

/// One event on its way out.
struct RemovedNames {
    event: Event,
    position: Position,
    leaf: Hash,
    keeps: String,
}

impl Ledger {
    /// Shreds events: their bodies go from the log, the projections and the store's files. Their positions, leaf hashes
    /// and numbers stay, so proofs hold, and totals are what they were; by project, conversation and label they move to
    /// none.
    ///
    /// Runs of importers that told of a log that goes lose the names of all their logs; what they said of the others is
    /// appended anew.
    ///
    /// It cannot be undone. Backups, exports and what others copied are not reached. As long as an agent's log is there and
    /// says the same, an import leaves it alone; what is appended to it later is a new fact and told by its names.
    ///
    /// # Errors
    /// [`Error::NotFound`] for an event that is not there, [`Error::Invalid`] when it holds nothing that can go, and the
    /// store's own. Then nothing is written.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Report, ReportKey, Shred, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("anthropic", "claude-opus-4-5").input(120).project("acme"), now)?;
    /// let (root, proof) = (ledger.root()?, ledger.snapshot()?.prove_inclusion(1.into(), None)?);
    /// ledger.shred(&Shred::because("the customer asked").project("acme"), now)?;
    /// let table = ledger.report(&Report::by(ReportKey::Project))?;
    /// assert_eq!((table.rows[0].keys[0].as_deref(), table.total.tokens.total()), (None, 120));
    /// assert!(proof.verify(&ledger.snapshot()?.leaf(1.into())?, &root).is_ok()); // as before
    /// assert!(ledger.verify()?.ok);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn shred(&self, shred: &Shred, now: impl Into<Timestamp>) -> Result<Shredding> {
        let now = now.into();
        shred.validate()?;
        let source = self.source.clone();
        let (events, still) = self.transact(now, |appender| {
            let plan = Plan::make(appender.view()?, shred)?;
            let positions: Vec<Position> = plan.positions().collect();
            let restated = plan.restated(appender.view()?)?;
            for chunk in positions.chunks(CHUNK) {
                let mut going = Vec::with_capacity(chunk.len());
                for position in chunk {
                    going.extend(take(appender.view()?, *position, &plan)?);
                }
                let mut roots: Vec<Position> = Vec::new();
                for one in &going {
                    roots.extend(root_of(appender.view()?, one)?);
                }
                roots.sort_unstable();
                roots.dedup();
                appender.count(&roots, true)?;
                appender.shred(going.into_iter().map(|one| {
                    let word = EventShredded {
                        target: one.event.id,
                        position: one.position,
                        leaf: one.leaf.to_string(),
                        reason: shred.reason.clone(),
                        author: shred.author.clone(),
                        keeps: Raw::parse(&one.keeps)?,
                    };
                    Ok((NewEvent::new(Payload::from(word), now).source(source.clone()), one.keeps))
                }))?;
                appender.count(&roots, false)?;
            }
            for run in restated {
                let source = run.source.clone();
                appender.push(NewEvent::new(run, now).source(source))?;
            }
            if !positions.is_empty() {
                let sink = appender.sink()?;
                if plan.has_imports() {
                    refile(sink)?;
                }
                clear(sink, Table::Snapshots)?;
                refresh_blocks(sink, &positions)?;
            }
            Ok((positions, still(appender.view()?, &shred.carried)?))
        })?;
        // Where nothing is left to shred an earlier shredding may have been unable to erase, and this is how it is asked
        // to go on.
        let erase = !events.is_empty() || self.has_shredded(now)?;
        let unerased = if erase { self.erase().err() } else { None };
        Ok(Shredding { events, still, erased: erase && unerased.is_none(), unerased })
    }

    fn has_shredded(&self, now: Timestamp) -> Result<bool> {
        let mut any = false;
        let snapshot = self.snapshot()?;
        let now = now.max(snapshot.head()?.recorded_at);
        facts(snapshot.view(), EventKind::EventShredded, &Subject::Ledger, now, Order::Descending, &mut |_| {
            any = true;
            STOP
        })?;
        Ok(any)
    }

    /// The events that [`shred`](Self::shred) would shred now.
    ///
    /// # Errors
    /// As there.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Shred, TokenRecord};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).project("acme"), now)?;
    /// assert_eq!(ledger.would_shred(&Shred::because("asked").project("acme"))?, [1.into()]);
    /// assert_eq!(ledger.head()?.position, 1.into()); // nothing was written
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn would_shred(&self, shred: &Shred) -> Result<Vec<Position>> {
        shred.validate()?;
        let snapshot = self.snapshot()?;
        Ok(Plan::make(snapshot.view(), shred)?.positions().collect())
    }

    /// Makes sure that nothing of what was shredded is left in the store's files: SQLite's is written anew, which takes
    /// as much room again and as long as copying it. [`shred`](Self::shred) does that itself; this goes on where it could not.
    ///
    /// # Errors
    /// [`Error::NotErased`] when another program holds on to the old bytes, or there is no room.
    ///
    /// ```
    /// # use usage_ledger::Ledger;
    /// # let dir = tempfile::tempdir()?;
    /// Ledger::open(dir.path().join("usage.db"))?.erase()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn erase(&self) -> Result<()> {
        self.store().erase()
    }
}

impl Snapshot<'_> {
    /// The RFC 6962 leaf hash of the event at a position; of a shredded one, the hash of the line it had.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is none, [`Error::Damaged`] when a stub is unreadable, and the store's own.
    ///
    /// ```
    /// use usage_ledger::{Ledger, TokenRecord, merkle::Hash};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
    /// let line = ledger.event(1)?.to_line()?;
    /// assert_eq!(ledger.snapshot()?.leaf(1.into())?, Hash::of_line(&line));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn leaf(&self, position: Position) -> Result<Hash> {
        stored_leaf(position, &self.stored(position)?)
    }

    /// Where the `event_shredded` is that took the body of the event at a position; `None` when none did. In a snapshot of
    /// the past it may be behind the end: what is gone is gone from the past too.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such event, [`Error::Damaged`] when a stub is unreadable.
    ///
    /// ```
    /// use usage_ledger::{Ledger, Shred, TokenRecord, event::Payload};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.record(TokenRecord::new("openai", "gpt-5").input(1).project("acme"), now)?;
    /// assert_eq!(ledger.snapshot()?.shredded(1.into())?, None);
    /// ledger.shred(&Shred::because("asked").project("acme"), now)?;
    /// let by = ledger.snapshot()?.shredded(1.into())?.unwrap();
    /// assert!(matches!(ledger.event(by)?.payload, Payload::EventShredded(word) if word.reason == "asked"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn shredded(&self, position: Position) -> Result<Option<Position>> {
        Ok(Stub::read(position, &self.stored(position)?)?.map(|stub| stub.by))
    }
}

/// What is to go of the event at a position.
fn take(view: &dyn ReadView, position: Position, plan: &Plan) -> Result<Option<RemovedNames>> {
    let line = view.expect_line(position)?;
    let leaf = stored_leaf(position, &line)?;
    if leaf != leaf_at(view, position)? {
        // A line that was tampered with is evidence.
        return Err(Error::damaged(position, "the line does not have the hash that the tree keeps of it"));
    }
    let event = Event::from_line(position, &line)?;
    let Some(kept) = plan.kept(position, &event) else { return Ok(None) };
    Ok(Some(RemovedNames { keeps: kept.to_line()?, event, position, leaf }))
}

/// Writes the blocks anew that hold shredded events, so that they keep no hash of a name.
fn refresh_blocks(sink: &mut dyn WriteView, positions: &[Position]) -> Result<()> {
    let mut numbers: Vec<u64> = positions.iter().map(|position| place(*position).0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().try_for_each(|number| refresh(sink, position_at(number, 0)))
}

/// The record whose counting depends on an event.
fn root_of(view: &dyn ReadView, going: &RemovedNames) -> Result<Option<Position>> {
    match going.event.payload {
        Payload::TokensRecorded(_) => Ok(Some(going.position)),
        Payload::TokensAmended(_) => root(view, &going.event, Position::new(u64::MAX)),
        _ => Ok(None),
    }
}

/// The lines that hold one of the names.
fn still(view: &dyn ReadView, carried: &[Carried]) -> Result<Vec<Position>> {
    let mut names: Vec<String> = carried.iter().map(Carried::written).collect::<Result<_>>()?;
    names.extend(carried.iter().filter_map(Carried::spelled));
    let mut found = Vec::new();
    if !names.is_empty() {
        view.rows(Position::START.next(), &mut |position, row| {
            if names.iter().any(|name| row.body.contains(name.as_str())) {
                found.push(position);
            }
            if found.len() < STILL { GO_ON } else { STOP }
        })?;
    }
    Ok(found)
}
