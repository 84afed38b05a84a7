//! Quota windows of the account in a rollout. Every counter line repeats them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::event::{EventId, NewEvent, QuotaObserved};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::readers::quota;

pub(super) const FEED: &str = "codex-rollout";

/// Maximum number of windows per log whose last observation is remembered.
const MAX_WINDOWS: usize = 32;

/// The quota windows of one rollout. Only a change is an observation.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct RolloutLimits {
    /// The last observation of each window, with its time.
    latest: Vec<(QuotaObserved, Timestamp)>,
    #[serde(skip)]
    observations: Vec<(EventId, NewEvent)>,
    /// The last limits as text. Most lines repeat them unchanged.
    #[serde(skip)]
    last_text: String,
}

impl RolloutLimits {
    pub const fn is_empty(&self) -> bool {
        self.latest.is_empty()
    }

    pub const fn len(&self) -> usize {
        self.observations.len()
    }

    pub fn take(&mut self) -> Vec<(EventId, NewEvent)> {
        std::mem::take(&mut self.observations)
    }

    /// Adds the limits of a line. Malformed limits are ignored, because the line matters for its counts.
    pub fn observe(&mut self, limits: &RawValue, at: Timestamp, provider: &str) {
        let recent = self.latest.iter().all(|(_, then)| at.millis() - then.millis() < quota::CONFIRMED);
        if limits.get() == self.last_text && recent {
            return;
        }
        let Ok(provider) = ProviderId::new(provider) else { return };
        for seen in quota::rollout(limits.get(), at, provider, FEED) {
            let room = self.latest.len() < MAX_WINDOWS;
            match self.latest.iter_mut().find(|(last, _)| quota::is_same_window(last, &seen)) {
                Some((last, then)) if quota::Lead::new(last.clone(), *then).is_news(&seen, at) => {
                    (*last, *then) = (seen.clone(), at);
                }
                None if room => self.latest.push((seen.clone(), at)),
                _ => continue,
            }
            self.observations.push((quota::id(&seen, at), NewEvent::new(seen, at)));
        }
        self.last_text.clear();
        // A relative reset time is a different instant in each line.
        if !limits.get().contains("econds") {
            self.last_text.push_str(limits.get());
        }
    }
}
