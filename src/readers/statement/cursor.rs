//! Cursor: the usage CSV of the dashboard, and the usage events of the Admin API.
//!
//! The two inputs of the CSV are disjoint, and `Total Tokens` is a checksum. A cost can be `Included`, `Free` or `-`.

use super::{Class, Name, Role, StatementSource};

pub(super) const CSV: StatementSource = StatementSource {
    name: "the Cursor usage CSV",
    provider: Some("cursor"),
    signature: &["Date", "Input (w/ Cache Write)", "Input (w/o Cache Write)"],
    columns: &[
        ("Date", Role::Start),
        ("User", Role::Name(Name::User)),
        ("Cloud Agent ID", Role::Ignored),
        ("Automation ID", Role::Ignored),
        ("Kind", Role::Ignored),
        ("Model", Role::Name(Name::Model)),
        ("Max Mode", Role::Ignored),
        ("Input (w/ Cache Write)", Role::Count(Class::CacheWrites)),
        ("Input (w/o Cache Write)", Role::Count(Class::Input)),
        ("Cache Read", Role::Count(Class::CacheRead)),
        ("Output Tokens", Role::Count(Class::Output)),
        ("Total Tokens", Role::Raw("total")),
        ("Cost", Role::Cost(1)),
        ("Cost to you", Role::Cost(1)),
    ],
    step: 10_000_000_000,
    unnamed: &[],
    finish: |draft| draft.expect_total("Total Tokens").map(|()| true),
};

pub(super) const JSON: StatementSource = StatementSource {
    name: "the Cursor usage events",
    provider: Some("cursor"),
    signature: &["timestamp", "tokenUsage.inputTokens|chargedCents"],
    columns: &[
        ("timestamp", Role::Start),
        ("userEmail", Role::Name(Name::User)),
        ("userId", Role::Ignored),
        ("owningUser", Role::Ignored),
        ("owningTeam", Role::Ignored),
        ("serviceAccountId", Role::Ignored),
        ("cloudAgentId", Role::Ignored),
        ("automationId", Role::Ignored),
        ("conversationId", Role::Ignored),
        ("model", Role::Name(Name::Model)),
        ("kind", Role::Ignored),
        ("kindLabel", Role::Ignored),
        ("maxMode", Role::Ignored),
        ("requestsCosts", Role::Ignored),
        ("isTokenBasedCall", Role::Ignored),
        ("isChargeable", Role::Ignored),
        ("isHeadless", Role::Ignored),
        ("isFreeBugbot", Role::Ignored),
        ("tokenUsage.inputTokens", Role::Count(Class::Input)),
        ("tokenUsage.outputTokens", Role::Count(Class::Output)),
        ("tokenUsage.cacheWriteTokens", Role::Count(Class::CacheWrites)),
        ("tokenUsage.cacheReadTokens", Role::Count(Class::CacheRead)),
        ("tokenUsage.totalCents", Role::ListCost(100)),
        ("tokenUsage.discountPercentOff", Role::Ignored),
        ("chargedCents", Role::Cost(100)),
        ("cursorTokenFee", Role::Ignored),
        ("usageBasedCosts", Role::Ignored),
    ],
    step: 0,
    unnamed: &[],
    finish: |_| Ok(true),
};
