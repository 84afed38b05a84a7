//! Holds the stored projections against what the log says.

use std::collections::BTreeSet;

use super::parts::Prefix;
use super::{Findings, exact};
use crate::error::Result;
use crate::event::{Event, Payload, Position, TokenView};
use crate::projection::{
    AccountRef, Fingerprint, FingerprintWeights, add_stored, alias_entries, effective, file_small, root,
};
use crate::store::{GO_ON, Order, PrefixView, Space, View};

/// Compares; where a sum differs, a second look names the row and an event in it.
pub(super) fn compare(
    view: &dyn View,
    seen: &Prefix<'_>,
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
                sums.row(Space::Keys, &entry);
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
        crate::store::Sink::put(&mut refolded, Space::Accounts, &account.key(), Some(&[]))?;
    }

    let mut stored = Fingerprint::new(weights);
    let mut differ: BTreeSet<Space> = BTreeSet::new();
    // A row that cannot be read is not the one that the events make: the second look names it and them.
    add_stored(view, &mut stored, &mut |space, _| _ = differ.insert(space))?;
    let summed = [Space::ByModel, Space::ByProject, Space::ByConversation, Space::Uses, Space::Keys];
    differ.extend(summed.into_iter().filter(|space| stored.of(*space) != sums.of(*space)));
    for space in [Space::Facts, Space::Corrections, Space::Files, Space::Conversations, Space::Accounts] {
        if !same_rows(view, &refolded, space)? {
            differ.insert(space);
        }
    }
    if differ.is_empty() { Ok(()) } else { exact::name_rows(view, &differ, findings) }
}

fn same_rows(view: &dyn View, refolded: &PrefixView<'_>, space: Space) -> Result<bool> {
    let mut expected = refolded.space(space);
    let mut same = true;
    view.scan(space, &[], &[], Order::Ascending, &mut |key, value| {
        same &= expected.next().is_some_and(|(k, v)| k == key && v == value);
        GO_ON
    })?;
    Ok(same && expected.next().is_none())
}
