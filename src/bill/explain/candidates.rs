//! Parts of a difference for which there is evidence.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::names::{KINDS, by_name};
use super::{BillCell, Cause, ComparedCell, Delta, ExplainedPart, Explainer, LedgerCall, sum};
use crate::model::time::{HOUR, Timestamp};
use crate::model::tokens::Usd;
use crate::readers::statement::{Name, StatementRow};

/// Calls so near to the border of a bucket may be counted on its other side, in milliseconds.
const NEAR: i64 = HOUR;
/// Maximum number of calls on one side of a border.
const MOST_NEAR: usize = 12;
/// Maximum number of names in a row for which pairs are tried.
const MOST_NAMES: usize = 12;

/// The bucket on the other side of a border.
struct Neighbour<'c, 'a> {
    cell: &'c BillCell<'a>,
    difference: Delta,
    /// The tokens of the calls that the statement may lack, by the way to choose them, and those of each caller. They are
    /// needed only if moved calls do not make the difference smaller.
    parts: OnceCell<(Vec<Delta>, HashSet<Delta>)>,
}

impl<'a> Explainer<'a> {
    /// The part of calls that the statement does not have.
    pub(super) fn missing_in_statement(&self, calls: &[&LedgerCall], cause: Cause) -> ExplainedPart {
        let calls = || calls.iter().copied();
        ExplainedPart { cause, tokens: Delta::of_calls(self.classes, calls()).negated(), usd: Self::cost(calls(), -1) }
    }

    /// The part of rows that the ledger does not have.
    pub(super) fn missing_in_ledger(
        &self,
        subject: &ComparedCell<'_, '_>,
        rows: &[&StatementRow],
        cause: Cause,
    ) -> ExplainedPart {
        let rows = || rows.iter().copied();
        ExplainedPart { cause, tokens: Delta::of_rows(self.classes, rows()), usd: self.charge(subject, rows()) }
    }

    /// Calls that the statement may lack: those only in telemetry, and background calls, all or by purpose.
    pub(super) fn of_calls(&self, cell: &BillCell<'_>) -> Vec<Vec<ExplainedPart>> {
        let calls = &cell.calls;
        let select = |wanted: &dyn Fn(&LedgerCall) -> bool| -> Vec<&LedgerCall> {
            calls.iter().copied().filter(|call| wanted(call)).collect()
        };
        let telemetry = |calls: &[&LedgerCall]| {
            (!calls.is_empty())
                .then(|| self.missing_in_statement(calls, Cause::OnlyInTelemetry { requests: calls.len() }))
        };
        let background = |calls: &[&LedgerCall]| {
            (!calls.is_empty())
                .then(|| self.missing_in_statement(calls, Cause::BackgroundCall { requests: calls.len() }))
        };
        let only = telemetry(&select(&|call| call.only_telemetry));
        let unlogged = telemetry(&select(&|call| call.only_telemetry && call.purpose.is_none()));
        let purposes: BTreeSet<&String> = calls.iter().filter_map(|call| call.purpose.as_ref()).collect();
        let mut own: Vec<Option<ExplainedPart>> = vec![background(&select(&|call| call.purpose.is_some()))];
        if purposes.len() > 1 {
            own.extend(
                purposes.iter().map(|purpose| background(&select(&|call| call.purpose.as_ref() == Some(purpose)))),
            );
        }
        let mut options = vec![Vec::new()];
        options.extend(only.clone().map(|part| vec![part]));
        options.extend(own.iter().flatten().map(|part| vec![part.clone()]));
        // Both: a call of both kinds counts as only in telemetry.
        let rest = background(&select(&|call| call.purpose.is_some() && !call.only_telemetry));
        options.extend(only.zip(rest).map(|(only, rest)| vec![only, rest]));
        let all = background(&select(&|call| call.purpose.is_some()));
        options.extend(unlogged.zip(all).map(|(only, all)| vec![only, all]));
        options
    }

