//! The sums that a run's end tells, model by model.
//!
//! Some clients count each run from nothing; those that restore a session restore its sums too, and go on from them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::import::engine::fields;

pub(super) const COUNTS: [&str; 5] =
    ["inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "reasoningTokens"];
/// Where the output is among them.
const OUTPUT: usize = 1;

/// A model's counts, in the order of their names.
pub(super) type Counts = [Option<u64>; 5];

/// What the models of a session had used at the end of a run.
#[derive(Clone, Default)]
pub(super) struct SessionMetrics(BTreeMap<String, Counts>);

impl SessionMetrics {
    /// Adds a model's counts.
    pub fn add(&mut self, model: &str, metric: &Value) -> Result<(), String> {
        let usage = metric.get("usage").filter(|usage| usage.is_object());
        let usage = usage.ok_or("unknown shape: a summary without the usage of a model")?;
        let mut counts = Counts::default();
        for (count, name) in counts.iter_mut().zip(COUNTS) {
            *count = fields::count(usage, name)?.and_then(|count| u64::try_from(count).ok());
        }
        self.0.insert(model.to_owned(), counts);
        Ok(())
    }

    /// How far the counts of a model went on from an earlier run's end.
    pub fn since(&self, before: Option<&Self>, model: &str) -> Counts {
        let mut moved = self.0.get(model).copied().unwrap_or_default();
        let before = before.and_then(|before| before.0.get(model)).copied().unwrap_or_default();
        for (count, before) in moved.iter_mut().zip(before) {
            *count = count.map(|count| count.saturating_sub(before.unwrap_or_default()));
        }
        moved
    }

    /// Whether these counts go on from an earlier run's rather than from nothing.
    ///
    /// A count that went down began anew. When none did, what the run's answers say they put out tells, or nothing does: then
    /// they go on, as they do with newer clients.
    pub fn go_on_from(&self, before: &Self, put_out: Option<u64>) -> bool {
        let known = |model: &str| self.0.get(model).copied().unwrap_or_default();
        let grew = |(now, before): (&Option<u64>, &Option<u64>)| now.unwrap_or_default() >= before.unwrap_or_default();
        if !before.0.iter().all(|(model, before)| known(model).iter().zip(before).all(grew)) {
            return false;
        }
        let Some(put_out) = put_out else { return true };
        let (now, earlier) = (self.output(), before.output());
        now.abs_diff(earlier.saturating_add(put_out)) <= now.abs_diff(put_out)
    }

    fn output(&self) -> u64 {
        let outputs = self.0.values().filter_map(|counts| counts.get(OUTPUT).copied().flatten());
        outputs.fold(0, u64::saturating_add)
    }
}
