use std::rc::Rc;

use super::super::class_totals::ClassTotals;
use crate::model::error::Result;
use crate::model::time::{HOUR, Timestamp};

/// Length of a block in milliseconds.
pub(super) const LENGTH: i64 = 5 * HOUR;

/// A call.
#[derive(Clone, Debug)]
pub(super) struct BlockCall {
    pub at: Timestamp,
    pub model: Rc<str>,
    pub totals: ClassTotals,
}

/// A block of calls, or a gap between two blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionBlock {
    pub start: Timestamp,
    pub end: Timestamp,
    /// Its first call; `None` for a gap.
    pub first: Option<Timestamp>,
    /// Its last call.
    pub last: Option<Timestamp>,
    pub calls: usize,
    pub totals: ClassTotals,
    /// Models in the order of their first use.
    pub models: Vec<Rc<str>>,
}

/// Divides calls into blocks. A block begins at the full hour (UTC) of its first call. A call more than five hours
/// after that, or after the previous call, begins a new block. If more than five hours pass between two calls there is
/// a gap, which begins five hours after the earlier call and ends at the later call.
pub(super) fn cut(mut calls: Vec<BlockCall>) -> Result<Vec<SessionBlock>> {
    calls.sort_by_key(|call| call.at);
    let mut blocks: Vec<SessionBlock> = Vec::new();
    let mut open: Option<SessionBlock> = None;
    for call in &calls {
        let mut block = match open.take() {
            Some(block) if !block.is_over(call.at) => block,
            ended => {
                if let Some(block) = ended {
                    let gap = block.last.map(|last| last.plus(LENGTH)).filter(|from| *from < call.at);
                    blocks.push(block);
                    blocks.extend(gap.map(|from| SessionBlock::new(from, call.at)));
                }
                let start = Timestamp::from_millis(call.at.millis() - call.at.millis().rem_euclid(HOUR));
                SessionBlock::new(start, start.plus(LENGTH))
            }
        };
        block.take(call)?;
        open = Some(block);
    }
    blocks.extend(open);
    // A gap of less than an hour may begin after the full hour at which the next block begins.
    blocks.sort_by_key(|block| block.start);
    Ok(blocks)
}

impl SessionBlock {
    fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end, first: None, last: None, calls: 0, totals: ClassTotals::default(), models: Vec::new() }
    }

    fn take(&mut self, call: &BlockCall) -> Result<()> {
        self.first = self.first.or(Some(call.at));
        self.last = Some(call.at);
        self.calls += 1;
        self.totals.add(&call.totals)?;
        if !self.models.contains(&call.model) {
            self.models.push(Rc::clone(&call.model));
        }
        Ok(())
    }

    /// Returns whether a call at this time is too late for the block.
    fn is_over(&self, at: Timestamp) -> bool {
        let since = |from: Timestamp| at.millis() - from.millis();
        since(self.start) > LENGTH || self.last.is_some_and(|last| since(last) > LENGTH)
    }

    /// Returns whether it is a gap.
    pub const fn is_gap(&self) -> bool {
        self.last.is_none()
    }

    /// Returns whether a call at this time would belong to the block.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.last.is_some_and(|last| now < last.plus(LENGTH)) && now < self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn blocks(times: &[&str]) -> Vec<SessionBlock> {
        let call = |text: &&str| BlockCall { at: at(text), model: "m".into(), totals: ClassTotals::default() };
        cut(times.iter().map(call).collect()).unwrap()
    }

    fn starts(times: &[&str]) -> Vec<String> {
        let name = |block: &SessionBlock| format!("{}{}", if block.is_gap() { "gap " } else { "" }, block.start);
        blocks(times).iter().map(name).collect()
    }

    #[test]
    fn a_call_exactly_at_the_end_is_included() {
        let times = ["2026-03-10T08:00:00Z", "2026-03-10T13:00:00Z"];
        assert_eq!(starts(&times), ["2026-03-10T08:00:00.000Z"]);
        let times = ["2026-03-10T08:00:00Z", "2026-03-10T08:10:00Z", "2026-03-10T13:00:00.001Z"];
        assert_eq!(starts(&times), ["2026-03-10T08:00:00.000Z", "2026-03-10T13:00:00.000Z"]);
    }

    #[test]
    fn a_gap_lies_from_five_hours_after_a_call_to_the_next() {
        let times = ["2026-03-10T20:00:00Z", "2026-03-10T08:30:00Z"];
        let gap = &blocks(&times)[1];
        assert_eq!((gap.start, gap.end), (at("2026-03-10T13:30:00Z"), at("2026-03-10T20:00:00Z")));
        assert_eq!((gap.calls, gap.is_gap()), (0, true));
    }

    #[test]
    fn a_short_gap_is_printed_after_the_following_block() {
        let times = ["2026-03-10T08:30:00Z", "2026-03-10T13:45:00Z"];
        let all = ["2026-03-10T08:00:00.000Z", "2026-03-10T13:00:00.000Z", "gap 2026-03-10T13:30:00.000Z"];
        assert_eq!(starts(&times), all);
    }

    #[test]
    fn a_block_is_active_until_it_ends() {
        let block = &blocks(&["2026-03-10T08:30:00Z"])[0];
        assert!(block.is_active(at("2026-03-10T12:59:59.999Z")));
        assert!(!block.is_active(at("2026-03-10T13:00:00Z")));
    }
}
