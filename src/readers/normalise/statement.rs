//! The counts that an API states for one call, and the interpretation of them that adds up.

use std::collections::BTreeMap;

use crate::model::error::{Error, Result};
use crate::model::event::Quality;
use crate::model::tokens::{Tokens, Usd};
use crate::readers::normalise::count::{StatedCount, sum};
use crate::readers::normalise::{Normalised, PARTS_APART, UsageFormat};

/// Where a detail (cached input, reasoning) is counted relative to the headline count (input, output).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DetailPlace {
    /// The headline includes it.
    Inside,
    /// It comes on top of the headline.
    Beside,
    /// It comes on top, and the object itself states so: no total can suggest otherwise.
    Apart,
}

impl DetailPlace {
    const fn other(self) -> Option<Self> {
        match self {
            Self::Inside => Some(Self::Beside),
            Self::Beside => Some(Self::Inside),
            Self::Apart => None,
        }
    }
}

/// Cache writes, by lifetime.
#[derive(Clone, Copy, Debug)]
pub(super) struct CacheWrites {
    /// All cache writes.
    pub all: StatedCount,
    five_minutes: Option<u64>,
    one_hour: Option<u64>,
    other: Option<u64>,
}

impl CacheWrites {
    /// Writes of unknown lifetime.
    pub(super) const fn whole(all: StatedCount) -> Self {
        Self { all, five_minutes: None, one_hour: None, other: all.count }
    }

    /// Writes of which some lifetimes are known. The rest has an unknown lifetime.
    pub(super) fn split(all: StatedCount, five_minutes: StatedCount, one_hour: StatedCount) -> Result<Self> {
        let known = sum([five_minutes.count, one_hour.count])?;
        let other = match (all.count, known) {
            (_, None) => all.count,
            (None, Some(_)) => None,
            // A complete split leaves nothing for other lifetimes.
            (Some(_), Some(_)) => minus(all, &[five_minutes, one_hour])?.filter(|rest| *rest > 0),
        };
        Ok(Self {
            all: StatedCount {
                name: all.name,
                count: sum([known, other])?,
                negative: all.negative.or(five_minutes.negative).or(one_hour.negative),
            },
            five_minutes: five_minutes.count,
            one_hour: one_hour.count,
            other,
        })
    }
}

/// One call's counts under the API's names, and the API's conventions.
#[derive(Clone, Debug)]
pub(super) struct UsageStatement {
    /// The headline input.
    pub input: StatedCount,
    /// Input that is always beside the headline, such as input from a server-side tool.
    pub more_input: StatedCount,
    pub cache_read: StatedCount,
    pub cache_write: CacheWrites,
    pub cache: DetailPlace,
    /// The headline output.
    pub output: StatedCount,
    pub reasoning: StatedCount,
    pub thought: DetailPlace,
    pub total: StatedCount,
    pub cost: Option<Usd>,
    /// Their tokens of other modalities than text, by class and modality.
    pub modalities: BTreeMap<String, u64>,
    /// Uses of tools that the server runs.
    pub server_tools: BTreeMap<String, u64>,
    /// What did not add up so far.
    pub notes: Vec<String>,
}

impl UsageStatement {
    /// Two headline counts with the most common conventions: details inside.
    pub(super) const fn new(input: StatedCount, output: StatedCount) -> Self {
        Self {
            input,
            more_input: StatedCount::NONE,
            cache_read: StatedCount::NONE,
            cache_write: CacheWrites::whole(StatedCount::NONE),
            cache: DetailPlace::Inside,
            output,
            reasoning: StatedCount::NONE,
            thought: DetailPlace::Inside,
            total: StatedCount::NONE,
            cost: None,
            modalities: BTreeMap::new(),
            server_tools: BTreeMap::new(),
            notes: Vec::new(),
        }
    }

    /// Applies the conventions. The API's own convention applies unless the reported total fits exactly one other.
    pub(super) fn settle(self, format: UsageFormat) -> Result<Normalised> {
        self.settle_as(format.name(), format.normaliser())
    }

    /// The same for an object of no API's format.
    pub(super) fn settle_as(mut self, what: &str, normaliser: &'static str) -> Result<Normalised> {
        let stated = [self.input, self.more_input, self.cache_read, self.cache_write.all, self.output, self.reasoning];
        for (name, number) in stated.into_iter().chain([self.total]).filter_map(|stated| stated.negative) {
            self.notes.push(format!("`{name}` is {number}: left out"));
        }
        let tokens = self.choose()?;
        if tokens == Tokens::default() {
            let what = format!("the {what} usage object has no token count");
            return Err(Error::invalid(match self.notes.as_slice() {
                [] => format!("{what}: `{}` and `{}` are absent", self.input.name, self.output.name),
                notes => format!("{what}: {}", notes.join("; ")),
            }));
        }
        tokens.validate()?;
        let quality = if self.notes.is_empty() { Quality::Reported } else { Quality::Derived };
        let residual = (!self.notes.is_empty()).then(|| self.notes.join("; "));
        Ok(Normalised {
            modalities: self.modalities,
            server_tools: self.server_tools,
            cost: self.cost,
            ..Normalised::new(tokens, normaliser, quality, residual)
        })
    }

