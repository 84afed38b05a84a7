//! `session`.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::CcusageOptions;
use super::names::{self, CODEX, UNKNOWN};
use super::rows::{Answer, Metadata, Models, Row};
use super::spent::Spent;
use crate::error::Result;
use crate::ledger::Sight;
use crate::report::{PricedCall, Report};
use crate::time::Timestamp;
use crate::tokens::Usd;

/// What is known of a session after some of its calls.
struct Session {
    last: Timestamp,
    reasoning: u64,
    models: Models,
}

/// Sums sessions from their calls, as no projection knows their last one.
pub(super) fn answer(sight: &Sight<'_>, report: &Report, options: CcusageOptions) -> Result<Answer> {
    let mut sessions: HashMap<(Option<String>, Option<String>), Session> = HashMap::new();
    report.each_call(sight, &mut |call| {
        let session = sessions
            .entry((call.record.agent.clone(), call.record.conversation.clone()))
            .or_insert_with(|| Session { last: call.at, reasoning: 0, models: Models::default() });
        session.take(call)
    })?;
    let rollouts = names::rollouts(sight)?;
    let mut all = Spent::default();
    let mut rows: Vec<(Usd, Row)> = Vec::with_capacity(sessions.len());
    for ((agent, conversation), session) in sessions {
        let is_codex = agent.as_deref() == Some(CODEX);
        let place = conversation.as_ref().filter(|_| is_codex).and_then(|thread| rollouts.get(thread)).cloned();
        let period = place.or(conversation).unwrap_or_else(|| UNKNOWN.to_owned());
        let agent = names::agent(agent.as_deref());
        let metadata = agent.tells_activity.then(|| Metadata::Session {
            last_activity: session.last,
            reasoning_output_tokens: is_codex.then_some(session.reasoning),
        });
        let (row, spent) = session.models.row(agent.name.to_owned(), period, metadata, options.costs)?;
        all.add(&spent)?;
        rows.push((spent.cost, row));
    }
    // The dearest first, equally dear ones by their names.
    rows.sort_by(|(a_cost, a), (b_cost, b)| {
        (Reverse(a_cost), &a.period, &a.agent).cmp(&(Reverse(b_cost), &b.period, &b.agent))
    });
    Ok(Answer { name: "session", rows: rows.into_iter().map(|(_, row)| row).collect(), all, costs: options.costs })
}

impl Session {
    fn take(&mut self, call: &PricedCall<'_>) -> Result<()> {
        let spent = Spent::of_call(call);
        self.last = self.last.max(call.at);
        self.reasoning = self.reasoning.saturating_add(spent.reasoning);
        // ccusage lists the models of Codex by name, those of the others by first use.
        let first = (call.record.agent.as_deref() != Some(CODEX)).then_some(call.at);
        self.models.add(call.record.model.as_deref().unwrap_or(UNKNOWN), first, &spent)
    }
}
