//! The tables of a ledger as it was at an earlier position.

use super::super::imports;
use super::past_view::PastView;
use super::rollups::level_of;
use super::until::Until;
use crate::model::error::Result;
use crate::model::event::{Event, EventId, EventKind, Payload, Position};
use crate::projection::blocks::{position_at, scan_blocks};
use crate::store::{Flow, GO_ON, Head, Order, PrefixView, ReadView, Row, STOP, Table, TableRows, scan_map};

impl PastView<'_> {
    /// The tables whose rows name the position of their event.
    fn until(&self) -> Until<'_> {
        Until { view: &*self.log, last: self.head.position }
    }

    /// How far files were read, and when conversations began: few ask, so it comes from the `imported` events.
    fn imported(&self) -> Result<&[TableRows; 2]> {
        if let Some(known) = self.imports.get() {
            return Ok(known);
        }
        let mut past = PrefixView::new(Box::new(&*self.log), self.head.position)?;
        let mut blocks = Vec::new();
        scan_blocks(self, Order::Ascending, &mut |number, summary| {
            if summary.is_none_or(|summary| summary.has_kind(EventKind::Imported)) {
                blocks.push(number);
            }
            GO_ON
        })?;
        blocks.push(super::super::blocks::full_blocks(self)?);
        for number in blocks {
            let (first, behind) = (position_at(number, 0), position_at(number + 1, 0));
            let mut lines = Vec::new();
            self.rows(first, &mut |position, row| {
                if position >= behind {
                    return STOP;
                }
                if row.is_kind(EventKind::Imported) {
                    lines.push((position, row.body.to_owned()));
                }
                GO_ON
            })?;
            for (position, line) in lines {
                if let Payload::Imported(run) = Event::from_line(position, &line)?.payload {
                    imports::file(&mut past, &run)?;
                }
            }
        }
        let copy = |table| past.table(table).map(|(key, value)| (key.clone(), value.clone())).collect();
        let maps = [copy(Table::Files), copy(Table::Conversations)];
        Ok(self.imports.get_or_init(|| maps))
    }
}

impl ReadView for PastView<'_> {
    fn head(&self) -> Result<Head> {
        Ok(self.head)
    }

    fn position_of(&self, id: EventId) -> Result<Option<Position>> {
        self.until().position_of(id)
    }

    fn rows(&self, from: Position, visit: &mut dyn FnMut(Position, Row<'_>) -> Flow) -> Result<()> {
        self.until().rows(from, visit)
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(level) = level_of(table) {
            return self.rollup_row(table, level, key);
        }
        match table {
            Table::Accounts => Ok(self.known_accounts()?.get(key).cloned()),
            Table::Files => Ok(self.imported()?[0].get(key).cloned()),
            Table::Conversations => Ok(self.imported()?[1].get(key).cloned()),
            Table::UsageInstants | Table::SessionStarts => {
                let mut found = None;
                let mut to = key.to_vec();
                to.push(0);
                self.scan(table, key, &to, Order::Ascending, &mut |_, value| {
                    found = Some(value.to_vec());
                    STOP
                })?;
                Ok(found)
            }
            _ => self.until().get(table, key),
        }
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        if let Some(level) = level_of(table) {
            return self.scan_rollup(table, level, (from, to), order, visit);
        }
        match table {
            Table::Accounts => scan_map(self.known_accounts()?, from, to, order, visit),
            Table::Files => scan_map(&self.imported()?[0], from, to, order, visit),
            Table::Conversations => scan_map(&self.imported()?[1], from, to, order, visit),
            Table::UsageInstants => self.scan_uses((from, to), order, visit),
            Table::SessionStarts => self.scan_session_starts((from, to), order, visit),
            _ => self.until().scan(table, from, to, order, visit),
        }
    }
}