    fn choose(&mut self) -> Result<Tokens> {
        let by_rule = self.reading(self.cache, self.thought);
        if let Ok(tokens) = &by_rule
            && self.total.count.is_none_or(|total| tokens.total().is_ok_and(|sum| sum == total))
        {
            return by_rule;
        }

        let other_cache = self.cache.other().and_then(|cache| self.reading(cache, self.thought).ok());
        let other_thought = self.thought.other().and_then(|thought| self.reading(self.cache, thought).ok());
        let fitting = |reading: Option<Tokens>| reading.filter(|tokens| tokens.total().ok() == self.total.count);
        match (fitting(other_cache), fitting(other_thought)) {
            (Some(tokens), None) => {
                self.notes.push(self.took("the cached input", self.cache, self.input.name));
                Ok(tokens)
            }
            (None, Some(tokens)) => {
                self.notes.push(self.took("reasoning", self.thought, self.output.name));
                Ok(tokens)
            }
            _ => {
                let tokens = by_rule.or_else(|error| self.beside().ok_or(error))?;
                self.note_mismatch(&tokens)?;
                Ok(tokens)
            }
        }
    }

    /// Interprets a detail that exceeds its headline as beside it. The reply then counts, with a note.
    fn beside(&mut self) -> Option<Tokens> {
        use DetailPlace::{Beside, Inside};
        let details = [("the cached input", self.input.name), ("reasoning", self.output.name)];
        for (cache, thought) in [(Beside, self.thought), (self.cache, Beside), (Beside, Beside)] {
            let Ok(tokens) = self.reading(cache, thought) else { continue };
            let moved = [self.cache == Inside && cache == Beside, self.thought == Inside && thought == Beside];
            for ((what, headline), moved) in details.into_iter().zip(moved) {
                if moved {
                    self.notes.push(format!("took {what} as outside `{headline}`, because it is larger than that"));
                }
            }
            return Some(tokens);
        }
        None
    }

    /// The counts under a pair of conventions.
    fn reading(&self, cache: DetailPlace, thought: DetailPlace) -> Result<Tokens> {
        let uncached = if cache == DetailPlace::Inside {
            minus(self.input, &[self.cache_read, self.cache_write.all])?
        } else {
            self.input.count
        };
        let output =
            if thought == DetailPlace::Inside { minus(self.output, &[self.reasoning])? } else { self.output.count };
        // An addition to a missing headline does not make the input 0.
        let more = self.more_input.count.filter(|more| *more > 0 || uncached.is_some());
        Ok(Tokens {
            input: sum([uncached, more])?,
            cache_read: self.cache_read.count,
            cache_write_5m: self.cache_write.five_minutes,
            cache_write_1h: self.cache_write.one_hour,
            cache_write: self.cache_write.other,
            output,
            reasoning: self.reasoning.count,
        })
    }

    /// Notes a total that differs from the sum of the counts.
    fn note_mismatch(&mut self, tokens: &Tokens) -> Result<()> {
        let sum = tokens.total()?;
        if let Some(total) = self.total.count.filter(|total| *total != sum) {
            self.notes.push(format!("total {total} {PARTS_APART} {sum}"));
        }
        Ok(())
    }

    fn took(&self, what: &str, habit: DetailPlace, headline: &str) -> String {
        let place = if habit == DetailPlace::Inside { "outside" } else { "inside" };
        let total = self.total.count.unwrap_or_default();
        format!("took {what} as {place} `{headline}`: only so do the parts sum to the total {total}")
    }
}

/// The rest of a count without its included parts.
fn minus(whole: StatedCount, parts: &[StatedCount]) -> Result<Option<u64>> {
    let Some(count) = whole.count else { return Ok(None) };
    let included = sum(parts.iter().map(|part| part.count))?.unwrap_or(0);
    count.checked_sub(included).map(Some).ok_or_else(|| {
        let named: Vec<_> = parts
            .iter()
            .filter_map(|part| part.count.filter(|count| *count > 0).map(|count| format!("`{}` {count}", part.name)))
            .collect();
        let (verb, them) = if named.len() == 1 { ("is", "it") } else { ("are", "them") };
        Error::invalid(format!(
            "{} {verb} more than `{}` {count}, which should include {them}: check the usage object and its format",
            named.join(" and "),
            whole.name
        ))
    })
}
