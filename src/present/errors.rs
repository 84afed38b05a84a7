//! The errors of every interface, in one list.
//!
//! An error has the same name, meaning and remedy everywhere. Each interface marks it in its own way: the command by an
//! exit code, HTTP by a status, JSON-RPC by a code. `docs/interfaces.md` prints this list; a test compares both.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::error::Error;

/// Kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FaultKind {
    InvalidInput,
    UnknownProvider,
    NotFound,
    Conflict,
    Wait,
    NoKey,
    /// A check found a difference, or a proof is invalid.
    Finding,
    Busy,
    Unavailable,
    Damaged,
    Bug,
    // Errors of HTTP requests.
    Unauthorized,
    Forbidden,
    MethodNotAllowed,
    RequestTimeout,
    UnsupportedMediaType,
    TooManyRequests,
    PayloadTooLarge,
    // Errors of JSON-RPC messages.
    NoJson,
    NoRequest,
    NoMethod,
}

/// How the interfaces show an error. `None` means that the interface cannot have this error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorEntry {
    /// Name in answers.
    pub name: &'static str,
    /// Short meaning.
    pub title: &'static str,
    /// Exit code of the command.
    pub exit: Option<u8>,
    /// HTTP status.
    pub http: Option<u16>,
    /// Code of JSON-RPC 2.0. The protocol reserves -32000 to -32099 for applications.
    pub rpc: Option<i32>,
    /// What the caller does, unless the error itself knows something better.
    pub remedy: &'static str,
}

impl FaultKind {
    /// Every kind, in the order of the list.
    #[cfg(test)]
    pub const ALL: [Self; 21] = [
        Self::InvalidInput,
        Self::UnknownProvider,
        Self::NotFound,
        Self::Conflict,
        Self::Wait,
        Self::NoKey,
        Self::Finding,
        Self::Busy,
        Self::Unavailable,
        Self::Damaged,
        Self::Bug,
        Self::Unauthorized,
        Self::Forbidden,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::UnsupportedMediaType,
        Self::TooManyRequests,
        Self::PayloadTooLarge,
        Self::NoJson,
        Self::NoRequest,
        Self::NoMethod,
    ];

    /// Returns the entry in the list.
    pub const fn entry(self) -> ErrorEntry {
        match self {
            Self::InvalidInput => everywhere(
                "invalid-input",
                "The input is invalid",
                (2, 400, -32_602),
                "correct the input as the message says, and send it again",
            ),
            Self::UnknownProvider => everywhere(
                "unknown-provider",
                "The provider is unknown",
                (2, 422, -32_001),
                "use one of `candidates`, declare the provider, or send `allow_undeclared`",
            ),
            Self::NotFound => everywhere(
                "not-found",
                "There is no such event, position or path",
                (2, 404, -32_002),
                "list the events with the operation `events`",
            ),
            Self::Conflict => everywhere(
                "conflict",
                "The id is taken by other content",
                (2, 409, -32_003),
                "use another key or id, or amend the first event",
            ),
            Self::Wait => everywhere(
                "wait",
                "The call must wait",
                (75, 429, -32_004),
                "wait until `resumes_at`, or use another provider",
            ),
            Self::NoKey => everywhere(
                "no-key",
                "There is no key to sign with",
                (2, 409, -32_005),
                "make one with `usage-ledger key generate`, and start the program with --key FILE",
            ),
            Self::Finding => everywhere(
                "finding",
                "A check found a difference, or a proof is invalid",
                (1, 422, -32_009),
                "do not rely on the data; run `usage-ledger verify`",
            ),
            Self::Busy => everywhere("busy", "The ledger is busy", (3, 503, -32_006), "repeat the call"),
            Self::Unavailable => everywhere(
                "unavailable",
                "The ledger is unavailable",
                (3, 503, -32_007),
                "check the ledger's file, and repeat the call",
            ),
            Self::Damaged => everywhere(
                "damaged",
                "The ledger is damaged",
                (3, 500, -32_008),
                "keep the file, run `usage-ledger verify`, and restore a backup",
            ),
            Self::Bug => everywhere(
                "bug",
                "The program is at fault",
                (3, 500, -32_603),
                "nothing was written; report this message",
            ),
            _ => self.entry_of_message(),
        }
    }

