//! Moves a ledger to another cluster while it is written.
//!
//! The ledger is copied line by line, so its copy is folded anew and has the same root only if every line is the same. The
//! place that it leaves takes no more events before the rest is copied, and the new place takes none before the roots are compared.
//! Each step reads the rows of all clusters first, so a move that was interrupted anywhere is continued by the same command.

use std::sync::Arc;

use super::segment;
use crate::ledger::{Copied, CopiedLine, Ledger};
use crate::merkle::Hash;
use crate::model::error::{Error, Result};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::store::{LedgerHeadRow, LedgerRedirect, MoveState, PostgresStore, ShardClusters, ShardMap};

/// The ledger is closed at its former place when so few events are left to copy.
const FEW: usize = 500;
/// A move takes fewer steps, unless others move the ledger at the same time.
const STEPS: u32 = 50;

/// The result of a move.
#[derive(Debug)]
pub(crate) struct MovedLedger {
    /// Where it was, if it was not there already.
    pub from: Option<String>,
    /// Events that were copied.
    pub copied: u64,
    pub size: u64,
    pub root: Hash,
    /// Why the map does not name the new place.
    pub map: Option<Error>,
    /// Clusters from which a former copy was removed.
    pub removed: Vec<String>,
    /// Clusters with a former copy that could not be removed, and why.
    pub kept: Vec<(String, Error)>,
}

/// The rows of a ledger on one cluster.
pub(crate) struct LedgerCopy {
    pub cluster: String,
    pub row: LedgerHeadRow,
    store: PostgresStore,
}

impl LedgerCopy {
    fn is_open(&self) -> bool {
        self.row.redirect.is_none()
    }

    fn is(&self, state: MoveState) -> bool {
        self.row.redirect.as_ref().is_some_and(|redirect| redirect.state == state)
    }

    fn leads_to(&self, cluster: &str) -> bool {
        self.row.redirect.as_ref().is_some_and(|redirect| redirect.to.name == cluster)
    }

    fn ledger(&self) -> Result<Ledger> {
        Ok(Ledger::with_store(Box::new(self.store.for_mover()?)))
    }
}

/// Copies of a ledger, and clusters that do not answer.
pub(crate) type LedgerCopies = (Vec<LedgerCopy>, Vec<(String, Error)>);

/// Reads where a ledger has rows.
pub(crate) fn copies(clusters: &ShardClusters, map: &ShardMap, ledger: &str) -> Result<LedgerCopies> {
    let (mut copies, mut silent) = (Vec::new(), Vec::new());
    for cluster in map.clusters().keys() {
        let row = clusters.copy_on(map, cluster, ledger).and_then(|store| Ok((store.head_row()?, store)));
        match row {
            Ok((Some(row), store)) => copies.push(LedgerCopy { cluster: cluster.clone(), row, store }),
            Ok((None, _)) => {}
            Err(error @ Error::Store { .. }) => silent.push((cluster.clone(), error)),
            Err(other) => return Err(other),
        }
    }
    Ok((copies, silent))
}

