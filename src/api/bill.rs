//! `bill`: what recorded statements confirm, by day, and the statements that hold.

use serde::Serialize;

use super::input::moment;
use super::view_inputs::BillInput;
use crate::bill::{self, BilledDay, Spend};
use crate::ledger::{ReceivedStatement, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::provider::ProviderId;
use crate::model::time::{DAY, Timestamp, Zone};
use crate::present::clock::range;

/// Maximum number of days in an answer, as the schema of its input states.
const MOST_DAYS: u32 = 800;
/// Maximum number of statements in an answer.
const MOST_STATEMENTS: usize = 100;

/// The answer.
#[derive(Serialize)]
pub(crate) struct BillAnswerNumbers {
    position: Position,
    /// The days that statements cover, in order.
    pub days: Vec<BillDay>,
    /// Their sum.
    pub total: Spend,
    /// The last statements, the latest first.
    statements: Vec<ListedStatement>,
    /// How many statements are recorded.
    statements_total: usize,
}

/// The spend of a day.
#[derive(Serialize)]
pub(crate) struct BillDay {
    pub day: String,
    #[serde(flatten)]
    pub spend: Spend,
}

/// A recorded statement.
#[derive(Serialize)]
struct ListedStatement {
    position: Position,
    at: Timestamp,
    provider: String,
    account: Option<String>,
    export: String,
    file: String,
    since: Timestamp,
    until: Timestamp,
    buckets: usize,
    /// Whether later statements replace all of it.
    superseded: bool,
}

impl ListedStatement {
    fn of(received: ReceivedStatement) -> Self {
        let superseded = !received.holds_between(received.content.since, received.content.until);
        let content = received.content;
        Self {
            position: received.positions.first().copied().unwrap_or_default(),
            at: received.at,
            provider: content.provider,
            account: content.account,
            export: content.export,
            file: content.file,
            since: content.since,
            until: content.until,
            buckets: content.buckets.len(),
            superseded,
        }
    }
}

/// What statements confirm, of a provider or of all, from one time up to another.
pub(crate) fn of_range(
    snapshot: &Snapshot<'_>,
    span: (Option<Timestamp>, Option<Timestamp>),
    provider: Option<&str>,
    now: Timestamp,
) -> Result<(Vec<BilledDay>, BillAnswerNumbers)> {
    let days = bill::billed_days(snapshot, span, provider, now)?;
    let mut total = Spend::default();
    for day in &days {
        total = total.plus(&day.spend)?;
    }
    let mut recorded = snapshot.statements(now)?;
    recorded.retain(|one| provider.is_none_or(|name| one.content.provider == name));
    let statements_total = recorded.len();
    let statements = recorded.into_iter().rev().take(MOST_STATEMENTS).map(ListedStatement::of).collect();
    let listed = days.iter().map(|one| BillDay { day: one.day.clone(), spend: one.spend }).collect();
    let position = snapshot.head()?.position;
    Ok((days, BillAnswerNumbers { position, days: listed, total, statements, statements_total }))
}

/// Answers the operation.
pub(crate) fn answer(snapshot: &Snapshot<'_>, input: &BillInput, now: Timestamp) -> Result<BillAnswerNumbers> {
    let days = input.days.unwrap_or(if input.since.is_some() { MOST_DAYS } else { 31 });
    if !(1..=MOST_DAYS).contains(&days) {
        return Err(Error::invalid(format!("`days` must be from 1 to {MOST_DAYS}")));
    }
    let (since, until) = (moment(input.since.as_deref())?, moment(input.until.as_deref())?);
    let (since, until) = range(since, until, Zone::UTC, now)?;
    // The last covered day, not today, ends the range: a statement comes after its period.
    let provider = input.provider.as_deref().map(ProviderId::resolve).transpose()?;
    let provider = provider.as_ref().map(ProviderId::as_str);
    let latest = snapshot.statements(now)?;
    let latest = latest.iter().filter(|one| provider.is_none_or(|name| one.content.provider == name));
    let latest = latest.map(|one| one.content.until).max();
    let end = until.or(latest).unwrap_or(now);
    let first = end.plus(-i64::from(days) * DAY);
    let since = since.map_or(first, |since| since.max(first));
    Ok(of_range(snapshot, (Some(since), Some(end)), provider, now)?.1)
}
