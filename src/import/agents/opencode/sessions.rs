//! Reads the sessions of a database: directory, start time and origin of a fork.

use std::collections::HashMap;

use rusqlite::Connection;

use super::columns::{name, whole};
use crate::import::engine::document::Document;
use crate::import::engine::fields::columns;
use crate::import::engine::query::{self, Refusal, RowAction, bounded};
use crate::model::time::Timestamp;

/// Tables of sessions, of the first and the second generation of the client.
pub(super) const TABLES: [&str; 2] = ["session", "session_v2"];
/// Maximum depth of forks of forks.
const DEEPEST: usize = 64;

struct SessionInfo {
    directory: Option<String>,
    created: Option<i64>,
    /// The session whose messages it copied.
    forked_from: Option<String>,
}

#[derive(Default)]
pub(super) struct Sessions(HashMap<String, SessionInfo>);

impl Sessions {
    /// Reads the sessions, and adds their start times to the document: copied messages belong to the session that began
    /// first. Returns why it ended early, if it did, because messages count without their sessions too.
    pub fn read(database: &Connection, document: &mut Document) -> (Self, Option<Refusal>) {
        let mut sessions = Self::default();
        let cut = TABLES.into_iter().find_map(|table| sessions.table(database, table, document).err());
        (sessions, cut)
    }

    fn table(&mut self, database: &Connection, table: &str, document: &mut Document) -> Result<(), Refusal> {
        let columns = columns(database, table)?;
        let has = |name: &str| columns.iter().any(|column| column == name);
        if !["id", "directory", "time_created"].into_iter().all(has) {
            return Ok(());
        }
        let fork = if has("fork_session_id") { bounded("fork_session_id") } else { "NULL".to_owned() };
        let values = ["id", "directory", "time_created"].map(bounded).join(", ");
        let query = format!("SELECT {values}, {fork} FROM {table}");
        query::rows(database, &query, [], &mut |row| {
            let Some(id) = name(row, 0)? else {
                document.skipped.push((0, "unknown shape: a session whose id is no text".to_owned()));
                return Ok(RowAction::Row);
            };
            let created = whole(row, 2)?;
            if let Some(created) = created {
                document.conversations.push((id.clone(), Timestamp::from_millis(created)));
            }
            self.0.insert(id, SessionInfo { directory: name(row, 1)?, created, forked_from: name(row, 3)? });
            Ok(RowAction::Row)
        })
    }

    pub fn directory(&self, session: &str) -> Option<&str> {
        self.0.get(session)?.directory.as_deref()
    }

    /// Returns the session in which a message was written. A message that is older than its session was copied from the
    /// origin of the fork.
    pub fn home<'s>(&'s self, session: &'s str, created: Option<i64>) -> &'s str {
        let mut home = session;
        for _ in 0..DEEPEST {
            let Some(info) = self.0.get(home) else { break };
            let (Some(origin), Some(began), Some(created)) = (&info.forked_from, info.created, created) else { break };
            if created >= began {
                break;
            }
            home = origin;
        }
        home
    }
}