    /// Rows that the ledger may lack: those of a machine that it knows, and those of keys, workspaces and users.
    pub(super) fn of_names(&self, subject: &ComparedCell<'_, '_>) -> Vec<Vec<ExplainedPart>> {
        let mut options = vec![Vec::new()];
        let rows = &subject.cell.rows;
        let part = |rows: &[&StatementRow], cause: Cause| self.missing_in_ledger(subject, rows, cause);
        let machines = self.machines();
        for kind in KINDS {
            let named = by_name(kind, rows);
            for (name, rows) in &named {
                if let Some((machine, last_call)) = machines.iter().find(|(machine, _)| is_machine(name, machine)) {
                    let cause = Cause::AnotherMachine { machine: (*machine).to_owned(), last_call: *last_call };
                    let calls: Vec<&LedgerCall> = subject
                        .cell
                        .calls
                        .iter()
                        .copied()
                        .filter(|call| call.machine.as_deref() == Some(*machine))
                        .collect();
                    let recorded = self.missing_in_statement(&calls, cause.clone());
                    let stated = part(rows, cause);
                    let usd = sum([stated.usd, recorded.usd]);
                    options.push(vec![ExplainedPart { tokens: stated.tokens.plus(&recorded.tokens), usd, ..stated }]);
                }
            }
            let parts: Vec<ExplainedPart> = named
                .iter()
                .filter(|(name, _)| self.is_evidence(subject.cell, kind, name, named.len()))
                .map(|(name, rows)| part(rows, Cause::AnotherKey { name: (*name).to_owned() }))
                .collect();
            options.extend(parts.iter().map(|part| vec![part.clone()]));
            if parts.len() <= MOST_NAMES {
                for (index, first) in parts.iter().enumerate() {
                    options.extend(parts.iter().skip(index + 1).map(|second| vec![first.clone(), second.clone()]));
                }
            }
            let foreign: Vec<ExplainedPart> = self.foreign(subject, kind);
            if foreign.len() > 2 {
                options.push(foreign);
            }
        }
        options.extend(self.left_out(subject.cell).into_iter().map(|part| vec![part]));
        options
    }

    /// Whether the sum of the rows of a name shows that the ledger lacks them. The rows of the only name, and those of all
    /// names where the ledger has no call, are all rows, and their sum is evidence of nothing. A name that the ledger does
    /// not record is evidence in itself.
    fn is_evidence(&self, cell: &BillCell<'_>, kind: Name, name: &str, names: usize) -> bool {
        (names > 1 && !cell.calls.is_empty()) || self.names.is_foreign(kind, name)
    }

    /// The calls of each key and workspace that the statement leaves out, though it has others that the ledger records.
    fn left_out(&self, cell: &BillCell<'_>) -> Vec<ExplainedPart> {
        let mut calls: BTreeMap<&String, Vec<&LedgerCall>> = BTreeMap::new();
        for call in &cell.calls {
            let is_left_out = |name: &String| self.names.is_left_out(&[Name::KeyId, Name::Key], name);
            let key = call.name(Name::Key).filter(|_| call.keys().all(is_left_out));
            let space = || call.workspace.as_ref().filter(|name| self.names.is_left_out(&[Name::Workspace], name));
            let name = key.or_else(space);
            if let Some(name) = name {
                calls.entry(name).or_default().push(call);
            }
        }
        let part = |(name, calls): (&String, Vec<&LedgerCall>)| {
            self.missing_in_statement(&calls, Cause::AnotherKey { name: name.clone() })
        };
        calls.into_iter().map(part).collect()
    }

    /// The rows of names that the ledger does not record, of the first kind that has such.
    pub(super) fn foreign_rows(&self, subject: &ComparedCell<'_, '_>) -> Vec<ExplainedPart> {
        KINDS.into_iter().map(|kind| self.foreign(subject, kind)).find(|parts| !parts.is_empty()).unwrap_or_default()
    }

    fn foreign(&self, subject: &ComparedCell<'_, '_>, kind: Name) -> Vec<ExplainedPart> {
        let named = by_name(kind, &subject.cell.rows);
        let foreign = named.into_iter().filter(|(name, _)| self.names.is_foreign(kind, name));
        foreign
            .map(|(name, rows)| self.missing_in_ledger(subject, &rows, Cause::AnotherKey { name: name.to_owned() }))
            .collect()
    }

