//! The names of a statement's rows: which of them the ledger records.

use std::collections::{BTreeMap, BTreeSet};

use super::super::LedgerCall;
use super::super::cell::BillCell;
use crate::readers::statement::{Name, StatementRow};

/// The kinds of names that separate who called.
pub(super) const KINDS: [Name; 5] = [Name::KeyId, Name::Key, Name::Workspace, Name::User, Name::Account];

/// The names that the ledger records: those of its labels, and those of rows with which it agrees.
pub(super) struct KnownNames {
    known: BTreeMap<Name, BTreeSet<String>>,
    /// The names in the statement.
    stated: BTreeMap<Name, BTreeSet<String>>,
    /// The kinds of which the statement has a known name. A name of another kind does not show whether the ledger records
    /// its calls.
    shared: BTreeSet<Name>,
}

impl KnownNames {
    /// Collects the names of cells with which the ledger agrees, and of its calls. `cells` are all cells.
    pub fn of<'c, 'a: 'c>(
        agreeing: impl Iterator<Item = &'c BillCell<'a>>,
        cells: impl Iterator<Item = &'c BillCell<'a>>,
        around: &[LedgerCall],
    ) -> Self {
        let mut known: BTreeMap<Name, BTreeSet<String>> = BTreeMap::new();
        for row in agreeing.flat_map(|cell| &cell.rows) {
            for kind in KINDS {
                if let Some(name) = row.names.get(&kind) {
                    known.entry(kind).or_default().insert(name.clone());
                }
            }
        }
        for call in around {
            for key in call.keys() {
                for kind in [Name::KeyId, Name::Key] {
                    known.entry(kind).or_default().insert(key.clone());
                }
            }
            if let Some(workspace) = &call.workspace {
                known.entry(Name::Workspace).or_default().insert(workspace.clone());
            }
        }
        let mut stated: BTreeMap<Name, BTreeSet<String>> = BTreeMap::new();
        for row in cells.flat_map(|cell| &cell.rows) {
            for kind in KINDS {
                stated.entry(kind).or_default().extend(row.names.get(&kind).cloned());
            }
        }
        let is_shared = |kind: &Name| {
            stated.get(kind).zip(known.get(kind)).is_some_and(|(stated, known)| !stated.is_disjoint(known))
        };
        let shared = KINDS.into_iter().filter(is_shared).collect();
        Self { known, stated, shared }
    }

    /// Whether any row has this name.
    fn is_stated(&self, kind: Name, name: &str) -> bool {
        self.stated.get(&kind).is_some_and(|stated| stated.contains(name))
    }

    /// Whether the statement has names of one of these kinds that the ledger records, and this one in none of them.
    pub fn is_left_out(&self, kinds: &[Name], name: &str) -> bool {
        kinds.iter().any(|kind| self.shared.contains(kind)) && !kinds.iter().any(|kind| self.is_stated(*kind, name))
    }

    /// Whether the ledger records other names of this kind in the statement, and not this one.
    pub fn is_foreign(&self, kind: Name, name: &str) -> bool {
        self.shared.contains(&kind) && self.known.get(&kind).is_some_and(|known| !known.contains(name))
    }
}

/// Rows by their names of a kind.
pub(super) fn by_name<'r>(kind: Name, rows: &[&'r StatementRow]) -> BTreeMap<&'r str, Vec<&'r StatementRow>> {
    let mut named: BTreeMap<&str, Vec<&StatementRow>> = BTreeMap::new();
    for row in rows {
        if let Some(name) = row.names.get(&kind) {
            named.entry(name).or_default().push(row);
        }
    }
    named
}
