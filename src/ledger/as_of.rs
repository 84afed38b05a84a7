//! Past states of a ledger, and the rebuild of projections.

use super::Snapshot;
use crate::merkle::stored_leaf;
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::time::Timestamp;
use crate::projection::past::{PastView, lacks_chapters};
use crate::projection::{Fold, last_recorded_until, leaf_at, recorded_at};
use crate::store::clear;
use crate::store::{EventStore, GO_ON, PrefixView, ReadView, STOP, Table, WriteView};

/// Events folded before their counters are written.
const BATCH: u64 = 20_000;

/// A past state of the ledger.
///
/// ```
/// use usage_ledger::{AsOf, Ledger, TokenRecord};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(1), now)?;
/// ledger.record(TokenRecord::new("openai", "gpt-5").input(2), now.plus(1))?;
/// assert_eq!(ledger.as_of(AsOf::Time(now))?.head()?.position.get(), 1);
/// assert_eq!(ledger.as_of(AsOf::Position(2.into()))?.head()?.position.get(), 2);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AsOf {
    /// After the event at this position; 0 is the empty ledger.
    Position(Position),
    /// After the last event recorded up to this time.
    Time(Timestamp),
}

/// The position of a past state.
pub(super) fn position(view: &dyn ReadView, when: AsOf) -> Result<Position> {
    let head = view.head()?.position;
    match when {
        AsOf::Position(position) if position > head => {
            Err(Error::NotFound { what: format!("at position {position} (the last one is {head})") })
        }
        AsOf::Position(position) => Ok(position),
        AsOf::Time(time) => last_recorded_until(view, time),
    }
}

/// The first event that was recorded after a time, and when.
#[cfg(feature = "cli")]
pub(super) fn first_after(view: &dyn ReadView, time: Timestamp) -> Result<Option<(Position, Timestamp)>> {
    let last = position(view, AsOf::Time(time))?;
    if last == view.head()?.position {
        return Ok(None);
    }
    Ok(Some((last.next(), recorded_at(view, last.next())?)))
}

/// Opens the ledger as it was. Nothing is written.
pub(super) fn open(store: &dyn EventStore, when: AsOf) -> Result<Snapshot<'_>> {
    let view = store.read()?;
    let at = position(&*view, when)?;
    let now = match when {
        AsOf::Time(time) => Some(time),
        AsOf::Position(at) if at == Position::START => None,
        AsOf::Position(at) => Some(recorded_at(&*view, at)?),
    };
    if at == view.head()?.position {
        return Ok(Snapshot::new(view).then(now));
    }
    if lacks_chapters(&*view)? {
        // A store that this build did not upgrade: the same answers, from the whole prefix.
        let mut past = PrefixView::new(view, at)?;
        refold(&mut past, Position::START)?;
        return Ok(Snapshot::new(Box::new(past)).then(now));
    }
    Ok(Snapshot::new(Box::new(PastView::new(view, at)?)).then(now))
}

/// Folds the events after `start` into the projections.
pub(super) fn refold(past: &mut dyn WriteView, start: Position) -> Result<()> {
    let mut next = start.next();
    let mut fold = Fold::default();
    loop {
        let lines = lines_from(past, next)?;
        let Some((last, _)) = lines.last() else { return Ok(()) };
        next = last.next();
        for (at, line) in &lines {
            fold.apply(past, *at, line)?;
        }
        fold.flush(past)?;
    }
}

/// The next lines of the log, as many as are folded at once; none behind its end.
///
/// # Errors
/// [`Error::Damaged`] at a missing position.
fn lines_from(view: &dyn ReadView, first: Position) -> Result<Vec<(Position, String)>> {
    let (mut lines, mut expected) = (Vec::new(), first);
    view.rows(first, &mut |at, row| {
        if at != expected {
            return Err(Error::damaged(expected, "there is no event here"));
        }
        expected = expected.next();
        lines.push((at, row.body.to_owned()));
        if lines.len() as u64 == BATCH { STOP } else { GO_ON }
    })?;
    Ok(lines)
}

/// Clears the projections and folds the whole log into them, in one transaction.
pub(super) fn rebuild(store: &dyn EventStore) -> Result<()> {
    let mut tx = store.write()?;
    expect_lines(&*tx)?;
    fold_anew(&mut *tx)?;
    tx.commit()
}

/// Refuses a log with a missing or changed line. Projections of a changed line would agree with it, and nothing would show
/// any more what it was.
fn expect_lines(view: &dyn ReadView) -> Result<()> {
    let mut next = Position::START.next();
    loop {
        let lines = lines_from(view, next)?;
        let Some((last, _)) = lines.last() else { return Ok(()) };
        next = last.next();
        for (at, line) in &lines {
            if stored_leaf(*at, line)? != leaf_at(view, *at)? {
                return Err(Error::damaged(*at, "the line does not match its leaf hash"));
            }
        }
    }
}

/// Clears the projections and folds the whole log into them.
pub(super) fn fold_anew(sink: &mut dyn WriteView) -> Result<()> {
    let of_blocks = [Table::Blocks, Table::Columns, Table::Quarters, Table::Chapters, Table::History];
    for table in Table::FOLDED.into_iter().chain(of_blocks) {
        clear(sink, table)?;
    }
    refold(sink, Position::START)
}
