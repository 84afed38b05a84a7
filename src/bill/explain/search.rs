//! The smallest set of parts whose sum is the difference.

use super::{Cause, ComparedCell, Delta, ExplainedPart, Explainer, sum};
use crate::model::tokens::Usd;
use crate::readers::statement::Class;

impl Explainer<'_> {
    /// The causes of a difference in tokens.
    pub(super) fn of_tokens(&self, subject: &ComparedCell<'_, '_>) -> Vec<ExplainedPart> {
        let difference = self.difference(subject);
        // A key of its own that no call has: the whole row is of that key.
        if subject.cell.calls.is_empty()
            && let Some(name) = subject.key.key.as_ref().or(subject.key.workspace.as_ref())
        {
            let usd = self.charge(subject, subject.cell.rows.iter().copied());
            let is_recorded =
                self.around.iter().any(|call| call.keys().chain(&call.workspace).any(|recorded| recorded == name));
            if !is_recorded {
                return vec![ExplainedPart {
                    cause: Cause::AnotherKey { name: name.clone() },
                    tokens: difference,
                    usd,
                }];
            }
        }
        if let Some(parts) = self.exact(subject, &difference) {
            return parts;
        }
        let mut parts = self.foreign_rows(subject);
        let foreign = parts.iter().fold(Delta::zero(self.classes), |sum, part| sum.plus(&part.tokens));
        let mut rest = difference.minus(&foreign);
        if rest.is_zero() && !parts.is_empty() {
            return parts;
        } else if !rest.is_surplus() {
            (parts, rest) = (Vec::new(), difference);
        } else if !parts.is_empty()
            && let Some(more) = self.exact(subject, &rest)
        {
            parts.extend(more);
            return parts;
        }
        parts.push(self.silent_machine(subject, &rest).unwrap_or_else(|| self.unknown(subject, rest)));
        parts
    }

    /// The parts with the fewest causes whose sum is exactly the difference. Among equal numbers the order of causes
    /// decides.
    fn exact(&self, subject: &ComparedCell<'_, '_>, difference: &Delta) -> Option<Vec<ExplainedPart>> {
        let borders = self.of_borders(subject);
        let names = self.of_names(subject);
        let mut best: Option<(usize, Vec<u8>, Vec<ExplainedPart>)> = None;
        for calls in self.of_calls(subject.cell) {
            for named in &names {
                let chosen = || calls.iter().chain(named);
                let rest = chosen().fold(difference.clone(), |rest, part| rest.minus(&part.tokens));
                let last = if rest.is_zero() {
                    None
                } else if let Some(border) = borders.get(&rest) {
                    Some(border.clone())
                } else if self.is_lifetime(&rest) {
                    Some(ExplainedPart {
                        cause: Cause::CacheWriteLifetime,
                        usd: self.price_of_lifetime(subject, &rest),
                        tokens: rest,
                    })
                } else {
                    continue;
                };
                let parts: Vec<ExplainedPart> =
                    chosen().cloned().chain(last).filter(|part| !part.tokens.is_zero()).collect();
                let order: Vec<u8> = parts.iter().map(|part| part.cause.order()).collect();
                let is_better = best.as_ref().is_none_or(|(number, kept, _)| (parts.len(), &order) < (*number, kept));
                if !parts.is_empty() && is_better {
                    best = Some((parts.len(), order, parts));
                }
            }
        }
        best.map(|(_, _, parts)| parts)
    }

    /// Whether cache writes are equal in sum, and all other classes are equal.
    pub(super) fn is_lifetime(&self, rest: &Delta) -> bool {
        let is_write = |class: Class| matches!(class, Class::CacheWrite5m | Class::CacheWrite1h | Class::CacheWrites);
        let writes =
            rest.each(self.classes).filter(|(class, _)| is_write(*class)).map(|(_, count)| count).sum::<i128>();
        rest.each(self.classes).all(|(class, count)| is_write(class) || count == 0) && writes == 0 && !rest.is_zero()
    }

    /// What another lifetime of cache writes costs by the list.
    fn price_of_lifetime(&self, subject: &ComparedCell<'_, '_>, rest: &Delta) -> Option<Usd> {
        let less = self.price(subject, &rest.negated().positive())?;
        sum([self.price(subject, &rest.positive()), Some(less.negated())])
    }

    /// A machine that used the model in the days before, has no call since, and used no less then than is missing now.
    pub(super) fn silent_machine(&self, subject: &ComparedCell<'_, '_>, rest: &Delta) -> Option<ExplainedPart> {
        if !rest.is_surplus() || rest.is_zero() {
            return None;
        }
        let silent = self.silent_machines(subject.key.start);
        let used = |machine: &str| {
            let calls = self
                .around
                .iter()
                .filter(|call| call.machine.as_deref() == Some(machine) && self.set.has_model(subject.key, call));
            Delta::of_calls(self.classes, calls).total()
        };
        let mut able = silent.into_iter().filter(|(machine, _)| used(machine) >= rest.total());
        let (machine, last_call) = able.next()?;
        // With two such machines none is named, because nothing says which of them it is.
        if able.next().is_some() {
            return None;
        }
        let cause = Cause::AnotherMachine { machine: machine.to_owned(), last_call };
        Some(ExplainedPart { cause, usd: self.price(subject, rest), tokens: rest.clone() })
    }
}
