//! What a view of the past reads once and keeps.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

use super::super::totals::Totals;
use super::accounts;
use super::changes::Changes;
use super::chapters::{CHAPTER, first_naming, start_of};
use super::days::Days;
use crate::model::error::Result;
use crate::model::event::Position;
use crate::model::time::Timestamp;
use crate::store::{Head, ReadView, STOP, TableRows};

/// The uses of a mixed span, by the key of the account.
pub(super) type SpanUses = BTreeMap<Vec<u8>, Vec<(i64, Totals)>>;

/// The uses of a block that has no summary: account, time and counts of each record.
pub(super) type OpenUses = Vec<(Vec<u8>, Timestamp, Totals)>;

/// The events up to a position and the projections as they were then, from what appends stored. It writes nothing.
pub(crate) struct PastView<'a> {
    /// The whole ledger.
    pub(super) log: Box<dyn ReadView + 'a>,
    pub(super) head: Head,
    /// The chapter that the position is in.
    pub(super) chapter: u64,
    /// What the events of that chapter change, up to the position.
    pub(super) tail: Changes,
    pub(super) days: Days,
    /// The blocks that hold records of mixed days, by day.
    pub(super) day_blocks: OnceCell<BTreeMap<i64, Vec<u64>>>,
    /// The uses of the last block without a summary that was read.
    pub(super) open_uses: RefCell<Option<(u64, Rc<OpenUses>)>>,
    /// The uses of mixed spans that were read, by the first instant of the span.
    pub(super) span_uses: RefCell<BTreeMap<i64, Rc<SpanUses>>>,
    /// The session starts of an account that are not those of the present.
    pub(super) session_starts: RefCell<HashMap<Vec<u8>, Rc<TableRows>>>,
    pub(super) accounts: OnceCell<TableRows>,
    pub(super) imports: OnceCell<[TableRows; 2]>,
}

impl<'a> PastView<'a> {
    /// The ledger as of a position that is not behind its end.
    pub fn new(log: Box<dyn ReadView + 'a>, position: Position) -> Result<Self> {
        let mut head = Head::default();
        if position > Position::START {
            log.rows(position, &mut |at, row| {
                head = Head { position: at, recorded_at: row.recorded_at };
                STOP
            })?;
        }
        let chapter = position.get() / CHAPTER;
        Ok(Self {
            tail: Changes::of(&*log, start_of(chapter), position)?,
            days: Days::new(&*log, position)?,
            log,
            head,
            chapter,
            day_blocks: OnceCell::new(),
            open_uses: RefCell::default(),
            span_uses: RefCell::default(),
            session_starts: RefCell::default(),
            accounts: OnceCell::new(),
            imports: OnceCell::new(),
        })
    }

    /// The accounts that were known.
    pub(super) fn known_accounts(&self) -> Result<&TableRows> {
        if let Some(known) = self.accounts.get() {
            return Ok(known);
        }
        let (mut known, mut unknown) = (TableRows::new(), BTreeSet::new());
        for account in accounts::all(&*self.log)? {
            match first_naming(&*self.log, &account)? {
                Some(number) if number < self.chapter => {
                    known.insert(account, Vec::new());
                }
                Some(number) if number > self.chapter => {}
                _ => {
                    unknown.insert(account);
                }
            }
        }
        let named = accounts::named_between(&*self.log, unknown, start_of(self.chapter), self.head.position)?;
        known.extend(named.into_iter().map(|account| (account, Vec::new())));
        Ok(self.accounts.get_or_init(|| known))
    }
}
