//! Gemini CLI chats (`TokensSummary`): Gemini's counts under names of the client's own, with Gemini's habits.

use serde::Deserialize;

use crate::error::Result;
use crate::normalise::count::Count;
use crate::normalise::statement::{Habit, Statement};
use crate::normalise::{Format, Normalised, parse};

/// The counts under the client's names.
#[derive(Default, Deserialize)]
#[serde(default, expecting = "an object of token counts")]
pub(super) struct Tokens {
    input: Count,
    output: Count,
    cached: Count,
    thoughts: Count,
    tool: Count,
    total: Count,
}

impl Tokens {
    /// What they state, where thoughts stand as the client's API has it.
    pub(super) fn statement(&self, thought: Habit) -> Result<Statement> {
        let mut statement = Statement::new(self.input.named("input")?, self.output.named("output")?);
        statement.more_input = self.tool.named("tool")?;
        statement.cache_read = self.cached.named("cached")?;
        statement.reasoning = self.thoughts.named("thoughts")?;
        statement.thought = thought;
        statement.total = self.total.named("total")?;
        Ok(statement)
    }
}

pub(super) fn usage(format: Format, json: &str) -> Result<Normalised> {
    let tokens: Tokens = parse(format, json)?;
    tokens.statement(Habit::Beside)?.settle(format)
}
