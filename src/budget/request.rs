use super::{Mode, Tier};
use crate::model::error::Result;
use crate::model::provider::ProviderId;

/// A request to run: provider, account, model, tier and needed mode.
///
/// ```
/// use usage_ledger::{Ledger, budget::RunRequest};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let ledger = Ledger::in_memory()?;
/// let local = ledger.gate(&RunRequest::new("ollama")?, now)?;
/// let cloud = ledger.gate(&RunRequest::new("ollama")?.model("qwen3.5:cloud"), now)?;
/// assert_eq!((local.metered, cloud.metered), (false, true)); // the same program, served by a paid cloud
/// # Ok::<(), usage_ledger::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRequest {
    pub(super) provider: ProviderId,
    pub(super) account: Option<String>,
    pub(super) model: Option<String>,
    pub(super) project: Option<String>,
    pub(super) tier: Tier,
    pub(super) need: Mode,
    pub(super) undeclared: bool,
}

impl RunRequest {
    /// A run on a provider.
    ///
    /// # Errors
    /// [`Error::InvalidProvider`](crate::Error::InvalidProvider) for a malformed id.
    ///
    /// ```
    /// # use usage_ledger::budget::RunRequest;
    /// assert!(RunRequest::new("claude").is_ok());
    /// ```
    pub fn new(provider: &str) -> Result<Self> {
        let provider = ProviderId::resolve(provider)?;
        let (tier, need) = (Tier::Medium, Mode::Review);
        Ok(Self { provider, account: None, model: None, project: None, tier, need, undeclared: false })
    }

    /// The provider that would serve the run.
    ///
    /// ```
    /// # use usage_ledger::budget::RunRequest;
    /// assert_eq!(RunRequest::new("ollama")?.model("qwen3.5:cloud").provider().as_str(), "ollama-cloud");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn provider(&self) -> &ProviderId {
        &self.provider
    }

    /// Sets the account.
    ///
    /// ```
    /// # use usage_ledger::budget::RunRequest;
    /// let request = RunRequest::new("anthropic")?.account("work");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.account = Some(account.into());
        self
    }

    /// Sets the model: some have a separate quota, some are served by another provider.
    ///
    /// ```
    /// # use usage_ledger::budget::RunRequest;
    /// let request = RunRequest::new("anthropic")?.model("claude-opus-4-5");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn model(mut self, model: impl Into<String>) -> Self {
        let model = model.into();
        self.provider = self.provider.serving(&model);
        self.model = Some(model);
        self
    }

    /// For this project, which may have money limits of its own.
    ///
    /// ```
    /// # use usage_ledger::budget::RunRequest;
    /// let request = RunRequest::new("anthropic")?.project("/home/me/acme");
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn project(mut self, project: impl Into<String>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// Sets the difficulty of the task.
    ///
    /// ```
    /// # use usage_ledger::budget::{RunRequest, Tier};
    /// let request = RunRequest::new("anthropic")?.tier(Tier::Critical);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn tier(mut self, tier: Tier) -> Self {
        self.tier = tier;
        self
    }

    /// Sets the mode that the run needs at least: the gate is closed if less is allowed. The default is `review`.
    ///
    /// ```
    /// use usage_ledger::{Ledger, budget::{RunRequest, Mode}, event::WindowKind};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// ledger.override_usage("anthropic", WindowKind::Session, "55".parse()?, "me", "", now)?;
    /// let verdict = ledger.gate(&RunRequest::new("anthropic")?.need(Mode::Deep), now)?;
    /// assert_eq!((verdict.mode, verdict.gated), (Mode::Implement, true));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn need(mut self, mode: Mode) -> Self {
        self.need = mode;
        self
    }

    /// Accepts a provider that is in no catalogue, event or declaration. It counts as metered.
    ///
    /// ```
    /// use usage_ledger::{Error, Ledger, budget::RunRequest};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let ledger = Ledger::in_memory()?;
    /// let refused = ledger.gate(&RunRequest::new("antropic")?, now).unwrap_err();
    /// assert!(matches!(refused, Error::UnknownProvider { .. }));
    /// assert!(ledger.gate(&RunRequest::new("my-gateway")?.allow_undeclared(), now)?.metered);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub const fn allow_undeclared(mut self) -> Self {
        self.undeclared = true;
        self
    }
}
