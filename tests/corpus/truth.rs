//! The content of the logs, according to their generator.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use usage_ledger::{ReportKey, Timestamp};

/// One reply of a model, however often the logs repeat it.
#[derive(Clone, Debug)]
pub struct Call {
    pub agent: &'static str,
    pub provider: &'static str,
    pub model: &'static str,
    pub conversation: String,
    pub project: String,
    pub sidechain: bool,
    pub at: Timestamp,
    /// Input, cache read, five-minute and one-hour cache writes, visible output, reasoning.
    pub tokens: [u64; 6],
    /// The cost that the client stated, in millionths of a dollar.
    pub micros: u64,
}

/// Sums over calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub requests: u64,
    pub tokens: [u64; 6],
    pub micros: u64,
}

/// Counts by the values of some keys.
pub type Rows = BTreeMap<Vec<Option<String>>, Counts>;

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.requests += other.requests;
        self.micros += other.micros;
        self.tokens.iter_mut().zip(other.tokens).for_each(|(sum, more)| *sum += more);
    }
}

/// The truth about a corpus. Paths are relative to its home.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    pub calls: Vec<Call>,
    pub files: Vec<PathBuf>,
    pub bytes: u64,
    /// Lines truncated in the middle of a file.
    pub torn: BTreeSet<(PathBuf, u64)>,
    /// Unfinished last lines.
    pub tails: BTreeSet<(PathBuf, u64)>,
}

impl Truth {
    pub fn by(&self, keys: &[ReportKey]) -> Rows {
        let mut rows = Rows::new();
        for call in &self.calls {
            let counts = Counts { requests: 1, tokens: call.tokens, micros: call.micros };
            rows.entry(keys.iter().map(|key| call.value(key)).collect()).or_default().add(&counts);
        }
        rows
    }

    pub fn total(&self) -> Counts {
        self.by(&[]).into_values().next().unwrap_or_default()
    }
}

impl Call {
    fn value(&self, key: &ReportKey) -> Option<String> {
        Some(match key {
            ReportKey::Agent => self.agent.to_owned(),
            ReportKey::Provider => self.provider.to_owned(),
            ReportKey::Model => self.model.to_owned(),
            ReportKey::Conversation => self.conversation.clone(),
            ReportKey::Project => self.project.clone(),
            ReportKey::Day => self.at.to_string()[..10].to_owned(),
            ReportKey::Label(_) => return self.sidechain.then(|| "true".to_owned()),
            other => unreachable!("{} is not told by the corpus", other.name()),
        })
    }
}
