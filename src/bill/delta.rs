//! Counts of the classes of a statement, and their sums.

use std::collections::BTreeMap;

use super::LedgerCall;
use crate::readers::statement::{Class, StatementRow};

/// One number for each class of a comparison, in its order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Delta(Vec<i128>);

impl Delta {
    pub fn zero(classes: &[Class]) -> Self {
        Self(vec![0; classes.len()])
    }

    /// The tokens of calls.
    pub fn of_calls<'c>(classes: &[Class], calls: impl IntoIterator<Item = &'c LedgerCall>) -> Self {
        calls.into_iter().fold(Self::zero(classes), |sum, call| {
            sum.plus(&Self(classes.iter().map(|class| call.count(*class)).collect()))
        })
    }

    /// The tokens of rows.
    pub fn of_rows<'r>(classes: &[Class], rows: impl IntoIterator<Item = &'r StatementRow>) -> Self {
        let count = |row: &StatementRow, class: &Class| i128::from(row.counts.get(class).copied().unwrap_or(0));
        rows.into_iter().fold(Self::zero(classes), |sum, row| {
            sum.plus(&Self(classes.iter().map(|class| count(row, class)).collect()))
        })
    }

    pub fn plus(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(a, b)| a + b).collect())
    }

    pub fn minus(&self, other: &Self) -> Self {
        self.plus(&other.negated())
    }

    pub fn negated(&self) -> Self {
        Self(self.0.iter().map(|count| -count).collect())
    }

    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|count| *count == 0)
    }

    /// Whether no class is negative.
    pub fn is_surplus(&self) -> bool {
        self.0.iter().all(|count| *count >= 0)
    }

    /// The classes that are positive. The others are zero.
    pub fn positive(&self) -> Self {
        Self(self.0.iter().map(|count| (*count).max(0)).collect())
    }

    /// The sum over the classes.
    pub fn total(&self) -> i128 {
        self.0.iter().sum()
    }

    /// The sum of the absolute numbers.
    pub fn size(&self) -> i128 {
        self.0.iter().map(|count| count.abs()).sum()
    }

    /// Each class with its number.
    pub fn each<'d>(&'d self, classes: &'d [Class]) -> impl Iterator<Item = (Class, i128)> + 'd {
        classes.iter().copied().zip(self.0.iter().copied())
    }

    /// The numbers that are not zero, by the names of their classes.
    pub fn named(&self, classes: &[Class]) -> BTreeMap<&'static str, i128> {
        self.each(classes).filter(|(_, count)| *count != 0).map(|(class, count)| (class.name(), count)).collect()
    }
}
