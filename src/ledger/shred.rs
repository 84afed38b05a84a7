//! Shredding: erases names from the log, the projections and the file. Numbers and proofs stay valid.

mod plan;
#[cfg(feature = "cli")]
mod received;
mod request;
mod selector;

use super::{Ledger, Snapshot};
use crate::merkle::{Hash, stored_leaf};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventKind, EventShredded, NewEvent, Payload, Position, Raw, Subject};
use crate::model::time::Timestamp;
use crate::projection::blocks::{place, position_at, refresh};
use crate::projection::leaf_at;
use crate::projection::past::rewrite;
use crate::projection::{latest_event, refile, root};
use crate::store::{GO_ON, ReadView, STOP, WriteView};
pub use request::Shred;

#[cfg(feature = "cli")]
pub(super) use received::carry_out;

use plan::ShredPlan;
use selector::{Mentions, Selector};

/// Events that are shredded at once. Their `event_shredded` events are written before their bodies are erased.
const CHUNK: usize = 512;
/// The maximal number of reported lines that still contain an erased name.
const STILL: usize = 1_000;

/// The result of a shredding.
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
    /// The shredded events, in order.
    pub events: Vec<Position>,
    /// Lines that still contain an erased name as part of something that stays; at most the first thousand.
    pub still: Vec<Position>,
    /// Whether the store's files were rewritten, so that they contain nothing of this shredding or an earlier one.
    pub erased: bool,
    /// Why the store's files still contain shredded text, if they do. [`Ledger::erase`] continues from there.
    pub unerased: Option<Error>,
}

/// One event that is being shredded.
struct RemovedNames {
    event: Event,
    position: Position,
    leaf: Hash,
    keeps: String,
}

impl Ledger {
    /// Shreds events: their text is erased from the log, the projections and the store's files. Their positions, leaf
    /// hashes and numbers stay, so proofs remain valid and totals unchanged. In reports by project, conversation and
    /// label they have no value.
    ///
    /// Import events about an affected log lose the names of all their logs. Their data about the other logs are
    /// appended again.
    ///
    /// It cannot be undone. It does not reach backups, exports and other copies. An import skips an unchanged log of a
    /// shredded session. Lines appended to that log later are new facts, and recorded with their names.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a missing event, [`Error::Invalid`] if it contains nothing to erase, and the store's own
    /// errors. Nothing is written then.
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
            let plan = ShredPlan::make(appender.view()?, shred)?;
            let positions: Vec<Position> = plan.positions().collect();
            let restated = plan.restated(appender.view()?)?;
            for chunk in positions.chunks(CHUNK) {
                let mut removed = Vec::with_capacity(chunk.len());
                for position in chunk {
                    removed.extend(take(appender.view()?, *position, &plan)?);
                }
                let mut roots: Vec<Position> = Vec::new();
                for one in &removed {
                    roots.extend(root_of(appender.view()?, one)?);
                }
                roots.sort_unstable();
                roots.dedup();
                appender.count(&roots, true)?;
                appender.shred(removed.into_iter().map(|one| {
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
                refresh_blocks(sink, &positions)?;
                rewrite(sink, plan.chapters())?;
            }
            Ok((positions, still(appender.view()?, &shred.selector)?))
        })?;
        // Without events to shred, this continues the erasure of an earlier shredding, if any.
        let erase = !events.is_empty() || self.has_shredded(now)?;
        let unerased = if erase { self.erase().err() } else { None };
        Ok(Shredding { events, still, erased: erase && unerased.is_none(), unerased })
    }

    fn has_shredded(&self, now: Timestamp) -> Result<bool> {
        let snapshot = self.snapshot()?;
        let now = now.max(snapshot.head()?.recorded_at);
        Ok(latest_event(snapshot.view(), EventKind::EventShredded, &Subject::Ledger, now, Some)?.is_some())
    }

    /// The events that [`shred`](Self::shred) would shred now.
    ///
    /// # Errors
    /// As for [`shred`](Self::shred).
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
        Ok(ShredPlan::make(snapshot.view(), shred)?.positions().collect())
    }

    /// Erases everything that was shredded from the store's files. SQLite's file is rewritten, which temporarily needs
    /// its size again and the time of a copy. [`shred`](Self::shred) does that itself; this continues where it could
    /// not.
    ///
    /// # Errors
    /// [`Error::NotErased`] if another program keeps the old bytes in use, or there is no space.
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
    /// The RFC 6962 leaf hash of the event at a position; for a shredded event, the hash of the original line.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a missing position, [`Error::Damaged`] for an unreadable tombstone, and the store's own
    /// errors.
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
}

/// Prepares the shredding of the event at a position.
fn take(view: &dyn ReadView, position: Position, plan: &ShredPlan) -> Result<Option<RemovedNames>> {
    let line = view.expect_line(position)?;
    let leaf = stored_leaf(position, &line)?;
    if leaf != leaf_at(view, position)? {
        // An altered line is evidence, and must stay.
        return Err(Error::damaged(position, "the line does not have the hash that the tree keeps of it"));
    }
    let event = Event::from_line(position, &line)?;
    let Some(kept) = plan.kept(position, &event) else { return Ok(None) };
    Ok(Some(RemovedNames { keeps: kept.to_line()?, event, position, leaf }))
}

/// Rewrites the blocks with shredded events, so that they contain no hash of an erased name.
fn refresh_blocks(sink: &mut dyn WriteView, positions: &[Position]) -> Result<()> {
    let mut numbers: Vec<u64> = positions.iter().map(|position| place(*position).0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into_iter().try_for_each(|number| refresh(sink, position_at(number, 0)))
}

/// The record whose counting depends on an event.
fn root_of(view: &dyn ReadView, removed: &RemovedNames) -> Result<Option<Position>> {
    match removed.event.payload {
        Payload::TokensRecorded(_) => Ok(Some(removed.position)),
        Payload::TokensAmended(_) => root(view, &removed.event, Position::new(u64::MAX)),
        _ => Ok(None),
    }
}

/// The lines that contain one of the names.
fn still(view: &dyn ReadView, selector: &[Selector]) -> Result<Vec<Position>> {
    let mut names: Vec<String> = selector.iter().map(Selector::written).collect::<Result<_>>()?;
    names.extend(selector.iter().filter_map(Selector::spelled));
    let mut lines = Vec::new();
    if !names.is_empty() {
        view.rows(Position::START.next(), &mut |position, row| {
            if names.iter().any(|name| row.body.contains(name.as_str())) {
                lines.push(position);
            }
            if lines.len() < STILL { GO_ON } else { STOP }
        })?;
    }
    Ok(lines)
}
