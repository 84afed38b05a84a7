//! Compares the stored projections with the log.

use std::collections::BTreeSet;

use super::parts::Whole;
use super::{Findings, exact};
use crate::model::error::Result;
use crate::model::event::{AccountRef, Event, Payload, Position, TokenView};
use crate::projection::{
    Fingerprint, FingerprintWeights, Level, add_stored, alias_entries, effective, file_small, root,
};
use crate::store::{GO_ON, Order, PrefixView, ReadView, Table};

/// Compares sums; where one differs, a second pass finds the row and its event.
pub(super) fn compare(
    view: &dyn ReadView,
    seen: &Whole<'_>,
    weights: FingerprintWeights,
    findings: &mut Findings,
) -> Result<()> {
    let mut refolded = PrefixView::new(Box::new(view), view.head()?.position)?;
    let mut sums = seen.records.sums.clone();
    let mut accounts = seen.records.accounts.clone();
    let mut corrected: BTreeSet<Position> = BTreeSet::new();
    let mut corrections = Vec::new();
    for (position, line) in seen.others {
        let event = Event::from_line(*position, line)?;
        file_small(&mut refolded, &event, *position)?;
        if let Payload::TokensAmended(amend) = &event.payload {
            let account = AccountRef::new(&amend.replacement.provider, amend.replacement.account.as_deref());
            accounts.insert(account.into_owned());
            for entry in alias_entries(amend.replacement.ids(), amend.target, *position) {
                sums.row(Table::Keys, &entry);
            }
        }
        if event.payload.corrects().is_some() {
            corrections.push(event);
        }
    }
    for event in &corrections {
        corrected.extend(root(&refolded, event, Position::new(u64::MAX))?);
    }
    for position in corrected {
        let event = Event::from_line(position, &view.expect_line(position)?)?;
        if let Payload::TokensRecorded(record) = &event.payload {
            sums.record(event.occurred_at, &TokenView::from(record), true)?;
        }
        if let Some(now) = effective(&refolded, position, None)? {
            sums.record(now.at, &TokenView::from(&now.record), false)?;
        }
    }
    for account in &accounts {
        crate::store::WriteView::put(&mut refolded, Table::Accounts, &account.key(), Some(&[]))?;
    }

    let mut stored = Fingerprint::new(weights);
    let mut differ: BTreeSet<Table> = BTreeSet::new();
    // An unreadable row differs from the correct one: the second pass names it and its events.
    add_stored(view, &mut stored, &mut |table, _| _ = differ.insert(table))?;
    let summed = Level::ALL.map(Level::table).into_iter().chain([Table::UsageInstants, Table::Keys]);
    differ.extend(summed.filter(|table| stored.of(*table) != sums.of(*table)));
    for table in [Table::EventIndex, Table::Corrections, Table::Files, Table::Conversations, Table::Accounts] {
        if !same_rows(view, &refolded, table)? {
            differ.insert(table);
        }
    }
    if differ.is_empty() { Ok(()) } else { exact::name_rows(view, &differ, findings) }
}

fn same_rows(view: &dyn ReadView, refolded: &PrefixView<'_>, table: Table) -> Result<bool> {
    let mut expected = refolded.table(table);
    let mut same = true;
    view.scan(table, &[], &[], Order::Ascending, &mut |key, value| {
        same &= expected.next().is_some_and(|(k, v)| k == key && v == value);
        GO_ON
    })?;
    Ok(same && expected.next().is_none())
}
