//! Which share of an account's spend recorded statements confirm.
//!
//! The share rests on sums of days and models, so it costs no reading of single calls or buckets. `reconcile` compares in more detail.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::bill::{model_key, percent_of_tenths, rounding};
use crate::ledger::{ReceivedStatement, Snapshot};
use crate::model::error::Result;
use crate::model::event::{Percent, StatementDay};
use crate::model::humanize::number::counted;
use crate::model::invariant::bug;
use crate::model::time::{Timestamp, Zone};
use crate::model::tokens::{TokenClass, Usd};
use crate::present::money;
use crate::readers::statement::{Class, WEB_SEARCH};
use crate::report::{Report, ReportKey};
use crate::usage::Usage;

/// The share of the spend of a provider, or of one of its accounts, that statements confirm.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ConfirmedSpend {
    pub provider: String,
    /// The account of the statements; absent for statements about all accounts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How many statements hold.
    pub statements: usize,
    /// The first instant that they cover.
    pub since: Timestamp,
    /// The first instant after them.
    pub until: Timestamp,
    /// The computed cost of all calls.
    pub usd: Usd,
    /// The computed cost of the days and models on which ledger and statements agree.
    pub confirmed_usd: Usd,
    /// Confirmed cost as a percentage of all cost; null without cost.
    pub percent: Option<Percent>,
}

type Account = (String, Option<String>);
/// The start of a UTC day, and a model; without one for statements that sum all models.
type DayModel = (Timestamp, String);

/// The confirmed spend of every account with statements, or of those of one provider.
pub(crate) fn confirmed(
    snapshot: &Snapshot<'_>,
    provider: Option<&str>,
    now: Timestamp,
) -> Result<Vec<ConfirmedSpend>> {
    let mut accounts: BTreeMap<Account, Vec<ReceivedStatement>> = BTreeMap::new();
    for received in snapshot.statement_sums(now)? {
        let (content, is_wanted) = (&received.content, |name: &str| name == received.content.provider);
        if provider.is_none_or(is_wanted) && received.holds() {
            accounts.entry((content.provider.clone(), content.account.clone())).or_default().push(received);
        }
    }
    accounts.into_iter().map(|(account, statements)| of_account(snapshot, account, &statements)).collect()
}

fn of_account(snapshot: &Snapshot<'_>, account: Account, statements: &[ReceivedStatement]) -> Result<ConfirmedSpend> {
    let filtered = |report: Report| {
        let report = report.only(ReportKey::Provider, account.0.clone())?;
        match &account.1 {
            Some(name) => report.only(ReportKey::Account, name.clone()),
            None => Ok(report),
        }
    };
    let total = snapshot.report(&filtered(Report::by(ReportKey::Provider))?)?.total;
    // Statements of money come last, so they replace what statements of tokens confirmed.
    let mut ordered: Vec<&ReceivedStatement> = statements.iter().collect();
    ordered.sort_by_key(|one| one.content.has_money());
    let mut costs: BTreeMap<DayModel, Usd> = BTreeMap::new();
    for received in ordered {
        let content = &received.content;
        let has_models = content.days.iter().any(|day| day.model.is_some());
        let report = Report::by_all([ReportKey::Day, ReportKey::Model]).tz(Zone::UTC);
        let table = snapshot.report(&filtered(report.since(content.since).until(content.until))?)?;
        let mut places: BTreeMap<DayModel, (Vec<Usage>, Vec<&StatementDay>)> = BTreeMap::new();
        for row in table.rows {
            let [Some(day), model] = &row.keys[..] else { return Err(bug!("a report by day without a day")) };
            let day = format!("{day}T00:00:00Z").parse()?;
            let model = if has_models { model_key(model.as_deref().unwrap_or_default()) } else { String::new() };
            places.entry((day, model)).or_default().0.push(row.usage);
        }
        for sums in &content.days {
            let model = model_key(sums.model.as_deref().unwrap_or_default());
            places.entry((sums.day, model)).or_default().1.push(sums);
        }
        let mut differing: BTreeMap<Timestamp, Vec<(DayModel, Difference)>> = BTreeMap::new();
        for (place, (used, billed)) in places {
            if !received.holds_at(place.0.max(content.since)) {
                continue;
            }
            match agreed(&used, &billed, content.rounded_to.unwrap_or_default())? {
                Agreement::Agrees(cost) => drop(costs.insert(place, cost)),
                Agreement::Unknown => drop(costs.remove(&place)),
                Agreement::Differs(difference) => {
                    costs.remove(&place);
                    differing.entry(place.0).or_default().push((place, difference));
                }
            }
        }
        for of_day in differing.into_values().filter(|of_day| are_web_searches(of_day)) {
            costs.extend(of_day.into_iter().map(|(place, difference)| (place, difference.cost)));
        }
    }
    let mut confirmed = Usd::default();
    for cost in costs.values() {
        confirmed = confirmed.checked_add(*cost)?;
    }
    let usd = total.cost.usd.unwrap_or_default();
    let percent = (usd > Usd::default()).then(|| {
        // To one decimal place, and never more than it is.
        percent_of_tenths(confirmed.picos().saturating_mul(1_000) / usd.picos())
    });
    let bound = |at: Option<Timestamp>| at.ok_or_else(|| bug!("an account without statements"));
    Ok(ConfirmedSpend {
        statements: statements.len(),
        since: bound(statements.iter().map(|one| one.content.since).min())?,
        until: bound(statements.iter().map(|one| one.content.until).max())?,
        usd,
        confirmed_usd: confirmed,
        percent,
        provider: account.0,
        account: account.1,
    })
}

/// The money of a day and model that differs, although the tokens do not.
#[derive(Clone, Copy, Debug)]
struct Difference {
    /// The computed cost.
    cost: Usd,
    charged: Usd,
    rounding: Usd,
}

