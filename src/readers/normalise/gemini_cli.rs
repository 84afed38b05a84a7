//! Gemini CLI chats (`TokensSummary`): Gemini's counts and conventions under the client's own field names.

use serde::Deserialize;

use crate::model::error::Result;
use crate::readers::normalise::count::Count;
use crate::readers::normalise::statement::{DetailPlace, UsageStatement};
use crate::readers::normalise::{Normalised, UsageFormat, parse};

/// The counts under the client's names.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
pub(super) struct GeminiCliTokens {
    input: Count,
    output: Count,
    cached: Count,
    thoughts: Count,
    tool: Count,
    total: Count,
}

impl GeminiCliTokens {
    /// The statement of the counts. `thought` is where the client's API counts thoughts.
    pub(super) fn statement(&self, thought: DetailPlace) -> Result<UsageStatement> {
        let mut statement = UsageStatement::new(self.input.named("input")?, self.output.named("output")?);
        statement.more_input = self.tool.named("tool")?;
        statement.cache_read = self.cached.named("cached")?;
        statement.reasoning = self.thoughts.named("thoughts")?;
        statement.thought = thought;
        statement.total = self.total.named("total")?;
        Ok(statement)
    }
}

pub(super) fn usage(format: UsageFormat, json: &str) -> Result<Normalised> {
    let tokens: GeminiCliTokens = parse(format, json)?;
    tokens.statement(DetailPlace::Beside)?.settle(format)
}
