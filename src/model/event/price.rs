//! Custom prices. They are events, so an old cost stays explainable.

use serde::{Deserialize, Serialize};

use super::event_data::{EventData, because};
use super::{NameKind, Subject};
use crate::model::error::{Error, Result};
use crate::model::humanize::number::grouped;
use crate::model::provider::ProviderId;
use crate::model::time::{QUARTER, Timestamp};
use crate::model::tokens::Usd;

/// The price of a million tokens of a model from some time on, in US dollars.
///
/// ```
/// use usage_ledger::{Ledger, Report, TokenRecord, event::PriceSet};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// ledger.set_price(PriceSet::new("openai", "gpt-5", "1".parse()?, "8".parse()?)?, now)?;
/// ledger.record(TokenRecord::new("openai", "gpt-5.2").input(500_000), now)?;
/// let cost = ledger.report(&Report::by_all([]))?.total.cost;
/// assert_eq!(cost.usd, Some("0.5".parse()?));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PriceSet {
    /// The provider of the model.
    pub provider: ProviderId,
    /// A fragment of model names. The price applies to every model whose name contains it, unless a longer fragment
    /// also matches. An empty fragment matches all models.
    pub model: String,
    /// When the price begins, at a full quarter of an hour. Without it the price applies to all times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Only for prompts of more than this many tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<u64>,
    /// Only for calls of this service tier: `batch`, `flex`, `priority` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// Uncached input.
    pub input: Usd,
    /// Visible output.
    pub output: Usd,
    /// Input read from a cache. The default is a tenth of the input price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Usd>,
    /// Input written to a cache for five minutes or an unknown lifetime. The default is 1.25 times the input price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<Usd>,
    /// Input written to a cache for an hour. The default is the price for five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Usd>,
    /// Reasoning. The default is the output price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Usd>,
    /// The source of the price: a contract, a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl PriceSet {
    /// The price of input and output of the models whose name contains `model`.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`] for a malformed provider.
    ///
    /// ```
    /// use usage_ledger::event::PriceSet;
    /// let price = PriceSet::new("claude", "opus", "5".parse()?, "25".parse()?)?;
    /// assert_eq!(price.provider.as_str(), "anthropic");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn new(provider: &str, model: impl Into<String>, input: Usd, output: Usd) -> Result<Self> {
        Ok(Self {
            provider: ProviderId::resolve(provider)?,
            model: model.into(),
            from: None,
            above: None,
            service_tier: None,
            input,
            output,
            cache_read: None,
            cache_write_5m: None,
            cache_write_1h: None,
            reasoning: None,
            note: None,
        })
    }
}

impl EventData for PriceSet {
    fn subject(&self, _: Timestamp) -> Option<Subject<'_>> {
        Some(Subject::Ledger)
    }

    fn names(&self, visit: &mut dyn FnMut(NameKind, &str)) {
        visit(NameKind::Provider, self.provider.as_str());
    }

    fn redacted(&self) -> Result<Self, &'static str> {
        Ok(Self { note: None, ..self.clone() })
    }

    fn summary(&self) -> String {
        let mut parts = vec![format!("input {}", self.input), format!("output {}", self.output)];
        parts.extend(self.cache_read.map(|usd| format!("cache_read {usd}")));
        parts.extend(self.cache_write_5m.map(|usd| format!("cache_write_5m {usd}")));
        parts.extend(self.cache_write_1h.map(|usd| format!("cache_write_1h {usd}")));
        parts.extend(self.reasoning.map(|usd| format!("reasoning {usd}")));
        let tier = self.service_tier.as_ref().map(|tier| format!(" {tier}")).unwrap_or_default();
        let above = self.above.map(|above| format!(" above {} tokens", grouped(above))).unwrap_or_default();
        let from = self.from.map(|from| format!(" from {from}")).unwrap_or_default();
        let model = if self.model.is_empty() { "all models" } else { &self.model };
        let note = because(self.note.as_deref());
        format!("{} {model}{tier}{above}{from}: {} USD per million{note}", self.provider, parts.join(", "))
    }

    #[cfg(feature = "import")]
    fn scrub(&mut self) {}

    fn validate(&self) -> Result<()> {
        let classes = [self.cache_read, self.cache_write_5m, self.cache_write_1h, self.reasoning];
        if [self.input, self.output].into_iter().chain(classes.into_iter().flatten()).any(|usd| usd < Usd::default()) {
            return Err(Error::invalid("a price is negative: give dollars for a million tokens, 0 or more"));
        }
        if self.from.is_some_and(|from| from.millis().rem_euclid(QUARTER) != 0) {
            return Err(Error::invalid("a price begins at a full quarter of an hour: give such a time, or a date"));
        }
        if self.service_tier.as_deref().is_some_and(|tier| !crate::model::event::is_special(tier)) {
            return Err(Error::invalid("that service tier is the ordinary one: leave it out"));
        }
        Ok(())
    }
}
