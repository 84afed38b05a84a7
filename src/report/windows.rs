//! The session windows of a report by window, with their names.

use std::collections::HashMap;

use super::Report;
use crate::model::error::Result;
use crate::model::event::WindowKind;
use crate::model::time::{QUARTER, Timestamp};
use crate::model::window::Window;
use crate::projection::{AccountRef, Series};
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

    fn of(&self, account: &[u8]) -> &[(Timestamp, usize)] {
        self.accounts.get(account).map(Vec::as_slice).unwrap_or_default()
    }

    /// The window of an account that contains an instant.
    pub fn at(&self, account: &[u8], at: Timestamp) -> Option<usize> {
        let starts = self.of(account);
        let after = starts.partition_point(|(start, _)| *start <= at);
        starts.get(after.checked_sub(1)?).map(|(_, number)| *number)
    }

    /// The window of an account that contains a quarter.
    pub fn of_quarter(&self, account: &[u8], quarter: i64) -> ContainingWindow {
        let starts = self.of(account);
        let (first, next) = (quarter * QUARTER, (quarter + 1) * QUARTER);
        let after = starts.partition_point(|(start, _)| start.millis() < next);
        match after.checked_sub(1).and_then(|last| starts.get(last)) {
            Some((start, _)) if start.millis() > first => ContainingWindow::Border,
            windows => ContainingWindow::One(windows.map(|(_, number)| *number)),
        }
    }

    pub fn name(&self, number: usize) -> Option<&str> {
        self.names.get(number).map(String::as_str)
    }
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
