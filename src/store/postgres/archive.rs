//! Lines that moved to an archive: the row keeps the leaf hash in place of the line.

#[cfg(feature = "archive")]
use std::sync::{Arc, PoisonError};

use tokio_postgres::types::Type;

#[cfg(feature = "archive")]
use super::super::archived::{ArchivedLines, replace_by_tombstones};
#[cfg(feature = "archive")]
use super::super::objects::ArchiveUrl;
use super::connection::Connection;
use super::failure::RequestFailure;
use super::fetch::TypedStatement;
#[cfg(feature = "archive")]
use super::fetch::number;
use super::known::{KnownRow, StoredBody};
use super::view::StoredState;
#[cfg(feature = "archive")]
use super::{PostgresStore, REWRITE};
use crate::merkle::Hash;
use crate::model::error::{Error, Result};
#[cfg(feature = "archive")]
use crate::model::event::EventKind;
use crate::model::event::Position;

/// The setting of a ledger with the address of the archive.
const ARCHIVE: &str = "archive";
/// The setting with the last position whose line may be there.
#[cfg(feature = "archive")]
const ARCHIVED: &str = "archived";

/// A setting of a ledger.
fn setting(connection: &mut Connection, ledger: &str, name: &str) -> Result<Option<String>, RequestFailure> {
    let asked = TypedStatement::new("SELECT value FROM usage_ledger.settings WHERE ledger_id = $1 AND name = $2")
        .with(ledger.to_owned(), Type::TEXT)
        .with(name.to_owned(), Type::TEXT);
    let rows = connection.run(|client| asked.send(client))?;
    rows.first().map(|row| row.try_get(0)).transpose().map_err(RequestFailure::from)
}

impl StoredState {
    /// Puts lines in place of the leaf hashes of archived ones.
    pub(super) fn fill(&self, rows: &mut [(Position, KnownRow)]) -> Result<()> {
        let wanted: Vec<(Position, Hash)> = rows
            .iter()
            .filter_map(|(position, row)| match &row.body {
                StoredBody::Archived(leaf) => Some((*position, *leaf)),
                StoredBody::Line(_) => None,
            })
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let mut lines = self.archived(&wanted)?.into_iter();
        for (_, row) in rows {
            if matches!(row.body, StoredBody::Archived(_))
                && let Some(line) = lines.next()
            {
                row.body = StoredBody::Line(line);
            }
        }
        Ok(())
    }

    #[cfg(feature = "archive")]
    fn archived(&self, wanted: &[(Position, Hash)]) -> Result<Vec<String>> {
        let pool = self.connection().borrow().archive();
        let known = pool.lines.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lines = if let Some(lines) = known {
            lines
        } else {
            let url =
                self.request("reading the settings", |connection, ledger| setting(connection, ledger, ARCHIVE))?;
            let first = wanted.first().map(|(position, _)| *position);
            let url = url
                .ok_or_else(|| Error::damaged(first, "the line is in an archive, and the table settings names none"))?;
            let lines = Arc::new(ArchivedLines::open(&url.parse()?)?);
            *pool.lines.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&lines));
            lines
        };
        lines.lines(wanted)
    }

    #[cfg(not(feature = "archive"))]
    fn archived(&self, _: &[(Position, Hash)]) -> Result<Vec<String>> {
        let url = self.request("reading the settings", |connection, ledger| setting(connection, ledger, ARCHIVE))?;
        Err(Error::Store {
            what: format!("reading lines from the archive {}", url.unwrap_or_default()),
            source: "this build reads no archives: build it with the feature `archive`".into(),
        })
    }
}

/// Where the older lines of a ledger are.
#[cfg(feature = "archive")]
pub(crate) struct ArchivePlace {
    pub url: ArchiveUrl,
    /// The last position that may be there.
    pub until: u64,
}

