//! Statements of single requests: the ids show which requests one side lacks.

use super::candidates::is_machine;
use super::names::{KINDS, by_name};
use super::{Cause, ComparedCell, ExplainedPart, Explainer, LedgerCall};
use crate::readers::statement::StatementRow;

impl Explainer<'_> {
    /// The causes of a difference, by the calls without a row and the rows without a call.
    pub(super) fn by_id(&self, subject: &ComparedCell<'_, '_>) -> Vec<ExplainedPart> {
        let mut parts = Vec::new();
        let calls = &subject.cell.calls_without_row;
        let select = |wanted: &dyn Fn(&LedgerCall) -> bool| -> Vec<&LedgerCall> {
            calls.iter().copied().filter(|call| wanted(call)).collect()
        };
        let telemetry = select(&|call| call.only_telemetry);
        let background = select(&|call| !call.only_telemetry && call.purpose.is_some());
        let kinds = [
            (Cause::OnlyInTelemetry { requests: telemetry.len() }, telemetry),
            (Cause::BackgroundCall { requests: background.len() }, background),
        ];
        for (cause, calls) in kinds {
            parts.push(self.missing_in_statement(&calls, cause));
        }
        for (cause, rows) in self.of_other_callers(subject) {
            parts.push(self.missing_in_ledger(subject, &rows, cause));
        }
        let rest = parts.iter().fold(self.difference(subject), |rest, part| rest.minus(&part.tokens));
        if self.is_lifetime(&rest) {
            parts.push(ExplainedPart { cause: Cause::CacheWriteLifetime, tokens: rest.clone(), usd: None });
        } else {
            parts.push(self.silent_machine(subject, &rest).unwrap_or_else(|| self.unknown(subject, rest)));
        }
        parts.retain(|part| !part.tokens.is_zero());
        parts
    }

    /// The rows without a call that name a machine of the ledger, or a key, workspace or user that it does not record.
    fn of_other_callers<'s>(&self, subject: &ComparedCell<'s, '_>) -> Vec<(Cause, Vec<&'s StatementRow>)> {
        let machines = self.machines();
        let mut found = Vec::new();
        let mut rows: Vec<&StatementRow> = subject.cell.rows_without_call.clone();
        for kind in KINDS {
            for (name, named) in by_name(kind, &rows.clone()) {
                let machine = machines.iter().find(|(machine, _)| is_machine(name, machine));
                let cause = match machine {
                    Some((machine, last_call)) => {
                        Cause::AnotherMachine { machine: (*machine).to_owned(), last_call: *last_call }
                    }
                    None if self.names.is_foreign(kind, name) => Cause::AnotherKey { name: name.to_owned() },
                    None => continue,
                };
                rows.retain(|row| row.names.get(&kind).is_none_or(|other| other != name));
                found.push((cause, named));
            }
        }
        found
    }
}
