//! Which share of an account's spend recorded statements confirm.
//!
//! The share rests on sums of days and models, so it costs no reading of single calls. `reconcile` compares in more detail.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::bill::{floor, model_key, rounding};
use crate::ledger::{ReceivedStatement, Snapshot};
use crate::model::error::Result;
use crate::model::event::StatementBucket;
use crate::model::humanize::number::counted;
use crate::model::invariant::bug;
use crate::model::time::{DAY, Timestamp, Zone};
use crate::model::tokens::{TokenClass, Usd};
use crate::present::money;
use crate::readers::statement::Class;
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
    pub percent: Option<f64>,
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
    for received in snapshot.statements(now)? {
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
        let has_models = content.buckets.iter().any(|bucket| bucket.names.contains_key("model"));
        let report = Report::by_all([ReportKey::Day, ReportKey::Model]).tz(Zone::UTC);
        let table = snapshot.report(&filtered(report.since(content.since).until(content.until))?)?;
        let mut used: BTreeMap<DayModel, Vec<Usage>> = BTreeMap::new();
        for row in table.rows {
            let [Some(day), model] = &row.keys[..] else { return Err(bug!("a report by day without a day")) };
            let day = format!("{day}T00:00:00Z").parse()?;
            let model = if has_models { model_key(model.as_deref().unwrap_or_default()) } else { String::new() };
            used.entry((day, model)).or_default().push(row.usage);
        }
        let mut billed: BTreeMap<DayModel, Vec<&StatementBucket>> = BTreeMap::new();
        for bucket in &content.buckets {
            let day = floor(bucket.start, DAY);
            let model = model_key(bucket.names.get("model").map_or("", String::as_str));
            billed.entry((day, model)).or_default().push(bucket);
        }
        let places: BTreeSet<&DayModel> = used.keys().chain(billed.keys()).collect();
        for place in places {
            if !received.holds_at(place.0.max(content.since)) {
                continue;
            }
            let of = |usage: Option<&Vec<Usage>>| usage.cloned().unwrap_or_default();
            let buckets = billed.get(place).map_or(&[][..], Vec::as_slice);
            match agreed(&of(used.get(place)), buckets, content.rounded_to.unwrap_or_default())? {
                Some(cost) => drop(costs.insert(place.clone(), cost)),
                None => drop(costs.remove(place)),
            }
        }
    }
    let mut confirmed = Usd::default();
    for cost in costs.values() {
        confirmed = confirmed.checked_add(*cost)?;
    }
    let usd = total.cost.usd.unwrap_or_default();
    let percent = (usd > Usd::default()).then(|| {
        let tenths = confirmed.picos().saturating_mul(1_000) / usd.picos();
        tenths as f64 / 10.0
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

/// The computed cost of a day and model if ledger and statement agree.
fn agreed(used: &[Usage], buckets: &[&StatementBucket], step: Usd) -> Result<Option<Usd>> {
    let mut cost = Some(Usd::default());
    for usage in used {
        cost = match (cost, usage.cost.usd, usage.cost.unpriced_requests) {
            (Some(sum), Some(more), 0) => Some(sum.checked_add(more)?),
            _ => None,
        };
    }
    let classes: BTreeSet<&str> = buckets.iter().flat_map(|bucket| bucket.tokens.keys()).map(String::as_str).collect();
    for name in &classes {
        let Some(class) = Class::of_name(name) else { return Ok(None) };
        let parts = || TokenClass::ALL.into_iter().filter(|part| class.parts().contains(part));
        let ledger: u128 = used.iter().flat_map(|usage| parts().map(|part| usage.tokens.get(part))).sum();
        let stated: u128 = buckets.iter().filter_map(|bucket| bucket.tokens.get(*name)).map(|n| u128::from(*n)).sum();
        if ledger != stated {
            return Ok(None);
        }
    }
    let (mut charged, mut amounts) = (None::<Usd>, 0_u64);
    for bucket in buckets {
        if let Some(usd) = bucket.usd {
            charged = Some(charged.unwrap_or_default().checked_add(usd)?);
            amounts += bucket.amounts;
        }
    }
    if classes.is_empty() && charged.is_none() {
        return Ok(None);
    }
    let Some((cost, charged)) = cost.zip(charged) else { return Ok(cost) };
    Ok(((cost.picos() - charged.picos()).abs() <= rounding(amounts, step).picos()).then_some(cost))
}

impl ConfirmedSpend {
    /// The share in words: `83.1 % of $12.30, by 2 statements`.
    pub(crate) fn text(&self) -> String {
        let percent = self.percent.map_or_else(|| "nothing".to_owned(), |percent| format!("{percent} %"));
        let statements = counted(self.statements as u64, "statement");
        format!("{percent} of {}, by {statements}", money::dollars(self.usd))
    }
}
