//! The instants at which accounts were used, as they were.
//!
//! The chunks of the present hold for the days that are as they are now. Those of a mixed day are made from the blocks.
//! A chunk ends where the state of the day changes, so chunks can be shorter than those of the present.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::super::blocks::{
    QuarterRanges, StoredColumn, StoredSummary, block_key, blocks_with, damaged, full_blocks, place, position_at,
};
use super::super::corrections::{self, effective};
use super::super::key::take_time;
use super::super::totals::Totals;
use super::super::usage_instants::{Instants, chunk_key, encode, read};
use super::days::{DayState, Span};
use super::past_view::{OpenUses, PastView, SpanUses};
use super::until::Until;
use crate::model::error::{Error, Result};
use crate::model::event::{AccountRef, Envelope, EventKind, Position, TokenView};
use crate::model::time::{DAY, QUARTER, Timestamp};
use crate::store::{Flow, GO_ON, Order, ReadView, STOP, Table, after_prefix};

/// Receives the account, time and counts of a use.
type UseVisitor<'f> = dyn FnMut(&[u8], Timestamp, &Totals) -> Result<()> + 'f;

/// Uses of a chunk that is made here.
const CHUNK: usize = 16;
/// Uses that are kept in memory, besides those of the span that was read last.
const KEPT: usize = 20_000;

/// A range of chunks of one account, and the order of the scan.
struct AccountRange<'s> {
    account: &'s [u8],
    from: &'s [u8],
    to: &'s [u8],
    /// The first and the last instant that can matter.
    first: i64,
    last: i64,
    order: Order,
}

impl<'s> AccountRange<'s> {
    /// `None` when a range has no key of the account.
    fn new(account: &'s [u8], from: &'s [u8], to: &'s [u8], order: Order) -> Option<Self> {
        let end = after_prefix(account);
        if (!end.is_empty() && from >= end.as_slice()) || (!to.is_empty() && to <= account) {
            return None;
        }
        let time = |key: &[u8], fill: u8| {
            let mut rest = key.strip_prefix(account)?.to_vec();
            rest.resize(8, fill);
            take_time(&rest).map(|(at, _)| at.millis())
        };
        let first = time(from, 0).unwrap_or(i64::MIN);
        let last = if to.is_empty() { i64::MAX } else { time(to, u8::MAX).unwrap_or(i64::MAX) };
        Some(Self { account, from, to, first, last, order })
    }

    fn has(&self, key: &[u8]) -> bool {
        key >= self.from && (self.to.is_empty() || key < self.to)
    }
}

/// Visits what is in front first, or last.
pub(super) fn in_order<T>(mut parts: Vec<T>, order: Order) -> Vec<T> {
    if order == Order::Descending {
        parts.reverse();
    }
    parts
}