#[cfg(feature = "archive")]
impl PostgresStore {
    /// Where the older lines are; `None` if all are in the database.
    pub(crate) fn archive_place(&self) -> Result<Option<ArchivePlace>> {
        let mut connection = self.lease()?;
        let ledger = self.pool.address.ledger();
        let read = setting(&mut connection, ledger, ARCHIVE)
            .and_then(|url| Ok((url, setting(&mut connection, ledger, ARCHIVED)?)));
        match &read {
            Ok(_) => connection.finish(),
            Err(_) => connection.discard(),
        }
        let (url, until) = match read {
            // Tables of an earlier schema.
            Err(failure) if failure.has_code(&tokio_postgres::error::SqlState::UNDEFINED_TABLE) => return Ok(None),
            read => self.answer(read, "reading the settings")?,
        };
        let Some(url) = url else { return Ok(None) };
        let until = until.and_then(|until| until.parse().ok());
        let until = until.ok_or_else(|| Error::damaged(None, "the setting `archived` is no position"))?;
        Ok(Some(ArchivePlace { url: url.parse()?, until }))
    }

    /// Replaces the lines of calls from one position to another by their leaf hashes, and notes the archive that has them. Lines
    /// of other kinds stay, because they are few and decisions read them; so do tombstones. Only the owner of the tables may do that.
    pub(crate) fn archive_lines(&self, url: &ArchiveUrl, first: Position, last: Position) -> Result<u64> {
        let ledger = || self.pool.address.ledger().to_owned();
        let note = |name: &str, value: String| {
            TypedStatement::new(
                "INSERT INTO usage_ledger.settings (ledger_id, name, value) VALUES ($1, $2, $3) \
                 ON CONFLICT (ledger_id, name) DO UPDATE SET value = excluded.value",
            )
            .with(ledger(), Type::TEXT)
            .with(name.to_owned(), Type::TEXT)
            .with(value, Type::TEXT)
        };
        let notes = [note(ARCHIVE, url.to_string()), note(ARCHIVED, last.to_string())];
        // The database computes the hash, so a line can only become its own hash.
        let replace = TypedStatement::new(
            "WITH moved AS (UPDATE usage_ledger.events e SET body = '\\x00'::bytea || sha256('\\x00'::bytea || e.body) \
             WHERE e.ledger_id = $1 AND e.position BETWEEN $2 AND $3 AND e.kind = $4 AND substring(e.body FROM 1 FOR 1) <> '\\x00'::bytea \
             AND substring(e.body FROM 1 FOR 12) <> convert_to('{\"shredded\":', 'UTF8') RETURNING 1) SELECT count(*) FROM moved",
        )
        .with(ledger(), Type::TEXT)
        .with(number(first), Type::INT8)
        .with(number(last), Type::INT8)
        .with(i16::from(EventKind::TokensRecorded.code()), Type::INT2);
        let mut connection = self.lease()?;
        let done = connection.run_within(REWRITE, |client| async {
            client.batch_execute("BEGIN").await?;
            for note in &notes {
                note.send(client).await?;
            }
            let moved: i64 = match replace.send(client).await?.first() {
                Some(row) => row.try_get(0)?,
                None => 0,
            };
            client.batch_execute("COMMIT").await?;
            Ok(moved)
        });
        match &done {
            Ok(_) => connection.finish(),
            Err(_) => connection.discard(),
        }
        Ok(self.answer(done, "moving lines to the archive")?.unsigned_abs())
    }

    /// Replaces lines in the archive that were shredded since by their tombstones.
    pub(super) fn erase_in_archive(&self) -> Result<()> {
        let Some(place) = self.archive_place()? else { return Ok(()) };
        let asked = TypedStatement::new(
            "SELECT position, body FROM usage_ledger.events WHERE ledger_id = $1 \
             AND substring(body FROM 1 FOR 12) = convert_to('{\"shredded\":', 'UTF8') ORDER BY position",
        )
        .with(self.pool.address.ledger().to_owned(), Type::TEXT);
        let mut connection = self.lease()?;
        let rows = connection.run_within(REWRITE, |client| asked.send(client));
        match &rows {
            Ok(_) => connection.finish(),
            Err(_) => connection.discard(),
        }
        let tombstone = |row: &tokio_postgres::Row| {
            let (position, body): (i64, &[u8]) = (row.try_get(0)?, row.try_get(1)?);
            Ok::<_, tokio_postgres::Error>((
                Position::new(position.unsigned_abs()),
                String::from_utf8_lossy(body).into_owned(),
            ))
        };
        let tombstones = rows
            .and_then(|rows| rows.iter().map(tombstone).collect::<Result<Vec<_>, _>>().map_err(RequestFailure::from));
        replace_by_tombstones(&place.url, &self.answer(tombstones, "reading tombstones")?)
    }
}
