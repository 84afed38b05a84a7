use super::Tier;
use crate::model::error::Result;
use crate::model::provider::ProviderId;

/// Who wants to run, and what.
///
/// ```
/// use usage_ledger::{Ledger, budget::Ask};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let mut ledger = Ledger::in_memory()?;
/// let local = ledger.gate(&Ask::new("ollama")?, now)?;
/// let cloud = ledger.gate(&Ask::new("ollama")?.model("qwen3.5:cloud"), now)?;
/// assert_eq!((local.metered, cloud.metered), (false, true)); // the same program, served by a paid cloud
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub(super) provider: ProviderId,
    pub(super) account: Option<String>,
    pub(super) model: Option<String>,
    pub(super) tier: Tier,
}

impl Ask {
    /// A run on a provider.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`](crate::Error::InvalidProvider) for a malformed id.
    ///
    /// ```
    /// # use usage_ledger::budget::Ask;
    /// assert!(Ask::new("claude").is_ok());
    /// ```
    pub fn new(provider: &str) -> Result<Self> {
        Ok(Self { provider: ProviderId::resolve(provider)?, account: None, model: None, tier: Tier::Medium })
    }

    /// On this account.
    ///
    /// ```
    /// # use usage_ledger::budget::Ask;
    /// let ask = Ask::new("anthropic")?.account("work");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// With this model: some have a quota of their own, some are served by another provider.
    ///
    /// ```
    /// # use usage_ledger::budget::Ask;
    /// let ask = Ask::new("anthropic")?.model("claude-opus-4-5");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn model(mut self, model: impl Into<String>) -> Self {
        let model = model.into();
        self.provider = self.provider.serving(&model);
        self.model = Some(model);
        self
    }

    /// A task this hard.
    ///
    /// ```
    /// # use usage_ledger::budget::{Ask, Tier};
    /// let ask = Ask::new("anthropic")?.tier(Tier::Critical);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn tier(mut self, tier: Tier) -> Self {
        self.tier = tier;
        self
    }
}
