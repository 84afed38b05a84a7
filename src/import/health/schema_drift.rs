//! Detects counters that an agent has renamed. An importer reads them as absent, and no report would show it.

use serde::Serialize;

use crate::import::engine::agent::Counters;
use crate::model::event::{Quality, TokenRecord};
use crate::model::serde_skip::is_zero;
use crate::model::tokens::Tokens;
use crate::readers::normalise::{PARTS_APART, SPLIT_APART};

/// Number of records after which a class that none of them has is reported.
const MANY: u64 = 20;
/// Residuals that state a sum different from that of its parts.
const APART: [&str; 2] = [PARTS_APART, SPLIT_APART];

/// Number of new records of an importer that lack expected counts.
///
/// ```
/// use usage_ledger::{Ledger, import::{self, ImportOptions}};
/// # let now = "2026-11-23T20:00:00Z".parse::<usage_ledger::Timestamp>()?;
/// # let home = tempfile::tempdir()?;
/// # let logs = home.path().join(".claude/projects/acme");
/// # std::fs::create_dir_all(&logs)?;
/// let line = r#"{"type":"assistant","sessionId":"s","timestamp":"2026-11-23T19:00:00Z","requestId":"req_1",
///     "message":{"id":"msg_1","model":"claude-opus-4-5","usage":{"input_tokens":30,"renamed_tokens":12}}}"#;
/// std::fs::write(logs.join("s.jsonl"), line.replace('\n', " ") + "\n")?;
/// let options = ImportOptions::new().homes([home.path().to_owned()]);
/// let report = import::run(&Ledger::in_memory()?, &options, now, &mut |_| {})?;
/// assert_eq!((report.sources[0].recorded, report.sources[0].drift.without_output), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SchemaDrift {
    /// Records without an input count, of an agent that always states one.
    #[serde(skip_serializing_if = "is_zero")]
    pub without_input: u64,
    /// Records without an output count, of an agent that always states one.
    #[serde(skip_serializing_if = "is_zero")]
    pub without_output: u64,
    /// Records whose stated total differs from the sum of their counts.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_adding_up: u64,
    /// Records with a count above [`IMPLAUSIBLE_COUNT`](crate::IMPLAUSIBLE_COUNT). `doctor` lists them.
    #[serde(skip_serializing_if = "is_zero")]
    pub implausible: u64,
    /// Classes that the agent normally states and that none of 20 or more records has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
}

/// A token class, or several that most agents state as one.
struct UsualClass {
    name: &'static str,
    has: fn(&Tokens) -> bool,
    /// Whether the agent states the class for such a call, including 0.
    states: fn(Counters, &TokenRecord) -> bool,
}

const USUAL: [UsualClass; 4] = [
    UsualClass { name: "input", has: |tokens| tokens.input.is_some(), states: |counters, _| counters.omits_zeros },
    UsualClass { name: "output", has: |tokens| tokens.output.is_some(), states: |counters, _| counters.omits_zeros },
    UsualClass {
        name: "cache_read",
        has: |tokens| tokens.cache_read.is_some(),
        // Logs that state cache reads also state cache writes.
        states: |counters, record| counters.cache_read.of(record) || writes(&record.tokens),
    },
    UsualClass { name: "cache_write", has: writes, states: |counters, record| counters.cache_write.of(record) },
];

const fn writes(tokens: &Tokens) -> bool {
    tokens.cache_write.is_some() || tokens.cache_write_5m.is_some() || tokens.cache_write_1h.is_some()
}

/// Checks the records of a run as they are written.
pub(in crate::import) struct DriftCheck {
    counters: Counters,
    drift: SchemaDrift,
    /// For each class, the number of records that should have it and of those that do.
    classes: [(u64, u64); USUAL.len()],
}

impl DriftCheck {
    /// Checks records of an agent whose log states these counters.
    pub fn new(counters: Counters) -> Self {
        Self { counters, drift: SchemaDrift::default(), classes: <[(u64, u64); USUAL.len()]>::default() }
    }

    pub fn see(&mut self, record: &TokenRecord) {
        self.drift.implausible += u64::from(record.tokens.implausible().is_some());
        if record.quality == Quality::Estimated {
            return;
        }
        let (tokens, drift) = (&record.tokens, &mut self.drift);
        if !self.counters.omits_zeros {
            drift.without_input += u64::from(tokens.input.is_none());
            drift.without_output += u64::from(tokens.output.is_none());
        }
        let apart = |residual: &String| APART.iter().any(|apart| residual.contains(apart));
        drift.not_adding_up += u64::from(record.residual.as_ref().is_some_and(apart));
        for (usual, (should, have)) in USUAL.iter().zip(&mut self.classes) {
            *should += u64::from((usual.states)(self.counters, record));
            *have += u64::from((usual.has)(tokens));
        }
    }

    pub fn end(mut self) -> SchemaDrift {
        let absent = USUAL.iter().zip(self.classes).filter(|(_, (should, have))| *should >= MANY && *have == 0);
        self.drift.absent = absent.map(|(usual, _)| usual.name.to_owned()).collect();
        self.drift
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::agents;

    fn seen(source: &str, records: &[(TokenRecord, usize)]) -> SchemaDrift {
        let mut doubting = DriftCheck::new(agents::find(source).unwrap().counters);
        for (record, times) in records {
            (0..*times).for_each(|_| doubting.see(record));
        }
        doubting.end()
    }

    fn call(provider: &'static str) -> TokenRecord {
        TokenRecord::new(provider, "m").input(1).output(2)
    }

    #[test]
    fn a_usual_class_that_no_call_has_is_reported() {
        let bare = call("anthropic");
        let absolute = bare.clone().cache_read(0);
        let absent = |source, records: &[_]| seen(source, records).absent;
        assert_eq!(absent("claude-code", &[(bare.clone(), 20)]), ["cache_read", "cache_write"]);
        assert_eq!(absent("claude-code", &[(bare.clone(), 19)]), [""; 0]);
        assert_eq!(absent("claude-code", &[(bare.clone(), 900), (absolute, 1)]), ["cache_write"]);
        assert_eq!(absent("claude-code", &[(call("ollama"), 20)]), [""; 0]);
        assert_eq!(absent("codex", &[(call("openai"), 20)]), ["cache_read"]);
        assert_eq!(absent("amp", &[(bare.clone(), 20)]), [""; 0]);
        let mut written = bare;
        written.tokens.cache_write = Some(3);
        assert_eq!(absent("amp", &[(written, 20)]), ["cache_read"]);
    }

    #[test]
    fn every_call_has_input_and_output_unless_zeros_are_omitted() {
        let (input, output) = (TokenRecord::new("p", "m").input(1), TokenRecord::new("p", "m").output(1));
        let one = [(input.clone(), 3), (output, 1)];
        let drift = seen("roo-code", &one);
        assert_eq!((drift.without_input, drift.without_output), (1, 3));
        assert_eq!(seen("cursor", &one), SchemaDrift::default());
        assert_eq!(seen("cursor", &[(input, 20)]).absent, ["output"]);
        let mut estimated = TokenRecord::new("p", "m");
        estimated.quality = Quality::Estimated;
        assert_eq!(seen("koan", &[(estimated, 30)]), SchemaDrift::default());
    }
}
