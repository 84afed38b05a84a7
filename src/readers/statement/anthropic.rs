//! Anthropic: usage and cost CSV of the Console; the reports of the Admin and the Analytics API.
//!
//! Classes are disjoint and buckets are UTC. Older usage files lack `context_window`, `inference_geo` and `speed`, and
//! the oldest have one column for cache writes. The cost CSV rounds each row to cents and has display names of models.
//! The APIs state money in fractional cents, and null for the default workspace and for calls of the Console.

use super::{Class, Draft, Name, Role, StatementSource, WEB_SEARCH};

const TEAMS: &str =
    "rows of teams overlap, so their sum counts calls twice: request the report grouped by model and API key";

const CENT: i128 = 10_000_000_000;

/// What null stands for in the APIs.
const NULLS: &[(Name, &str)] = &[(Name::Workspace, "default"), (Name::KeyId, "console")];

/// Separates the costs of web searches from those of tokens. Other costs, such as those of sessions and of running code,
/// follow from no call.
fn kind_of_cost(draft: &mut Draft) -> Result<bool, String> {
    match draft.texts.get("cost_type").map(String::as_str) {
        None | Some("token" | "tokens") => Ok(true),
        Some("web_search") => {
            draft.row.names.insert(Name::Model, WEB_SEARCH.to_owned());
            Ok(true)
        }
        Some("code_execution" | "session_usage") => Ok(false),
        Some(other) => Err(format!("column `cost_type`: `{other}` is unknown: update usage-ledger")),
    }
}

pub(super) const USAGE_CSV: StatementSource = StatementSource {
    name: "the Anthropic Console usage CSV",
    provider: Some("anthropic"),
    signature: &["usage_date_utc", "usage_input_tokens_no_cache", "usage_output_tokens"],
    columns: &[
        ("usage_date_utc", Role::Start),
        ("model_version", Role::Name(Name::Model)),
        ("api_key", Role::Name(Name::Key)),
        ("workspace", Role::Name(Name::Workspace)),
        ("usage_type", Role::Name(Name::Tier)),
        ("context_window", Role::Name(Name::Context)),
        ("usage_input_tokens_no_cache", Role::Count(Class::Input)),
        ("usage_input_tokens_cache_write_5m", Role::Count(Class::CacheWrite5m)),
        ("usage_input_tokens_cache_write_1h", Role::Count(Class::CacheWrite1h)),
        ("usage_input_tokens_cache_write", Role::Count(Class::CacheWrites)),
        ("usage_input_tokens_cache_read", Role::Count(Class::CacheRead)),
        ("usage_output_tokens", Role::Count(Class::Output)),
        ("web_search_count", Role::Ignored),
        ("inference_geo", Role::Name(Name::Geography)),
        ("speed", Role::Name(Name::Speed)),
    ],
    step: 0,
    unnamed: &[],
    finish: |_| Ok(true),
};

pub(super) const COST_CSV: StatementSource = StatementSource {
    name: "the Anthropic Console cost CSV",
    provider: Some("anthropic"),
    signature: &["usage_date_utc", "cost_usd", "token_type"],
    columns: &[
        ("usage_date_utc", Role::Start),
        ("model", Role::Name(Name::Model)),
        ("workspace", Role::Name(Name::Workspace)),
        ("api_key", Role::Name(Name::Key)),
        ("usage_type", Role::Name(Name::Tier)),
        ("context_window", Role::Name(Name::Context)),
        ("token_type", Role::Ignored),
        ("cost_usd", Role::Cost(1)),
        ("list_price_usd", Role::ListCost(1)),
        ("cost_type", Role::Text("cost_type")),
        ("inference_geo", Role::Name(Name::Geography)),
        ("speed", Role::Name(Name::Speed)),
        ("api_key_id", Role::Name(Name::KeyId)),
        ("api_key_status", Role::Ignored),
    ],
    step: CENT,
    unnamed: &[],
    finish: kind_of_cost,
};

