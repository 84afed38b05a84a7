//! The errors of every interface, in one list.
//!
//! An error has the same name, meaning and remedy everywhere. Each interface marks it in its own way: the command by an
//! exit code, HTTP by a status, JSON-RPC by a code. `docs/interfaces.md` prints this list; a test compares both.

use crate::model::error::Error;

/// How the interfaces show an error. `None` means that the interface cannot have this error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ErrorEntry {
    /// Name in answers.
    pub name: &'static str,
    /// Short meaning.
    pub title: &'static str,
    /// Exit code of the command.
    pub exit: Option<u8>,
    /// HTTP status. The problem object states it in every interface.
    pub status: u16,
    /// Code of JSON-RPC 2.0. The protocol reserves -32000 to -32099 for applications.
    pub rpc: Option<i32>,
    /// What the caller does, unless the error itself knows something better.
    pub remedy: &'static str,
}

/// The codes of an error: exit code, HTTP status, JSON-RPC code.
type InterfaceCodes = (Option<u8>, u16, Option<i32>);

const fn everywhere(exit: u8, status: u16, rpc: i32) -> InterfaceCodes {
    (Some(exit), status, Some(rpc))
}

const fn http(status: u16) -> InterfaceCodes {
    (None, status, None)
}

const fn rpc(status: u16, code: i32) -> InterfaceCodes {
    (None, status, Some(code))
}

/// Defines the kinds of errors and their entries: kind, name, codes, meaning, remedy.
macro_rules! errors {
    ($($kind:ident $name:literal $codes:expr, $title:literal, $remedy:literal;)+) => {
        /// Kinds of errors.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum FaultKind {
            $($kind,)+
        }

        impl FaultKind {
            /// Every kind, in the order of the list.
            #[cfg(test)]
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// Returns the entry in the list.
            pub const fn entry(self) -> ErrorEntry {
                let (name, (exit, status, rpc), title, remedy) = match self {
                    $(Self::$kind => ($name, $codes, $title, $remedy),)+
                };
                ErrorEntry { name, title, exit, status, rpc, remedy }
            }
        }
    };
}

errors! {
    InvalidInput "invalid-input" everywhere(2, 400, -32_602), "The input is invalid",
        "correct the input as the message says, and send it again";
    UnknownProvider "unknown-provider" everywhere(2, 422, -32_001), "The provider is unknown",
        "use one of `candidates`, declare the provider, or send `allow_undeclared`";
    NotFound "not-found" everywhere(2, 404, -32_002), "There is no such event, position or path",
        "list the events with the operation `events`";
    Conflict "conflict" everywhere(2, 409, -32_003), "The id is taken by other content",
        "use another key or id, or amend the first event";
    Wait "wait" everywhere(75, 429, -32_004), "The call must wait",
        "wait until `resumes_at`, or use another provider";
    NoKey "no-key" everywhere(2, 409, -32_005), "There is no key to sign with",
        "make one with `usage-ledger key generate`, and start the program with --key FILE";
    Finding "finding" everywhere(1, 422, -32_009), "A check found a difference, or a proof is invalid",
        "do not rely on the data; run `usage-ledger verify`";
    Busy "busy" everywhere(3, 503, -32_006), "The ledger is busy",
        "repeat the call";
    Unavailable "unavailable" everywhere(3, 503, -32_007), "The ledger is unavailable",
        "check the ledger's file or its database server, and repeat the call";
    Damaged "damaged" everywhere(3, 500, -32_008), "The ledger is damaged",
        "keep the file, run `usage-ledger verify`, and restore a backup";
    Bug "bug" everywhere(3, 500, -32_603), "The program is at fault",
        "nothing was written; report this message";
    // Errors of HTTP requests.
    Unauthorized "unauthorized" http(401), "The token is missing or wrong",
        "send `Authorization: Bearer TOKEN`";
    Forbidden "forbidden" http(403), "The request names another server, or comes from a page of another origin",
        "use the server's own name";
    MethodNotAllowed "method-not-allowed" http(405), "The path takes another method",
        "send the method of `Allow`";
    RequestTimeout "request-timeout" http(408), "The request did not arrive in time",
        "send it again, faster or smaller";
    UnsupportedMediaType "unsupported-media-type" http(415), "The body is not JSON, or is compressed",
        "send uncompressed JSON as `application/json`";
    TooManyRequests "too-many-requests" http(429), "The server receives too many bodies at once",
        "send the request again later";
    PayloadTooLarge "payload-too-large" rpc(413, -32_600), "The request is over 16 MiB",
        "send less at a time";
    // Errors of JSON-RPC messages. Their status occurs only in the problem object.
    NoJson "no-json" rpc(400, -32_700), "The line is no JSON",
        "send one line of JSON";
    NoRequest "no-request" rpc(400, -32_600), "The JSON is no request",
        "send an object with `jsonrpc`, `id`, `method` and `params`";
    NoMethod "no-method" rpc(400, -32_601), "No method has this name",
        "use one of the named methods";
}

/// The error of a broken assumption has a mark in every interface.
const _: () = assert!(FaultKind::Bug.entry().exit.is_some() && FaultKind::Bug.entry().rpc.is_some());

impl FaultKind {
    /// Returns the kind of an error of the library. Every interface classifies errors by this function.
    pub fn of(error: &Error) -> Self {
        match error {
            Error::UnknownProvider { .. } => Self::UnknownProvider,
            Error::Gated { .. } | Error::OverBudget { .. } => Self::Wait,
            Error::Conflict { .. }
            | Error::AlreadySettled { .. }
            | Error::AlreadyReleased { .. }
            | Error::ReservationExpired { .. } => Self::Conflict,
            Error::NotFound { .. } => Self::NotFound,
            Error::Unproven { .. } => Self::Finding,
            Error::Busy { .. } | Error::Moved { is_complete: false, .. } => Self::Busy,
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
        for entry in FaultKind::ALL.iter().map(|kind| kind.entry()) {
            writeln!(
                table,
                "| `{}` | {} | {} | {} | {} | {} |",
                entry.name,
                entry.title,
                cell(entry.exit.map(|code| code.to_string())),
                entry.status,
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
        let names: BTreeSet<_> = FaultKind::ALL.iter().map(|kind| kind.entry().name).collect();
        assert_eq!(names.len(), FaultKind::ALL.len());
        for kind in FaultKind::ALL {
            let entry = kind.entry();
            assert!(!entry.title.is_empty() && !entry.remedy.is_empty(), "{}", entry.name);
        }
    }

    #[cfg(feature = "web")]
    #[test]
    fn a_status_of_a_refusal_is_the_status_of_its_error() {
        for kind in FaultKind::ALL {
            let expected = match kind.entry().status {
                // Operations alone have these.
                409 | 422 => 400,
                other => other,
            };
            assert_eq!(FaultKind::of_status(kind.entry().status).entry().status, expected);
        }
    }
}
