//! The rules in force, and which spend each of them splits.

use std::collections::BTreeSet;

use crate::ledger::{Ledger, Outcome};
use crate::model::error::{Error, Result};
use crate::model::event::{AllocationSet, EventData, EventId, EventKind, NewEvent, Payload, Position, Subject};
use crate::model::time::Timestamp;
use crate::projection::events_latest_first;
use crate::report::ReportKey;
use crate::store::ReadView;

/// A rule in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AllocationRule {
    /// The event that set it.
    pub id: EventId,
    /// The position of that event.
    pub position: Position,
    /// Its content.
    pub set: AllocationSet,
}

/// Reads a key of a rule.
fn key(name: &str) -> Result<ReportKey> {
    let key: ReportKey = name.parse()?;
    if key.is_time() || key == ReportKey::Window {
        return Err(Error::invalid(format!(
            "spend cannot be allocated by {name}: use project, account, provider, model, agent, conversation, machine, \
             person, team or label:NAME"
        )));
    }
    Ok(key)
}

impl AllocationRule {
    /// The keys of its conditions.
    pub(super) fn condition_keys(&self) -> Result<Vec<ReportKey>> {
        self.set.of.iter().map(|condition| key(&condition.key)).collect()
    }

    /// Whether the rule splits the spend of a row. `value` gives the row's value of a key.
    pub(super) fn splits(&self, value: &dyn Fn(&str) -> Result<Option<String>>) -> Result<bool> {
        let names: BTreeSet<&str> = self.set.of.iter().map(|condition| condition.key.as_str()).collect();
        for name in names {
            let value = value(name)?;
            if !self.set.of.iter().any(|condition| condition.key == name && condition.value == value) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The rules in force at a time, in the order of their names: for each name the latest event.
pub(super) fn in_force(view: &dyn ReadView, now: Timestamp) -> Result<Vec<AllocationRule>> {
    let mut settled = BTreeSet::new();
    let mut rules = Vec::new();
    for indexed in events_latest_first(view, EventKind::AllocationSet, &Subject::Ledger, now)? {
        if let Payload::AllocationSet(set) = indexed.event.payload
            && settled.insert(set.name.clone())
            && !set.ended
        {
            rules.push(AllocationRule { id: indexed.event.id, position: indexed.position, set });
        }
    }
    rules.sort_by(|a, b| a.set.name.cmp(&b.set.name));
    Ok(rules)
}

impl crate::ledger::Snapshot<'_> {
    /// The allocation rules in force at a time, in the order of their names.
    ///
    /// # Errors
    /// The store's own errors.
    pub(crate) fn allocation_rules(&self, now: impl Into<Timestamp>) -> Result<Vec<AllocationRule>> {
        in_force(self.view(), now.into())
    }
}

impl Ledger {
    /// Sets, replaces or ends a rule that splits shared spend.
    ///
    /// # Errors
    /// [`Error::Invalid`] for shares that are not 100 % with the rest, unknown keys, or the end of a rule that is not
    /// in force; and the store's own errors.
    pub fn set_allocation(&self, set: AllocationSet, now: impl Into<Timestamp>) -> Result<Outcome> {
        let now = now.into();
        set.validate()?;
        key(&set.by)?;
        for condition in &set.of {
            key(&condition.key)?;
        }
        if set.ended && !self.snapshot()?.allocation_rules(now)?.iter().any(|rule| rule.set.name == set.name) {
            return Err(Error::invalid(format!(
                "no rule {} is in force: `usage-ledger allocate list` shows those that are",
                set.name
            )));
        }
        let mut outcomes = self.append([NewEvent::new(set, now)], now)?.into_iter();
        outcomes.next().ok_or_else(|| crate::model::invariant::bug!("an append of one event has no outcome"))
    }
}
