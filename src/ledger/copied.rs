//! Copies of a ledger: appends the lines of another copy, byte for byte.

use std::num::NonZero;
use std::thread;

use super::Ledger;
use super::shred::carry_out;
use crate::merkle::{Hash, stored_leaf};
use crate::model::error::{Error, Result};
use crate::model::event::{Event, Payload, Position};
use crate::model::invariant::bug;
use crate::model::threads::start;
use crate::model::time::Timestamp;
use crate::projection::leaf_at;
use crate::store::ReadView;

/// A line of another copy that was read: an event, or what remains of a shredded one.
pub(crate) struct CopiedLine {
    event: Event,
    line: String,
    leaf: Hash,
}

/// The result of copying lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copied {
    /// The ledger has all lines now.
    Held {
        /// Lines that it did not have before.
        new: u64,
        /// Bodies that were erased because another line names them as shredded.
        shredded: u64,
    },
    /// The ledger ends at this position, before the first line. Nothing was written.
    Gap(Position),
    /// The ledger has another line at this position. Nothing was written.
    Differs(Position),
}

impl CopiedLine {
    /// Reads the line at a position.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a line that is no event, [`Error::UnknownEvent`] for one of a newer build.
    pub fn read(position: Position, line: String) -> Result<Self> {
        let unreadable = |error: Error| match error {
            // The sender's line is wrong. The ledger of this machine is not damaged.
            Error::Damaged { what, .. } => {
                Error::invalid(format!("the line of position {position} is refused: {what}"))
            }
            other => other,
        };
        let leaf = stored_leaf(position, &line).map_err(unreadable)?;
        let event = Event::from_line(position, &line).map_err(unreadable)?;
        Ok(Self { event, line, leaf })
    }
}

/// Lines that one thread reads at least. A thread for fewer takes longer than it saves.
const READ_TOGETHER: usize = 500;

impl CopiedLine {
    /// Reads the lines behind a position, on all cores: that takes as long as appending them.
    ///
    /// # Errors
    /// As for [`read`](Self::read), about the first line that is refused.
    pub fn read_all(base: Position, lines: Vec<String>) -> Result<Vec<Self>> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        let share = lines.len().div_ceil(cores).max(READ_TOGETHER);
        let read = |first: usize, lines: Vec<String>| {
            let mut position = Position::new(base.get() + first as u64);
            let read = lines.into_iter().map(|line| {
                position = position.next();
                Self::read(position, line)
            });
            read.collect::<Result<Vec<_>>>()
        };
        let mut lines = lines.into_iter();
        thread::scope(|scope| {
            let own: Vec<String> = lines.by_ref().take(share).collect();
            let mut others = Vec::new();
            let mut first = own.len();
            while lines.len() > 0 {
                let part: Vec<String> = lines.by_ref().take(share).collect();
                let at = first;
                first += part.len();
                others.push(start(scope, move || read(at, part))?);
            }
            let mut all = read(0, own)?;
            for other in others {
                all.extend(other.join().map_err(|_| bug!("a thread that reads lines panicked"))??);
            }
            Ok(all)
        })
    }
}

impl Ledger {
    /// Appends lines of another copy of this ledger behind position `base`, all or none. Lines that the ledger has already
    /// are compared by their leaf hashes. `accept` sees the result before it is committed.
    ///
    /// An `event_shredded` among the lines erases the body that it names, as in the other copy.
    ///
    /// # Errors
    /// Those of `accept`; [`Error::Invalid`] for lines that no ledger can have in this order; the store's own errors.
    pub(crate) fn copy_lines(
        &self,
        base: Position,
        lines: Vec<CopiedLine>,
        now: Timestamp,
        accept: &dyn Fn(&dyn ReadView) -> Result<()>,
    ) -> Result<Copied> {
        self.transact(now, |appender| {
            let head = appender.flushed_view().head()?;
            if base > head.position {
                return Ok(Copied::Gap(head.position));
            }
            let (mut at, mut last, mut new) = (base, head.recorded_at, 0);
            let mut shreddings = Vec::new();
            for CopiedLine { event, line, leaf } in lines {
                at = at.next();
                if at <= head.position {
                    if leaf != leaf_at(appender.flushed_view(), at)? {
                        return Ok(Copied::Differs(at));
                    }
                    continue;
                }
                if event.recorded_at < last {
                    let what = format!("the line of position {at} is recorded before the one in front of it");
                    return Err(Error::invalid(what));
                }
                last = event.recorded_at;
                if let Payload::EventShredded(shredded) = &event.payload {
                    shreddings.push((at, shredded.clone()));
                }
                appender.push_copied(event, line, leaf)?;
                new += 1;
            }
            let shredded = carry_out(appender, shreddings)?;
            accept(appender.view()?)?;
            Ok(Copied::Held { new, shredded })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Report, ReportKey, Shred, TokenRecord};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_780_308_000_000 + millis)
    }

    fn lines(ledger: &Ledger, after: u64) -> Vec<CopiedLine> {
        let mut lines = Vec::new();
        let snapshot = ledger.snapshot().unwrap();
        snapshot
            .lines(Position::new(after + 1), &mut |position, line| {
                lines.push(CopiedLine::read(position, line.to_owned())?);
                Ok(true)
            })
            .unwrap();
        lines
    }

    fn record(ledger: &Ledger, number: i64) {
        let call = TokenRecord::new("openai", "gpt-5").input(number as u64).project(format!("p{}", number % 3));
        let call = call.conversation(format!("c{}", number % 5)).key(format!("k{number}"));
        ledger.record(call, at(number * 60_000)).unwrap();
    }

