//! The session windows of a report by window, with their names.

use std::collections::HashMap;

use super::Report;
use crate::model::error::{Error, Result};
use crate::model::event::{AccountRef, WindowKind};
use crate::model::invariant::bug;
use crate::model::time::{QUARTER, Timestamp};
use crate::model::window::Window;
use crate::projection::Series;
use crate::store::ReadView;
use crate::usage::{AccountWindows, accounts};

/// The window that contains a quarter of an hour.
pub(super) enum ContainingWindow {
    /// One window, or none, contains all of it.
    One(Option<usize>),
    /// A window begins within it.
    Border,
}

/// The windows of all accounts of a report.
pub(super) struct ReportWindows {
    /// By the key of the account: the starts of windows and their indices, in order.
    accounts: HashMap<Vec<u8>, Vec<(Timestamp, usize)>>,
    names: Vec<String>,
}

impl ReportWindows {
    pub fn read(view: &dyn ReadView, report: &Report) -> Result<Self> {
        let mut windows = Self { accounts: HashMap::new(), names: Vec::new() };
        for account in accounts(view)? {
            let series =
                Series { provider: &account.provider, account: account.account.as_deref(), ..Series::default() };
            if !report.admits_account(&series) {
                continue;
            }
            let mut starts = Vec::new();
            for window in AccountWindows::ever(view, &account)?.all(WindowKind::Session)? {
                starts.push((window.start, windows.names.len()));
                windows.names.push(window_name(&account, &window));
            }
            windows.accounts.insert(account.key(), starts);
        }
        Ok(windows)
    }

    fn of(&self, account: &[u8]) -> Result<&[(Timestamp, usize)]> {
        let starts = self.accounts.get(account).map(Vec::as_slice);
        starts.ok_or_else(|| Error::damaged(None, "a call is of an account that the table of accounts does not have"))
    }

    /// The window of an account that contains an instant.
    pub fn at(&self, account: &[u8], at: Timestamp) -> Result<Option<usize>> {
        let starts = self.of(account)?;
        let after = starts.partition_point(|(start, _)| *start <= at);
        Ok(after.checked_sub(1).and_then(|last| starts.get(last)).map(|(_, number)| *number))
    }

    /// The window of an account that contains a quarter.
    pub fn of_quarter(&self, account: &[u8], quarter: i64) -> Result<ContainingWindow> {
        let starts = self.of(account)?;
        let (first, next) = (quarter * QUARTER, (quarter + 1) * QUARTER);
        let after = starts.partition_point(|(start, _)| start.millis() < next);
        Ok(match after.checked_sub(1).and_then(|last| starts.get(last)) {
            Some((start, _)) if start.millis() > first => ContainingWindow::Border,
            windows => ContainingWindow::One(windows.map(|(_, number)| *number)),
        })
    }

    pub fn name(&self, number: usize) -> Result<&str> {
        self.names.get(number).map(String::as_str).ok_or_else(|| bug!("no window has the index {number}"))
    }
}

/// The name of a window of a report. Without windows, or outside of them, there is none.
pub(super) fn name_of(windows: Option<&ReportWindows>, window: Option<usize>) -> Result<Option<&str>> {
    windows.zip(window).map(|(windows, number)| windows.name(number)).transpose()
}

/// The name of a window: its account, start and end.
pub(super) fn window_name(account: &AccountRef<'_>, window: &Window) -> String {
    let whose = match &account.account {
        Some(name) => format!("{}@{name}", account.provider),
        None => account.provider.to_string(),
    };
    let second = |at: Timestamp| at.to_chrono().format("%Y-%m-%dT%H:%M:%SZ").to_string();
    format!("{whose} {}/{}", second(window.start), second(window.resets_at))
}
