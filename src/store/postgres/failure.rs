//! What can go wrong with a request to the server, and what a caller can do about it.

use tokio_postgres::error::SqlState;

use super::address::PostgresAddress;
use crate::model::error::Error;

/// Why a request has no result.
#[derive(Debug)]
pub(super) enum RequestFailure {
    /// The server refused it.
    Refused(tokio_postgres::Error),
    /// The connection ended. Whether the server has carried out the request is not known.
    Lost(tokio_postgres::Error),
    /// The server did not answer in time. Whether it has carried out the request is not known.
    Late,
    /// An error that has nothing to do with the server.
    Other(Error),
}

impl From<tokio_postgres::Error> for RequestFailure {
    fn from(error: tokio_postgres::Error) -> Self {
        let ended = match error.code() {
            None => true,
            Some(code) => {
                [SqlState::ADMIN_SHUTDOWN, SqlState::CRASH_SHUTDOWN, SqlState::CANNOT_CONNECT_NOW].contains(code)
                    || code.code().starts_with("08")
            }
        };
        if ended { Self::Lost(error) } else { Self::Refused(error) }
    }
}

impl RequestFailure {
    /// Whether the same request may succeed in another transaction: a conflict of transactions, or a lock that is taken.
    pub fn is_conflict(&self) -> bool {
        let retried =
            [SqlState::T_R_SERIALIZATION_FAILURE, SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE];
        matches!(self, Self::Refused(error) if error.code().is_some_and(|code| retried.contains(code)))
    }

    /// Whether another connection may succeed.
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Late)
    }

    pub fn has_code(&self, code: &SqlState) -> bool {
        matches!(self, Self::Refused(error) if error.code() == Some(code))
    }

    /// The error for the caller.
    pub fn into_error(self, address: &PostgresAddress, doing: &str) -> Error {
        let error = match self {
            Self::Other(error) => return error,
            Self::Late => {
                let what = format!("{doing} in {address}");
                return Error::Store { what, source: "the server does not answer".into() };
            }
            Self::Refused(error) | Self::Lost(error) => error,
        };
        let what = format!("{doing} in {address}");
        let Some(refusal) = error.as_db_error() else { return Error::Store { what, source: cause(&error).into() } };
        let (code, message) = (refusal.code(), refusal.message());
        if *code == SqlState::INSUFFICIENT_PRIVILEGE {
            Error::ReadOnly { path: address.as_path(), why: format!("the role may not do this ({message})") }
        } else if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
            Error::ReadOnly { path: address.as_path(), why: "the server is a replica or read-only".to_owned() }
        } else if *code == SqlState::DISK_FULL {
            Error::DiskFull
        } else if *code == SqlState::PROGRAM_LIMIT_EXCEEDED {
            Error::invalid(format!("a name or path is too long to be a key in PostgreSQL ({message}): shorten it"))
        } else {
            Error::Store { what, source: message.into() }
        }
    }
}

/// The text of an error and its causes.
fn cause(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}
