//! Finds the rows of a projection that differ from a replay, and the events that they concern.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::{Findings, StoredPart};
use crate::ledger::as_of::refold;
use crate::model::error::Result;
use crate::model::event::{AccountRef, Event, Payload, Position, Subject, TokenView};
use crate::projection::{describe, file_rows, position_in, record_rows, root, start_row, use_row};
use crate::store::{GO_ON, Order, PrefixView, ReadView, Table};

/// The maximal number of reported rows per projection.
const MOST: usize = 20;

pub(super) fn name_rows(view: &dyn ReadView, spaces: &BTreeSet<Table>, findings: &mut Findings) -> Result<()> {
    let mut refolded = PrefixView::new(Box::new(view), view.head()?.position)?;
    refold(&mut refolded, Position::START)?;
    let mut wrong: BTreeMap<(Table, Vec<u8>), &str> = BTreeMap::new();
    for table in spaces {
        let mut stored: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        view.scan(*table, &[], &[], Order::Ascending, &mut |key, value| {
            stored.insert(key.to_vec(), value.to_vec());
            GO_ON
        })?;
        for (key, value) in refolded.table(*table) {
            match stored.remove(key) {
                Some(rows) if rows == *value => {}
                Some(_) => _ = wrong.insert((*table, key.clone()), "does not say what the events say"),
                None => _ = wrong.insert((*table, key.clone()), "is missing"),
            }
        }
        wrong.extend(stored.into_keys().map(|key| ((*table, key), "belongs to no event")));
    }
    let about = events_of(view, &refolded, &wrong)?;
    let mut named: BTreeMap<Table, usize> = BTreeMap::new();
    for ((table, key), what) in wrong {
        let count = named.entry(table).or_default();
        *count += 1;
        if *count <= MOST {
            let position = about.get(&(table, key.clone())).copied();
            findings.add_of(
                StoredPart::Folded,
                position,
                format!("{}: the row of {} {what}", table.name(), describe(table, &key)),
            );
        }
    }
    for (table, count) in named.into_iter().filter(|(_, count)| *count > MOST) {
        findings.add_of(StoredPart::Folded, None, format!("{}: {} more rows differ", table.name(), count - MOST));
    }
    Ok(())
}

/// For each row, the last event that contributes to it.
fn events_of(
    view: &dyn ReadView,
    refolded: &PrefixView<'_>,
    wrong: &BTreeMap<(Table, Vec<u8>), &str>,
) -> Result<BTreeMap<(Table, Vec<u8>), Position>> {
    let mut about = BTreeMap::new();
    let head = view.head()?.position;
    view.rows(Position::START.next(), &mut |position, row| {
        let event = Event::from_line(position, row.body)?;
        for row in rows_of(view, refolded, &event)? {
            match about.entry(row) {
                Entry::Vacant(row) if wrong.contains_key(row.key()) => _ = row.insert(position),
                // The first run that states when a conversation began determines that row.
                Entry::Occupied(mut row) if row.key().0 != Table::Conversations => _ = row.insert(position),
                _ => {}
            }
        }
        GO_ON
    })?;
    for (table, key) in wrong.keys() {
        // Rows of the event index, of corrections and of natural keys contain a position: that of the event that makes
        // the row, or the one that an invalid row claims.
        let (right, stored) = (refolded.get(*table, key)?, view.get(*table, key)?);
        let named = |value: Option<&[u8]>| position_in(*table, key, value).filter(|at| *at <= head);
        if let Some(position) = named(right.as_deref()).or_else(|| named(stored.as_deref())) {
            about.insert((*table, key.clone()), position);
        }
    }
    Ok(about)
}

/// The rows that an event contributes to.
fn rows_of(view: &dyn ReadView, refolded: &PrefixView<'_>, event: &Event) -> Result<Vec<(Table, Vec<u8>)>> {
    let (at, record) = match &event.payload {
        Payload::TokensRecorded(record) => (event.occurred_at, record),
        Payload::TokensAmended(amend) => {
            // A correction counts at the time of the call, not at its own.
            let root = root(view, event, Position::new(u64::MAX))?;
            let counted_at = match root {
                Some(root) => Event::from_line(root, &view.expect_line(root)?)?.occurred_at,
                None => event.occurred_at,
            };
            (amend.at.unwrap_or(counted_at), &amend.replacement)
        }
        Payload::Imported(run) => return file_rows(refolded, run),
        payload => {
            let account = payload.subject(event.occurred_at).and_then(|subject| match subject {
                Subject::Account(account) => Some((Table::Accounts, account.key())),
                Subject::Ledger => None,
            });
            return Ok(account.into_iter().collect());
        }
    };
    let record = TokenView::from(record);
    let mut rows = record_rows(at, &record)?;
    let account = AccountRef::new(&record.provider, record.account.as_deref()).key();
    rows.extend(use_row(refolded, &account, at)?.map(|key| (Table::UsageInstants, key)));
    rows.push(start_row(&account, at));
    Ok(rows)
}
