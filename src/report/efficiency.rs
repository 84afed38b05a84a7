//! The productivity of the sessions of a report.

use serde::Serialize;

use super::outcomes::{Outcomes, Trend};
use super::{Report, ReportKey};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::TokenView;
use crate::model::tokens::TokenClass;
use crate::projection::Series;
use crate::readers::price::Prices;

/// The label with the outcome of a session: `productive`, `empty` or `blocked`.
const LABEL: &str = "outcome";

/// The productivity of sessions, relative to the tokens of a report.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Efficiency {
    /// Sessions with a result.
    pub productive: u64,
    /// Sessions that found nothing to do.
    pub empty: u64,
    /// Sessions that were blocked.
    pub blocked: u64,
    /// Input, output and reasoning of all records of the report, without cache classes.
    pub tokens: u128,
    /// Tokens per productive session.
    pub tokens_per_productive: Option<f64>,
    /// The share of sessions that were not productive.
    pub waste: f64,
    /// The trend of the share of productive sessions; `None` for too few sessions.
    pub trend: Option<Trend>,
}

impl Snapshot<'_> {
    /// The productivity of the sessions of a report. Each record with the label `outcome` is a session.
    ///
    /// # Errors
    /// The store's own errors.
    pub(crate) fn efficiency(&self, report: &Report) -> Result<Efficiency> {
        let total = self
            .report(&Report { by: Vec::new(), prices: Some(Prices::none()), fill: false, ..report.clone() })?
            .total
            .tokens;
        let classes = [TokenClass::Input, TokenClass::Output, TokenClass::Reasoning];
        let tokens = classes.iter().map(|class| total.get(*class)).sum();
        let sessions = sessions(self, report)?;
        let count = |name: &str| sessions.iter().filter(|outcome| *outcome == name).count() as u64;
        let outcomes = Outcomes { productive: count("productive"), empty: count("empty"), blocked: count("blocked") };
        let productive: Vec<bool> = sessions.iter().map(|outcome| outcome == "productive").collect();
        Ok(Efficiency {
            productive: outcomes.productive,
            empty: outcomes.empty,
            blocked: outcomes.blocked,
            tokens,
            tokens_per_productive: outcomes.tokens_per_productive(tokens),
            waste: outcomes.waste(tokens),
            trend: Trend::of(&productive),
        })
    }
}

/// The outcomes of sessions, ordered by time.
fn sessions(snapshot: &Snapshot<'_>, report: &Report) -> Result<Vec<String>> {
    let by = vec![ReportKey::Label(LABEL.to_owned())];
    let labelled = Report { by, fill: false, prices: Some(Prices::none()), ..report.clone() };
    if snapshot.report(&labelled)?.rows.iter().all(|row| row.keys.iter().all(Option::is_none)) {
        // Without any outcome the records need not be read.
        return Ok(Vec::new());
    }
    let mut outcomes = Vec::new();
    snapshot.each_call(&mut |position, call| {
        let view = TokenView::from(&call.record);
        if report.covers(call.at)
            && report.admits(&Series::of(&view))
            && let Some(outcome) = call.record.labels.get(LABEL)
        {
            outcomes.push((call.at, position, outcome.clone()));
        }
        Ok(())
    })?;
    outcomes.sort_unstable();
    Ok(outcomes.into_iter().map(|(_, _, outcome)| outcome).collect())
}
