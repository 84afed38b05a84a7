//! The sums per model at the end of a run.
//!
//! Some clients start each run at 0. Those that restore a session also restore its sums and continue from them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::import::engine::fields;

pub(super) const COUNTS: [&str; 5] =
    ["inputTokens", "outputTokens", "cacheReadTokens", "cacheWriteTokens", "reasoningTokens"];
/// Index of the output.
const OUTPUT: usize = 1;

/// Counts of a model, in the order of their names.
pub(super) type Counts = [Option<u64>; 5];

/// The sums of a session's models at the end of a run.
#[derive(Clone, Default)]
pub(super) struct SessionMetrics(BTreeMap<String, Counts>);

impl SessionMetrics {
    /// Adds the counts of a model.
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

    /// Returns the increase of a model's counts since the end of an earlier run.
    pub fn since(&self, before: Option<&Self>, model: &str) -> Counts {
        let mut moved = self.0.get(model).copied().unwrap_or_default();
        let before = before.and_then(|before| before.0.get(model)).copied().unwrap_or_default();
        for (count, before) in moved.iter_mut().zip(before) {
            *count = count.map(|count| count.saturating_sub(before.unwrap_or_default()));
        }
        moved
    }

    /// Returns whether these counts continue those of an earlier run instead of starting at 0.
    ///
    /// A count that decreased shows a restart. Otherwise the output that the run's answers state decides. Without it
    /// they continue, as newer clients do.
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
