//! Session starts as they were.
//!
//! The starts before the first day that differs from the present are those of the present. The later ones follow from the
//! uses, one after the other, until one of them is a start of the present.

use std::rc::Rc;

use super::super::key::take_time;
use super::super::usage_instants::first_from;
use super::days::DayState;
use super::past_view::PastView;
use super::uses::in_order;
use crate::model::error::Result;
use crate::model::time::Timestamp;
use crate::projection::session_starts::{end, key, last_before_key};
use crate::store::{Flow, GO_ON, Order, Table, TableRows, after_prefix, scan_map};

/// A part of the session starts of an account.
enum SessionStartsPart {
    /// Those of the present.
    AsNow,
    /// Those behind the first change.
    Later,
}

impl PastView<'_> {
    pub(super) fn scan_session_starts(
        &self,
        (from, to): (&[u8], &[u8]),
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        let accounts: Vec<&Vec<u8>> = self.known_accounts()?.keys().collect();
        for account in in_order(accounts, order) {
            for part in in_order(vec![SessionStartsPart::AsNow, SessionStartsPart::Later], order) {
                let mut is_over = false;
                self.scan_part(&part, account, (from, to), order, &mut |key, value| {
                    let flow = visit(key, value)?;
                    is_over = flow.is_break();
                    Ok(flow)
                })?;
                if is_over {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn scan_part(
        &self,
        part: &SessionStartsPart,
        account: &[u8],
        (from, to): (&[u8], &[u8]),
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        let border = self.days.spans().iter().find(|span| span.state != DayState::Present).map(|span| span.from);
        let border = border.map(|at| key(account, Timestamp::from_millis(at)));
        let least = |one: &[u8], other: &[u8]| {
            if other.is_empty() || (!one.is_empty() && one < other) { one.to_vec() } else { other.to_vec() }
        };
        let (from, to) = (from.max(account), least(to, &after_prefix(account)));
        match (part, border) {
            (SessionStartsPart::AsNow, border) => {
                let to = border.map_or(to.clone(), |border| least(&border, &to));
                if to.is_empty() || from < to.as_slice() {
                    self.log.scan(Table::SessionStarts, from, &to, order, visit)?;
                }
                Ok(())
            }
            (SessionStartsPart::Later, None) => Ok(()),
            (SessionStartsPart::Later, Some(border)) => {
                if !to.is_empty() && border >= to {
                    return Ok(());
                }
                scan_map(&*self.later_starts(account, &border)?, from, &to, order, visit)
            }
        }
    }

    /// The session starts of an account from a key on.
    fn later_starts(&self, account: &[u8], border: &[u8]) -> Result<Rc<TableRows>> {
        if let Some(known) = self.session_starts.borrow().get(account) {
            return Ok(Rc::clone(known));
        }
        let mut found = TableRows::new();
        let mut free = last_before_key(&*self.log, account, border)?.map_or(i64::MIN, end);
        while free <= Timestamp::MAX.millis() {
            let Some(start) = first_from(self, account, Timestamp::from_millis(free))? else { break };
            found.insert(key(account, start), Vec::new());
            free = end(start);
            let spans = self.days.spans();
            let span = spans.get(spans.partition_point(|span| span.to <= start.millis()));
            if let Some(span) = span.filter(|span| span.state == DayState::Present)
                && self.log.get(Table::SessionStarts, &key(account, start))?.is_some()
            {
                let behind = if span.to == i64::MAX {
                    after_prefix(account)
                } else {
                    key(account, Timestamp::from_millis(span.to))
                };
                self.log.scan(
                    Table::SessionStarts,
                    &key(account, start),
                    &behind,
                    Order::Ascending,
                    &mut |key, _| {
                        if let Some((at, _)) = key.get(account.len()..).and_then(take_time) {
                            free = end(at);
                        }
                        found.insert(key.to_vec(), Vec::new());
                        GO_ON
                    },
                )?;
            }
        }
        let found = Rc::new(found);
        self.session_starts.borrow_mut().insert(account.to_vec(), Rc::clone(&found));
        Ok(found)
    }
}
