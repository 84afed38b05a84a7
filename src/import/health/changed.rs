//! How many logs an import would read.

use crate::import::engine::discover::{logs, roots};
use crate::import::engine::redacted_logs::RedactedLogs;
use crate::import::health::inventory::is_imported;
use crate::import::options::ImportOptions;
use crate::ledger::Snapshot;
use crate::model::error::Result;
use crate::model::secrets;
use crate::projection::file_states;

/// How many logs are new or have changed since they were imported; 0 for a ledger that never imported any.
///
/// Databases do not count: their files change without a new call.
pub(crate) fn changed_logs(snapshot: &Snapshot<'_>, options: &ImportOptions) -> Result<u64> {
    let (mut changed, mut is_used) = (0, false);
    for agent in options.agents()? {
        let mut states = file_states(snapshot.view(), agent.name)?;
        is_used |= !states.is_empty();
        let redacted = RedactedLogs::take(&mut states);
        for file in logs(agent.source, &roots(agent, &options.homes)?).files {
            if agent.source.format(&file.path).is_database() {
                continue;
            }
            let stored = states.get(&*secrets::path(&file.path.to_string_lossy()));
            changed += u64::from(!is_imported(agent.source, &file, stored, &redacted));
        }
    }
    Ok(if is_used { changed } else { 0 })
}
