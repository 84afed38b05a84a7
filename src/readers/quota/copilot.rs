//! GitHub Copilot: snapshots of monthly quotas, in percent of what remains.
//!
//! Plans are metered by premium requests. Chat and completions have no limit on paid plans.

use rust_decimal::Decimal;
use serde_json::Value;

use super::draft::{JsonObject, ObservationDraft, ObservedWindow, quoted};
use super::length;
use crate::model::error::Result;
use crate::model::event::Percent;

/// The quota for the account's whole usage.
const PREMIUM: &str = "premium_interactions";

pub(super) fn read(text: &str, draft: &mut ObservationDraft) -> Result<()> {
    let document = draft.object(text)?;
    let Some(Value::Object(snapshots)) = document.get("quota_snapshots").or_else(|| document.get("quotaSnapshots"))
    else {
        return Err(draft.refuse("has no `quota_snapshots`"));
    };
    let resets_at =
        draft.reset("quota_reset_date", &document, &["quota_reset_date_utc", "quota_reset_date", "quotaResetDate"]);
    for (key, value) in snapshots {
        match value {
            Value::Object(fields) => snapshot(key, fields, resets_at, draft),
            Value::Null => {}
            _ => draft.warn(format!("{} is not an object: left out", quoted(key))),
        }
    }
    if snapshots.is_empty() {
        draft.warn("`quota_snapshots` is empty");
    }
    Ok(())
}

fn snapshot(key: &str, fields: &JsonObject, resets_at: Option<crate::Timestamp>, draft: &mut ObservationDraft) {
    let is = |names: [&str; 2]| names.iter().any(|name| fields.get(*name).and_then(Value::as_bool) == Some(true));
    if is(["unlimited", "isUnlimitedEntitlement"]) {
        return;
    }
    let scope = if key == PREMIUM {
        None
    } else {
        match draft.scope(key) {
            None => return,
            scope => scope,
        }
    };
    let resets_at = draft.reset(key, fields, &["reset_date", "resetDate"]).or(resets_at);
    let minutes = resets_at.map_or_else(|| length::month_of(draft.at), length::month_before);
    let Some(used) = used(key, fields, draft) else {
        draft.warn(format!("{} does not say what remains: left out", quoted(key)));
        return;
    };
    draft.see(ObservedWindow { minutes, scope, used: Some(used), resets_at, status: None });
}

/// The used percentage; over 100 if requests beyond the plan were paid for.
fn used(key: &str, fields: &JsonObject, draft: &mut ObservationDraft) -> Option<Percent> {
    let entitlement =
        draft.number(key, fields, &["entitlement", "entitlementRequests"]).filter(|it| *it > Decimal::ZERO);
    let share = |count: Decimal| count.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(entitlement?);
    let remaining = draft.number(key, fields, &["percent_remaining", "remainingPercentage"]);
    let left = match remaining {
        Some(percent) => percent,
        None => draft.number(key, fields, &["quota_remaining", "remaining"]).and_then(share)?,
    };
    let mut used = Decimal::ONE_HUNDRED.checked_sub(left)?;
    let overage = draft.number(key, fields, &["overage_count", "overage"]).unwrap_or_default();
    // The remainder may be negative, or zero with the excess in another field.
    if overage > Decimal::ZERO
        && let Some(beyond) = share(overage)
    {
        used = used.max(Decimal::ONE_HUNDRED.checked_add(beyond)?);
    }
    draft.percent(key, used)
}