/// Moves a ledger to a cluster, or continues a move.
///
/// # Errors
/// [`Error::NotFound`] if no cluster has the ledger, [`Error::Unproven`] if the copies differ, and those of the stores. The
/// ledger is then where it was, or takes no events until the move is continued.
pub(crate) fn move_ledger(
    clusters: &Arc<ShardClusters>,
    ledger: &str,
    to: &str,
    now: Timestamp,
) -> Result<MovedLedger> {
    let map = clusters.map()?;
    let mut going = Move { clusters, map: &map, ledger, to, now, from: None, copied: 0 };
    for _ in 0..STEPS {
        let (copies, silent) = copies(clusters, &map, ledger)?;
        let open: Vec<&LedgerCopy> = copies.iter().filter(|copy| copy.is_open()).collect();
        match open.as_slice() {
            [place] if place.cluster == to => return going.finish(place, &copies),
            [place] => going.leave(place, &copies)?,
            [] => going.complete(&copies, silent)?,
            [one, other, ..] => {
                // A program with an older map may have created an empty one.
                let empty = [one, other].into_iter().find(|copy| copy.row.position == 0);
                if let Some(empty) = empty {
                    let place = if empty.cluster == one.cluster { other } else { one };
                    let moved = going.redirect(MoveState::Moved, &place.cluster)?;
                    empty.store.change_place(empty.row.version, Some(&moved))?;
                    continue;
                }
                return Err(Error::unproven(format!(
                    "the ledger {ledger} takes events on the clusters `{}` ({} events) and `{}` ({} events): two maps named \
                     different clusters when it was created; export the shorter one, and ask for help",
                    one.cluster, one.row.position, other.cluster, other.row.position
                )));
            }
        }
    }
    Err(Error::Store {
        what: format!("moving the ledger {ledger}"),
        source: "other programs move it at the same time: repeat the command when they have ended".into(),
    })
}

struct Move<'m> {
    clusters: &'m ShardClusters,
    map: &'m ShardMap,
    ledger: &'m str,
    to: &'m str,
    now: Timestamp,
    from: Option<String>,
    copied: u64,
}