    fn copy(from: &Ledger, to: &Ledger, base: u64) -> Copied {
        to.copy_lines(Position::new(base), lines(from, base), at(0), &|_| Ok(())).unwrap()
    }

    fn expect_equal(from: &Ledger, to: &Ledger) {
        assert_eq!(from.root().unwrap(), to.root().unwrap());
        let verified = to.verify().unwrap();
        assert!(verified.ok, "{:?}", verified.findings);
        for key in [ReportKey::Project, ReportKey::Conversation, ReportKey::Day] {
            assert_eq!(from.report(&Report::by(key.clone())).unwrap().rows, to.report(&Report::by(key)).unwrap().rows);
        }
    }

    #[test]
    fn a_copy_is_extended_and_nothing_is_copied_twice() {
        let (from, to) = (Ledger::in_memory().unwrap(), Ledger::in_memory().unwrap());
        (0..20).for_each(|number| record(&from, number));
        assert_eq!(copy(&from, &to, 0), Copied::Held { new: 20, shredded: 0 });
        assert_eq!(copy(&from, &to, 3), Copied::Held { new: 0, shredded: 0 });
        record(&from, 20);
        assert_eq!(copy(&from, &to, 15), Copied::Held { new: 1, shredded: 0 });
        assert_eq!(to.copy_lines(22.into(), Vec::new(), at(0), &|_| Ok(())).unwrap(), Copied::Gap(21.into()));
        expect_equal(&from, &to);
    }

    #[test]
    fn many_lines_are_read_in_order_and_the_first_bad_one_is_named() {
        let line = |number: usize| {
            format!(
                r#"{{"v":1,"id":"00000000-0000-4000-8000-{number:012}","kind":"provider_switched","occurred_at":"2026-06-01T00:00:00.000Z","recorded_at":"2026-06-01T00:00:00.000Z","source":"t","data":{{"to":"openai"}}}}"#
            )
        };
        let mut texts: Vec<String> = (1..=5_003).map(line).collect();
        let read = CopiedLine::read_all(Position::new(7), texts.clone()).unwrap();
        assert!(read.iter().map(|one| &one.line).eq(&texts));
        for bad in [4_000, 600, 2] {
            texts[bad] = "{}".to_owned();
            let error = CopiedLine::read_all(Position::new(7), texts.clone()).map(drop).unwrap_err();
            assert!(error.to_string().contains(&format!("position {} ", bad + 8)), "{error}");
        }
        assert!(CopiedLine::read_all(Position::START, Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn the_first_different_position_is_named_and_nothing_is_written() {
        let (from, to) = (Ledger::in_memory().unwrap(), Ledger::in_memory().unwrap());
        (0..9).for_each(|number| record(&from, number));
        copy(&from, &to, 0);
        record(&from, 100);
        record(&to, 200);
        record(&from, 300);
        assert_eq!(copy(&from, &to, 4), Copied::Differs(10.into()));
        assert_eq!(to.head().unwrap().position, 10.into());
        assert!(to.copy_lines(10.into(), Vec::new(), at(0), &|_| Err(Error::invalid("no"))).is_err());
    }

    #[test]
    fn shreddings_reach_a_copy_in_every_order() {
        // How many events the copy has before the shredding.
        for known in [0, 4, 12, 20_u64] {
            let (from, to) = (Ledger::in_memory().unwrap(), Ledger::in_memory().unwrap());
            (0..20).for_each(|number| record(&from, number));
            let early: Vec<CopiedLine> = lines(&from, 0).into_iter().take(known as usize).collect();
            to.copy_lines(Position::START, early, at(0), &|_| Ok(())).unwrap();
            let target = from.event(2).unwrap().id;
            let amended = TokenRecord::new("openai", "gpt-5").input(77).project("p1").conversation("c1").key("k1");
            from.amend(target, amended, "more", at(2_000_000)).unwrap();
            let _ = from.shred(&Shred::because("asked").project("p1"), at(2_100_000)).unwrap();
            record(&from, 42);
            let _ = from.shred(&Shred::because("asked").event(from.event(1).unwrap().id), at(9_000_000)).unwrap();
            let Copied::Held { shredded, .. } = copy(&from, &to, known) else { panic!() };
            assert_eq!(shredded > 0, known > 0, "{known}");
            expect_equal(&from, &to);
            let mut bodies = Vec::new();
            for ledger in [&from, &to] {
                let mut text = String::new();
                let snapshot = ledger.snapshot().unwrap();
                snapshot
                    .lines(1.into(), &mut |_, line| {
                        text += line;
                        Ok(true)
                    })
                    .unwrap();
                bodies.push(text);
            }
            assert!(bodies[0] == bodies[1] && !bodies[1].contains("\"p1\""));
        }
    }

    #[test]
    fn a_tombstone_with_other_numbers_is_refused() {
        let (from, to) = (Ledger::in_memory().unwrap(), Ledger::in_memory().unwrap());
        record(&from, 1);
        let _ = from.shred(&Shred::because("asked").project("p1"), at(100_000)).unwrap();
        let line = from.snapshot().unwrap().stored(1.into()).unwrap().replace("\"input\":1", "\"input\":9");
        let mut all = lines(&from, 0);
        all[0] = CopiedLine::read(1.into(), line).unwrap();
        let error = to.copy_lines(Position::START, all, at(0), &|_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("keeps other data"), "{error}");
        assert_eq!(to.head().unwrap().position, Position::START);
    }
}
