//! Recomputes everything that is stored besides the lines, and reports differences.

mod blocks;
mod checkpoints;
mod exact;
mod history;
mod lines;
mod parts;
mod refold;
mod seals;
mod shredded;
mod wrong_block;

use serde::Serialize;

pub(crate) use checkpoints::{hold, hold_all};

use crate::merkle::{Hash, Verifier};
use crate::model::error::{Error, Result};
use crate::model::event::{EventKind, Position};
use crate::projection::{FingerprintWeights, IdSum, StreamingTree};
use crate::store::{GO_ON, ReadView};

/// The result of an audit.
///
/// ```
/// use usage_ledger::{Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// let audit = ledger.verify()?;
/// assert_eq!((audit.ok, audit.size, audit.root), (true, 1, ledger.root()?));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verification {
    /// Whether there are no findings.
    pub ok: bool,
    /// The number of events.
    pub size: u64,
    /// The recomputed root of the tree over them.
    #[serde(serialize_with = "hex")]
    pub root: Hash,
    /// The findings.
    pub findings: Vec<Finding>,
}

/// An inconsistency.
///
/// ```
/// use usage_ledger::{EventId, Ledger};
/// use usage_ledger::store::{EventStore, MemoryStore, Row};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let store = MemoryStore::new();
/// let ledger = Ledger::with_store(Box::new(store.clone()));
/// let id = EventId::from_key("openai", "resp_1");
/// let mut behind_its_back = store.write()?;
/// behind_its_back.append(&[Row { id, kind: 0, occurred_at: now, recorded_at: now, body: "no event" }])?;
/// behind_its_back.commit()?;
/// let audit = ledger.verify()?;
/// assert!(!audit.ok && audit.findings.iter().any(|finding| finding.position == Some(1.into())));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The event that it concerns; `None` if it concerns no existing event.
    pub position: Option<Position>,
    /// What is wrong.
    pub what: String,
    /// The part of the ledger that is wrong.
    #[serde(skip)]
    pub(crate) part: StoredPart,
}

impl Finding {
    /// A finding about the log.
    pub(crate) fn new(position: impl Into<Option<Position>>, what: impl Into<String>) -> Self {
        Self { position: position.into(), what: what.into(), part: StoredPart::Log }
    }
}

/// A part of what a ledger stores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum StoredPart {
    /// Lines, their columns, ids, positions and leaf hashes, and their content. They exist only once.
    #[default]
    Log,
    /// Hashes above the leaves.
    Tree,
    /// Projections.
    Folded,
    /// Triggers and names that the build alone determines.
    Structure,
}

fn hex<S: serde::Serializer>(hash: &Hash, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(hash)
}

/// The maximal number of listed findings.
const MOST: usize = 1_000;

/// The findings so far.
#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, position: impl Into<Option<Position>>, what: impl Into<String>) {
        self.add_of(StoredPart::Log, position, what);
    }

    fn add_of(&mut self, part: StoredPart, position: impl Into<Option<Position>>, what: impl Into<String>) {
        let finding = Finding { part, ..Finding::new(position, what) };
        if self.0.len() < MOST && !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }
}

/// The extent of an audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuditScope {
    /// Lines, tree, projections and cached past states.
    Replay,
    /// Also that each id leads to its own event.
    Everything,
}

/// Runs an audit; with verifiers, also of the signatures of seals.
pub(crate) fn verify(view: &dyn ReadView, scope: AuditScope, verifiers: &[Verifier]) -> Result<Verification> {
    let mut findings = Findings::default();
    let mut tree = StreamingTree::default();
    let weights = FingerprintWeights::random();
    for found in view.structure()? {
        findings.add_of(if found.can_be_repaired { StoredPart::Structure } else { StoredPart::Log }, None, found.what);
    }
    let seen = match lines::read(view, weights, &mut tree, &mut findings) {
        Ok(seen) => Some(seen),
        // An unreadable row is a finding. The rows after it cannot be checked.
        Err(Error::Damaged { position: Some(position), what }) => {
            findings.add(position, what);
            None
        }
        Err(other) => return Err(other),
    };
    lines::compare_partial_groups(view, &tree, &mut findings)?;
    if let Some(seen) = seen {
        if scope == AuditScope::Everything {
            check_ids(view, seen.whole().records.ids, weights, &mut findings)?;
        }
        let compared = shredded::check(&seen, &mut findings)
            .and_then(|()| seals::check(view, &seen, verifiers, &mut findings))
            .and_then(|()| refold::compare(view, &seen.whole(), weights, &mut findings))
            .and_then(|()| blocks::check(view, &seen, &mut findings))
            .and_then(|()| {
                // The past is computed again from the other projections, so wrong ones prove nothing about it.
                let is_sound = findings.0.iter().all(|finding| finding.part != StoredPart::Folded);
                if is_sound { history::check(view, &mut findings) } else { Ok(()) }
            });
        match compared {
            // A line with a finding above may also be impossible to fold.
            Err(Error::Damaged { position, what }) => findings.add_of(StoredPart::Folded, position, what),
            // So may a line that was changed to one of an unknown kind. `lines` has refused those that were appended so.
            Err(Error::UnknownEvent { position, what }) => {
                findings.add_of(StoredPart::Folded, position, format!("{what} is not known to this build"));
            }
            other => other?,
        }
    }
    findings.0.sort_by_key(|finding| finding.position);
    Ok(Verification { ok: findings.0.is_empty(), size: tree.size(), root: tree.root(), findings: findings.0 })
}

/// Compares the ids that lookups find with those of the rows. Only a difference is worth a lookup of each.
fn check_ids(view: &dyn ReadView, of_rows: IdSum, weights: FingerprintWeights, findings: &mut Findings) -> Result<()> {
    let mut found = IdSum::default();
    let read = view.each_id(&mut |id, position| {
        found.add(weights, id, position);
        GO_ON
    });
    match read {
        Ok(()) if found == of_rows => return Ok(()),
        Ok(()) | Err(Error::Damaged { .. }) => {}
        Err(other) => return Err(other),
    }
    let before = findings.0.len();
    view.rows(Position::START.next(), &mut |position, row| {
        match view.position_of(row.id)? {
            Some(found) if found == position => {}
            Some(found) => findings.add(position, format!("its id {} finds position {found}", row.id)),
            None => findings.add(position, format!("its id {} finds nothing", row.id)),
        }
        GO_ON
    })?;
    if findings.0.len() == before {
        findings.add(None, "the index of the ids holds entries of no event, or is out of order");
    }
    Ok(())
}

/// Whether events of a kind only change counters.
fn is_record(kind: &str) -> bool {
    EventKind::named(kind) == Some(EventKind::TokensRecorded)
}
