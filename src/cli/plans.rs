//! Subscription plans with a documented monthly amount in US dollars.
//!
//! Providers that document only messages, hours or "5 times more" have no entry, because their limits in tokens are
//! unknown. `limit set --from-observations` estimates such limits.

use crate::model::tokens::Usd;
use crate::present::failure::Failure;

/// A documented plan.
struct SubscriptionPlan {
    provider: &'static str,
    name: &'static str,
    /// Usage at API prices that the plan includes in a calendar month.
    usd_month: &'static str,
    /// The page that documents the amount, and the day on which it was read.
    source: &'static str,
}

/// The credits of Copilot are renewed on the first day of a month in UTC, those of Cursor with the billing month.
const PLANS: [SubscriptionPlan; 6] = [
    SubscriptionPlan { provider: "github-copilot", name: "pro", usd_month: "15", source: COPILOT },
    SubscriptionPlan { provider: "github-copilot", name: "pro-plus", usd_month: "70", source: COPILOT },
    SubscriptionPlan { provider: "github-copilot", name: "max", usd_month: "200", source: COPILOT },
    SubscriptionPlan { provider: "cursor", name: "pro", usd_month: "20", source: CURSOR },
    SubscriptionPlan { provider: "cursor", name: "pro-plus", usd_month: "70", source: CURSOR },
    SubscriptionPlan { provider: "cursor", name: "ultra", usd_month: "400", source: CURSOR },
];
const COPILOT: &str = "github.com/features/copilot/plans, 2026-10-07";
const CURSOR: &str = "docs.cursor.com/account/pricing, 2026-06-19";

/// Returns the monthly amount of a plan, and the page that documents it.
pub(super) fn find(provider: &str, name: &str) -> Result<(Usd, &'static str), Failure> {
    let own = || PLANS.iter().filter(|plan| plan.provider == provider);
    if let Some(plan) = own().find(|plan| plan.name == name) {
        return Ok((plan.usd_month.parse()?, plan.source));
    }
    let known: Vec<&str> = own().map(|plan| plan.name).collect();
    Err(Failure::usage(if known.is_empty() {
        format!(
            "{provider} documents no limit of a plan in US dollars or tokens: `usage-ledger limit set {provider} \
             --from-observations` fits one to its percentages"
        )
    } else {
        format!("{provider} has no documented plan `{name}`: the plans are {}", known.join(", "))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plan_is_of_a_known_provider_and_has_an_amount() {
        for plan in &PLANS {
            assert!(crate::ProviderId::new(plan.provider).unwrap().known().is_some(), "{}", plan.provider);
            assert!(find(plan.provider, plan.name).unwrap().0 > Usd::default());
        }
        assert!(find("anthropic", "max").unwrap_err().message().unwrap().contains("--from-observations"));
        assert!(find("cursor", "max").unwrap_err().message().unwrap().contains("pro, pro-plus, ultra"));
    }
}
