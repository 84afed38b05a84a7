//! AWS Cost and Usage Report 2.0: the lines of Amazon Bedrock. A line counts one class of tokens, in units of one, a
//! thousand or a million.

use super::{Class, Draft, Name, Role, StatementSource, field};

pub(super) const CUR: StatementSource = StatementSource {
    name: "AWS CUR 2.0",
    provider: Some("aws-bedrock"),
    signature: &["line_item_usage_type", "line_item_usage_amount", "line_item_usage_start_date"],
    columns: &[
        ("line_item_usage_start_date", Role::Start),
        ("line_item_usage_end_date", Role::End),
        ("line_item_usage_type", Role::Text("type")),
        ("line_item_usage_amount", Role::Text("amount")),
        ("line_item_unblended_cost", Role::Cost(1)),
        ("line_item_net_unblended_cost", Role::Ignored),
        ("line_item_currency_code", Role::Currency),
        ("line_item_line_item_type", Role::Text("line_type")),
        ("line_item_usage_account_id", Role::Name(Name::Account)),
        ("line_item_iam_principal", Role::Name(Name::User)),
        ("pricing_unit", Role::Text("unit")),
        ("pricing_public_on_demand_cost", Role::ListCost(1)),
        ("bill_*", Role::Ignored),
        ("cost_category*", Role::Ignored),
        ("discount*", Role::Ignored),
        ("identity_*", Role::Ignored),
        ("line_item_*", Role::Ignored),
        ("pricing_*", Role::Ignored),
        ("product*", Role::Ignored),
        ("reservation_*", Role::Ignored),
        ("resource_tags*", Role::Ignored),
        ("savings_plan_*", Role::Ignored),
        ("split_line_item_*", Role::Ignored),
        ("tags*", Role::Ignored),
    ],
    step: 0,
    unnamed: &[],
    finish: line,
};

/// The ends of usage types, the longest first.
const KINDS: [(&str, Class); 6] = [
    ("-cache-read-input-token-count", Class::CacheRead),
    ("-cache-write-input-token-count", Class::CacheWrites),
    ("-cache-read-input-tokens", Class::CacheRead),
    ("-cache-write-input-tokens", Class::CacheWrites),
    ("-input-tokens", Class::Input),
    ("-output-tokens", Class::Output),
];

/// A usage type without the code of its region: `USE1-`, `APN1-`.
pub(super) fn without_region(usage_type: &str) -> &str {
    let is_code = |code: &str| !code.is_empty() && code.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    usage_type.split_once('-').filter(|(code, _)| is_code(code)).map_or(usage_type, |(_, rest)| rest)
}

fn line(draft: &mut Draft) -> Result<bool, String> {
    let usage_type = draft.texts.get("type").cloned().unwrap_or_default();
    let kind = KINDS.iter().find_map(|(end, class)| usage_type.find(end).map(|at| (at, end.len(), *class)));
    let Some((at, length, class)) = kind else { return Ok(false) };
    let unit = draft.texts.get("unit").ok_or("column `pricing_unit` is missing: include it in the export")?;
    let size = field::unit_size(unit).ok_or_else(|| format!("column `pricing_unit`: `{unit}` is unknown"))?;
    // Lines of credits, refunds and discounts repeat the amount of the usage that they are about.
    let is_usage = draft.texts.get("line_type").is_none_or(|kind| kind.ends_with("Usage"));
    if let Some(amount) = draft.texts.get("amount").filter(|_| is_usage) {
        draft.row.counts.insert(class, field::count(amount, size)?);
    }
    let model = usage_type.get(..at).unwrap_or_default();
    draft.row.names.insert(Name::Model, without_region(model).to_owned());
    let tier = usage_type.get(at + length..).unwrap_or_default().trim_start_matches('-');
    if !tier.is_empty() {
        draft.row.names.insert(Name::Tier, tier.to_owned());
    }
    Ok(true)
}
