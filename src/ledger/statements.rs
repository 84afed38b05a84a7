//! Statements of providers: recording them, and which of their editions hold.

use std::collections::BTreeMap;

#[cfg(feature = "cli")]
use serde::{Deserialize, de::IgnoredAny};

use super::Snapshot;
#[cfg(feature = "cli")]
use super::{Ledger, Outcome};
use crate::model::error::{Error, Result};
#[cfg(feature = "cli")]
use crate::model::event::{EventData, EventId, NewEvent};
use crate::model::event::{EventKind, Payload, Position, StatementDay, StatementReceived, Subject};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
#[cfg(feature = "cli")]
use crate::model::tokens::Usd;
use crate::projection::collect_events;
#[cfg(feature = "cli")]
use crate::projection::each_entry_between;
#[cfg(feature = "cli")]
use crate::store::GO_ON;

/// A recorded statement with all its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedStatement {
    /// The positions of its parts.
    pub positions: Vec<Position>,
    /// When it was received.
    pub at: Timestamp,
    /// Its content, with the buckets of all parts, also of those that a later statement replaces.
    pub content: StatementReceived,
    /// The parts of its period that a later statement replaces.
    pub superseded: Vec<(Timestamp, Timestamp)>,
}

/// Whether one of several periods contains an instant.
#[cfg(feature = "cli")]
pub(crate) fn is_within(periods: &[(Timestamp, Timestamp)], at: Timestamp) -> bool {
    periods.iter().any(|(since, until)| *since <= at && at < *until)
}

impl ReceivedStatement {
    /// The position of the first part, which identifies the statement.
    pub(crate) fn position(&self) -> Result<Position> {
        let file = &self.content.file;
        self.positions.first().copied().ok_or_else(|| bug!("the recorded statement of file {file} has no position"))
    }

    /// Whether the statement holds for an instant.
    #[cfg(feature = "cli")]
    pub(crate) fn holds_at(&self, at: Timestamp) -> bool {
        self.content.since <= at && at < self.content.until && !is_within(&self.superseded, at)
    }

    /// Whether the statement holds for any part of its period.
    #[cfg(feature = "cli")]
    pub(crate) fn holds(&self) -> bool {
        self.holds_between(self.content.since, self.content.until)
    }

    /// Whether the statement holds for any part of its own period from one time up to another.
    pub(crate) fn holds_between(&self, since: Timestamp, until: Timestamp) -> bool {
        let mut at = self.content.since.max(since);
        let end = self.content.until.min(until);
        while at < end {
            match self.superseded.iter().find(|(from, to)| *from <= at && at < *to) {
                None => return true,
                Some((_, to)) => at = *to,
            }
        }
        false
    }

    /// Whether another statement is an edition of the same thing.
    fn is_edition_of(&self, other: &Self) -> bool {
        let (a, b) = (&self.content, &other.content);
        (&a.provider, &a.account, a.has_money()) == (&b.provider, &b.account, b.has_money())
    }
}

/// The id of a part of a valid statement. The same file for the same account has the same ids.
#[cfg(feature = "cli")]
fn part_id(statement: &StatementReceived, part: u32) -> EventId {
    // A valid account is not empty, so the empty text stands for no account alone.
    let account = statement.account.as_deref().unwrap_or("");
    EventId::from_key(&statement.provider, &format!("statement\0{}\0{account}\0{part}", statement.file))
}

