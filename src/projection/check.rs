//! Reads stored projections and compares them with a replay.

use super::day;
use super::fingerprint::Fingerprint;
use super::key::take_position;
use super::series::Level;
use super::session_starts;
use super::usage_instants;
use crate::model::error::Result;
use crate::model::event::{AccountRef, Position, TokenView};
use crate::model::time::Timestamp;
use crate::store::{GO_ON, Order, ReadView, Table};

/// Adds every stored counter to a fingerprint. Calls `bad` for each row whose bytes are not canonical.
pub(crate) fn add_stored(
    view: &dyn ReadView,
    print: &mut Fingerprint,
    bad: &mut dyn FnMut(Table, &[u8]),
) -> Result<()> {
    for table in Level::ALL.map(Level::table) {
        view.scan(table, &[], &[], Order::Ascending, &mut |key, value| {
            match day::decode(value) {
                Some(quarters) if day::is_canonical(&quarters, value) => {
                    for (quarter, totals) in &quarters {
                        print.cell(table, key, i64::from(*quarter), totals);
                    }
                }
                _ => bad(table, key),
            }
            GO_ON
        })?;
    }
    // The end of the previous chunk: a chunk must not contain instants of the next one.
    let (mut before, mut end) = (Vec::new(), Timestamp::MIN);
    let mut starts = session_starts::ExpectedStarts::default();
    view.scan(Table::UsageInstants, &[], &[], Order::Ascending, &mut |key, value| {
        match usage_instants::read(key, value) {
            Ok((account, start, instants))
                if usage_instants::is_canonical(key, start, &instants, value) && (before != account || end < start) =>
            {
                for (millis, totals) in &instants {
                    print.cell(Table::UsageInstants, account, *millis, totals);
                    starts.see(account, Timestamp::from_millis(*millis));
                    end = Timestamp::from_millis(*millis);
                }
                before = account.to_vec();
            }
            _ => bad(Table::UsageInstants, key),
        }
        GO_ON
    })?;
    starts.compare(view, bad)?;
    view.scan(Table::Keys, &[], &[], Order::Ascending, &mut |key, value| {
        if value.is_empty() {
            print.row(Table::Keys, key);
        } else {
            bad(Table::Keys, key);
        }
        GO_ON
    })
}

/// The rows that a record contributes to, except its chunk of usage instants, whose key depends on other records.
pub(crate) fn record_rows(at: Timestamp, record: &TokenView<'_>) -> Result<Vec<(Table, Vec<u8>)>> {
    let mut key = Vec::new();
    let ends = Level::write_key(&mut key, at, record);
    let mut rows: Vec<_> = Level::ALL
        .into_iter()
        .map(|level| Ok((level.table(), level.key_in(&key, ends)?.into_owned())))
        .collect::<Result<_>>()?;
    rows.push((Table::Accounts, AccountRef::new(&record.provider, record.account.as_deref()).key()));
    Ok(rows)
}

/// The position in a row, if rows of this table contain one.
pub(crate) fn position_in(table: Table, key: &[u8], value: Option<&[u8]>) -> Option<Position> {
    match table {
        Table::EventIndex => take_position(value?),
        Table::Corrections => take_position(value?.get(1..)?),
        Table::Keys => {
            let (bytes, _) = key.get(5..)?.split_first_chunk::<8>()?;
            Some(Position::new(u64::from_be_bytes(*bytes) & 0xff_ffff_ffff))
        }
        _ => None,
    }
}
