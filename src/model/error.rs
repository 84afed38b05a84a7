//! The errors of this crate, with the remedy of each.

use std::path::{Path, PathBuf};

use crate::model::event::{EventId, Position};

/// `Result` with this crate's [`Error`].
///
/// ```
/// use usage_ledger::{ProviderId, Result};
/// fn canonical(name: &str) -> Result<String> {
///     Ok(ProviderId::resolve(name)?.to_string())
/// }
/// assert_eq!(canonical("claude")?, "anthropic");
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed. Each variant says what the caller can do.
///
/// A failed call leaves the ledger unchanged.
///
/// ```
/// use usage_ledger::{Error, ProviderId};
/// let error = ProviderId::new("Not A Provider").unwrap_err();
/// assert!(matches!(error, Error::InvalidProvider { .. }));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A provider id is not lower-case `[a-z0-9._-]+`. Correct the spelling.
    #[error("`{id}` is not a provider id: use lower-case letters, digits, `.`, `_` and `-`{hint}")]
    InvalidProvider {
        /// The given id.
        id: String,
        /// A suggestion, starting with `; `, or empty.
        hint: String,
    },
    /// The code of usage-ledger breaks one of its own assumptions. Nothing was written. Report it with this text.
    #[error("this is a fault of usage-ledger, at {file}:{line}: {what}; nothing was written, please report it")]
    Bug {
        /// The source file.
        file: &'static str,
        /// The line in it.
        line: u32,
        /// The assumption that does not hold.
        what: String,
    },
    /// A provider is in no catalogue, no event and no declaration. Correct the spelling, declare it, or allow it.
    #[error(
        "`{id}` is in no catalogue, event or declaration{}; correct the name or declare it",
        did_you_mean(candidates)
    )]
    UnknownProvider {
        /// The given name.
        id: String,
        /// Known providers with a similar name, the most similar first.
        candidates: Vec<String>,
    },
    /// A statement that may open a gate names no account, and the provider has several. Name the account.
    #[error("nobody knows which account of `{provider}` is meant, {}: name it", one_of(accounts))]
    SeveralAccounts {
        /// The provider.
        provider: String,
        /// Its accounts with a name.
        accounts: Vec<String>,
    },
    /// A time is not RFC 3339 or lies outside the years 1 to 9999. Correct it.
    #[error("`{text}` is not a time ({why}): write RFC 3339, such as 2026-11-23T19:58:11Z")]
    InvalidTime {
        /// The given text.
        text: String,
        /// The parser's message.
        why: String,
    },
    /// A zone is not in the IANA database. Correct the name.
    #[error("`{name}` is not an IANA time zone: write one such as Europe/Paris or UTC")]
    UnknownZone {
        /// The given name.
        name: String,
    },
    /// A record, setting or query is invalid. Correct it as the message says.
    #[error("{what}")]
    Invalid {
        /// What is wrong and what would be right.
        what: String,
    },
    /// A sum exceeds its range. Check the counts or costs that were given.
    #[error("the {what} is beyond what can be stated: check the counts and the cost")]
    Overflow {
        /// Which sum.
        what: &'static str,
    },
    /// The same id (or key) is already in the ledger with other content. Amend that event, or use another key.
    #[error("event {id} is already at position {position} with other content: amend it or record under another key")]
    Conflict {
        /// The id both share.
        id: EventId,
        /// Where the first one is.
        position: Position,
    },
    /// The line of an event contains a line break, so an export could not print it as one line. Report it: usage
    /// objects are minified before this check.
    #[error(
        "the line of event {id} ({kind}) holds a line break: nothing was written; report this as a fault of usage-ledger"
    )]
    LineBreak {
        /// The event.
        id: EventId,
        /// Its kind.
        kind: &'static str,
    },
    /// The gate is closed, so nothing can be reserved. Wait.
    #[error("{provider} is gated: {reason}{}", resumes_at.map(|at| format!("; ask again at {at}")).unwrap_or_default())]
    Gated {
        /// The provider.
        provider: String,
        /// The reason, as a sentence.
        reason: String,
        /// When to try again, if known.
        resumes_at: Option<crate::model::time::Timestamp>,
    },
    /// A reservation exceeds what is left of a window. Request less, or wait for the reset.
    #[error(
        "{requested} tokens do not fit: {left} are left of {provider}'s {window} window{}; ask for less, or wait",
        resets_at.map(|at| format!(" until {at}")).unwrap_or_default()
    )]
    OverBudget {
        /// The provider.
        provider: String,
        /// Which window.
        window: &'static str,
        /// Requested limit tokens.
        requested: u64,
        /// Limit tokens left.
        left: u64,
        /// When the window resets, if that is known.
        resets_at: Option<crate::model::time::Timestamp>,
    },
    /// A reservation was already settled, with another record or with none. Make a new reservation for another call.
    #[error("reservation {reservation} was settled already: reserve again for another call")]
    AlreadySettled {
        /// The reservation.
        reservation: EventId,
        /// The record that settled it, if there is one.
        record: Option<EventId>,
    },
    /// A reservation was already released. Record the call without it, or make a new reservation.
    #[error("reservation {reservation} was released already: reserve again for another call")]
    AlreadyReleased {
        /// The reservation.
        reservation: EventId,
    },
    /// The reservation with this key has expired, so it holds nothing. Settle it if its call was made, or reserve under
    /// another key.
    #[error("reservation {reservation} expired at {at} and holds nothing: reserve under another key")]
    ReservationExpired {
        /// The reservation.
        reservation: EventId,
        /// When it expired.
        at: crate::model::time::Timestamp,
    },
    /// The record is of another provider or account than the reservation. Settle it with the record of its own call.
    #[error("the reservation is for {held}, the record for {used}: settle it with the record of its own call")]
    OtherReservation {
        /// Provider and account of the reservation.
        held: String,
        /// Provider and account of the record.
        used: String,
    },
    /// Nothing was paused, so nothing can be resumed. There is nothing to do.
    #[error("nothing is paused: there is nothing to resume")]
    NotPaused,
    /// Only token records can be amended. Void the event and append it anew.
    #[error("event {id} is of the kind {kind}, and only tokens_recorded can be amended: void it and append it anew")]
    NotAmendable {
        /// The event.
        id: EventId,
        /// Its kind.
        kind: &'static str,
    },
    /// The event is withdrawn. Void the event that withdrew it first.
    #[error("event {id} is withdrawn: void the event that withdrew it, then amend")]
    Withdrawn {
        /// The event.
        id: EventId,
    },
    /// The amendment changes nothing. There is nothing to do.
    #[error("event {id} already has these values: nothing would change")]
    Unchanged {
        /// The event.
        id: EventId,
    },
    /// A part of the period is sealed. Begin where that seal ends, or void it first.
    #[error(
        "a part of that period is sealed at position {position} already, {period}: begin where it ends, or void that seal \
         first if it is to be made anew"
    )]
    AlreadySealed {
        /// The seal.
        position: Position,
        /// Its period.
        period: String,
    },
    /// A file already exists at the target path. Give another path, or allow replacement.
    #[error("{} is there already: give another name, or replace it", path.display())]
    AlreadyExists {
        /// The file.
        path: PathBuf,
    },
    /// The write-ahead log or the journal of a deleted or moved ledger is at the path. It may contain events that were
    /// acknowledged, and SQLite would apply it to the new ledger. Move it back beside its ledger under the ledger's name, or
    /// away.
    #[error(
        "{} is the log of a ledger that was deleted or moved, and may contain its last events: move it to its ledger, or away",
        path.display()
    )]
    StaleLog {
        /// The log.
        path: PathBuf,
    },
    /// No event has this id or position. List the events of a snapshot.
    #[error("no event {what} in this ledger")]
    NotFound {
        /// The id or position looked for.
        what: String,
    },
    /// The ledger contains an event that this build does not support. Use a newer build.
    #[error(
        "position {position}: {what} is not known to this build: use the version of usage-ledger that wrote it, or a newer one"
    )]
    UnknownEvent {
        /// Where the event is.
        position: Position,
        /// Its kind or version.
        what: String,
    },
    /// A proof is invalid. Do not rely on it; obtain another one, or see `verify`.
    #[error("not proven: {what}")]
    Unproven {
        /// What is wrong with the proof.
        what: String,
    },
    /// The stored data contradict themselves. Keep the file, restore a backup, and see `verify`.
    #[error(
        "the ledger is damaged{}: {what}; keep the file, verify the ledger, and restore a backup",
        position.map(|p| format!(" at position {p}")).unwrap_or_default()
    )]
    Damaged {
        /// The position, if known.
        position: Option<Position>,
        /// The contradiction.
        what: String,
    },
    /// The file is a database of another program, or no database. Give another path.
    #[error("{} is not a usage ledger ({why}): give another path", path.display())]
    NotALedger {
        /// The file.
        path: PathBuf,
        /// What the file is instead.
        why: String,
    },
    /// The file was written by a newer build. It was not changed; use that build.
    #[error(
        "{} has schema {schema}, this build knows {supported}: use a newer usage-ledger (the file was not touched)", path.display()
    )]
    NewerSchema {
        /// The file.
        path: PathBuf,
        /// The schema number in the file.
        schema: i64,
        /// The newest schema number that this build supports.
        supported: i64,
    },
    /// The file was deleted, moved or replaced while it was open. This call is not in the ledger at that path. Repeat
    /// it: the handle then uses the ledger that is at the path.
    #[error(
        "{} is not the file any more that this program opened ({what}): this call is not in the ledger at that path; \
         put the file back or restore a backup, and repeat the call", path.display()
    )]
    Replaced {
        /// The path of the ledger.
        path: PathBuf,
        /// What happened to the file.
        what: String,
    },
    /// The file has more than one name. Programs that use different names lose each other's events. Remove all names
    /// but one.
    #[error(
        "{} has {links} names (hard links), and programs that open different ones lose each other's events: remove the \
         others, or make a copy with `cp` and put it in its place", path.display()
    )]
    HardLinked {
        /// The path of the ledger.
        path: PathBuf,
        /// The number of hard links.
        links: u64,
    },
    /// The file is mounted by itself, for example by `docker run -v FILE:FILE`. Its write-ahead log is beside the original, so
    /// neither side sees what the other writes. Mount its directory.
    #[error(
        "{} is mounted as a single file, so its log stays beside the original and programs on the two sides lose each \
         other's events: mount its directory instead", path.display()
    )]
    MountedFile {
        /// The path of the ledger.
        path: PathBuf,
    },
    /// The ledger is readable but not writable. Grant what is missing, or use another ledger.
    #[error("{} is read-only: {why}; grant that, or give another ledger", path.display())]
    ReadOnly {
        /// The path of the ledger.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// Another program has the ledger open, so it cannot be replaced. End that program and try again.
    #[error(
        "another program has it open: {}; end that program and try again",
        path.display()
    )]
    InUse {
        /// The path of the ledger.
        path: PathBuf,
    },
    /// The shredded bytes are out of the ledger, but still in a file of the store. Close the other program, or make
    /// room, and erase again.
    #[error(
        "what was shredded is out of the ledger, but its bytes are still in the file: {why}; close what uses the ledger, \
         make room for a second copy of the file, and erase again"
    )]
    NotErased {
        /// The obstacle.
        why: String,
    },
    /// The ledger is on another cluster, or is being moved there. Nothing was written. Use the other address, or a map of
    /// clusters that knows that cluster.
    #[error("{}", moved(path, cluster, address, *is_complete))]
    Moved {
        /// The address that was used.
        path: PathBuf,
        /// The name of the other cluster.
        cluster: String,
        /// The address of the ledger there, without user and password.
        address: String,
        /// Whether the ledger is there; otherwise the move has begun and is not complete.
        is_complete: bool,
    },
    /// Another process held the ledger for longer than the busy timeout. Try again.
    #[error("the ledger is busy: another process has held its write lock for over {seconds} s; try again")]
    Busy {
        /// How long this call waited.
        seconds: u64,
    },
    /// The disk or quota is full. Free some space and repeat the call; the call wrote nothing.
    #[error("the disk is full: nothing was written; free some space and repeat the call")]
    DiskFull,
    /// The store could not be read or written for another reason.
    #[error("the store failed: {what}")]
    Store {
        /// The operation that failed.
        what: String,
        /// The store's own error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system starts no further thread. End other programs, or raise the limit of processes.
    #[error("no further thread can be started ({source}): end other programs, or raise the limit of processes")]
    NoThread {
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be read or written. Check the path and its permissions.
    #[error("{}: {source}; {}", path.display(), io_remedy(source))]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: std::io::Error,
    },
}

