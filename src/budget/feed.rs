//! Decides after recording the current reading of a feed.

use super::known::expect_known;
use super::{RunRequest, Verdict};
use crate::ledger::Ledger;
use crate::model::error::Result;
use crate::model::time::Timestamp;
use crate::readers::quota::{self, QuotaFormat};

impl Ledger {
    /// Records the current reading of a provider's feed, then decides. An unreadable or empty feed does not prevent the
    /// decision: the verdict then depends on earlier readings, its basis states so, and it has a warning.
    ///
    /// # Errors
    /// As for [`gate`](Self::gate); nothing is recorded then.
    pub(crate) fn gate_with_feed(
        &self,
        request: &RunRequest,
        format: QuotaFormat,
        text: &str,
        now: impl Into<Timestamp>,
    ) -> Result<Verdict> {
        let now = now.into();
        expect_known(self.snapshot()?.view(), request)?;
        let warnings = match quota::observe(format, text, now) {
            Ok(observed) => {
                let mut observed = observed.of(None, request.account.as_deref());
                if observed.observations.is_empty() && observed.warnings.is_empty() {
                    observed.warnings.push(format!("the {format} feed names no window"));
                }
                match self.observe(observed.observations.clone(), now, now) {
                    Ok(_) => observed.warnings,
                    // The decision is needed whether its reading can be recorded or not.
                    Err(error) if error.is_store() => {
                        observed.warnings.push(format!("the readings of the {format} feed were not recorded: {error}"));
                        let verdict =
                            self.suppose(observed.observations, now, |snapshot| snapshot.gate(request, now))?;
                        return Ok(warned(verdict, observed.warnings));
                    }
                    Err(error) => return Err(error),
                }
            }
            Err(error) => vec![format!("the {format} feed could not be read, and is left out: {error}")],
        };
        Ok(warned(self.gate(request, now)?, warnings))
    }
}

/// A verdict with the warnings about the feed in front.
fn warned(mut verdict: Verdict, warnings: Vec<String>) -> Verdict {
    for warning in &warnings {
        tracing::warn!(provider = verdict.provider, basis = verdict.basis.name(), "{warning}");
    }
    verdict.warnings.splice(0..0, warnings);
    verdict
}
