//! Reads the totals in the rollouts of a fork's parents. A fork that repeats their calls shows the same totals.
//!
//! The time between the start of a fork and the writing of its history is not reliable: the client waits for a first
//! prompt, or the disk is slow. So the totals decide, if the parents' rollouts still exist.

use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use chrono::DateTime;

use super::line::{LineKind, RolloutLine, TokenCount, read};
use super::vector::Vector;
use super::{counts, log_name, rollouts, time};
use crate::import::engine::compression::any_line;
use crate::model::time::{DAY, Timestamp};

/// The parents of one rollout.
pub(super) struct Parents {
    /// Path of the rollout itself.
    path: PathBuf,
    /// Whether the parents' rollouts were searched for.
    sought: bool,
    /// The totals in them, if any exists.
    totals: Option<HashSet<Vector>>,
}

impl Parents {
    pub const fn new(path: PathBuf) -> Self {
        Self { path, sought: false, totals: None }
    }

    /// Returns whether a parent had this total before `before`; `None` if no parent's rollout exists.
    pub fn showed(&mut self, ids: &[String], total: &Vector, before: Timestamp) -> Option<bool> {
        if !self.sought {
            self.sought = true;
            let rollouts: Vec<PathBuf> = ids.iter().filter_map(|id| rollout(&self.path, id)).collect();
            let shown: Vec<_> = rollouts.iter().filter_map(|rollout| shown(rollout, before)).collect();
            self.totals = (!shown.is_empty()).then(|| shown.into_iter().flatten().collect());
        }
        self.totals.as_ref().map(|totals| totals.contains(total))
    }

    /// Frees the totals.
    pub fn forget(&mut self) {
        self.totals = None;
    }
}

/// Finds the rollout of a thread in the same home.
fn rollout(beside: &Path, id: &str) -> Option<PathBuf> {
    let is_rollouts =
        |directory: &&Path| directory.file_name().is_some_and(|name| name == "sessions" || name == "archived_sessions");
    let home = beside.ancestors().find(is_rollouts)?.parent()?;
    let days = days(id).into_iter().flatten();
    let directories: Vec<PathBuf> = rollouts(home)
        .into_iter()
        .flat_map(|top| std::iter::once(top.clone()).chain(days.clone().map(move |day| top.join(day))))
        .chain(beside.parent().map(Path::to_owned))
        .collect();
    directories.iter().filter_map(|directory| std::fs::read_dir(directory).ok()).flatten().find_map(|entry| {
        let path = entry.ok()?.path();
        log_name(&path)?.ends_with(id).then_some(path).filter(|path| path != beside)
    })
}

/// Returns the directories of the days around the start of a thread, from the time in its id. The client uses local
/// days.
fn days(id: &str) -> Option<[String; 3]> {
    let id = uuid::Uuid::parse_str(id).ok()?;
    let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
    let began = DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)?;
    let began = Timestamp::from_millis(began.timestamp_millis());
    Some([-1, 0, 1].map(|days| {
        let day = began.plus(days * DAY).to_string();
        day.get(..10).unwrap_or_default().replace('-', "/")
    }))
}

/// Returns the totals in a rollout before a time; `None` if it cannot be read, which its own import reports.
fn shown(rollout: &Path, before: Timestamp) -> Option<Vec<Vector>> {
    let totals = RefCell::new(Vec::new());
    let is_later = |line: &[u8]| {
        if counts(line)
            && LineKind::of(line) == LineKind::Count
            && let Ok(count) = read::<RolloutLine<'_, TokenCount<'_>>>(line)
        {
            if time(&count).is_ok_and(|at| at > before) {
                return true;
            }
            let info = count.payload.and_then(|count| count.info);
            totals.borrow_mut().extend(info.and_then(|info| Vector::parse(info.total_token_usage?).ok()));
        }
        false
    };
    any_line(rollout, &is_later).ok()?;
    Some(totals.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_id_with_a_time_is_searched_near_that_time() {
        let days = days("019fa149-0000-7000-8000-000000000001").unwrap();
        assert!(days.windows(2).all(|pair| pair[0] < pair[1]), "{days:?}");
        assert_eq!(super::days("0196b1a0-0000-4000-8000-000000000001"), None);
        assert_eq!(super::days("parent"), None);
    }
}
