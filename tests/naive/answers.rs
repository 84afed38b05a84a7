//! Answers of the ledger and of the model in one form.

use usage_ledger::usage::{ProviderUsage, Usage, WindowUsage};
use usage_ledger::{ReportTable, Snapshot, Timestamp, TokenClass};

use super::{Question, Rows, Sum};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowAnswer {
    pub sum: Sum,
    pub weighted: u64,
    pub limit: Option<u64>,
    /// In hundredths of a percent.
    pub percent: Option<u64>,
    pub started_at: Option<i64>,
    pub resets_at: Option<i64>,
    pub basis: String,
    pub evidence: Vec<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountAnswer {
    pub provider: String,
    pub account: Option<String>,
    pub metered: bool,
    pub declared: bool,
    pub session: WindowAnswer,
    pub weekly: WindowAnswer,
    pub all_time: Sum,
    pub since_switch: Option<Sum>,
    pub last_switch: Option<i64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusAnswer {
    pub active: Option<String>,
    pub accounts: Vec<AccountAnswer>,
    pub switches: usize,
    pub timeline: Vec<(i64, String)>,
}

impl StatusAnswer {
    /// Without positions, which depend on the order of arrival.
    pub fn without_positions(mut self) -> Self {
        for account in &mut self.accounts {
            account.session.evidence.clear();
            account.weekly.evidence.clear();
        }
        self
    }
}

impl From<&Usage> for Sum {
    fn from(usage: &Usage) -> Self {
        Self {
            requests: usage.requests,
            tokens: TokenClass::ALL.map(|class| u64::try_from(usage.tokens.get(class)).unwrap()),
            reported: usage.cost.reported_usd,
        }
    }
}

impl From<&WindowUsage> for WindowAnswer {
    fn from(window: &WindowUsage) -> Self {
        Self {
            sum: Sum::from(&window.usage),
            weighted: u64::try_from(window.weighted).unwrap(),
            limit: window.limit,
            percent: window.percent.map(|percent| u64::from(percent.hundredths())),
            started_at: window.started_at.map(Timestamp::millis),
            resets_at: window.resets_at.map(Timestamp::millis),
            basis: serde_json::to_value(window.basis).unwrap().as_str().unwrap().to_owned(),
            evidence: window.evidence.iter().map(|position| position.get()).collect(),
        }
    }
}

impl From<&ProviderUsage> for AccountAnswer {
    fn from(usage: &ProviderUsage) -> Self {
        Self {
            provider: usage.provider.clone(),
            account: usage.account.clone(),
            metered: usage.metered,
            declared: usage.declared,
            session: WindowAnswer::from(&usage.session),
            weekly: WindowAnswer::from(&usage.weekly),
            all_time: Sum::from(&usage.all_time),
            since_switch: usage.since_switch.as_ref().map(Sum::from),
            last_switch: usage.last_switch.map(Timestamp::millis),
        }
    }
}

fn rows_of(table: &ReportTable) -> (Rows, Sum) {
    let rows: Rows = table.rows.iter().map(|row| (row.keys.clone(), Sum::from(&row.usage))).collect();
    assert_eq!(rows.len(), table.rows.len(), "a row stands twice");
    assert!(table.rows.is_sorted_by(|a, b| a.keys < b.keys), "rows are sorted by their keys");
    (rows, Sum::from(&table.total))
}

/// The ledger's own answer to a report.
pub fn report(snapshot: &Snapshot<'_>, question: &Question) -> (Rows, Sum) {
    rows_of(&snapshot.report(&question.report()).unwrap())
}

/// The ledger's own status.
pub fn status(snapshot: &Snapshot<'_>, now: i64) -> StatusAnswer {
    let status = snapshot.status(Timestamp::from_millis(now)).unwrap();
    StatusAnswer {
        active: status.active_provider,
        accounts: status.providers.iter().map(|provider| AccountAnswer::from(&provider.usage)).collect(),
        switches: status.switches,
        timeline: status
            .timeline
            .iter()
            .map(|switch| (switch.at.millis(), switch.switch.to.as_str().to_owned()))
            .collect(),
    }
}

/// The ledger's own answer about one account.
pub fn account(snapshot: &Snapshot<'_>, (provider, account): (&str, Option<&str>), now: i64) -> AccountAnswer {
    AccountAnswer::from(&snapshot.account(provider, account, Timestamp::from_millis(now)).unwrap())
}