impl Move<'_> {
    fn redirect(&self, state: MoveState, cluster: &str) -> Result<LedgerRedirect> {
        Ok(LedgerRedirect { state, to: self.clusters.named(self.map, cluster, self.ledger)? })
    }

    /// The copy on the new cluster, which takes no events of others; `None` after a change of its row.
    fn target<'c>(&self, from: &LedgerCopy, copies: &'c [LedgerCopy]) -> Result<Option<&'c LedgerCopy>> {
        let incoming = self.redirect(MoveState::Incoming, &from.cluster)?;
        match copies.iter().find(|copy| copy.cluster == self.to) {
            Some(copy)
                if copy.row.redirect.as_ref().is_some_and(|now| now.state == MoveState::Incoming)
                    && copy.leads_to(&from.cluster) =>
            {
                Ok(Some(copy))
            }
            Some(copy) => {
                copy.store.change_place(copy.row.version, Some(&incoming))?;
                Ok(None)
            }
            None => {
                self.clusters.copy_on(self.map, self.to, self.ledger)?.create_incoming(&incoming.to)?;
                Ok(None)
            }
        }
    }

    /// Copies most of the ledger while it is written, and ends its commits at the former place.
    fn leave(&mut self, from: &LedgerCopy, copies: &[LedgerCopy]) -> Result<()> {
        let Some(target) = self.target(from, copies)? else { return Ok(()) };
        self.from = Some(from.cluster.clone());
        self.copy(&from.ledger()?, &target.ledger()?, FEW)?;
        from.store.begin_leaving(&self.clusters.named(self.map, self.to, self.ledger)?)?;
        Ok(())
    }

    /// Continues with a ledger that takes no events anywhere.
    fn complete(&mut self, copies: &[LedgerCopy], silent: Vec<(String, Error)>) -> Result<()> {
        if let Some(from) = copies.iter().find(|copy| copy.is(MoveState::Leaving)) {
            if !from.leads_to(self.to) {
                // The other cluster has not taken over: the ledger stays, and can then move elsewhere.
                from.store.change_place(from.row.version, None)?;
                return Ok(());
            }
            let Some(target) = self.target(from, copies)? else { return Ok(()) };
            self.from = Some(from.cluster.clone());
            let (old, new) = (from.ledger()?, target.ledger()?);
            self.copy(&old, &new, 0)?;
            // Whoever changes the row of the copy from now on prevents that it is opened.
            let Some(row) = target.store.head_row()? else { return Ok(()) };
            let (old, new) = (old.snapshot()?, new.snapshot()?);
            let (size, new_size) = (old.head()?.position, new.head()?.position);
            if size != new_size || old.root()? != new.root()? {
                return Err(Error::unproven(format!(
                    "the copy of the ledger {} on `{}` has {new_size} events and another root than the {size} events on `{}`",
                    self.ledger, target.cluster, from.cluster
                )));
            }
            let moved = self.redirect(MoveState::Moved, self.to)?;
            if from.store.change_place(from.row.version, Some(&moved))? {
                target.store.change_place(row.version, None)?;
            }
            return Ok(());
        }
        // A copy is complete if the place from which it was made says that the ledger has moved there.
        let is_complete = |copy: &LedgerCopy| {
            let mut others = copies.iter().filter(|from| copy.leads_to(&from.cluster) && from.leads_to(&copy.cluster));
            copy.is(MoveState::Incoming) && others.any(|from| from.is(MoveState::Moved))
        };
        if let Some(copy) = copies.iter().find(|copy| is_complete(copy)) {
            copy.store.change_place(copy.row.version, None)?;
            return Ok(());
        }
        match silent.into_iter().next() {
            Some((_, error)) => Err(error),
            None => Err(Error::NotFound { what: format!("of the ledger {} on the clusters of the map", self.ledger) }),
        }
    }

    /// Copies lines until at most `few` are left.
    fn copy(&mut self, from: &Ledger, to: &Ledger, few: usize) -> Result<()> {
        let mut at = to.head()?.position;
        let snapshot = from.snapshot()?;
        if at > snapshot.head()?.position || snapshot.root_at(at.get())? != to.root()? {
            return Err(Error::unproven(format!(
                "the cluster `{}` has another history of the ledger {} with {at} events: remove it there first",
                self.to, self.ledger
            )));
        }
        drop(snapshot);
        loop {
            let lines = segment::lines_after(&from.snapshot()?, at, segment::MOST_EVENTS)?;
            let count = lines.len();
            if count == 0 || count < few {
                return Ok(());
            }
            let lines = CopiedLine::read_all(at, lines)?;
            match to.copy_lines(at, lines, self.now, &|_| Ok(()))? {
                Copied::Held { new, .. } => self.copied += new,
                // Another program copies the same ledger.
                Copied::Gap(_) => {}
                Copied::Differs(position) => {
                    return Err(Error::damaged(position, format!("the copy on `{}` has another line", self.to)));
                }
            }
            at = to.head()?.position;
        }
    }

    /// Notes the new place in the map, and removes former copies.
    fn finish(self, place: &LedgerCopy, copies: &[LedgerCopy]) -> Result<MovedLedger> {
        let map = ShardMap::write_place(self.clusters.path(), self.ledger, self.to).err();
        let ledger = Ledger::with_store(Box::new(place.store.for_mover()?));
        let snapshot = ledger.snapshot()?;
        let (size, root) = (snapshot.head()?.position.get(), snapshot.root()?);
        let (mut removed, mut kept) = (Vec::new(), Vec::new());
        let to = self.clusters.named(self.map, self.to, self.ledger)?;
        for copy in copies.iter().filter(|copy| copy.cluster != place.cluster) {
            if copy.row.position == 0 && copy.leads_to(&place.cluster) {
                continue;
            }
            let remove = || {
                let former = copy.ledger()?;
                let former = former.snapshot()?;
                let held = former.head()?.position.get();
                if held > size || snapshot.root_at(held)? != former.root()? {
                    return Err(Error::unproven(format!(
                        "the former copy on `{}` has {held} events that are not those of the ledger: it stays",
                        copy.cluster
                    )));
                }
                drop(former);
                copy.store.remove_copy(copy.row.version, &to)
            };
            match remove() {
                Ok(true) => removed.push(copy.cluster.clone()),
                Ok(false) => kept.push((copy.cluster.clone(), bug!("the row of the former copy changes"))),
                Err(error) => kept.push((copy.cluster.clone(), error)),
            }
        }
        Ok(MovedLedger { from: self.from, copied: self.copied, size, root, map, removed, kept })
    }
}
