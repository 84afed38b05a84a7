//! Describes the row of a projection for people.

use super::key::{take_id, take_time, texts};
use super::series::Series;
use crate::model::event::{AccountRef, EventKind};
use crate::model::time::{DAY, Timestamp};
use crate::store::Table;

/// The key of a row as text.
pub(crate) fn describe(table: Table, key: &[u8]) -> String {
    let name = match table {
        Table::ByModel | Table::ByProject | Table::ByConversation | Table::ByLabel => series(key),
        Table::UsageInstants => timed(key).map(|(account, at)| format!("{} from {at}", account_of(account))),
        Table::SessionStarts => timed(key).map(|(account, at)| format!("{} at {at}", account_of(account))),
        Table::EventIndex => event_index_row(key),
        Table::Corrections => correction(key),
        Table::Keys => Some("a natural key".to_owned()),
        Table::Files | Table::Conversations => words(key),
        Table::Accounts => Some(account_of(key)),
        _ => None,
    };
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "an unreadable key".to_owned())
}

fn series(key: &[u8]) -> Option<String> {
    let (day, series) = Series::from_key(key)?;
    let date = Timestamp::from_millis(day.checked_mul(DAY)?).to_string();
    let names = [series.account, series.model, series.agent, series.tariff, series.project, series.conversation];
    let names: Vec<_> = std::iter::once(series.provider).chain(names.into_iter().flatten()).collect();
    Some(format!("{} {}", date.get(..10).unwrap_or_default(), names.join(" ")))
}

/// The parts of a key that ends in a time.
fn timed(key: &[u8]) -> Option<(&[u8], Timestamp)> {
    let (before, time) = key.split_at_checked(key.len().checked_sub(8)?)?;
    Some((before, take_time(time)?.0))
}

fn account_of(key: &[u8]) -> String {
    let Some(AccountRef { provider, account }) = AccountRef::from_key(key) else { return String::new() };
    account.map_or_else(|| provider.to_string(), |account| format!("{provider} {account}"))
}

fn event_index_row(key: &[u8]) -> Option<String> {
    let (key, _) = key.split_at_checked(key.len().checked_sub(16)?)?;
    let (before, at) = timed(key)?;
    let (kind, subject) = before.split_first()?;
    let kind = EventKind::coded(*kind)?.name();
    // The subject of ledger-wide events is not a provider.
    let of = if subject == [0] { String::new() } else { format!(" of {}", account_of(subject)) };
    Some(format!("{kind}{of} at {at}"))
}

fn correction(key: &[u8]) -> Option<String> {
    let (target, rest) = take_id(key)?;
    let (at, _) = take_time(rest)?;
    Some(format!("a correction of event {target} at {at}"))
}

/// A source and its name for something.
fn words(key: &[u8]) -> Option<String> {
    Some(texts(key)?.filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" "))
}
