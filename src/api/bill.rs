//! `bill`: what recorded statements confirm, by day, and the statements that hold.

use serde::Serialize;

use super::input::moment;
use super::view_inputs::BillInput;
use crate::bill::{self, BilledDay, Spend, SpendShares};
use crate::ledger::{ReceivedStatement, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::provider::ProviderId;
use crate::model::time::{DAY, Timestamp, Zone};
use crate::present::clock::range;

/// Maximum number of days in an answer, as the schema of its input states.
const MOST_DAYS: u32 = 800;
/// Number of days before the end in an answer without a start.
const DEFAULT_DAYS: u32 = 31;
/// Maximum number of statements in an answer.
const MOST_STATEMENTS: usize = 100;

/// The answer.
#[derive(Serialize)]
pub(crate) struct BillAnswerNumbers {
    position: Position,
    /// The days that statements cover, in order.
    pub days: Vec<BilledDay>,
    /// Their sum.
    pub total: Spend,
    /// The parts of the sum as percentages; null without a known amount.
    shares: Option<SpendShares>,
    /// The last statements, the latest first.
    statements: Vec<ListedStatement>,
    /// How many statements are recorded.
    statements_total: usize,
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
    fn of(received: &ReceivedStatement) -> Result<Self> {
        let content = received.content.clone();
        Ok(Self {
            position: received.position()?,
            at: received.at,
            provider: content.provider,
            account: content.account,
            export: content.export,
            file: content.file,
            since: content.since,
            until: content.until,
            buckets: content.buckets.len(),
            superseded: !received.holds(),
        })
    }
}

/// The recorded statements of a provider, or of all.
fn recorded(snapshot: &Snapshot<'_>, provider: Option<&str>, now: Timestamp) -> Result<Vec<ReceivedStatement>> {
    let mut recorded = snapshot.statements(now)?;
    recorded.retain(|one| provider.is_none_or(|name| one.content.provider == name));
    Ok(recorded)
}

/// What statements of a provider, or of all, confirm from one time up to another.
pub(crate) fn of_range(
    snapshot: &Snapshot<'_>,
    span: (Option<Timestamp>, Option<Timestamp>),
    provider: Option<&str>,
    now: Timestamp,
) -> Result<BillAnswerNumbers> {
    of_statements(snapshot, &recorded(snapshot, provider, now)?, span, now)
}

fn of_statements(
    snapshot: &Snapshot<'_>,
    recorded: &[ReceivedStatement],
    span: (Option<Timestamp>, Option<Timestamp>),
    now: Timestamp,
) -> Result<BillAnswerNumbers> {
    let days = bill::billed_days(snapshot, recorded, span, now)?;
    let total = days.iter().try_fold(Spend::default(), |sum, day| sum.plus(&day.spend))?;
    let latest = recorded.iter().rev().take(MOST_STATEMENTS);
    Ok(BillAnswerNumbers {
        position: snapshot.head()?.position,
        days,
        shares: total.shares()?,
        total,
        statements: latest.map(ListedStatement::of).collect::<Result<_>>()?,
        statements_total: recorded.len(),
    })
}

/// Answers the operation.
pub(crate) fn answer(snapshot: &Snapshot<'_>, input: &BillInput, now: Timestamp) -> Result<BillAnswerNumbers> {
    if input.days.is_some_and(|days| !(1..=MOST_DAYS).contains(&days)) {
        return Err(Error::invalid(format!("`days` must be from 1 to {MOST_DAYS}")));
    }
    let (since, until) = (moment(input.since.as_deref())?, moment(input.until.as_deref())?);
    let (since, until) = range(since, until, Zone::UTC, now)?;
    let provider = input.provider.as_deref().map(ProviderId::resolve).transpose()?;
    let recorded = recorded(snapshot, provider.as_ref().map(ProviderId::as_str), now)?;
    // The last covered day, not today, ends the range: a statement comes after its period.
    let covered = recorded.iter().map(|one| one.content.until).max();
    let Some(end) = until.or(covered) else {
        // Without a statement no day is covered.
        return of_statements(snapshot, &recorded, (since, until), now);
    };
    let before_end = |days: u32| end.plus(-i64::from(days) * DAY);
    let since = match (since, input.days) {
        (None, days) => before_end(days.unwrap_or(DEFAULT_DAYS)),
        (Some(since), Some(days)) => since.max(before_end(days)),
        (Some(since), None) if since < before_end(MOST_DAYS) => {
            let least = before_end(MOST_DAYS);
            return Err(Error::invalid(format!(
                "an answer has at most {MOST_DAYS} days: give a `since` from {least} on, or an earlier `until`"
            )));
        }
        (Some(since), None) => since,
    };
    of_statements(snapshot, &recorded, (Some(since), Some(end)), now)
}
