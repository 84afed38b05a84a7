//! What a snapshot or a transaction reads from the server.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use super::super::{Flow, GO_ON, Head, Order, ReadView, Row, STOP, StructureFinding, Table};
use super::ahead::{LinesAhead, SmallTable, WHOLE};
use super::connection::Connection;
use super::failure::RequestFailure;
use super::fetch::{self, Wanted, fetch, number};
use super::known::{Known, KnownRow, Lookup, Pair, Piece, StoredBody, Unread, successor};
use super::structure;
use crate::model::error::Result;
use crate::model::event::{EventId, Position};
use crate::model::invariant::bug;

/// Rows of the first page of a scan, and of the largest.
const PAGE: (usize, usize) = (64, 4_096);
/// Rows that a snapshot reads ahead for keys in ascending order.
const AHEAD: usize = 256;
/// Rows of the log that a transaction notes behind known ones.
const FOLLOWING: u64 = 255;
/// Rows of a scan that a transaction notes, down and up. Folds read what is around the rows that they change, so a page
/// holds most of what the next pass asks for.
const NOTED: (usize, usize) = (64, 256);
/// How much the pages of each pass are larger than those of the pass before, so that few passes are enough.
const GROWTH: usize = 4;
/// The rows of all noted scans of a table in one direction, in the first pass.
const TOGETHER: usize = 1_024;
/// The fewest rows of a noted scan among many.
const FEWEST: usize = 4;
/// The most rows of a noted scan.
const LARGEST: usize = 1 << 16;
/// Rows that a scan of known rows copies at a time.
const COPIED: usize = 32;

/// How reads are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// From the server, without keeping the rows: a snapshot, which may read everything.
    Direct,
    /// From what is known, else from the server: a transaction.
    Known,
    /// From what is known. Other rows are noted, and are missing for now: a pass of a transaction.
    Noting,
}

/// A connection with an open transaction, and what is known of its state.
pub(super) struct StoredState {
    connection: RefCell<Connection>,
    head: Cell<Option<Head>>,
    known: RefCell<Known>,
    wanted: RefCell<Wanted>,
    reading: Cell<Reading>,
    /// The ids of the last page of a snapshot, with their positions as soon as one of them is asked for.
    near: RefCell<HashMap<EventId, Lookup<Position>>>,
    /// The last key that a snapshot got from each table, and the rows behind it that are read ahead.
    ahead: RefCell<HashMap<Table, (Vec<u8>, Known)>>,
    /// Lines that a snapshot has read ahead.
    lines: RefCell<LinesAhead>,
    /// The corrections, if a snapshot asks for those of many records.
    small: RefCell<SmallTable>,
    /// The factor of pages in this pass.
    growth: Cell<usize>,
}

/// Visits the rows of a piece, and moves the start of the scan behind them. Breaks where the scan ends.
fn visit_piece(
    rows: &[Pair],
    next: Option<Vec<u8>>,
    (from, to): (&mut Vec<u8>, &mut Vec<u8>),
    order: Order,
    visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
) -> Flow {
    for (key, value) in rows {
        if visit(key, value)?.is_break() {
            return STOP;
        }
    }
    match (next, order) {
        (None, _) => return STOP,
        (Some(next), Order::Ascending) => *from = next,
        (Some(next), Order::Descending) => *to = next,
    }
    GO_ON
}

impl StoredState {
    pub fn new(connection: Connection, head: Option<Head>, reading: Reading) -> Self {
        Self {
            connection: RefCell::new(connection),
            head: Cell::new(head),
            known: RefCell::default(),
            wanted: RefCell::default(),
            reading: Cell::new(reading),
            near: RefCell::default(),
            ahead: RefCell::default(),
            lines: RefCell::default(),
            small: RefCell::default(),
            growth: Cell::new(1),
        }
    }

    pub const fn connection(&self) -> &RefCell<Connection> {
        &self.connection
    }

    /// Sets how many passes of this batch were incomplete.
    pub fn set_passes(&self, passes: u32) {
        self.growth.set(GROWTH.saturating_pow(passes).min(LARGEST));
    }

    /// Whether rows were missing that are wanted.
    pub fn is_incomplete(&self) -> bool {
        !self.wanted.borrow().is_empty()
    }