impl PastView<'_> {
    pub(super) fn scan_uses(
        &self,
        (from, to): (&[u8], &[u8]),
        order: Order,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow,
    ) -> Result<()> {
        let accounts: Vec<&Vec<u8>> = self.known_accounts()?.keys().collect();
        for account in in_order(accounts, order) {
            let Some(range) = AccountRange::new(account, from, to, order) else { continue };
            if self.scan_account(&range, visit)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn scan_account(&self, range: &AccountRange<'_>, visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow) -> Flow {
        let spans = self.days.spans();
        let begin = spans.partition_point(|span| span.to <= range.first);
        let end = spans.partition_point(|span| span.from <= range.last);
        let spans: Vec<&Span> = spans.get(begin..end).into_iter().flatten().collect();
        for span in in_order(spans, range.order) {
            let flow = match span.state {
                DayState::Empty => GO_ON,
                DayState::Present => self.present_uses(span, range, visit),
                DayState::Mixed => self.mixed_uses(span, range, visit),
            }?;
            if flow.is_break() {
                return STOP;
            }
        }
        GO_ON
    }

    /// The last chunk of the present that starts in front of an instant.
    fn chunk_before(&self, account: &[u8], at: i64) -> Result<Option<(Vec<u8>, Instants)>> {
        let mut found = None;
        let to = chunk_key(account, Timestamp::from_millis(at));
        self.log.scan(Table::UsageInstants, account, &to, Order::Descending, &mut |key, value| {
            found = Some((key.to_vec(), read(key, value)?.2));
            STOP
        })?;
        Ok(found)
    }

    fn present_uses(&self, span: &Span, range: &AccountRange<'_>, visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow) -> Flow {
        let account = range.account;
        let is_whole = span.from == i64::MIN && span.to == i64::MAX;
        // The chunks that the borders of the span cut.
        let head = if span.from == i64::MIN || range.first > span.from {
            None
        } else {
            self.chunk_before(account, span.from)?.map(|(_, instants)| cut(instants, span.from, span.to))
        };
        let last = if span.to == i64::MAX { None } else { self.chunk_before(account, span.to)? };
        let mut is_over = false;
        let mut emit = |key: &[u8], value: &[u8]| {
            if !range.has(key) {
                return GO_ON;
            }
            let flow = visit(key, value)?;
            is_over = flow.is_break();
            Ok(flow)
        };
        let head = match head {
            Some(instants) if !instants.is_empty() => {
                let start = Timestamp::from_millis(span.from);
                Some((chunk_key(account, start), encode(span.from, &instants)?))
            }
            _ => None,
        };
        if let (Order::Ascending, Some((key, value))) = (range.order, &head)
            && emit(key, value)?.is_break()
        {
            return STOP;
        }
        let mut from = range.from.max(account).to_vec();
        if span.from != i64::MIN {
            from = from.max(chunk_key(account, Timestamp::from_millis(span.from)));
        }
        let mut to = if span.to == i64::MAX {
            after_prefix(account)
        } else {
            chunk_key(account, Timestamp::from_millis(span.to))
        };
        if !range.to.is_empty() && (to.is_empty() || range.to < to.as_slice()) {
            to = range.to.to_vec();
        }
        if to.is_empty() || from < to {
            self.log.scan(Table::UsageInstants, &from, &to, range.order, &mut |key, value| match &last {
                Some((cut_key, instants)) if !is_whole && cut_key == key => {
                    let instants = cut(instants.clone(), span.from, span.to);
                    let (_, start, _) = read(key, value)?;
                    if instants.is_empty() { GO_ON } else { emit(key, &encode(start.millis(), &instants)?) }
                }
                _ => emit(key, value),
            })?;
        }
        if let (Order::Descending, false, Some((key, value))) = (range.order, is_over, &head) {
            return visit_if(range, key, value, visit);
        }
        if is_over { STOP } else { GO_ON }
    }

    fn mixed_uses(&self, span: &Span, range: &AccountRange<'_>, visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow) -> Flow {
        let uses = self.uses_of_span(span)?;
        let Some(uses) = uses.get(range.account) else { return GO_ON };
        let chunks: Vec<&[(i64, Totals)]> = uses.chunks(CHUNK).collect();
        let begin = chunks.partition_point(|chunk| chunk.last().is_some_and(|(at, _)| *at < range.first));
        let end = chunks.partition_point(|chunk| chunk.first().is_some_and(|(at, _)| *at <= range.last));
        let chunks = chunks.get(begin..end).map(<[_]>::to_vec).unwrap_or_default();
        for chunk in in_order(chunks, range.order) {
            let Some((start, _)) = chunk.first() else { continue };
            let instants: Instants = chunk.iter().copied().collect();
            let key = chunk_key(range.account, Timestamp::from_millis(*start));
            if visit_if(range, &key, &encode(*start, &instants)?, visit)?.is_break() {
                return STOP;
            }
        }
        GO_ON
    }

    /// The uses of a mixed span.
    fn uses_of_span(&self, span: &Span) -> Result<Rc<SpanUses>> {
        if let Some(uses) = self.span_uses.borrow().get(&span.from) {
            return Ok(Rc::clone(uses));
        }
        let mut sums: HashMap<Vec<u8>, Instants> = HashMap::new();
        let mut add = |account: &[u8], at: Timestamp, totals: &Totals| -> Result<()> {
            if !(span.from..span.to).contains(&at.millis()) {
                return Ok(());
            }
            let instants = match sums.get_mut(account) {
                Some(instants) => instants,
                None => sums.entry(account.to_vec()).or_default(),
            };
            instants.entry(at.millis()).or_default().add(totals)
        };
        for number in self.day_blocks()?.get(&span.from.div_euclid(DAY)).into_iter().flatten() {
            self.uses_of_block(*number, span, &mut add)?;
        }
        let mut uses = SpanUses::new();
        for (account, instants) in sums {
            uses.insert(account, instants.into_iter().filter(|(_, totals)| !totals.is_zero()).collect());
        }
        let uses = Rc::new(uses);
        let mut kept = self.span_uses.borrow_mut();
        let count = |uses: &SpanUses| uses.values().map(Vec::len).sum::<usize>();
        if kept.values().map(|uses| count(uses)).sum::<usize>() > KEPT {
            kept.clear();
        }
        kept.insert(span.from, Rc::clone(&uses));
        Ok(uses)
    }

    /// The blocks that may hold records of mixed days.
    fn day_blocks(&self) -> Result<&BTreeMap<i64, Vec<u64>>> {
        if let Some(known) = self.day_blocks.get() {
            return Ok(known);
        }
        let mixed: Vec<i64> = self
            .days
            .between(i64::MIN, i64::MAX)
            .filter(|(_, state)| *state == DayState::Mixed)
            .map(|(day, _)| day)
            .collect();
        let last = place(self.head.position).0 + 1;
        let per_day = DAY / QUARTER;
        let mut blocks: BTreeMap<i64, Vec<u64>> = BTreeMap::new();
        for day in &mixed {
            let quarters = QuarterRanges::between(day * per_day, (day + 1) * per_day - 1);
            let numbers = blocks_with(&*self.log, &quarters)?;
            blocks.insert(*day, numbers.into_iter().filter(|number| *number < last).collect());
        }
        // The block that is not full in the log has no summary.
        let open = full_blocks(&*self.log)?;
        if open < last {
            for day in &mixed {
                blocks.entry(*day).or_default().push(open);
            }
        }
        Ok(self.day_blocks.get_or_init(|| blocks))
    }

    /// Visits the uses of a block up to the position, among them all of a span.
    fn uses_of_block(&self, number: u64, span: &Span, add: &mut UseVisitor<'_>) -> Result<()> {
        let key = block_key(number);
        let unreadable = || damaged(number);
        let Some(summary) = self.log.get(Table::Blocks, &key)? else {
            return self
                .uses_of_open_block(number)?
                .iter()
                .try_for_each(|(account, at, totals)| add(account, *at, totals));
        };
        let summary = StoredSummary::read(&summary).ok_or_else(unreadable)?;
        let mut in_span = |quarter: i64| (span.from..span.to).contains(&(quarter * QUARTER));
        if !summary.has_quarter(&mut in_span).ok_or_else(unreadable)? {
            return Ok(());
        }
        let Some(column) = self.log.get(Table::Columns, &key)? else { return self.uses_of_lines(number, add) };
        let corrected = summary.corrected().ok_or_else(unreadable)?;
        let column = StoredColumn::read(&column).ok_or_else(unreadable)?;
        let last = self.head.position;
        let read = column.each(&mut |entry| {
            if position_at(number, entry.offset) > last || corrected.contains(&entry.offset) {
                return Ok(());
            }
            add(column.account(entry.names).ok_or_else(unreadable)?, entry.at, &entry.totals)
        });
        read.ok_or_else(unreadable)??;
        for offset in corrected {
            self.use_of_record(position_at(number, offset), add)?;
        }
        Ok(())
    }

    /// The uses behind the last full block. Every mixed span asks for them, so their lines are parsed once.
    fn uses_of_open_block(&self, number: u64) -> Result<Rc<OpenUses>> {
        if let Some((known, uses)) = &*self.open_uses.borrow()
            && *known == number
        {
            return Ok(Rc::clone(uses));
        }
        let mut uses = OpenUses::new();
        self.uses_of_lines(number, &mut |account, at, totals| {
            uses.push((account.to_vec(), at, *totals));
            Ok(())
        })?;
        let uses = Rc::new(uses);
        *self.open_uses.borrow_mut() = Some((number, Rc::clone(&uses)));
        Ok(uses)
    }

    fn uses_of_lines(&self, number: u64, add: &mut UseVisitor<'_>) -> Result<()> {
        let any = corrections::corrections_exist(&*self.log)?;
        let mut corrected = Vec::new();
        let behind = position_at(number + 1, 0);
        self.rows(position_at(number, 0), &mut |position, row| {
            if position >= behind {
                return STOP;
            }
            if !row.is_kind(EventKind::TokensRecorded) {
                return GO_ON;
            }
            if any && corrections::any(&*self.log, row.id)? {
                corrected.push(position);
                return GO_ON;
            }
            let envelope = Envelope::parse(position, row.body)?;
            let record: TokenView<'_> = serde_json::from_str(envelope.data.get())
                .map_err(|e| Error::damaged(position, format!("this record is unreadable ({e})")))?;
            let account = AccountRef::new(&record.provider, record.account.as_deref()).key();
            add(&account, envelope.occurred_at, &Totals::one(&record.tokens, record.cost))?;
            GO_ON
        })?;
        corrected.into_iter().try_for_each(|position| self.use_of_record(position, add))
    }

    /// Visits the use of a record that has corrections.
    fn use_of_record(&self, position: Position, add: &mut UseVisitor<'_>) -> Result<()> {
        let last = self.head.position;
        if position > last {
            return Ok(());
        }
        let Some(now) = effective(&Until { view: &*self.log, last }, position, None)? else { return Ok(()) };
        let account = AccountRef::new(&now.record.provider, now.record.account.as_deref()).key();
        add(&account, now.at, &Totals::one(&now.record.tokens, now.record.cost))
    }
}

fn visit_if(range: &AccountRange<'_>, key: &[u8], value: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> Flow) -> Flow {
    if range.has(key) { visit(key, value) } else { GO_ON }
}

/// The instants of a span.
fn cut(mut instants: Instants, from: i64, to: i64) -> Instants {
    instants.retain(|at, _| (from..to).contains(at));
    instants
}
