//! GitHub: the AI usage report. Buckets are days in UTC. Cents of a row are not rounded.

use super::{Class, Name, Role, StatementSource};

pub(super) const USAGE: StatementSource = StatementSource {
    name: "the GitHub AI usage CSV",
    provider: Some("github-copilot"),
    signature: &["date", "sku", "net_amount"],
    columns: &[
        ("date", Role::Start),
        ("username", Role::Name(Name::User)),
        ("product", Role::Ignored),
        ("sku", Role::Ignored),
        ("model", Role::Name(Name::Model)),
        ("quantity", Role::Ignored),
        ("unit_type", Role::Ignored),
        ("applied_cost_per_quantity", Role::Ignored),
        ("gross_amount", Role::ListCost(1)),
        ("discount_amount", Role::Ignored),
        ("net_amount", Role::Cost(1)),
        ("exceeds_quota", Role::Ignored),
        ("total_monthly_quota", Role::Ignored),
        ("organization", Role::Name(Name::Organisation)),
        ("repository", Role::Ignored),
        ("cost_center_name", Role::Ignored),
        ("aic_quantity", Role::Ignored),
        ("aic_gross_amount", Role::Ignored),
        ("input", Role::Count(Class::Input)),
        ("output", Role::Count(Class::Output)),
        ("cache_read", Role::Count(Class::CacheRead)),
        ("cache_write", Role::Count(Class::CacheWrites)),
        ("total_input_tokens", Role::Count(Class::Input)),
        ("total_output_tokens", Role::Count(Class::Output)),
        ("total_cache_read_tokens", Role::Count(Class::CacheRead)),
        ("total_cache_write_tokens", Role::Count(Class::CacheWrites)),
    ],
    step: 0,
    finish: |_| Ok(true),
};
