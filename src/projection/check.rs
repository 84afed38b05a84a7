//! Reads stored projections for a comparison with a replay.

use super::fingerprint::Fingerprint;
use super::key::{AccountRef, take_position};
use super::series::Level;
use super::{day, openings, uses};
use crate::error::Result;
use crate::event::{Position, TokenView};
use crate::time::Timestamp;
use crate::view::{GO_ON, Order, Space, View};

/// Adds every stored counter to a fingerprint. Calls `bad` with each row whose bytes are not canonical.
pub(crate) fn add_stored(view: &dyn View, print: &mut Fingerprint, bad: &mut dyn FnMut(Space, &[u8])) -> Result<()> {
    for space in [Space::ByModel, Space::ByProject, Space::ByConversation] {
        view.scan(space, &[], &[], Order::Ascending, &mut |key, value| {
            match day::decode(value) {
                Some(quarters) if day::is_canonical(&quarters, value) => {
                    for (quarter, totals) in &quarters {
                        print.cell(space, key, i64::from(*quarter), totals);
                    }
                }
                _ => bad(space, key),
            }
            GO_ON
        })?;
    }
    // Where the chunk in front ended: no chunk holds uses that belong to the next.
    let (mut before, mut end) = (Vec::new(), Timestamp::MIN);
    let mut openings = openings::Expected::default();
    view.scan(Space::Uses, &[], &[], Order::Ascending, &mut |key, value| {
        match uses::read(key, value) {
            Ok((account, start, instants))
                if uses::is_canonical(key, start, &instants, value) && (before != account || end < start) =>
            {
                for (millis, totals) in &instants {
                    print.cell(Space::Uses, account, *millis, totals);
                    openings.see(account, Timestamp::from_millis(*millis));
                    end = Timestamp::from_millis(*millis);
                }
                before = account.to_vec();
            }
            _ => bad(Space::Uses, key),
        }
        GO_ON
    })?;
    openings.compare(view, bad)?;
    view.scan(Space::Keys, &[], &[], Order::Ascending, &mut |key, value| {
        if value.is_empty() {
            print.row(Space::Keys, key);
        } else {
            bad(Space::Keys, key);
        }
        GO_ON
    })
}

/// The rows that a record has a part in, but for its chunk of uses, whose key depends on the others in it.
pub(crate) fn record_rows(at: Timestamp, record: &TokenView<'_>) -> Vec<(Space, Vec<u8>)> {
    let mut key = Vec::new();
    let ends = Level::write_key(&mut key, at, record);
    let mut rows: Vec<_> = Level::ALL
        .into_iter()
        .zip(ends)
        .map(|(level, end)| (level.space(), key.get(..end).unwrap_or_default().to_vec()))
        .collect();
    rows.push((Space::Accounts, AccountRef::new(&record.provider, record.account.as_deref()).key()));
    rows
}

/// The position that a row names itself, if it is of a kind that does.
pub(crate) fn position_in(space: Space, key: &[u8], value: Option<&[u8]>) -> Option<Position> {
    match space {
        Space::Facts => take_position(value?),
        Space::Corrections => take_position(value?.get(1..)?),
        Space::Keys => {
            let (bytes, _) = key.get(5..)?.split_first_chunk::<8>()?;
            Some(Position::new(u64::from_be_bytes(*bytes) & 0xff_ffff_ffff))
        }
        _ => None,
    }
}