impl Snapshot<'_> {
    /// The statements that were received up to a time and are not voided, the earliest first.
    ///
    /// # Errors
    /// The store's own errors.
    pub(crate) fn statements(&self, now: impl Into<Timestamp>) -> Result<Vec<ReceivedStatement>> {
        let span = (Timestamp::MIN, now.into());
        let parts = collect_events(self.view(), EventKind::StatementReceived, &Subject::Ledger, span, |indexed| {
            let Payload::StatementReceived(content) = indexed.event.payload else { return None };
            Some((indexed.position, indexed.event.occurred_at, content))
        })?;
        let mut statements = joined(parts)?;
        supersede(&mut statements);
        Ok(statements)
    }

    /// The same statements with their sums by day instead of their buckets. Only the first part of each is read.
    ///
    /// # Errors
    /// The store's own errors.
    #[cfg(feature = "cli")]
    pub(crate) fn statement_sums(&self, now: impl Into<Timestamp>) -> Result<Vec<ReceivedStatement>> {
        let now = now.into();
        let mut entries: Vec<(Timestamp, Position)> = Vec::new();
        let span = (Timestamp::MIN, now);
        each_entry_between(self.view(), EventKind::StatementReceived, &Subject::Ledger, span, &mut |at, position| {
            entries.push((at, position));
            GO_ON
        })?;
        entries.sort_unstable();
        let mut statements = Vec::new();
        let mut rest = entries.as_slice();
        while let Some((at, position)) = rest.first().copied() {
            let content = first_part(&self.view().expect_line(position)?, position)?;
            let own = rest.get(..content.parts as usize);
            let follows = |(index, entry): (usize, &(Timestamp, Position))| {
                *entry == (at, Position::new(position.get() + index as u64))
            };
            // An older build wrote no sums. A part that was voided, or that another ledger recorded elsewhere, is none of these.
            let Some(own) = own.filter(|own| content.part == 1 && own.iter().enumerate().all(follows)) else {
                return self.summed_statements(now);
            };
            if content.days.is_empty() && !content.buckets.is_empty() {
                return self.summed_statements(now);
            }
            let positions = own.iter().map(|(_, position)| *position).collect();
            let content = content.without_buckets();
            statements.push(ReceivedStatement { positions, at, content, superseded: Vec::new() });
            rest = rest.get(own.len()..).unwrap_or_default();
        }
        supersede(&mut statements);
        Ok(statements)
    }

    /// The sums of statements, from their buckets.
    #[cfg(feature = "cli")]
    fn summed_statements(&self, now: Timestamp) -> Result<Vec<ReceivedStatement>> {
        let mut statements = self.statements(now)?;
        for statement in &mut statements {
            statement.content.days = StatementDay::of(&statement.content.buckets)?;
            statement.content.buckets.clear();
        }
        Ok(statements)
    }

    /// The position of the first part of a statement, if its file was received for its account.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a statement that cannot be recorded; and the store's own errors.
    #[cfg(feature = "cli")]
    pub(crate) fn position_of_statement(&self, statement: &StatementReceived) -> Result<Option<Position>> {
        statement.validate()?;
        self.view().position_of(part_id(statement, 1))
    }
}

/// The content of a part, with a place for each bucket instead of the bucket.
#[cfg(feature = "cli")]
#[derive(Deserialize)]
struct StatementHead {
    file: String,
    export: String,
    provider: String,
    account: Option<String>,
    since: Timestamp,
    until: Timestamp,
    part: u32,
    parts: u32,
    rounded_to: Option<Usd>,
    #[serde(default)]
    days: Vec<StatementDay>,
    buckets: Vec<IgnoredAny>,
}

#[cfg(feature = "cli")]
impl StatementHead {
    fn without_buckets(self) -> StatementReceived {
        let mut content = StatementReceived::new(&self.provider, self.file, self.export, (self.since, self.until));
        (content.account, content.rounded_to, content.days) = (self.account, self.rounded_to, self.days);
        (content.part, content.parts) = (self.part, self.parts);
        content
    }
}

/// Reads the line of a part without its buckets.
#[cfg(feature = "cli")]
fn first_part(line: &str, position: Position) -> Result<StatementHead> {
    #[derive(Deserialize)]
    struct Line {
        data: StatementHead,
    }
    let unreadable =
        |e| Error::damaged(Some(position), format!("the statement is unreadable ({e}): run `usage-ledger verify`"));
    serde_json::from_str::<Line>(line).map(|line| line.data).map_err(unreadable)
}

