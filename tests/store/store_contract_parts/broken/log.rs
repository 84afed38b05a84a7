//! Stores that break rules about the log.

use std::collections::HashMap;
use std::sync::Mutex;

use usage_ledger::store::{EventStore, GO_ON, Head, MemoryStore, ReadView, Row, Transaction};
use usage_ledger::{Error, EventId, Position, Result, Timestamp};

use super::{Flaw, RowVisitor, Written};
use usage_ledger::store::conformance::support::{LogRow, rows_from};

super::breakages! {
    SkipsAPosition fails [positions_have_no_gaps a_transaction_reads_the_rows_it_wrote rows_are_read_from_a_given_position
        a_conflict_names_the_earlier_position]
    RollbackUsesUpAPosition fails [a_rolled_back_append_uses_up_no_position]
    AppendsInReverse fails [rows_are_in_the_order_of_commits the_bytes_of_a_body_round_trip the_head_is_the_last_row
        a_large_body_round_trips a_row_round_trips_with_all_its_columns a_conflict_names_the_earlier_position
        a_conflict_leaves_no_trace rows_are_read_from_a_given_position]
    ReordersTheCallsOfACommit fails [rows_are_in_the_order_of_commits]
    TakesAnIdTwice fails [an_id_is_unique_in_the_log a_conflict_names_the_earlier_position a_conflict_leaves_no_trace]
    NamesTheLaterPosition fails [a_conflict_names_the_earlier_position]
    ConflictKeepsTheRowsInFront fails [a_conflict_leaves_no_trace]
    FindsNoId fails [an_id_finds_its_position a_transaction_reads_the_rows_it_wrote a_visitor_may_query_the_view
        a_conflict_leaves_no_trace]
    FindsEveryId fails [an_empty_ledger_has_no_head an_id_finds_its_position a_conflict_leaves_no_trace
        a_dropped_transaction_leaves_no_rows no_write_is_visible_before_the_commit a_snapshot_stays_as_it_is]
    ReadsBehindThePosition fails [rows_are_read_from_a_given_position a_transaction_reads_the_rows_it_wrote
        a_large_body_round_trips a_follower_misses_nothing a_visitor_may_query_the_view]
    GoesOnAfterStop fails [rows_are_read_from_a_given_position]
    HeadIsOneBehind fails [the_head_is_the_last_row a_transaction_reads_the_rows_it_wrote]
    HeadForgetsItsTime fails [the_head_is_the_last_row a_transaction_reads_the_rows_it_wrote
        a_dropped_transaction_leaves_no_rows a_snapshot_stays_as_it_is]
    EmptyLedgerHasAHead fails [an_empty_ledger_has_no_head no_write_is_visible_before_the_commit]
    MixesUpTheTimes fails [a_row_round_trips_with_all_its_columns rows_are_read_from_a_given_position
        a_large_body_round_trips the_head_is_the_last_row a_transaction_reads_the_rows_it_wrote]
    ForgetsTheKind fails [a_row_round_trips_with_all_its_columns rows_are_read_from_a_given_position
        a_large_body_round_trips the_head_is_the_last_row a_transaction_reads_the_rows_it_wrote]
    TrimsBodies fails [the_bytes_of_a_body_round_trip]
    CutsBodiesAtAZero fails [the_bytes_of_a_body_round_trip]
    NormalisesBodies fails [the_bytes_of_a_body_round_trip]
    CutsBodiesAtAMegabyte fails [a_large_body_round_trips]
    ForgetsALastByte fails [the_bytes_of_a_body_round_trip]
    RewritesAnOldRow fails [a_row_never_disappears]
    KeepsShreddedBodies fails [a_tombstone_replaces_a_body]
    ShredsTheNextRow fails [a_tombstone_replaces_a_body a_missing_position_cannot_be_shredded]
    ShredsWhatIsNotThere fails [a_missing_position_cannot_be_shredded]
    RollbackShreds fails [a_dropped_transaction_shreds_nothing]
}

