//! Converts providers' statements about their quota windows into observations.
//!
//! This module contacts no provider. The caller passes the text of a received document and the time of its receipt.
//! Documents state a window in percent or as a fraction, used or remaining, until an instant or for a number of
//! seconds. This module converts all of them. The length identifies a window, never the slot in which a document
//! reports it.
//!
//! An unreadable part of a document is a warning, and the rest counts. A text that is no such document is an error.
//!
//! ```
//! use usage_ledger::Ledger;
//! use usage_ledger::quota::{self, QuotaFormat};
//! # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
//! // What Claude Code writes to the command behind its status line.
//! let json = r#"{"rate_limits":{"five_hour":{"used_percentage":23.5,"resets_at":1795474800}}}"#;
//! let seen = quota::observe(QuotaFormat::ClaudeStatusline, json, now)?;
//! let ledger = Ledger::in_memory()?;
//! ledger.append(seen.events(now), now)?;
//! ledger.append(seen.events(now), now)?; // the same document again adds nothing
//! assert_eq!(ledger.head()?.position.get(), 1);
//! assert_eq!(ledger.provider("anthropic", now)?.session.percent, Some("23.5".parse()?));
//! # Ok::<(), usage_ledger::Error>(())
//! ```

mod anthropic_headers;
mod anthropic_oauth;
mod change;
mod claude_statusline;
mod claude_windows;
mod codex;
mod copilot;
mod draft;
mod format;
mod gemini;
mod headers;
mod length;
mod ollama;
mod status;
mod value;

use crate::model::error::Result;
use crate::model::event::{NewEvent, QuotaObserved};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;

#[cfg(feature = "import")]
pub(crate) use change::CONFIRMED;
#[cfg(feature = "import")]
pub(crate) use change::id;
pub(crate) use change::{Lead, is_same_window};
pub use change::{changed, event};
#[cfg(feature = "import")]
pub(crate) use codex::rollout;
pub use format::QuotaFormat;
pub(crate) use status::is_refusal;

use draft::ObservationDraft;

/// The content of a document.
///
/// ```
/// use usage_ledger::quota::Observed;
/// assert!(Observed::default().observations.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Observed {
    /// One for each window.
    pub observations: Vec<QuotaObserved>,
    /// Parts that were dropped or are ambiguous, for people.
    pub warnings: Vec<String>,
}

impl Observed {
    /// The same for another provider or account: for a gateway that forwards a provider's headers, or one of several
    /// subscriptions. `None` changes nothing.
    ///
    /// ```
    /// use usage_ledger::quota::{self, QuotaFormat};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let seen = quota::observe(QuotaFormat::OllamaCloud, r#"{"session":0.25,"weekly":null}"#, now)?;
    /// let seen = seen.of(None, Some("work"));
    /// assert_eq!(seen.observations[0].provider.as_str(), "ollama-cloud");
    /// assert_eq!(seen.observations[0].account.as_deref(), Some("work"));
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    #[must_use]
    pub fn of(mut self, provider: Option<&ProviderId>, account: Option<&str>) -> Self {
        for seen in &mut self.observations {
            if let Some(provider) = provider {
                seen.provider = provider.clone();
            }
            if let Some(account) = account {
                seen.account = Some(account.to_owned());
            }
        }
        self
    }

    /// The events of these observations, each from [`event`].
    ///
    /// ```
    /// use usage_ledger::quota::{self, QuotaFormat};
    /// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
    /// let seen = quota::observe(QuotaFormat::OllamaCloud, r#"{"session":0.25,"weekly":0.5}"#, now)?;
    /// assert_eq!(seen.events(now).count(), 2);
    /// # Ok::<(), usage_ledger::Error>(())
    /// ```
    pub fn events(&self, at: Timestamp) -> impl Iterator<Item = NewEvent> {
        self.observations.iter().map(move |seen| event(seen.clone(), at))
    }
}

/// Parses a document that was received at a time.
///
/// ```
/// use usage_ledger::quota::{self, QuotaFormat};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// let headers = "HTTP/2 200\nanthropic-ratelimit-unified-5h-utilization: 0.42\n\
///                anthropic-ratelimit-unified-5h-reset: 1795474800\n";
/// let seen = quota::observe(QuotaFormat::AnthropicHeaders, headers, now)?;
/// let window = &seen.observations[0];
/// assert_eq!((window.window_minutes, window.used_percent), (300, Some("42".parse()?)));
/// assert_eq!(window.resets_at, Some("2026-11-23T23:00:00Z".parse()?));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) if the text is no such document. A document without windows is valid: its
/// observations are empty, and a warning states the reason, unless there is no limit.
pub fn observe(format: QuotaFormat, text: &str, at: Timestamp) -> Result<Observed> {
    let mut draft = ObservationDraft::new(format, at)?;
    // Editors of one operating system put a byte order mark before a text.
    let text = text.trim_start_matches('\u{feff}').trim();
    match format {
        QuotaFormat::ClaudeStatusline => claude_statusline::read(text, &mut draft)?,
        QuotaFormat::AnthropicHeaders => anthropic_headers::read(text, &mut draft)?,
        QuotaFormat::AnthropicOauth => anthropic_oauth::read(text, &mut draft)?,
        QuotaFormat::CodexRateLimits => codex::read(text, &mut draft)?,
        QuotaFormat::GeminiBuckets => gemini::read(text, &mut draft)?,
        QuotaFormat::Copilot => copilot::read(text, &mut draft)?,
        QuotaFormat::OllamaCloud => ollama::read(text, &mut draft)?,
    }
    Ok(draft.observed)
}
