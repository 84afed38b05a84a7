//! What a snapshot reads ahead: a query that goes through the log line by line, and asks for the corrections of each record, needs a
//! request for hundreds of lines instead of two for each.

use std::collections::BTreeMap;

use super::super::Table;
use super::known::{Known, KnownRow};
use crate::model::event::Position;

/// A line so few positions behind the last one continues it.
const NEAR: u64 = 64;
/// So many lines one after the other are followed by more.
const LINES: u32 = 4;
/// So many scans are followed by more.
const SCANS: u32 = 8;
/// Rows of a table that is read whole.
pub(super) const WHOLE: usize = 2_048;

/// Lines that a snapshot has read ahead.
#[derive(Default)]
pub(super) struct LinesAhead {
    last: u64,
    streak: u32,
    rows: BTreeMap<Position, KnownRow>,
}

impl LinesAhead {
    /// Notes that the lines from a position on are asked for. Returns whether more of them are worth a request.
    pub fn note(&mut self, from: Position) -> bool {
        // A query may ask for a line twice.
        if from.get() != self.last {
            let continues = (self.last + 1..=self.last + NEAR).contains(&from.get());
            self.streak = if continues { self.streak.saturating_add(1) } else { 0 };
        }
        self.last = from.get();
        self.streak >= LINES
    }

    /// A line that was read ahead.
    pub fn row(&self, position: Position) -> Option<KnownRow> {
        self.rows.get(&position).cloned()
    }

    /// Keeps lines in place of those before.
    pub fn keep(&mut self, page: &[(Position, KnownRow)]) {
        self.rows = page.iter().cloned().collect();
    }
}

/// The rows of a table that many records ask for and that often has few of them.
#[derive(Default)]
pub(super) enum SmallTable {
    #[default]
    Unread,
    Scanned(u32),
    /// All of them.
    Whole(Known),
    /// They are too many.
    Large,
}

impl SmallTable {
    /// Whether a table is worth being read whole.
    pub fn is_one(table: Table) -> bool {
        table == Table::Corrections
    }

    /// Notes a scan. Returns whether to read the whole table now.
    pub fn note(&mut self) -> bool {
        match self {
            Self::Unread => *self = Self::Scanned(1),
            Self::Scanned(scans) if *scans < SCANS => *scans += 1,
            Self::Scanned(_) => return true,
            Self::Whole(_) | Self::Large => {}
        }
        false
    }

    /// Keeps the first rows of the table, at most [`WHOLE`].
    pub fn keep(&mut self, table: Table, page: Vec<(Vec<u8>, Vec<u8>)>) {
        *self = if page.len() < WHOLE {
            let mut known = Known::default();
            known.add(table, &[], None, page);
            Self::Whole(known)
        } else {
            Self::Large
        };
    }

    /// All rows, if they are known.
    pub const fn whole(&self) -> Option<&Known> {
        match self {
            Self::Whole(known) => Some(known),
            _ => None,
        }
    }
}
