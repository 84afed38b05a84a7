//! A usage object as numbers.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::import::engine::jsonl;

/// The counts of a usage object: input, cached input, output, reasoning output and their total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Vector([u64; 5]);

impl Vector {
    pub fn parse(usage: &RawValue) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct VectorUsage {
            #[serde(rename = "input_tokens")]
            input: Option<u64>,
            #[serde(rename = "cached_input_tokens")]
            cached: Option<u64>,
            #[serde(rename = "output_tokens")]
            output: Option<u64>,
            #[serde(rename = "reasoning_output_tokens")]
            reasoning: Option<u64>,
            #[serde(rename = "total_tokens")]
            total: Option<u64>,
        }
        let usage: VectorUsage = serde_json::from_str(usage.get()).map_err(|error| jsonl::refusal(&error))?;
        if usage.input.is_none() || usage.output.is_none() {
            return Err("unknown shape: a usage object without input_tokens and output_tokens".to_owned());
        }
        let counts = [usage.input, usage.cached, usage.output, usage.reasoning, usage.total];
        Ok(Self(counts.map(Option::unwrap_or_default)))
    }

    /// Returns whether only the total is set. The client writes such counts itself: an estimate of the context after a
    /// compaction, or the whole window if the context exceeds it. They are no calls.
    pub const fn is_synthetic(&self) -> bool {
        matches!(self.0, [0, 0, 0, 0, _])
    }

    /// Returns the increase since `before`; `None` if a count decreased, because the counter restarted.
    pub fn since(&self, before: &Self) -> Option<Self> {
        let mut moved = self.0;
        for (count, before) in moved.iter_mut().zip(before.0) {
            *count = count.checked_sub(before)?;
        }
        Some(Self(moved))
    }

    /// Returns a usage object with these counts in the form of the client.
    pub fn to_json(self) -> String {
        let [input, cached, output, reasoning, total] = self.0;
        format!(
            r#"{{"input_tokens":{input},"cached_input_tokens":{cached},"output_tokens":{output},"reasoning_output_tokens":{reasoning},"total_tokens":{total}}}"#
        )
    }
}

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [input, cached, output, reasoning, total] = self.0;
        write!(f, "{input}/{cached}/{output}/{reasoning}/{total}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_that_decreased_was_restarted() {
        let [before, after] = [Vector([10, 4, 5, 1, 15]), Vector([12, 4, 6, 1, 18])];
        assert_eq!(after.since(&before), Some(Vector([2, 0, 1, 0, 3])));
        assert_eq!(before.since(&after), None);
        assert!(Vector([0, 0, 0, 0, 258_400]).is_synthetic());
        assert_eq!(serde_json::to_string(&after).unwrap(), "[12,4,6,1,18]");
        let raw = RawValue::from_string(after.to_json()).unwrap();
        assert_eq!(Vector::parse(&raw), Ok(after));
    }
}
