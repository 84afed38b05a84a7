//! How full the windows of a provider account were over time, with limits and resets.

use super::figure::{Figure, FigureShape, Panel, Unit};
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::AccountRef;
use crate::model::humanize::number::scaled;
use crate::model::time::{DAY, MINUTE, Timestamp, Zone};
use crate::present::output::EscapedText;
use crate::usage::{AccountAt, WindowUsage, usage_now};

/// Number of instants at which the windows are looked at.
const SAMPLES: i64 = 180;
/// Borders of one window differ by no more than this between readings.
const JITTER: i64 = 2 * MINUTE;
/// Days of a figure without a stated beginning.
const USUAL_DAYS: i64 = 7;

/// Returns the range of a figure. It ends at `now` at the latest, and by default begins seven days before its end.
pub(crate) fn window_range(
    (since, until): (Option<Timestamp>, Option<Timestamp>),
    days: Option<u32>,
    now: Timestamp,
) -> (Timestamp, Timestamp) {
    let until = until.map_or(now, |until| until.min(now));
    let days = days.map_or(USUAL_DAYS, i64::from);
    (since.unwrap_or_else(|| until.plus(-days * DAY)), until)
}

/// The figure of an account from one instant to another.
///
/// `None` for an account whose windows have neither a limit nor a reading.
///
/// # Errors
/// The store's own.
pub(crate) fn window_use(
    snapshot: &Snapshot<'_>,
    account: (&str, Option<&str>),
    (from, to): (Timestamp, Timestamp),
    zone: Zone,
) -> Result<Option<Figure>> {
    let key = AccountRef::new(account.0, account.1);
    let (mut session, mut weekly) = (Panel::new("session"), Panel::new("weekly"));
    let mut columns = Vec::new();
    for sample in 1..=SAMPLES {
        let at = from.plus((to.millis() - from.millis()) * sample / SAMPLES);
        let usage = usage_now(AccountAt::new(snapshot.view(), &key, at), &[])?;
        session.add(&usage.session);
        weekly.add(&usage.weekly);
        columns.push(zone.local(at).format("%m-%d %H:%M").to_string());
    }
    let panels: Vec<Panel> = [session, weekly].into_iter().filter(Panel::is_known).collect();
    let name = account.1.map(|name| format!(" ({})", EscapedText(name))).unwrap_or_default();
    if panels.is_empty() {
        return Ok(None);
    }
    let title = format!("window use of {}{name}", account.0);
    Ok(Some(Figure { title, unit: Unit::Tokens, shape: FigureShape::Use { panels, columns } }))
}

impl Panel {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), percent: Vec::new(), resets: Vec::new(), limit: None, opened: None }
    }

    fn add(&mut self, window: &WindowUsage) {
        let differs = |one: Option<Timestamp>, other: Option<Timestamp>| match (one, other) {
            (Some(one), Some(other)) => (one.millis() - other.millis()).abs() > JITTER,
            (one, other) => one.is_some() != other.is_some(),
        };
        // A window that ends without another one resets too.
        if self.opened.is_some() && differs(self.opened, window.started_at) {
            self.resets.push(self.percent.len());
        }
        self.opened = window.started_at;
        self.percent
            .push(window.used().filter(|_| window.started_at.is_some()).map(crate::model::event::Percent::hundredths));
        if let Some(limit) = window.limit {
            self.limit = Some(format!("limit {}", scaled(limit.into())));
        }
    }

    fn is_known(&self) -> bool {
        self.percent.iter().any(Option::is_some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::LimitSet;
    use crate::model::time::HOUR;
    use crate::{Ledger, TokenRecord};

    #[test]
    fn use_grows_and_falls_at_a_reset() {
        let now: Timestamp = "2026-06-10T12:00:00Z".parse().unwrap();
        let ledger = Ledger::in_memory().unwrap();
        ledger.set_limit(LimitSet::new("openai").unwrap().session(1_000), now).unwrap();
        for (hour, tokens) in [(0, 300), (3, 400), (8, 100)] {
            ledger.record(TokenRecord::new("openai", "gpt-5").input(tokens), now.plus(hour * HOUR)).unwrap();
        }
        let snapshot = ledger.snapshot().unwrap();
        let figure = window_use(&snapshot, ("openai", None), (now, now.plus(9 * HOUR)), Zone::UTC).unwrap().unwrap();
        let FigureShape::Use { panels, columns } = &figure.shape else { panic!("{figure:?}") };
        let session = &panels[0];
        assert_eq!((panels.len(), columns.len(), session.limit.as_deref()), (1, 180, Some("limit 1,000")));
        // 20 samples an hour: 30 %, then 70 %, nothing from five hours on, 10 % in the next window.
        assert_eq!([10, 70, 110, 170].map(|at| session.percent[at]), [Some(3_000), Some(7_000), None, Some(1_000)]);
        // The window still includes the instant of its reset, which is sample 99.
        assert_eq!(session.resets, [100]);
        assert_eq!(window_use(&snapshot, ("google", None), (now, now.plus(HOUR)), Zone::UTC).unwrap(), None);
    }
}