/// A sequence that skips a number: position 3 is never used.
#[derive(Default)]
struct SkipsAPosition;

fn skip(position: Position, gap: u64) -> Position {
    if position.get() >= gap { position.next() } else { position }
}

impl Flaw for SkipsAPosition {
    fn head(&self, view: &dyn ReadView) -> Result<Head> {
        let head = view.head()?;
        Ok(Head { position: skip(head.position, 3), ..head })
    }
    fn position_of(&self, view: &dyn ReadView, id: EventId) -> Result<Option<Position>> {
        Ok(view.position_of(id)?.map(|at| skip(at, 3)))
    }
    fn rows(&self, view: &dyn ReadView, from: Position, visit: RowVisitor<'_>) -> Result<()> {
        view.rows(Position::START, &mut |at, row| {
            let shown = skip(at, 3);
            if shown < from { GO_ON } else { visit(shown, row) }
        })
    }
    fn append(&self, tx: &mut dyn Transaction, rows: &[Row<'_>]) -> Result<Position> {
        match tx.append(rows) {
            Ok(at) => Ok(skip(at, 3)),
            Err(Error::Conflict { id, position }) => Err(Error::Conflict { id, position: skip(position, 3) }),
            Err(other) => Err(other),
        }
    }
}

/// A database sequence as the cursor: numbers drawn by a rolled-back transaction are lost.
#[derive(Default)]
struct RollbackUsesUpAPosition(Mutex<u64>);

impl Flaw for RollbackUsesUpAPosition {
    fn append(&self, tx: &mut dyn Transaction, rows: &[Row<'_>]) -> Result<Position> {
        let used_up = *self.0.lock().unwrap();
        Ok(Position::new(tx.append(rows)?.get() + used_up))
    }
    fn rolled_back(&self, _: &MemoryStore, written: &Written) {
        *self.0.lock().unwrap() += written.rows.len() as u64;
    }
}

#[derive(Default)]
struct AppendsInReverse;

impl Flaw for AppendsInReverse {
    fn append(&self, tx: &mut dyn Transaction, rows: &[Row<'_>]) -> Result<Position> {
        let mut reversed = rows.to_vec();
        reversed.reverse();
        tx.append(&reversed)
    }
}

/// The first and the last row of a commit are swapped if they were appended in several calls.
#[derive(Default)]
struct ReordersTheCallsOfACommit(Mutex<Vec<(u64, u64)>>);

impl ReordersTheCallsOfACommit {
    fn shown(&self, at: Position) -> Position {
        let swaps = self.0.lock().unwrap();
        let other = swaps.iter().find_map(|(a, b)| match at.get() {
            n if n == *a => Some(*b),
            n if n == *b => Some(*a),
            _ => None,
        });
        other.map_or(at, Position::new)
    }
}

impl Flaw for ReordersTheCallsOfACommit {
    fn commit(&self, tx: Box<dyn Transaction + '_>, _: &MemoryStore, written: &Written) -> Result<()> {
        if written.calls > 1 {
            let last = tx.head()?.position.get();
            self.0.lock().unwrap().push((last + 1 - written.rows.len() as u64, last));
        }
        tx.commit()
    }
    fn position_of(&self, view: &dyn ReadView, id: EventId) -> Result<Option<Position>> {
        Ok(view.position_of(id)?.map(|at| self.shown(at)))
    }
    fn rows(&self, view: &dyn ReadView, from: Position, visit: RowVisitor<'_>) -> Result<()> {
        let mut rows: Vec<(Position, LogRow)> =
            rows_from(view, 0).into_iter().map(|(at, line)| (self.shown(Position::new(at)), line)).collect();
        rows.sort_by_key(|(at, _)| *at);
        for (at, line) in rows.iter().filter(|(at, _)| *at >= from) {
            if visit(*at, line.row())?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// An index that is not unique: the second row with an id gets another one.
#[derive(Default)]
struct TakesAnIdTwice(Mutex<HashMap<EventId, EventId>>);

impl Flaw for TakesAnIdTwice {
    fn append(&self, tx: &mut dyn Transaction, rows: &[Row<'_>]) -> Result<Position> {
        let mut last = tx.head()?.position;
        for row in rows {
            let mut row = *row;
            while tx.position_of(row.id)?.is_some() {
                let other =
                    usage_ledger::store::conformance::support::id(1_000_000 + self.0.lock().unwrap().len() as u64);
                self.0.lock().unwrap().insert(other, row.id);
                row.id = other;
            }
            last = tx.append(&[row])?;
        }
        Ok(last)
    }
    fn rows(&self, view: &dyn ReadView, from: Position, visit: RowVisitor<'_>) -> Result<()> {
        view.rows(from, &mut |at, row| {
            let id = self.0.lock().unwrap().get(&row.id).copied().unwrap_or(row.id);
            visit(at, Row { id, ..row })
        })
    }
}

#[derive(Default)]
struct NamesTheLaterPosition;

impl Flaw for NamesTheLaterPosition {
    fn append(&self, tx: &mut dyn Transaction, rows: &[Row<'_>]) -> Result<Position> {
        tx.append(rows).map_err(|error| match error {
            Error::Conflict { id, position } => Error::Conflict { id, position: position.next() },
            other => other,
        })
    }
}

/// Rows before a conflict stay although the transaction was dropped.
#[derive(Default)]
struct ConflictKeepsTheRowsInFront;

impl Flaw for ConflictKeepsTheRowsInFront {
    fn rolled_back(&self, handle: &MemoryStore, written: &Written) {
        if written.conflict && !written.rows.is_empty() {
            let mut tx = handle.write().unwrap();
            written.append_all(&mut *tx).unwrap();
            tx.commit().unwrap();
        }
    }
}

#[derive(Default)]
struct FindsNoId;

impl Flaw for FindsNoId {
    fn position_of(&self, _: &dyn ReadView, _: EventId) -> Result<Option<Position>> {
        Ok(None)
    }
}

#[derive(Default)]
struct FindsEveryId;

impl Flaw for FindsEveryId {
    fn position_of(&self, view: &dyn ReadView, id: EventId) -> Result<Option<Position>> {
        Ok(view.position_of(id)?.or(Some(Position::new(1))))
    }
}

/// `>` in place of `>=`.
#[derive(Default)]
struct ReadsBehindThePosition;

impl Flaw for ReadsBehindThePosition {
    fn rows(&self, view: &dyn ReadView, from: Position, visit: RowVisitor<'_>) -> Result<()> {
        view.rows(if from == Position::START { from } else { from.next() }, visit)
    }
}

#[derive(Default)]
struct GoesOnAfterStop;

impl Flaw for GoesOnAfterStop {
    fn rows(&self, view: &dyn ReadView, from: Position, visit: RowVisitor<'_>) -> Result<()> {
        view.rows(from, &mut |at, row| {
            let _ = visit(at, row)?;
            GO_ON
        })
    }
}

#[derive(Default)]
struct HeadIsOneBehind;

impl Flaw for HeadIsOneBehind {
    fn head(&self, view: &dyn ReadView) -> Result<Head> {
        let head = view.head()?;
        Ok(Head { position: Position::new(head.position.get().saturating_sub(1)), ..head })
    }
}

#[derive(Default)]
struct HeadForgetsItsTime;

impl Flaw for HeadForgetsItsTime {
    fn head(&self, view: &dyn ReadView) -> Result<Head> {
        Ok(Head { recorded_at: Timestamp::default(), ..view.head()? })
    }
}

#[derive(Default)]
struct EmptyLedgerHasAHead;

impl Flaw for EmptyLedgerHasAHead {
    fn head(&self, view: &dyn ReadView) -> Result<Head> {
        let head = view.head()?;
        Ok(Head { position: head.position.max(Position::new(1)), ..head })
    }
}

/// Shows changed rows.
fn changed(view: &dyn ReadView, from: Position, visit: RowVisitor<'_>, change: impl Fn(&mut LogRow)) -> Result<()> {
    view.rows(from, &mut |at, row| {
        let mut line = LogRow::from(row);
        change(&mut line);
        visit(at, line.row())
    })
}

macro_rules! changes_rows {
    ($($(#[$doc:meta])* $flaw:ident: $change:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        struct $flaw;

        impl Flaw for $flaw {
            fn rows(&self, view: &dyn ReadView, from: Position, visit: RowVisitor<'_>) -> Result<()> {
                changed(view, from, visit, $change)
            }
        }
    )*};
}

fn cut(line: &mut LogRow, bytes: usize) {
    let end = line.body.char_indices().map(|(at, _)| at).find(|at| *at >= bytes);
    line.body.truncate(end.unwrap_or(line.body.len()));
}

changes_rows! {
    MixesUpTheTimes: |line| std::mem::swap(&mut line.occurred_at, &mut line.recorded_at);
    ForgetsTheKind: |line| line.kind = 0;
    TrimsBodies: |line| line.body = line.body.trim().to_owned();
    /// A C string.
    CutsBodiesAtAZero: |line| cut(line, line.body.find('\0').unwrap_or(usize::MAX));
    /// A database that normalises Unicode.
    NormalisesBodies: |line| line.body = line.body.replace("e\u{301}", "\u{e9}");
    CutsBodiesAtAMegabyte: |line| cut(line, 1_000_000);
    /// Only if it is white space.
    ForgetsALastByte: |line| if line.body.ends_with([' ', '\n']) { cut(line, line.body.len() - 1); };
}

#[derive(Default)]
struct KeepsShreddedBodies;

impl Flaw for KeepsShreddedBodies {
    fn shred(&self, tx: &mut dyn Transaction, position: Position, _: &str) -> Result<()> {
        let kept = rows_from(&*tx, position.get()).into_iter().next().map(|(_, line)| line.body);
        tx.shred(position, &kept.unwrap_or_default())
    }
}

/// The index of a row used as its position.
#[derive(Default)]
struct ShredsTheNextRow;

impl Flaw for ShredsTheNextRow {
    fn shred(&self, tx: &mut dyn Transaction, position: Position, tombstone: &str) -> Result<()> {
        tx.shred(position.next(), tombstone)
    }
}

/// An UPDATE that matched no row.
#[derive(Default)]
struct ShredsWhatIsNotThere;

impl Flaw for ShredsWhatIsNotThere {
    fn shred(&self, tx: &mut dyn Transaction, position: Position, tombstone: &str) -> Result<()> {
        match tx.shred(position, tombstone) {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }
}

/// Bodies are replaced at once, even if the transaction is dropped.
#[derive(Default)]
struct RollbackShreds;

impl Flaw for RollbackShreds {
    fn rolled_back(&self, handle: &MemoryStore, written: &Written) {
        if !written.shreds.is_empty() {
            let mut tx = handle.write().unwrap();
            // What was refused before is refused again.
            if written.append_all(&mut *tx).and_then(|()| written.shred_all(&mut *tx)).is_ok() {
                tx.commit().unwrap();
            }
        }
    }
}

/// A visible row changes later.
#[derive(Default)]
struct RewritesAnOldRow;

impl Flaw for RewritesAnOldRow {
    fn rows(&self, view: &dyn ReadView, from: Position, visit: RowVisitor<'_>) -> Result<()> {
        let late = rows_from(view, 1).len() == 5;
        view.rows(from, &mut |at, row| {
            let body = if late && at == Position::new(2) { "rewritten" } else { row.body };
            visit(at, Row { body, ..row })
        })
    }
}
