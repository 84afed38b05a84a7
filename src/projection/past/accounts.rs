//! Which accounts a part of the log names.

use std::collections::BTreeSet;

use super::super::blocks::{BLOCK, StoredSummary, block_key, damaged, place};
use crate::model::error::Result;
use crate::model::event::{AccountRef, Event, NameKind, Payload, Position, Subject};
use crate::store::{GO_ON, Order, ReadView, STOP, Table};

/// Events at the beginning of a block among which most accounts are named.
const FIRST: u64 = 31;

/// The accounts of the whole ledger, by their keys.
pub(super) fn all(view: &dyn ReadView) -> Result<BTreeSet<Vec<u8>>> {
    let mut found = BTreeSet::new();
    view.scan(Table::Accounts, &[], &[], Order::Ascending, &mut |key, _| {
        found.insert(key.to_vec());
        GO_ON
    })?;
    Ok(found)
}

/// Those of some accounts that an event behind `after` through `last` names. A block is read only if its summary allows
/// that it names one of them.
pub(super) fn named_between(
    view: &dyn ReadView,
    mut missing: BTreeSet<Vec<u8>>,
    after: Position,
    last: Position,
) -> Result<BTreeSet<Vec<u8>>> {
    let mut found = BTreeSet::new();
    let mut first = after.next();
    while first <= last && !missing.is_empty() {
        let (number, _) = place(first);
        let end = Position::new((number + 1) * BLOCK).min(last);
        let may_name = match view.get(Table::Blocks, &block_key(number))? {
            Some(bytes) => {
                let summary = StoredSummary::read(&bytes).ok_or_else(|| damaged(number))?;
                missing.iter().any(|account| {
                    AccountRef::from_key(account)
                        .is_none_or(|account| summary.may_name(NameKind::Provider.hash(&account.provider)))
                })
            }
            None => true,
        };
        if may_name {
            view.expect_rows(first, Position::new(first.get() + FIRST).min(end))?;
            view.rows(first, &mut |position, row| {
                if position > end {
                    return STOP;
                }
                if let Some(account) = account_of(&Event::from_line(position, row.body)?)
                    && let Some(account) = missing.take(&account)
                {
                    found.insert(account);
                }
                if position == end || missing.is_empty() { STOP } else { GO_ON }
            })?;
        }
        first = end.next();
    }
    Ok(found)
}

/// The key of the account that an event makes known.
fn account_of(event: &Event) -> Option<Vec<u8>> {
    let record = match &event.payload {
        Payload::TokensRecorded(record) => record,
        Payload::TokensAmended(amend) => &amend.replacement,
        payload => {
            return match payload.subject(event.occurred_at)? {
                Subject::Account(account) => Some(account.key()),
                Subject::Ledger => None,
            };
        }
    };
    Some(AccountRef::new(&record.provider, record.account.as_deref()).key())
}
