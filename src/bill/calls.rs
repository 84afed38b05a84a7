//! The calls of the ledger that a statement can contain.

use std::collections::BTreeMap;

use crate::bill::model_name::model_key;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::{EventId, SERVICE_TIER, TELEMETRY};
use crate::model::secrets;
use crate::model::time::{DAY, Timestamp};
use crate::model::tokens::{TokenClass, Usd};
use crate::readers::price::Prices;
use crate::readers::statement::{Class, Name, WEB_SEARCH};

/// The time before a period of which calls are read too, in milliseconds. They show which machines are silent since.
pub(super) const BEFORE: i64 = 7 * DAY;

/// One call of the ledger.
#[derive(Clone, Debug, Default)]
pub(crate) struct LedgerCall {
    pub at: Timestamp,
    pub provider: String,
    pub model: String,
    pub model_key: String,
    /// The id of the key.
    pub key_id: Option<String>,
    /// The name of the key.
    pub key: Option<String>,
    pub workspace: Option<String>,
    pub machine: Option<String>,
    pub tier: Option<String>,
    /// Why the agent made the call for itself, if it did. A call of a conversation or of a subagent has no purpose.
    pub purpose: Option<String>,
    /// Telemetry alone reports the call.
    pub only_telemetry: bool,
    pub counts: [u64; 7],
    /// The price by the public list or by the user's own prices.
    pub cost: Option<Usd>,
    /// The ids of its natural keys: message, request and response ids.
    pub ids: Vec<EventId>,
}

impl LedgerCall {
    /// The id and the name of the key, as far as they are known.
    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.key_id.iter().chain(&self.key)
    }

    /// The name by which a kind of name in a statement compares the call. A label with the id may contain the name of the
    /// key, and the reverse.
    pub(super) fn name(&self, kind: Name) -> Option<&String> {
        match kind {
            Name::KeyId => self.keys().next(),
            Name::Key => self.key.as_ref().or(self.key_id.as_ref()),
            Name::Workspace => self.workspace.as_ref(),
            _ => None,
        }
    }

    /// The tokens of a class of a statement.
    pub(crate) fn count(&self, class: Class) -> i128 {
        let parts = TokenClass::ALL.iter().zip(self.counts).filter(|(part, _)| class.parts().contains(part));
        parts.map(|(_, count)| i128::from(count)).sum()
    }
}

fn label(labels: &BTreeMap<String, String>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| labels.get(*name)).cloned()
}

/// A label that names who called, in the form that it has in a statement: a hash instead of a credential.
fn caller(labels: &BTreeMap<String, String>, names: &[&str]) -> Option<String> {
    label(labels, names).map(|name| secrets::id(&name).into_owned())
}

/// Purposes that telemetry states for calls of the conversation itself, of its subagents, and of programs.
const OF_CONVERSATION: [&str; 7] = ["main", "repl_main_thread", "subagent", "agent", "sdk", "user", "workflow"];

/// Whether an agent makes calls of this purpose for itself, such as `compact` or `generate_session_title`.
fn is_background(purpose: &str) -> bool {
    let kind = purpose.split(':').next().unwrap_or(purpose);
    !OF_CONVERSATION.iter().any(|name| kind.trim().eq_ignore_ascii_case(name))
}

/// The calls from one time up to another, of one account or of all, in the order of their times.
///
/// If the statement bills web searches apart, a call with searches is two: its tokens, and its searches.
pub(super) fn calls(
    snapshot: &Snapshot<'_>,
    (since, until): (Timestamp, Timestamp),
    account: Option<&str>,
    prices: &Prices,
    has_web_searches: bool,
) -> Result<Vec<LedgerCall>> {
    let mut calls = Vec::new();
    snapshot.each_call_between(since, until, &mut |call| {
        let record = call.record;
        if account.is_some_and(|name| record.account.as_deref() != Some(name)) {
            return Ok(());
        }
        let model = record.model.clone().unwrap_or_default();
        let cost = prices.cost(&record, call.at)?;
        let mut one = LedgerCall {
            at: call.at,
            provider: record.provider.to_string(),
            model_key: model_key(&model),
            model,
            key_id: caller(&record.labels, &["api_key_id", "key_id"]),
            key: caller(&record.labels, &["api_key"]),
            workspace: caller(&record.labels, &["workspace", "workspace_id"]),
            machine: label(&record.labels, &["machine", "host"]),
            tier: label(&record.labels, &[SERVICE_TIER]),
            purpose: label(&record.labels, &["purpose"]).filter(|purpose| is_background(purpose)),
            only_telemetry: call.source == TELEMETRY,
            counts: record.tokens.counts(),
            cost,
            ids: record.ids().collect(),
        };
        if has_web_searches && !record.server_tools.is_empty() {
            let mut tokens = record;
            tokens.server_tools.clear();
            one.cost = prices.cost(&tokens, call.at)?;
            let of_searches = cost.zip(one.cost).map(|(all, tokens)| all.checked_add(tokens.negated())).transpose()?;
            calls.push(searches(&one, of_searches));
        }
        calls.push(one);
        Ok(())
    })?;
    calls.sort_by_key(|call| call.at);
    Ok(calls)
}

/// The web searches of a call, as a call without tokens.
fn searches(call: &LedgerCall, cost: Option<Usd>) -> LedgerCall {
    LedgerCall {
        model: WEB_SEARCH.to_owned(),
        model_key: model_key(WEB_SEARCH),
        counts: [0; 7],
        cost,
        ids: Vec::new(),
        ..call.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::is_background;

    #[test]
    fn calls_of_a_conversation_and_its_subagents_are_no_background_calls() {
        for purpose in
            ["main", "repl_main_thread", "repl_main_thread:outputStyle:Explanatory", "agent:builtin:Explore", "sdk"]
        {
            assert!(!is_background(purpose), "{purpose}");
        }
        for purpose in ["auxiliary", "compact", "generate_session_title", "utility_router", "compaction"] {
            assert!(is_background(purpose), "{purpose}");
        }
    }
}