    /// The last call of each machine.
    pub(super) fn machines(&self) -> BTreeMap<&'a str, Timestamp> {
        let named = self.around.iter().filter_map(|call| Some((call.machine.as_deref()?, call.at)));
        named.collect()
    }

    /// Every way to count calls on the other side of the borders of the bucket, by the difference that it makes.
    pub(super) fn of_borders(&self, subject: &ComparedCell<'_, '_>) -> HashMap<Delta, ExplainedPart> {
        let (start, end) = (subject.key.start, subject.key.end);
        let mut found = HashMap::new();
        for first in self.of_border(subject, start, true) {
            for last in self.of_border(subject, end, false) {
                let requests = first.1 + last.1;
                let tokens = first.0.tokens.plus(&last.0.tokens);
                let usd = sum([first.0.usd, last.0.usd]);
                let part = ExplainedPart { cause: Cause::DayBorder { requests }, tokens: tokens.clone(), usd };
                let kept = found.entry(tokens).or_insert((part.clone(), requests));
                if requests < kept.1 {
                    *kept = (part, requests);
                }
            }
        }
        found.into_iter().map(|(tokens, (part, _))| (tokens, part)).collect()
    }

    /// Whether moved calls also explain the difference of the neighbouring bucket: it gets smaller and has one sign, or the
    /// rest is that of calls which the statement may lack and of rows which the ledger may lack.
    fn is_on_other_side(&self, beyond: &Neighbour<'_, '_>, tokens: &Delta) -> bool {
        let rest = beyond.difference.plus(tokens);
        let is_less = rest.size() < beyond.difference.size() && (rest.is_surplus() || rest.negated().is_surplus());
        let is_explained = || {
            let (calls, callers) = beyond.parts.get_or_init(|| {
                let sum = |parts: &Vec<ExplainedPart>| {
                    parts.iter().fold(Delta::zero(self.classes), |sum, part| sum.plus(&part.tokens))
                };
                let calls = self.of_calls(beyond.cell).iter().map(sum).collect();
                (calls, self.of_callers(beyond.cell).into_iter().collect())
            });
            calls.iter().any(|calls| {
                let rest = rest.minus(calls);
                callers.contains(&rest) || self.is_lifetime(&rest)
            })
        };
        is_less || (!beyond.difference.is_zero() && is_explained())
    }

    /// The tokens of the rows of each name and of the calls that the statement leaves out, and none.
    fn of_callers(&self, cell: &BillCell<'_>) -> Vec<Delta> {
        let mut sums = vec![Delta::zero(self.classes)];
        for kind in KINDS {
            let named = by_name(kind, &cell.rows);
            let rows = named.iter().filter(|(name, _)| self.is_evidence(cell, kind, name, named.len()));
            sums.extend(rows.map(|(_, rows)| Delta::of_rows(self.classes, rows.iter().copied())));
        }
        sums.extend(self.left_out(cell).into_iter().map(|part| part.tokens));
        sums
    }

    /// The ways to move calls over one border: none, the first calls inside out, or the last calls outside in.
    fn of_border(
        &self,
        subject: &ComparedCell<'_, '_>,
        edge: Timestamp,
        is_start: bool,
    ) -> Vec<(ExplainedPart, usize)> {
        let nothing = ExplainedPart {
            cause: Cause::DayBorder { requests: 0 },
            tokens: Delta::zero(self.classes),
            usd: Some(Usd::default()),
        };
        let mut ways = vec![(nothing, 0)];
        // If the neighbouring bucket agrees, no call was counted on this side instead of that.
        let beyond = match self.set.neighbour(subject.key, is_start) {
            Ok(Some(cell)) => Some(cell),
            Ok(None) => return ways,
            Err(()) => None,
        };
        let beyond =
            beyond.map(|cell| Neighbour { cell, difference: self.difference_of(cell), parts: OnceCell::new() });
        let is_balanced = |tokens: &Delta| beyond.as_ref().is_none_or(|beyond| self.is_on_other_side(beyond, tokens));
        let is_same = |call: &&LedgerCall| {
            self.set.has_model(subject.key, call)
                && subject.key.key.as_ref().is_none_or(|key| call.keys().any(|own| own == key))
                && subject.key.workspace.as_ref().is_none_or(|space| call.workspace.as_ref() == Some(space))
        };
        let first = self.around.partition_point(|call| call.at < edge.plus(-NEAR));
        let last = self.around.partition_point(|call| call.at <= edge.plus(NEAR));
        let mut near: Vec<&LedgerCall> = self.around.get(first..last).unwrap_or(&[]).iter().filter(is_same).collect();
        near.sort_by_key(|call| (call.at.millis() - edge.millis()).abs());
        let is_inside = |call: &LedgerCall| (call.at >= edge) == is_start;
        for (inside, sign) in [(true, -1), (false, 1)] {
            let side: Vec<&LedgerCall> =
                near.iter().copied().filter(|call| is_inside(call) == inside).take(MOST_NEAR).collect();
            for count in 1..=side.len() {
                let moved = || side.iter().copied().take(count);
                let tokens = Delta::of_calls(self.classes, moved());
                let tokens = if sign < 0 { tokens.negated() } else { tokens };
                if !is_balanced(&tokens) {
                    continue;
                }
                let usd = Self::cost(moved(), sign);
                ways.push((ExplainedPart { cause: Cause::DayBorder { requests: count }, tokens, usd }, count));
            }
        }
        ways
    }
}

/// Whether a name of a statement names a machine: it is its name, or its last part.
pub(super) fn is_machine(name: &str, machine: &str) -> bool {
    let last = name.rsplit(['/', ':', '@']).next().unwrap_or(name);
    name.eq_ignore_ascii_case(machine) || last.eq_ignore_ascii_case(machine)
}