/// Whether ledger and statement agree on a day and model.
#[derive(Clone, Copy, Debug)]
enum Agreement {
    /// They agree on this computed cost.
    Agrees(Usd),
    /// Only their money differs.
    Differs(Difference),
    /// Their tokens differ, or a price is unknown.
    Unknown,
}

/// Whether the differences of a day are its web searches: the statement charges them apart, and the ledger with the calls of
/// their models. Each model then costs more in the ledger, and all of them together cost the searches.
fn are_web_searches(of_day: &[((Timestamp, String), Difference)]) -> bool {
    let searches = model_key(WEB_SEARCH);
    let picos = |of: &dyn Fn(&Difference) -> Usd| of_day.iter().map(|(_, one)| of(one).picos()).sum::<i128>();
    let is_more = |one: &Difference| one.cost.picos() + one.rounding.picos() >= one.charged.picos();
    of_day.iter().any(|((_, model), _)| *model == searches)
        && of_day.iter().all(|((_, model), one)| *model == searches || is_more(one))
        && (picos(&|one| one.cost) - picos(&|one| one.charged)).abs() <= picos(&|one| one.rounding)
}

/// Compares a day and model.
fn agreed(used: &[Usage], billed: &[&StatementDay], step: Usd) -> Result<Agreement> {
    let mut cost = Some(Usd::default());
    for usage in used {
        cost = match (cost, usage.cost.usd, usage.cost.unpriced_requests) {
            (Some(sum), Some(more), 0) => Some(sum.checked_add(more)?),
            _ => None,
        };
    }
    let classes: BTreeSet<&str> = billed.iter().flat_map(|sums| sums.tokens.keys()).map(String::as_str).collect();
    for name in &classes {
        let Some(class) = Class::of_name(name) else { return Ok(Agreement::Unknown) };
        let parts = || TokenClass::ALL.into_iter().filter(|part| class.parts().contains(part));
        let ledger: u128 = used.iter().flat_map(|usage| parts().map(|part| usage.tokens.get(part))).sum();
        let stated: u128 = billed.iter().filter_map(|sums| sums.tokens.get(*name)).map(|n| u128::from(*n)).sum();
        if ledger != stated {
            return Ok(Agreement::Unknown);
        }
    }
    let (mut charged, mut amounts) = (None::<Usd>, 0_u64);
    for sums in billed {
        if let Some(usd) = sums.usd {
            charged = Some(charged.unwrap_or_default().checked_add(usd)?);
            amounts += sums.amounts;
        }
    }
    let Some(cost) = cost.filter(|_| !classes.is_empty() || charged.is_some()) else { return Ok(Agreement::Unknown) };
    let Some(charged) = charged else { return Ok(Agreement::Agrees(cost)) };
    let rounding = rounding(amounts, step);
    let is_near = (cost.picos() - charged.picos()).abs() <= rounding.picos();
    Ok(if is_near { Agreement::Agrees(cost) } else { Agreement::Differs(Difference { cost, charged, rounding }) })
}

impl ConfirmedSpend {
    /// The share in words: `83.1 % of $12.30, by 2 statements`.
    pub(crate) fn text(&self) -> String {
        let percent = self.percent.map_or_else(|| "nothing".to_owned(), |percent| format!("{percent} %"));
        let statements = counted(self.statements as u64, "statement");
        format!("{percent} of {}, by {statements}", money::dollars(self.usd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Ledger;
    use crate::bill::{FileTerms, events};
    use crate::model::event::TokenRecord;
    use crate::readers::statement;

    /// Two models with searches, one without, and the charges of a cost report.
    fn share(haiku: &str, searches: &str) -> String {
        let ledger = Ledger::in_memory().unwrap();
        let at: Timestamp = "2026-05-01T10:00:00Z".parse().unwrap();
        let call = |model: &str, key: &str| TokenRecord::new("anthropic", model).input(100_000).key(key);
        for record in [
            call("claude-sonnet-4-5", "a").server_tool("web_search", 3),
            call("claude-haiku-4-5", "b").server_tool("web_search", 2),
            call("claude-opus-4-5", "c"),
        ] {
            ledger.record(record, at).unwrap();
        }
        let text = format!(
            "usage_date_utc,model,workspace,api_key,usage_type,token_type,cost_usd,cost_type\n\
             2026-05-01,Claude Sonnet 4.5,Default,k,standard,input_no_cache,0.30,token\n\
             2026-05-01,Claude Haiku 4.5,Default,k,standard,input_no_cache,{haiku},token\n\
             2026-05-01,Claude Opus 4.5,Default,k,standard,input_no_cache,0.50,token\n\
             2026-05-01,,Default,k,,,{searches},web_search\n"
        );
        let statement = statement::read("cost.csv", text.as_bytes()).unwrap();
        let later: Timestamp = "2026-05-05T00:00:00Z".parse().unwrap();
        let events = events("cost.csv", &statement, &"ab".repeat(32), &FileTerms::default()).unwrap();
        ledger.receive_statements(events, later).unwrap();
        let found = confirmed(&ledger.snapshot().unwrap(), None, later).unwrap();
        format!("{} {}", found[0].confirmed_usd, found[0].percent.unwrap())
    }

    #[test]
    fn web_searches_that_a_report_charges_apart_are_confirmed_with_their_models() {
        // 0.30 + 0.10 + 0.50 for tokens, and 0.05 for five searches.
        assert_eq!(share("0.10", "0.05"), "0.95 100");
        // The searches of another machine, or tokens that the ledger lacks: only the model without a search agrees.
        assert_eq!(share("0.10", "0.07"), "0.5 52.6");
        assert_eq!(share("0.20", "0.05"), "0.5 52.6");
    }
}