/// Joins the parts of statements. A statement that lacks a part is left out, because a void of any part withdraws it.
fn joined(mut parts: Vec<(Position, Timestamp, StatementReceived)>) -> Result<Vec<ReceivedStatement>> {
    let mut whole: BTreeMap<(Timestamp, String, String, Option<String>), ReceivedStatement> = BTreeMap::new();
    parts.sort_by_key(|(position, at, _)| (*at, *position));
    for (position, at, content) in parts {
        let key = (at, content.file.clone(), content.provider.clone(), content.account.clone());
        if let Some(statement) = whole.get_mut(&key) {
            statement.positions.push(position);
            statement.content.buckets.extend(content.buckets);
        } else {
            let positions = vec![position];
            whole.insert(key, ReceivedStatement { positions, at, content, superseded: Vec::new() });
        }
    }
    let is_whole = |one: &ReceivedStatement| one.positions.len() == one.content.parts as usize;
    let mut statements: Vec<ReceivedStatement> = whole.into_values().filter(is_whole).collect();
    for statement in &statements {
        let content = &statement.content;
        if !content.days.is_empty() && content.days != StatementDay::of(&content.buckets)? {
            let place = Some(statement.position()?);
            let what =
                "the sums by day of the statement are not those of its buckets: void it, and reconcile its file again";
            return Err(Error::damaged(place, what));
        }
    }
    statements.sort_by(|a, b| (a.at, &a.positions).cmp(&(b.at, &b.positions)));
    Ok(statements)
}

/// Finds the periods of statements that later ones replace. The statements are in the order of their times.
fn supersede(statements: &mut [ReceivedStatement]) {
    for earlier in 0..statements.len() {
        let (before, after) = statements.split_at_mut(earlier + 1);
        let Some(statement) = before.last_mut() else { continue };
        let newer = after.iter().filter(|newer| newer.is_edition_of(statement));
        let overlaps = newer.filter_map(|newer| {
            let since = newer.content.since.max(statement.content.since);
            let until = newer.content.until.min(statement.content.until);
            (since < until).then_some((since, until))
        });
        statement.superseded = overlaps.collect();
    }
}

#[cfg(feature = "cli")]
impl Ledger {
    /// Records statements together. A file that was received for the same account before appends nothing, even if its
    /// event was voided. Each outcome is that of the first part.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a statement without a period or with empty names; and the store's own errors. Nothing is
    /// written then.
    pub(crate) fn receive_statements(
        &self,
        statements: Vec<StatementReceived>,
        now: Timestamp,
    ) -> Result<Vec<Outcome>> {
        for statement in &statements {
            statement.validate()?;
        }
        self.transact(now, |appender| {
            let mut outcomes = Vec::new();
            for statement in statements {
                // A newer build may read the same file in another way. The first reading stays.
                let id = part_id(&statement, 1);
                if let Some(position) = appender.view()?.position_of(id)? {
                    outcomes.push(Outcome::Existing { position, id });
                    continue;
                }
                let mut first = None;
                for part in parts(&statement)? {
                    let id = part_id(&part, part.part);
                    let outcome = appender.push(NewEvent::new(part, now).source(self.source.clone()).id(id))?;
                    first.get_or_insert(outcome);
                }
                outcomes.push(first.ok_or_else(|| bug!("a statement without a part"))?);
            }
            Ok(outcomes)
        })
    }
}