    pub fn set_reading(&self, reading: Reading) {
        self.reading.set(reading);
    }

    /// Asks for everything that was noted.
    pub fn fetch_wanted(&self) -> Result<()> {
        let wanted = self.wanted.take();
        if wanted.is_empty() {
            return Ok(());
        }
        let wanted = self.with_limits(wanted)?;
        self.request("reading", |connection, ledger| fetch(connection, ledger, wanted, &mut self.known.borrow_mut()))
    }

    /// Divides the rows of the scans of a table among them.
    fn with_limits(&self, mut wanted: Wanted) -> Result<Wanted> {
        let mut scans: HashMap<(Table, bool), usize> = HashMap::new();
        wanted.ranges.keys().for_each(|(table, _, _, down)| *scans.entry((*table, *down)).or_default() += 1);
        for ((table, _, _, down), most) in &mut wanted.ranges {
            let scans = scans.get(&(*table, *down)).ok_or_else(|| bug!("a scan that was not counted"))?;
            *most = (*most).min((TOGETHER * self.growth.get() / scans).max(FEWEST));
        }
        Ok(wanted)
    }

    /// Asks for ids that are not known yet, together.
    pub fn want_ids(&self, ids: impl Iterator<Item = EventId>) -> Result<()> {
        {
            let (known, mut wanted) = (self.known.borrow(), self.wanted.borrow_mut());
            wanted.ids.extend(ids.filter(|id| known.position_of(*id).is_err()));
        }
        if self.reading.get() == Reading::Noting { Ok(()) } else { self.fetch_wanted() }
    }

    /// Sends a request.
    pub fn request<T>(
        &self,
        doing: &str,
        request: impl FnOnce(&mut Connection, &str) -> Result<T, RequestFailure>,
    ) -> Result<T> {
        let mut connection = self.connection.borrow_mut();
        let address = connection.address().clone();
        let done = request(&mut connection, address.ledger());
        if matches!(&done, Err(failure) if failure.is_lost()) {
            connection.discard();
        }
        done.map_err(|failure| failure.into_error(&address, doing))
    }

    /// Answers from what is known, after asking for the rest unless this is a pass.
    fn known_or_fetched<T>(
        &self,
        known: impl Fn(&Known) -> Lookup<T>,
        want: impl FnOnce(&mut Wanted),
    ) -> Result<Option<T>> {
        if let Ok(found) = known(&self.known.borrow()) {
            return Ok(found);
        }
        want(&mut self.wanted.borrow_mut());
        if self.reading.get() == Reading::Noting {
            return Ok(None);
        }
        self.fetch_wanted()?;
        known(&self.known.borrow()).map_err(|Unread| bug!("a row is not known after it was read"))
    }

    fn scan_known(
        &self,
        table: Table,
        (from, to): (&[u8], &[u8]),
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        let (mut from, mut to) = (from.to_vec(), to.to_vec());
        let mut seen = 0;
        while to.is_empty() || from < to {
            let piece = self.known.borrow().piece(table, (&from, &to), order, COPIED);
            match piece {
                Piece::Rows(rows, next) => {
                    seen += rows.len();
                    if visit_piece(&rows, next, (&mut from, &mut to), order, visit)?.is_break() {
                        return Ok(());
                    }
                }
                Piece::Gap(low, high) => {
                    let first = if order == Order::Descending { NOTED.0 } else { NOTED.1 };
                    let most = (first * self.growth.get()).max(GROWTH * seen).min(LARGEST);
                    let range = (table, low, high, order == Order::Descending);
                    let mut wanted = self.wanted.borrow_mut();
                    let noted = wanted.ranges.entry(range).or_insert(most);
                    *noted = most.max(*noted);
                    drop(wanted);
                    if self.reading.get() == Reading::Noting {
                        return Ok(());
                    }
                    self.fetch_wanted()?;
                }
            }
        }
        Ok(())
    }

    /// Whether a snapshot knows all rows of a table, which it reads when many scans ask for some.
    fn reads_whole(&self, table: Table) -> Result<bool> {
        let mut small = self.small.borrow_mut();
        if small.note() {
            let page = self.request("reading", |connection, ledger| {
                fetch::page(connection, ledger, table, (&[], &[]), Order::Ascending, WHOLE)
            })?;
            small.keep(table, page);
        }
        Ok(small.whole().is_some())
    }

