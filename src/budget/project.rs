//! Resolves the project of a request, whose name may be part of a path.

use super::RunRequest;
use super::known::requests_meant;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::event::AccountRef;
use crate::model::time::Timestamp;
use crate::report::ReportKey;
use crate::report::names::{CompletedName, completions, is_same_project, taken_for};
use crate::usage::{AccountAt, money_limits};

/// What a request with a project means.
pub(super) struct ProjectRequests {
    /// One request, or one for each project with a money limit that the name may mean.
    pub requests: Vec<RunRequest>,
    /// The step that completed the name.
    pub step: Option<String>,
    /// The sentence about a name that is that of no project, or part of several.
    pub warning: Option<String>,
}

/// Completes the name of the request's project to that of a call, or else to that of a money limit.
///
/// The project decides only which money limits count, so without a limit of a project nothing is looked up.
pub(super) fn with_project(snapshot: &Snapshot<'_>, request: &RunRequest, now: Timestamp) -> Result<ProjectRequests> {
    let of = |projects: Vec<String>| -> Vec<RunRequest> {
        projects.into_iter().map(|project| request.clone().project(project)).collect()
    };
    let as_given = || ProjectRequests { requests: vec![request.clone()], step: None, warning: None };
    let Some(project) = &request.project else { return Ok(as_given()) };
    let limited = limited_projects(snapshot, request, now)?;
    if limited.is_empty() {
        return Ok(as_given());
    }
    let (named, note) = match snapshot.complete_project(project)? {
        CompletedName::Known => return Ok(as_given()),
        CompletedName::Completed(full) => {
            let step = (!is_same_project(&full, project)).then(|| taken_for(&ReportKey::Project, project, &full));
            return Ok(ProjectRequests { requests: of(vec![full]), step, warning: None });
        }
        CompletedName::Unknown { completions, note } => (completions, note),
    };
    let meant: Vec<String> = if named.is_empty() {
        // A project without calls has a limit that counts from the first call on.
        let same = limited.iter().filter(|full| is_same_project(full, project));
        same.chain(completions(&ReportKey::Project, project, &limited)).cloned().collect()
    } else {
        let is_limited = |full: &String| limited.iter().any(|one| is_same_project(one, full));
        named.iter().filter(|full| is_limited(full)).cloned().collect()
    };
    let warning = match (&meant[..], named.is_empty()) {
        ([], _) => Some(format!("no money limit of a project counts for this run: {note}")),
        ([_], true) => None,
        _ => Some(format!("the strictest money limit of the projects that `{project}` may mean counts: {note}")),
    };
    let requests = if meant.is_empty() { vec![request.clone()] } else { of(meant) };
    Ok(ProjectRequests { requests, step: None, warning })
}

/// The projects with money limits on the accounts that a request may mean.
fn limited_projects(snapshot: &Snapshot<'_>, request: &RunRequest, now: Timestamp) -> Result<Vec<String>> {
    let mut limited = Vec::new();
    for meant in requests_meant(snapshot.view(), request)? {
        let account = AccountRef::new(meant.provider.as_str(), meant.account.as_deref());
        let limits = money_limits(AccountAt::new(snapshot.view(), &account, now))?;
        limited.extend(limits.into_iter().filter_map(|limit| limit.project));
    }
    limited.sort_unstable();
    limited.dedup();
    Ok(limited)
}
