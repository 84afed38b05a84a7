use crate::export::ccusage_agents::CcusageAgents;
use crate::model::error::Result;
use crate::model::tokens::{TokenClass, Usd};
use crate::report::{CallSum, PricedCall};
use crate::usage::Usage;

/// Tokens in ccusage's four classes, and their cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct ClassTotals {
    pub input: u128,
    /// Includes reasoning, unless the agent reports it separately.
    pub output: u128,
    /// Reasoning that the output does not include.
    pub separate_reasoning_tokens: u128,
    pub cache_creation: u128,
    pub cache_read: u128,
    /// All reasoning, whether the output includes it or not.
    pub reasoning: u128,
    /// Cost of the calls with a price.
    pub cost: Usd,
    /// Whether any price is unknown.
    pub unpriced: bool,
}

impl ClassTotals {
    /// Converts a row of a report, which is of one agent.
    pub fn of_usage(agents: CcusageAgents, agent: Option<&str>, usage: &Usage) -> Self {
        // ccusage counts a call without a price as free; `unpriced` marks it.
        let cost = usage.cost.usd.unwrap_or_default();
        Self::new(
            agents.separate_reasoning(agent),
            |class| usage.tokens.get(class),
            cost,
            usage.cost.unpriced_requests > 0,
        )
    }

    /// Converts a sum of calls.
    pub fn of_sum(agents: CcusageAgents, sum: &CallSum<'_>) -> Result<Self> {
        let counts = sum.totals.counts()?;
        let of_class = |class| TokenClass::ALL.iter().zip(counts).find(|(c, _)| **c == class).map_or(0, |(_, n)| n);
        Ok(Self::new(agents.separate_reasoning(sum.series.agent), of_class, sum.cost, sum.unpriced))
    }

    /// Converts a call.
    pub fn of_call(agents: CcusageAgents, call: &PricedCall<'_>) -> Self {
        let (agent, cost) = (call.record.agent.as_deref(), call.cost.unwrap_or_default());
        Self::new(
            agents.separate_reasoning(agent),
            |class| call.record.tokens.get(class).unwrap_or(0).into(),
            cost,
            call.cost.is_none(),
        )
    }

    fn new(separate_reasoning: bool, count: impl Fn(TokenClass) -> u128, cost: Usd, unpriced: bool) -> Self {
        let reasoning = count(TokenClass::Reasoning);
        let (within, separate_reasoning_tokens) = if separate_reasoning { (0, reasoning) } else { (reasoning, 0) };
        let writes = [TokenClass::CacheWrite5m, TokenClass::CacheWrite1h, TokenClass::CacheWrite];
        Self {
            input: count(TokenClass::Input),
            output: count(TokenClass::Output).saturating_add(within),
            separate_reasoning_tokens,
            cache_creation: writes.into_iter().fold(0, |sum, class| sum.saturating_add(count(class))),
            cache_read: count(TokenClass::CacheRead),
            reasoning,
            cost,
            unpriced,
        }
    }

    /// Adds another sum. Sums above 64 bits stay at the maximum.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.input = self.input.saturating_add(other.input);
        self.output = self.output.saturating_add(other.output);
        self.separate_reasoning_tokens = self.separate_reasoning_tokens.saturating_add(other.separate_reasoning_tokens);
        self.cache_creation = self.cache_creation.saturating_add(other.cache_creation);
        self.cache_read = self.cache_read.saturating_add(other.cache_read);
        self.reasoning = self.reasoning.saturating_add(other.reasoning);
        self.cost = self.cost.checked_add(other.cost)?;
        self.unpriced |= other.unpriced;
        Ok(())
    }

    /// Returns the sum of all classes.
    pub fn total(&self) -> u128 {
        [self.output, self.separate_reasoning_tokens, self.cache_creation, self.cache_read]
            .into_iter()
            .fold(self.input, u128::saturating_add)
    }
}
