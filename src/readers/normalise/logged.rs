//! Normalises counts that an agent's log states in its own fields, which may or may not follow the API's conventions.

use crate::model::error::Result;
use crate::readers::normalise::Normalised;
use crate::readers::normalise::count::StatedCount;
use crate::readers::normalise::statement::{CacheWrites, DetailPlace, UsageStatement};

/// A field's name, and its number, if the log states one. A negative number loses its class, not the call.
pub(crate) type Field = (&'static str, Option<i64>);

/// The usage of one call in a log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Logged {
    /// The agent, for error messages.
    pub agent: &'static str,
    /// Name and version of the rules.
    pub normaliser: &'static str,
    pub input: Field,
    /// Further input that is not part of `input`.
    pub more_input: Field,
    pub cache_read: Field,
    pub cache_write: Field,
    pub output: Field,
    pub reasoning: Field,
    /// Whether the input includes cache reads and writes.
    pub cache_inside: bool,
    /// Whether the output includes reasoning.
    pub reasoning_inside: bool,
}

impl Logged {
    /// A call with input and output. All details count as inside unless changed.
    pub(crate) const fn new(agent: &'static str, normaliser: &'static str, input: Field, output: Field) -> Self {
        const NONE: Field = ("", None);
        Self {
            agent,
            normaliser,
            input,
            more_input: NONE,
            cache_read: NONE,
            cache_write: NONE,
            output,
            reasoning: NONE,
            cache_inside: true,
            reasoning_inside: true,
        }
    }

    /// Whether no count is positive: the log has no usage, or the call used nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        let counts = [self.input, self.more_input, self.cache_read, self.cache_write, self.output, self.reasoning];
        counts.iter().all(|(_, count)| count.unwrap_or(0) <= 0)
    }

    /// The sum of cache reads and writes.
    pub(crate) fn cached(&self) -> u64 {
        let count = |(_, count): Field| count.map_or(0, |count| u64::try_from(count).unwrap_or(0));
        count(self.cache_read).saturating_add(count(self.cache_write))
    }

    /// The counts, each token in one class. Cached input that exceeds the input it should be inside of counts as beside
    /// it, and is flagged.
    pub(crate) fn settle(self) -> Result<Normalised> {
        let stated = |(name, count): Field| match count {
            Some(number @ ..0) => StatedCount { name, count: None, negative: Some((name, number)) },
            count => StatedCount { name, count: count.map(i64::unsigned_abs), negative: None },
        };
        let habit = |inside| if inside { DetailPlace::Inside } else { DetailPlace::Apart };
        let mut statement = UsageStatement::new(stated(self.input), stated(self.output));
        statement.more_input = stated(self.more_input);
        statement.cache_read = stated(self.cache_read);
        statement.cache_write = CacheWrites::whole(stated(self.cache_write));
        statement.cache = habit(self.cache_inside);
        statement.reasoning = stated(self.reasoning);
        statement.thought = habit(self.reasoning_inside);
        statement.settle_as(self.agent, self.normaliser)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::Quality;

    fn logged() -> Logged {
        let mut logged = Logged::new("agent", "agent/1", ("in", Some(100)), ("out", Some(20)));
        logged.cache_read = ("read", Some(60));
        logged.cache_write = ("written", Some(30));
        logged.reasoning = ("thought", Some(5));
        logged
    }

    #[test]
    fn conventions_of_clients_are_normalised_and_contradictions_flagged() {
        let inside = logged().settle().unwrap();
        assert_eq!(inside.tokens.counts(), [10, 60, 0, 0, 30, 15, 5]);
        assert_eq!((inside.quality, inside.normaliser), (Quality::Reported, "agent/1"));
        let mut beside = logged();
        (beside.cache_inside, beside.reasoning_inside) = (false, false);
        assert_eq!(beside.settle().unwrap().tokens.counts(), [100, 60, 0, 0, 30, 20, 5]);
        let mut odd = logged();
        odd.cache_read.1 = Some(90);
        let odd = odd.settle().unwrap();
        assert_eq!((odd.tokens.input, odd.quality), (Some(100), Quality::Derived));
        let mut wrong = logged();
        wrong.reasoning.1 = Some(21);
        let wrong = wrong.settle().unwrap();
        assert_eq!((wrong.tokens.output, wrong.tokens.reasoning), (Some(20), Some(21)));
        assert_eq!(wrong.residual.as_deref(), Some("took reasoning as outside `out`, because it is larger than that"));
        let mut negative = logged();
        negative.input.1 = Some(-3);
        let negative = negative.settle().unwrap();
        assert_eq!((negative.tokens.input, negative.tokens.cache_read), (None, Some(60)));
        assert_eq!(negative.residual.as_deref(), Some("`in` is -3: left out"));
    }

    #[test]
    fn no_usage_differs_from_zero_usage() {
        assert!(!logged().is_nothing());
        assert_eq!(logged().cached(), 90);
        assert!(Logged::new("agent", "agent/1", ("in", Some(0)), ("out", None)).is_nothing());
    }
}
