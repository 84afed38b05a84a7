//! What a rollout tells of the account's quota windows, each time anew with every counter.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::event::{EventId, NewEvent, QuotaObserved};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::readers::quota;

const FEED: &str = "codex-rollout";

/// Windows of one log whose last observation is kept in mind.
const MAX_WINDOWS: usize = 32;

/// The windows of one rollout: only what changes is an observation.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Limits {
    /// The last observation of each window, and when it was made.
    latest: Vec<(QuotaObserved, Timestamp)>,
    #[serde(skip)]
    found: Vec<(EventId, NewEvent)>,
    /// The limits as they were told last; most lines only repeat them.
    #[serde(skip)]
    told: String,
}

impl Limits {
    pub const fn is_empty(&self) -> bool {
        self.latest.is_empty()
    }

    pub const fn len(&self) -> usize {
        self.found.len()
    }

    pub fn take(&mut self) -> Vec<(EventId, NewEvent)> {
        std::mem::take(&mut self.found)
    }

    /// Takes what a line tells. What cannot be read of it is left out: the line is there for its counts.
    pub fn tell(&mut self, limits: &RawValue, at: Timestamp, provider: &str) {
        let recent = self.latest.iter().all(|(_, then)| at.millis() - then.millis() < quota::CONFIRMED);
        if limits.get() == self.told && recent {
            return;
        }
        let Ok(provider) = ProviderId::new(provider) else { return };
        for seen in quota::rollout(limits.get(), at, provider, FEED) {
            let room = self.latest.len() < MAX_WINDOWS;
            match self.latest.iter_mut().find(|(known, _)| quota::is_same_window(known, &seen)) {
                Some((known, then)) if quota::Lead::new(known.clone(), *then).is_news(&seen, at) => {
                    (*known, *then) = (seen.clone(), at);
                }
                None if room => self.latest.push((seen.clone(), at)),
                _ => continue,
            }
            self.found.push((quota::id(&seen, at), NewEvent::new(seen, at)));
        }
        self.told.clear();
        // In so many seconds is another instant in each line.
        if !limits.get().contains("econds") {
            self.told.push_str(limits.get());
        }
    }
}