    /// Returns the entry of an error in a message that is not understood or not accepted.
    const fn entry_of_message(self) -> ErrorEntry {
        match self {
            Self::Unauthorized => {
                http("unauthorized", "The token is missing or wrong", 401, "send `Authorization: Bearer TOKEN`")
            }
            Self::Forbidden => http(
                "forbidden",
                "The request names another server, or comes from a page of another origin",
                403,
                "use the server's own name",
            ),
            Self::MethodNotAllowed => {
                http("method-not-allowed", "The path takes another method", 405, "send the method of `Allow`")
            }
            Self::RequestTimeout => {
                http("request-timeout", "The request did not arrive in time", 408, "send it again, faster or smaller")
            }
            Self::UnsupportedMediaType => http(
                "unsupported-media-type",
                "The body is not JSON, or is compressed",
                415,
                "send uncompressed JSON as `application/json`",
            ),
            Self::TooManyRequests => http(
                "too-many-requests",
                "The server receives too many bodies at once",
                429,
                "send the request again later",
            ),
            Self::NoJson => rpc("no-json", "The line is no JSON", -32_700, "send one line of JSON"),
            Self::NoMethod => rpc("no-method", "No method has this name", -32_601, "use one of the named methods"),
            Self::PayloadTooLarge => ErrorEntry {
                http: Some(413),
                ..rpc("payload-too-large", "The request is over 16 MiB", -32_600, "send less at a time")
            },
            _ => rpc(
                "no-request",
                "The JSON is no request",
                -32_600,
                "send an object with `jsonrpc`, `id`, `method` and `params`",
            ),
        }
    }

    /// Returns the kind of an error of the library. Every interface classifies errors by this function.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::UnknownProvider { .. } => Self::UnknownProvider,
            Error::Gated { .. } | Error::OverBudget { .. } => Self::Wait,
            Error::Conflict { .. } | Error::AlreadySettled { .. } | Error::AlreadyReleased { .. } => Self::Conflict,
            Error::NotFound { .. } => Self::NotFound,
            Error::Unproven { .. } => Self::Finding,
            Error::Busy { .. } => Self::Busy,
            Error::Damaged { .. } => Self::Damaged,
            Error::Bug { .. } | Error::LineBreak { .. } => Self::Bug,
            Error::Io { .. } => Self::Unavailable,
            store if store.is_store() => Self::Unavailable,
            _ => Self::InvalidInput,
        }
    }

    /// Returns the kind of a refusal with an HTTP status.
    #[cfg(feature = "web")]
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            408 => Self::RequestTimeout,
            413 => Self::PayloadTooLarge,
            415 => Self::UnsupportedMediaType,
            429 => Self::TooManyRequests,
            503 => Self::Unavailable,
            500.. => Self::Bug,
            _ => Self::InvalidInput,
        }
    }
}

const fn everywhere(
    name: &'static str,
    title: &'static str,
    (exit, http, rpc): (u8, u16, i32),
    remedy: &'static str,
) -> ErrorEntry {
    ErrorEntry { name, title, exit: Some(exit), http: Some(http), rpc: Some(rpc), remedy }
}

const fn http(name: &'static str, title: &'static str, status: u16, remedy: &'static str) -> ErrorEntry {
    ErrorEntry { name, title, exit: None, http: Some(status), rpc: None, remedy }
}

const fn rpc(name: &'static str, title: &'static str, code: i32, remedy: &'static str) -> ErrorEntry {
    ErrorEntry { name, title, exit: None, http: None, rpc: Some(code), remedy }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::*;

    /// The table as `docs/interfaces.md` prints it.
    fn table() -> String {
        let mut table =
            String::from("| error | meaning | exit code | HTTP | JSON-RPC | remedy |\n|---|---|---|---|---|---|\n");
        let cell = |number: Option<String>| number.unwrap_or_else(|| "–".to_owned());
        for entry in FaultKind::ALL.map(FaultKind::entry) {
            let (exit, http) = (entry.exit.map(|code| code.to_string()), entry.http.map(|code| code.to_string()));
            writeln!(
                table,
                "| `{}` | {} | {} | {} | {} | {} |",
                entry.name,
                entry.title,
                cell(exit),
                cell(http),
                cell(entry.rpc.map(|code| code.to_string())),
                entry.remedy,
            )
            .unwrap();
        }
        table
    }

    #[test]
    fn the_documentation_prints_this_list() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/interfaces.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once("| error | meaning |").unwrap();
        let after = rest.split_once("\n\n").unwrap().1;
        let current = format!("{before}{}\n{after}", table());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &current).unwrap();
        } else {
            assert_eq!(page, current, "UPDATE_DOCS=1 writes the list");
        }
    }

    #[test]
    fn every_error_has_one_name_and_a_remedy() {
        let names: BTreeSet<_> = FaultKind::ALL.map(|kind| kind.entry().name).into();
        assert_eq!(names.len(), FaultKind::ALL.len());
        for kind in FaultKind::ALL {
            let entry = kind.entry();
            assert_eq!(serde_json::to_value(kind).unwrap(), entry.name);
            assert!(!entry.title.is_empty() && !entry.remedy.is_empty(), "{}", entry.name);
            assert!(entry.exit.or(entry.http.map(|_| 0)).or(entry.rpc.map(|_| 0)).is_some(), "{}", entry.name);
        }
    }

    #[cfg(feature = "web")]
    #[test]
    fn a_status_of_a_refusal_is_the_status_of_its_error() {
        for kind in FaultKind::ALL {
            if let Some(status) = kind.entry().http {
                assert_eq!(
                    FaultKind::of_status(status).entry().http.unwrap_or(status),
                    match status {
                        // Operations alone have these.
                        409 | 422 => 400,
                        other => other,
                    }
                );
            }
        }
    }
}
