//! `scan`: detects an exhausted quota in the output of a run or in a provider's error, and records it.

use serde::Serialize;

use super::input::{ScanInput, StreamName, named};
use crate::budget::RefusalSighting;
use crate::ledger::{Ledger, Outcome};
use crate::model::error::{Error, Result};
use crate::model::event::QuotaExhausted;
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::instant;
use crate::readers::exhaustion::reset::Reset;
use crate::readers::exhaustion::{Exhaustion, Stream, detect};

/// Whether a quota is exhausted, and the event that says so.
#[derive(Serialize)]
pub(crate) struct ScanAnswer<'a> {
    pub provider: &'a str,
    pub exhausted: bool,
    pub rule: Option<&'a str>,
    pub excerpt: Option<&'a str>,
    /// The exhausted model; absent if all models are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<&'a str>,
    pub resets_at: Option<Timestamp>,
    pub position: Option<u64>,
}

impl<'a> ScanAnswer<'a> {
    /// Answers that there is no sign of an exhausted quota.
    pub const fn none(provider: &'a str) -> Self {
        Self { provider, exhausted: false, rule: None, excerpt: None, model: None, resets_at: None, position: None }
    }
}

impl StreamName {
    /// Returns the evidence that this stream of a run is.
    pub const fn of_run(self, exit_code: i32) -> Stream {
        match self {
            Self::Stderr if exit_code == 0 => Stream::StderrOk,
            Self::Stderr => Stream::Stderr,
            Self::Stdout if exit_code == 0 => Stream::StdoutOk,
            Self::Stdout => Stream::StdoutFailed,
            Self::Transcript => Stream::Transcript,
        }
    }
}

/// A detected refusal of a run.
pub(crate) struct ScannedRefusal<'a> {
    provider: &'a ProviderId,
    account: Option<&'a str>,
    pub exhaustion: &'a Exhaustion,
    pub model: Option<&'a str>,
    pub reset: Option<Reset>,
    occurred_at: Timestamp,
}

impl<'a> ScannedRefusal<'a> {
    /// Completes a detected refusal. `of_run` is the model of the run.
    ///
    /// The refusal occurred at `at`, the end of the run. Without `at` it occurred at the time in the output, unless that
    /// time is in the future. Without both it occurred `now`, because callers scan an output when the run ends. Relative
    /// reset times count from this time.
    pub fn new(
        (provider, account): (&'a ProviderId, Option<&'a str>),
        exhaustion: &'a Exhaustion,
        of_run: Option<&'a str>,
        at: Option<Timestamp>,
        (now, zone): (Timestamp, Zone),
    ) -> Self {
        let in_output = exhaustion.at.filter(|at| *at <= now);
        let occurred_at = at.or(in_output).unwrap_or(now);
        let own = of_run.filter(|_| exhaustion.of_its_model);
        Self {
            provider,
            account,
            exhaustion,
            model: exhaustion.model.as_deref().or(own),
            reset: exhaustion.reset(occurred_at, zone),
            occurred_at,
        }
    }

    /// Returns the answer. `position` is that of the recorded event.
    pub fn answer(&self, position: Option<u64>) -> ScanAnswer<'_> {
        ScanAnswer {
            provider: self.provider.as_str(),
            exhausted: true,
            rule: Some(self.exhaustion.rule),
            excerpt: Some(&self.exhaustion.excerpt),
            model: self.model,
            resets_at: self.reset.as_ref().and_then(|reset| reset.at),
            position,
        }
    }

    /// Records the refusal, as [`Ledger::refuse`] does.
    pub fn append(&self, ledger: &Ledger, key: Option<&str>, now: Timestamp) -> Result<Outcome> {
        if self.account == Some("") {
            return Err(Error::invalid("the account is empty: leave it out or give it a name"));
        }
        let is_absolute = self.reset.as_ref().is_some_and(|reset| reset.at.is_some() && !reset.relative);
        let refused = QuotaExhausted {
            provider: self.provider.clone(),
            account: self.account.map(str::to_owned),
            model: self.model.map(str::to_owned),
            resets_at: self.reset.as_ref().and_then(|reset| reset.at),
            rule: self.exhaustion.rule.to_owned(),
            excerpt: self.exhaustion.excerpt.clone(),
        };
        ledger.refuse(refused, RefusalSighting { at: self.occurred_at, is_absolute, key }, now)
    }
}

/// Scans a text, and passes the answer on.
pub(crate) fn scan<T>(
    ledger: &Ledger,
    input: &ScanInput,
    (now, zone): (Timestamp, Zone),
    answer: impl FnOnce(ScanAnswer<'_>) -> T,
) -> Result<T> {
    let provider = ProviderId::resolve(&input.provider)?;
    let account = named("account", input.account.as_deref())?;
    let (model, key) = (named("model", input.model.as_deref())?, named("key", input.key.as_deref())?);
    let at = input.occurred_at.as_deref().map(instant).transpose()?;
    let stream = input.stream.unwrap_or_default().of_run(input.exit_code.unwrap_or(1));
    let Some(exhaustion) = detect(provider.as_str(), stream, &input.text) else {
        return Ok(answer(ScanAnswer::none(provider.as_str())));
    };
    let refusal = ScannedRefusal::new((&provider, account), &exhaustion, model, at, (now, zone));
    let position = refusal.append(ledger, key, now)?.position();
    Ok(answer(refusal.answer(Some(position.get()))))
}
