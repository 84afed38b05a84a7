//! The second look: which rows of a projection differ from a replay, and which events they are about.

use std::collections::{BTreeMap, BTreeSet};

use super::Findings;
use crate::error::Result;
use crate::event::{Event, Payload, Position, TokenView};
use crate::ledger::past::refold;
use crate::projection::{describe, record_rows};
use crate::store::{GO_ON, Order, PrefixView, Space, View};

/// Rows named for each projection.
const MOST: usize = 20;

pub(super) fn name_rows(view: &dyn View, spaces: &BTreeSet<Space>, findings: &mut Findings) -> Result<()> {
    let mut refolded = PrefixView::new(Box::new(view), view.head()?.position)?;
    refold(&mut refolded, Position::START)?;
    let mut wrong: BTreeMap<(Space, Vec<u8>), &str> = BTreeMap::new();
    for space in spaces {
        let mut stored: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        view.scan(*space, &[], &[], Order::Ascending, &mut |key, value| {
            stored.insert(key.to_vec(), value.to_vec());
            GO_ON
        })?;
        for (key, value) in refolded.space(*space) {
            match stored.remove(key) {
                Some(found) if found == *value => {}
                Some(_) => _ = wrong.insert((*space, key.clone()), "does not say what the events say"),
                None => _ = wrong.insert((*space, key.clone()), "is missing"),
            }
        }
        wrong.extend(stored.into_keys().map(|key| ((*space, key), "belongs to no event")));
    }
    let about = events_of(view, &wrong)?;
    let mut named: BTreeMap<Space, usize> = BTreeMap::new();
    for ((space, key), what) in wrong {
        let count = named.entry(space).or_default();
        *count += 1;
        if *count <= MOST {
            let position = about.get(&(space, key.clone())).copied();
            findings.add(position, format!("{}: the row of {} {what}", space.name(), describe(space, &key)));
        }
    }
    for (space, count) in named.into_iter().filter(|(_, count)| *count > MOST) {
        findings.add(None, format!("{}: {} more rows differ", space.name(), count - MOST));
    }
    Ok(())
}

/// For each row, the last event that has a part in it.
fn events_of(
    view: &dyn View,
    wrong: &BTreeMap<(Space, Vec<u8>), &str>,
) -> Result<BTreeMap<(Space, Vec<u8>), Position>> {
    let mut about = BTreeMap::new();
    view.rows(Position::START.next(), &mut |position, row| {
        let event = Event::from_line(position, row.body)?;
        let record = match &event.payload {
            Payload::TokensRecorded(record) => Some(record),
            Payload::TokensAmended(amend) => Some(&amend.replacement),
            _ => None,
        };
        let rows = match record {
            Some(record) => record_rows(event.occurred_at, &TokenView::from(record)),
            None => Vec::new(),
        };
        for (space, key) in rows {
            // A chunk of uses is named by its account and its first instant: the account is enough here.
            let near = wrong.range((space, key.clone())..).take_while(|((s, k), _)| *s == space && k.starts_with(&key));
            for ((space, key), _) in near {
                about.insert((*space, key.clone()), position);
            }
        }
        GO_ON
    })?;
    for (space, key) in wrong.keys() {
        // Facts, corrections and natural keys carry the position themselves.
        let value = view.get(*space, key)?;
        if let Some(position) = crate::projection::position_in(*space, key, value.as_deref()) {
            about.insert((*space, key.clone()), position);
        }
    }
    Ok(about)
}