/// The candidates for a misspelt name, as a question.
fn one_of(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" or ")
}

fn did_you_mean(candidates: &[String]) -> String {
    let quoted: Vec<String> = candidates.iter().map(|candidate| format!("`{candidate}`")).collect();
    if quoted.is_empty() { String::new() } else { format!(" (did you mean {}?)", quoted.join(" or ")) }
}

/// Where a ledger is that was moved.
fn moved(path: &Path, cluster: &str, address: &str, is_complete: bool) -> String {
    let path = path.display();
    if is_complete {
        format!("{path} takes no events: the ledger is on the cluster `{cluster}`: use {address}")
    } else {
        format!(
            "{path} is being moved to the cluster `{cluster}` and takes no events until that is done: repeat the call, and \
             continue the move if it was interrupted"
        )
    }
}

/// The remedy for a file that cannot be read or written.
fn io_remedy(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound => "check the path",
        ErrorKind::PermissionDenied => "check who may read and write it",
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space and repeat the command",
        ErrorKind::InvalidData => "it holds no text that can be read: give another file",
        ErrorKind::IsADirectory => "give the path of a file",
        _ => "check the path and its permissions",
    }
}

impl Error {
    /// Whether the store, not the caller, caused the error: damaged, foreign, newer, busy, full or unreachable.
    ///
    /// ```
    /// # use usage_ledger::Error;
    /// assert!(Error::DiskFull.is_store());
    /// ```
    pub fn is_store(&self) -> bool {
        matches!(
            self,
            Self::Bug { .. }
                | Self::UnknownEvent { .. }
                | Self::Damaged { .. }
                | Self::NotALedger { .. }
                | Self::NewerSchema { .. }
                | Self::Replaced { .. }
                | Self::HardLinked { .. }
                | Self::MountedFile { .. }
                | Self::ReadOnly { .. }
                | Self::InUse { .. }
                | Self::NotErased { .. }
                | Self::Moved { .. }
                | Self::Busy { .. }
                | Self::DiskFull
                | Self::NoThread { .. }
                | Self::Store { .. }
        )
    }

    /// The message with those of the causes that it does not contain.
    #[cfg(feature = "cli")]
    pub(crate) fn with_causes(&self) -> String {
        let mut message = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            let text = source.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = source.source();
        }
        message
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }

    pub(crate) fn unproven(what: impl Into<String>) -> Self {
        Self::Unproven { what: what.into() }
    }

    pub(crate) fn damaged(position: impl Into<Option<Position>>, what: impl Into<String>) -> Self {
        Self::Damaged { position: position.into(), what: what.into() }
    }
}