    /// A scan of a table whose rows are all known.
    fn scan_whole(
        &self,
        table: Table,
        (from, to): (&[u8], &[u8]),
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        let (mut from, mut to) = (from.to_vec(), to.to_vec());
        while to.is_empty() || from < to {
            let piece = self.small.borrow().whole().map(|known| known.piece(table, (&from, &to), order, COPIED));
            let Some(Piece::Rows(rows, next)) = piece else { return Err(bug!("a whole table has a gap")) };
            if visit_piece(&rows, next, (&mut from, &mut to), order, visit)?.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn scan_stored(
        &self,
        table: Table,
        (from, to): (&[u8], &[u8]),
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        let (mut from, mut to, mut most) = (from.to_vec(), to.to_vec(), PAGE.0);
        while to.is_empty() || from < to {
            let page = self.request("reading", |connection, ledger| {
                fetch::page(connection, ledger, table, (&from, &to), order, most)
            })?;
            for (key, value) in &page {
                if visit(key, value)?.is_break() {
                    return Ok(());
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == most => match order {
                    Order::Ascending => from = successor(last),
                    // The first key of all is the empty one, and nothing is before it.
                    Order::Descending if last.is_empty() => return Ok(()),
                    Order::Descending => to.clone_from(last),
                },
                _ => return Ok(()),
            }
            most = (8 * most).min(PAGE.1);
        }
        Ok(())
    }

    /// The position of an id in a snapshot. An audit asks for the id of each row that it reads, so the ids of a page are
    /// asked for together.
    fn position_near(&self, id: EventId) -> Result<Option<Position>> {
        let mut near = self.near.borrow_mut();
        if let Some(Ok(position)) = near.get(&id) {
            return Ok(*position);
        }
        if near.insert(id, Err(Unread)).is_none() {
            near.retain(|other, _| *other == id);
        }
        let ids: Vec<EventId> = near.keys().copied().collect();
        let found = self.request("reading", |connection, ledger| fetch::positions_of(connection, ledger, &ids))?;
        near.values_mut().for_each(|position| *position = Ok(None));
        near.extend(found.into_iter().map(|(id, position)| (id, Ok(Some(position)))));
        near.get(&id).copied().unwrap_or(Err(Unread)).map_err(|Unread| bug!("an id is not known after it was read"))
    }

    /// The value of a key in a snapshot. Keys that are asked for in ascending order are read ahead.
    fn get_near(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let mut ahead = self.ahead.borrow_mut();
        let (last, known) = ahead.entry(table).or_default();
        let ascends = !last.is_empty() && last.as_slice() < key;
        key.clone_into(last);
        if let Ok(value) = known.get(table, key) {
            return Ok(value.map(<[u8]>::to_vec));
        }
        let end = if ascends { Vec::new() } else { successor(key) };
        let most = if ascends { AHEAD } else { 1 };
        let page = self.request("reading", |connection, ledger| {
            fetch::page(connection, ledger, table, (key, &end), Order::Ascending, most)
        })?;
        let end = match page.last() {
            Some((last, _)) if page.len() == most => Some(successor(last)),
            _ => Some(end).filter(|end| !end.is_empty()),
        };
        *known = Known::default();
        known.add(table, key, end.as_deref(), page);
        let found = known.get(table, key).map_err(|Unread| bug!("a key is not known after it was read"))?;
        Ok(found.map(<[u8]>::to_vec))
    }

    /// Visits rows that are known one after the other. Returns where the next unknown one is, or `None` at the end.
    fn visit_known(
        &self,
        from: Position,
        visit: &mut dyn FnMut(Position, Row<'_>) -> Flow,
    ) -> Result<Option<Position>> {
        let mut at = from;
        loop {
            let row = self.known.borrow().row(at).cloned();
            let Some(row) = row else { return Ok(Some(at)) };
            let mut row = [(at, row)];
            self.fill(&mut row)?;
            let [(_, row)] = &row;
            if visit(at, row.as_row()?)?.is_break() {
                return Ok(None);
            }
            at = at.next();
        }
    }
}

impl KnownRow {
    fn as_row(&self) -> Result<Row<'_>> {
        let StoredBody::Line(body) = &self.body else { return Err(bug!("an archived line was not read")) };
        Ok(Row { id: self.id, kind: self.kind, occurred_at: self.occurred_at, recorded_at: self.recorded_at, body })
    }
}

impl ReadView for StoredState {
    fn head(&self) -> Result<Head> {
        if let Some(head) = self.head.get() {
            return Ok(head);
        }
        let rows = self.request("reading", |connection, ledger| {
            let statement = fetch::head(ledger);
            connection.run(|client| statement.send(client))
        })?;
        let head = fetch::head_of(&rows)?;
        self.head.set(Some(head));
        Ok(head)
    }

    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        if self.reading.get() == Reading::Direct {
            return self.position_near(id);
        }
        let want = |wanted: &mut Wanted| {
            wanted.ids.insert(id);
        };
        self.known_or_fetched(|known| known.position_of(id), want)
    }

    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        let direct = self.reading.get() == Reading::Direct;
        let asked = from.max(Position::START.next());
        let from = if direct { Some(from) } else { self.visit_known(asked, visit)? };
        let Some(mut from) = from else { return Ok(()) };
        let head = self.head()?.position;
        if !direct && from > head {
            return Ok(());
        }
        if self.reading.get() == Reading::Noting {
            // Most reads are of one line. One that goes on needs more of them.
            let more = if from == asked { 0 } else { FOLLOWING };
            let last = Position::new(from.get() + more).min(head);
            self.wanted.borrow_mut().rows.insert((from, last));
            return Ok(());
        }
        // The first page has one row, because most reads are of one line.
        let mut most = 1;
        if direct && from > Position::START {
            if self.lines.borrow_mut().note(from) {
                most = AHEAD;
            }
            loop {
                let row = self.lines.borrow().row(from);
                let Some(row) = row else { break };
                if visit(from, row.as_row()?)?.is_break() {
                    return Ok(());
                }
                from = from.next();
            }
        }
        loop {
            // From the start means from the first row at all, so that an audit also sees rows at invalid positions.
            let start = if from == Position::START { i64::MIN } else { number(from) };
            let mut page =
                self.request("reading", |connection, ledger| fetch::rows_from(connection, ledger, start, most as i64))?;
            self.fill(&mut page)?;
            if direct && most == AHEAD {
                self.lines.borrow_mut().keep(&page);
            }
            if direct && page.len() > 1 {
                *self.near.borrow_mut() = page.iter().map(|(_, row)| (row.id, Err(Unread))).collect();
            }
            for (position, row) in &page {
                if visit(*position, row.as_row()?)?.is_break() {
                    return Ok(());
                }
            }
            match page.last() {
                Some((last, _)) if page.len() == most => from = last.next(),
                _ => return Ok(()),
            }
            most = (16 * most).clamp(PAGE.0, PAGE.1);
        }
    }

    fn expect_rows(&self, from: Position, to: Position) -> Result<()> {
        if self.reading.get() == Reading::Direct || from > to {
            return Ok(());
        }
        let missing = (from.get()..=to.get()).any(|at| self.known.borrow().row(Position::new(at)).is_none());
        if missing {
            self.wanted.borrow_mut().rows.insert((from, to));
            if self.reading.get() == Reading::Known {
                self.fetch_wanted()?;
            }
        }
        Ok(())
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let want = |wanted: &mut Wanted| {
            wanted.keys.insert((table, key.to_vec()));
        };
        if self.reading.get() == Reading::Direct {
            return self.get_near(table, key);
        }
        let known = |known: &Known| Ok(known.get(table, key)?.map(<[u8]>::to_vec));
        self.known_or_fetched(known, want)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        if self.reading.get() == Reading::Direct {
            if SmallTable::is_one(table) && self.reads_whole(table)? {
                return self.scan_whole(table, (from, to), order, visit);
            }
            self.scan_stored(table, (from, to), order, visit)
        } else {
            self.scan_known(table, (from, to), order, visit)
        }
    }

    fn structure(&self) -> Result<Vec<StructureFinding>> {
        self.request("reading the schema", |connection, _| structure::differences(connection))
    }
}