/// Divides a statement into events of a bounded length. The first part of several has the sums by day alone.
#[cfg(feature = "cli")]
fn parts(statement: &StatementReceived) -> Result<Vec<StatementReceived>> {
    let StatementReceived { buckets, .. } = statement;
    let is_one = buckets.len() <= StatementReceived::MOST_BUCKETS;
    let number = if is_one { 1 } else { 1 + buckets.len().div_ceil(StatementReceived::MOST_BUCKETS) };
    let number = u32::try_from(number).map_err(|_| Error::Overflow { what: "number of buckets" })?;
    let days = StatementDay::of(buckets)?;
    let mut rest = buckets.clone().into_iter();
    let divided = (1..=number).map(|part| {
        let most = if part == 1 && !is_one { 0 } else { StatementReceived::MOST_BUCKETS };
        StatementReceived {
            part,
            parts: number,
            buckets: rest.by_ref().take(most).collect(),
            // What concerns the whole file is stated once.
            days: if part == 1 { days.clone() } else { Vec::new() },
            repeated_lines: if part == 1 { statement.repeated_lines.clone() } else { Vec::new() },
            other_rows: if part == 1 { statement.other_rows } else { 0 },
            ..statement.clone()
        }
    });
    Ok(divided.collect())
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use super::*;
    use crate::model::event::StatementBucket;
    use crate::model::time::{DAY, HOUR};

    fn at(day: i64, hour: i64) -> Timestamp {
        Timestamp::from_millis((20_574 + day) * DAY + hour * HOUR)
    }

    /// A statement of hours, with two models.
    fn statement(file: &str, days: i64, usd: Option<&str>) -> StatementReceived {
        let mut statement = StatementReceived::new("openai", file.repeat(64), "an export", (at(0, 0), at(days, 0)));
        for hour in 0..24 * days {
            for model in ["gpt-5", "gpt-5-mini"] {
                let bucket =
                    StatementBucket::new((at(0, hour), at(0, hour + 1))).name("model", model).name("key_id", "k");
                let mut bucket = bucket.tokens("input", 10 + hour as u64);
                bucket.usd = usd.map(|usd| usd.parse().unwrap());
                bucket.amounts = u64::from(usd.is_some());
                statement.buckets.push(bucket);
            }
        }
        statement
    }

    fn check(ledger: &Ledger, statements: usize) {
        let snapshot = ledger.snapshot().unwrap();
        let sums = snapshot.statement_sums(at(90, 0)).unwrap();
        assert_eq!(sums.len(), statements);
        let outline = |one: &ReceivedStatement| {
            let content = &one.content;
            (one.positions.clone(), one.superseded.clone(), content.days.clone(), content.parts, content.has_money())
        };
        let whole = snapshot.summed_statements(at(90, 0)).unwrap();
        assert_eq!(sums.iter().map(outline).collect::<Vec<_>>(), whole.iter().map(outline).collect::<Vec<_>>());
        assert!(sums.iter().all(|one| one.content.buckets.is_empty() && !one.content.days.is_empty()));
        assert!(ledger.verify().unwrap().ok);
    }

    #[test]
    fn sums_by_day_are_those_of_the_buckets() {
        let ledger = Ledger::in_memory().unwrap();
        let all = vec![statement("a", 10, None), statement("b", 2, Some("0.25")), statement("c", 20, Some("0.5"))];
        ledger.receive_statements(all, at(30, 0)).unwrap();
        check(&ledger, 3);
        let first = ledger.event(1).unwrap();
        let Payload::StatementReceived(content) = &first.payload else { panic!("{first:?}") };
        assert_eq!((content.parts, content.buckets.len(), content.days.len()), (3, 0, 20));
        // A voided part withdraws its statement.
        ledger.void(ledger.event(2).unwrap().id, "a wrong file", at(31, 0)).unwrap();
        check(&ledger, 2);
        // A statement of a build that wrote no sums.
        let mut older = statement("d", 1, None);
        older.account = Some("work".to_owned());
        ledger.append([NewEvent::new(older, at(32, 0))], at(32, 0)).unwrap();
        check(&ledger, 3);
    }

    #[test]
    fn sums_that_are_not_those_of_the_buckets_are_refused() {
        let mut wrong = statement("a", 1, None);
        wrong.days = StatementDay::of(&wrong.buckets[1..]).unwrap();
        assert!(wrong.validate().unwrap_err().to_string().contains("not those of its buckets"));
    }
}
