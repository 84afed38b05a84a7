//! Statements of providers: recording them, and which of their editions hold.

use std::collections::BTreeMap;

use super::{Ledger, Outcome, Snapshot};
use crate::model::error::{Error, Result};
use crate::model::event::{EventData, EventId, EventKind, NewEvent, Payload, Position, StatementReceived, Subject};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::projection::collect_events;

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
        let mut parts = collect_events(self.view(), EventKind::StatementReceived, &Subject::Ledger, span, |indexed| {
            let Payload::StatementReceived(content) = indexed.event.payload else { return None };
            Some((indexed.position, indexed.event.occurred_at, content))
        })?;
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
        // A void of any part withdraws the statement.
        let is_whole = |one: &ReceivedStatement| one.positions.len() == one.content.parts as usize;
        let mut statements: Vec<ReceivedStatement> = whole.into_values().filter(is_whole).collect();
        statements.sort_by(|a, b| (a.at, &a.positions).cmp(&(b.at, &b.positions)));
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
        Ok(statements)
    }

    /// The position of the first part of a statement, if its file was received for its account.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a statement that cannot be recorded; and the store's own errors.
    pub(crate) fn position_of_statement(&self, statement: &StatementReceived) -> Result<Option<Position>> {
        statement.validate()?;
        self.view().position_of(part_id(statement, 1))
    }
}

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

/// Divides a statement into events of a bounded length.
fn parts(statement: &StatementReceived) -> Result<Vec<StatementReceived>> {
    let StatementReceived { buckets, .. } = statement;
    let number = buckets.len().div_ceil(StatementReceived::MOST_BUCKETS).max(1);
    let number = u32::try_from(number).map_err(|_| Error::Overflow { what: "number of buckets" })?;
    let mut rest = statement.buckets.clone().into_iter();
    let divided = (1..=number).map(|part| StatementReceived {
        part,
        parts: number,
        buckets: rest.by_ref().take(StatementReceived::MOST_BUCKETS).collect(),
        // What concerns the whole file is stated once.
        repeated_lines: if part == 1 { statement.repeated_lines.clone() } else { Vec::new() },
        other_rows: if part == 1 { statement.other_rows } else { 0 },
        ..statement.clone()
    });
    Ok(divided.collect())
}