const USAGE_COLUMNS: &[(&str, Role)] = &[
    ("starting_at", Role::Start),
    ("ending_at", Role::End),
    ("group.model", Role::Name(Name::Model)),
    ("group.api_key_id", Role::Name(Name::KeyId)),
    ("group.workspace_id", Role::Name(Name::Workspace)),
    ("group.service_tier", Role::Name(Name::Tier)),
    ("group.speed", Role::Name(Name::Speed)),
    ("group.context_window", Role::Name(Name::Context)),
    ("group.inference_geo", Role::Name(Name::Geography)),
    ("group.actor", Role::Name(Name::User)),
    ("group.actor.email_address", Role::Name(Name::User)),
    ("group.actor.id", Role::Name(Name::User)),
    ("group.actor*", Role::Ignored),
    ("group.rbac_group*", Role::Refused(TEAMS)),
    ("group.team*", Role::Refused(TEAMS)),
    ("group.product", Role::Ignored),
    // An export without groups.
    ("group", Role::Ignored),
    ("usage.uncached_input_tokens", Role::Count(Class::Input)),
    ("usage.cache_read_input_tokens", Role::Count(Class::CacheRead)),
    ("usage.cache_creation.ephemeral_5m_input_tokens", Role::Count(Class::CacheWrite5m)),
    ("usage.cache_creation.ephemeral_1h_input_tokens", Role::Count(Class::CacheWrite1h)),
    ("usage.output_tokens", Role::Count(Class::Output)),
    ("usage.requests", Role::Requests),
    ("usage.total_tokens", Role::Ignored),
    ("usage.server_tool_use*", Role::Ignored),
    // The legacy report has no groups.
    ("model", Role::Name(Name::Model)),
    ("api_key_id", Role::Name(Name::KeyId)),
    ("workspace_id", Role::Name(Name::Workspace)),
    ("service_tier", Role::Name(Name::Tier)),
    ("speed", Role::Name(Name::Speed)),
    ("context_window", Role::Name(Name::Context)),
    ("inference_geo", Role::Name(Name::Geography)),
    ("account_id", Role::Ignored),
    ("service_account_id", Role::Ignored),
    ("uncached_input_tokens", Role::Count(Class::Input)),
    ("cache_read_input_tokens", Role::Count(Class::CacheRead)),
    ("cache_creation.ephemeral_5m_input_tokens", Role::Count(Class::CacheWrite5m)),
    ("cache_creation.ephemeral_1h_input_tokens", Role::Count(Class::CacheWrite1h)),
    ("output_tokens", Role::Count(Class::Output)),
    ("server_tool_use*", Role::Ignored),
];

pub(super) const USAGE_JSON: StatementSource = StatementSource {
    name: "an Anthropic usage report",
    provider: Some("anthropic"),
    signature: &["starting_at", "uncached_input_tokens|usage.uncached_input_tokens"],
    columns: USAGE_COLUMNS,
    step: 0,
    unnamed: NULLS,
    finish: |_| Ok(true),
};

pub(super) const COST_JSON: StatementSource = StatementSource {
    name: "an Anthropic cost report",
    provider: Some("anthropic"),
    signature: &["starting_at", "amount|cost.amount"],
    columns: &[
        ("starting_at", Role::Start),
        ("ending_at", Role::End),
        ("amount", Role::Cost(100)),
        ("currency", Role::Currency),
        ("cost.amount", Role::Cost(100)),
        ("cost.list_amount", Role::ListCost(100)),
        ("cost.currency", Role::Currency),
        ("cost_type", Role::Text("cost_type")),
        ("description", Role::Ignored),
        ("token_type", Role::Ignored),
        ("model", Role::Name(Name::Model)),
        ("workspace_id", Role::Name(Name::Workspace)),
        ("service_tier", Role::Name(Name::Tier)),
        ("context_window", Role::Name(Name::Context)),
        ("inference_geo", Role::Name(Name::Geography)),
        ("speed", Role::Name(Name::Speed)),
        ("group.model", Role::Name(Name::Model)),
        ("group.api_key_id", Role::Name(Name::KeyId)),
        ("group.workspace_id", Role::Name(Name::Workspace)),
        ("group.service_tier", Role::Name(Name::Tier)),
        ("group.speed", Role::Name(Name::Speed)),
        ("group.context_window", Role::Name(Name::Context)),
        ("group.inference_geo", Role::Name(Name::Geography)),
        ("group.token_type", Role::Ignored),
        ("group.cost_type", Role::Text("cost_type")),
        ("group.product", Role::Ignored),
        ("group.actor", Role::Name(Name::User)),
        ("group.actor.email_address", Role::Name(Name::User)),
        ("group.actor.id", Role::Name(Name::User)),
        ("group.actor*", Role::Ignored),
        ("group.rbac_group*", Role::Refused(TEAMS)),
        ("group.team*", Role::Refused(TEAMS)),
        ("group", Role::Ignored),
    ],
    step: 0,
    unnamed: NULLS,
    finish: kind_of_cost,
};

/// One row per actor, day and model. Its costs are estimates, which cannot confirm a bill, so only tokens are read.
pub(super) const ACTORS: StatementSource = StatementSource {
    name: "the Claude Code report of the Admin API",
    provider: Some("anthropic"),
    signature: &["date", "tokens.input"],
    columns: &[
        ("date", Role::Start),
        ("actor.email_address", Role::Name(Name::User)),
        ("actor.api_key_name", Role::Name(Name::Key)),
        ("actor.type", Role::Ignored),
        ("organization_id", Role::Name(Name::Organisation)),
        ("customer_type", Role::Ignored),
        ("subscription_type", Role::Ignored),
        ("terminal_type", Role::Ignored),
        ("core_metrics*", Role::Ignored),
        ("tool_actions*", Role::Ignored),
        ("is_remote", Role::Ignored),
        ("model", Role::Name(Name::Model)),
        ("tokens.input", Role::Count(Class::Input)),
        ("tokens.output", Role::Count(Class::Output)),
        ("tokens.cache_read", Role::Count(Class::CacheRead)),
        ("tokens.cache_creation", Role::Count(Class::CacheWrites)),
        ("estimated_cost*", Role::Ignored),
    ],
    step: 0,
    unnamed: &[],
    finish: |_| Ok(true),
};
