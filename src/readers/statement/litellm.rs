//! `LiteLLM`: the table of spend logs, as CSV or JSON. A row is one request; its id makes the comparison exact.

use super::{Class, Draft, Name, Role, StatementSource};

pub(super) const SPEND_LOGS: StatementSource = StatementSource {
    name: "LiteLLM spend logs",
    provider: None,
    signature: &["request_id", "spend", "startTime"],
    columns: &[
        ("request_id", Role::Name(Name::Id)),
        ("startTime", Role::Start),
        ("endTime", Role::Ignored),
        ("model", Role::Name(Name::Model)),
        ("custom_llm_provider", Role::Name(Name::Provider)),
        ("api_key", Role::Name(Name::Key)),
        ("team_id", Role::Name(Name::Workspace)),
        ("organization_id", Role::Name(Name::Organisation)),
        ("user", Role::Name(Name::User)),
        ("spend", Role::Cost(1)),
        ("prompt_tokens", Role::Count(Class::Prompt)),
        ("completion_tokens", Role::Count(Class::Output)),
        ("total_tokens", Role::Raw("total")),
        ("call_type", Role::Ignored),
        ("request_duration_ms", Role::Ignored),
        ("completionStartTime", Role::Ignored),
        ("model_id", Role::Ignored),
        ("model_group", Role::Ignored),
        ("mcp_namespaced_tool_name", Role::Ignored),
        ("agent_id", Role::Ignored),
        ("api_base", Role::Ignored),
        ("metadata*", Role::Ignored),
        ("cache_hit", Role::Ignored),
        ("cache_key", Role::Ignored),
        ("request_tags*", Role::Ignored),
        ("end_user", Role::Ignored),
        ("requester_ip_address", Role::Ignored),
        ("messages*", Role::Ignored),
        ("response*", Role::Ignored),
        ("session_id", Role::Ignored),
        ("status", Role::Ignored),
        ("proxy_server_request*", Role::Ignored),
    ],
    step: 0,
    unnamed: &[],
    finish: request,
};

fn request(draft: &mut Draft) -> Result<bool, String> {
    draft.row.requests = Some(1);
    draft.expect_total("total_tokens").map(|()| true)
}
