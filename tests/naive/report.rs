//! Reports.

use std::collections::BTreeMap;

use chrono::DateTime;
use chrono_tz::Tz;
use usage_ledger::{Report, ReportKey, TokenRecord};

use super::windows::{Policy, Window, is_session, place_observed};
use super::{CountedRecord, Naive, Sum};

/// The parameters of a report.
#[derive(Clone, Debug)]
pub struct Question {
    pub by: Vec<ReportKey>,
    pub since: Option<i64>,
    pub until: Option<i64>,
    pub zone: &'static str,
    pub only: Vec<(ReportKey, &'static str)>,
}

impl Question {
    pub fn by(by: &[ReportKey]) -> Self {
        Self { by: by.to_vec(), since: None, until: None, zone: "UTC", only: Vec::new() }
    }

    pub fn report(&self) -> Report {
        let at = usage_ledger::Timestamp::from_millis;
        let mut report = Report::by_all(self.by.clone()).tz(self.zone.parse().unwrap());
        if let Some(since) = self.since {
            report = report.since(at(since));
        }
        if let Some(until) = self.until {
            report = report.until(at(until));
        }
        for (key, value) in &self.only {
            report = report.only(key.clone(), *value).unwrap();
        }
        report
    }

    fn admits(&self, counted: &CountedRecord) -> bool {
        self.since.is_none_or(|since| counted.at >= since)
            && self.until.is_none_or(|until| counted.at < until)
            && self.only.iter().all(|(key, _)| {
                let name = name(key, &counted.record).unwrap_or_default();
                self.only.iter().any(|(other, wanted)| other == key && *wanted == name)
            })
    }
}

/// The sums of a report by their keys.
pub type Rows = BTreeMap<Vec<Option<String>>, Sum>;

fn name(key: &ReportKey, record: &TokenRecord) -> Option<String> {
    match key {
        ReportKey::Provider => Some(record.provider.to_string()),
        ReportKey::Account => record.account.clone(),
        ReportKey::Model => record.model.clone(),
        ReportKey::Agent => record.agent.clone(),
        ReportKey::Project => record.project.clone(),
        ReportKey::Conversation => record.conversation.clone(),
        ReportKey::Machine => record.labels.get("machine").cloned(),
        ReportKey::Person => record.labels.get("person").cloned(),
        ReportKey::Team => record.labels.get("team").cloned(),
        ReportKey::Label(label) => record.labels.get(label).cloned(),
        other => unreachable!("{other:?} is no name"),
    }
}

fn format(at: i64, zone: &str, format: &str) -> String {
    let zone: Tz = zone.parse().unwrap();
    DateTime::from_timestamp_millis(at).unwrap().with_timezone(&zone).format(format).to_string()
}

impl Naive {
    pub fn report(&self, question: &Question) -> (Rows, Sum) {
        let counted: Vec<CountedRecord> = self.counted().into_iter().filter(|record| question.admits(record)).collect();
        let mut groups: BTreeMap<Vec<Option<String>>, Vec<&CountedRecord>> = BTreeMap::new();
        let mut windows = BTreeMap::new();
        for record in &counted {
            let key = |key: &ReportKey| match key {
                ReportKey::Hour => Some(format(record.at, question.zone, "%Y-%m-%dT%H")),
                ReportKey::Day => Some(format(record.at, question.zone, "%Y-%m-%d")),
                ReportKey::Week => Some(format(record.at, question.zone, "%G-W%V")),
                ReportKey::Month => Some(format(record.at, question.zone, "%Y-%m")),
                ReportKey::Window => {
                    let account = record.account();
                    let all = windows.entry(account).or_insert_with(|| self.session_windows(account));
                    Some(window_name(account, record.at, all))
                }
                name_key => name(name_key, &record.record),
            };
            let keys: Vec<Option<String>> = question.by.iter().map(key).collect();
            groups.entry(keys).or_default().push(record);
        }
        let rows = if question.by.is_empty() {
            Rows::new()
        } else {
            groups.into_iter().map(|(keys, records)| (keys, Sum::of(records))).collect()
        };
        (rows, Sum::of(&counted))
    }

    /// Every session window of an account.
    fn session_windows(&self, account: (&str, Option<&str>)) -> Vec<Window> {
        let mut observed = self.observed(account, i64::MAX);
        observed.retain(|seen| is_session(seen.minutes));
        let uses: Vec<i64> = self.counted_of(account).iter().map(|record| record.at).collect();
        Policy::Session(self.limits(account, i64::MAX).session_policy).windows(&uses, &place_observed(observed))
    }
}

fn window_name((provider, account): (&str, Option<&str>), at: i64, windows: &[Window]) -> String {
    let window = windows.iter().find(|window| window.start <= at && at < window.end).unwrap();
    let account = account.map(|account| format!("@{account}")).unwrap_or_default();
    let [start, end] = [window.start, window.resets_at].map(|at| format(at, "UTC", "%Y-%m-%dT%H:%M:%SZ"));
    format!("{provider}{account} {start}/{end}")
}
