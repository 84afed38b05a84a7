//! Why a command ended early, and with which exit code.

use std::error::Error as _;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::export::ExportError;
use crate::model::error::Error;
use crate::model::secrets;
use crate::present::visible::{Breaks, visible};

/// A finding of `verify` or `replay`, or what should be proven is not so.
const FINDING: u8 = 1;
/// Bad usage or input.
const USAGE: u8 = 2;
/// The ledger is damaged or unreachable.
const STORE: u8 = 3;
/// Wait and try again: `EX_TEMPFAIL` of sysexits.h.
const WAIT: u8 = 75;

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The ledger said no, or what was asked of it makes no sense.
    Ledger(Error),
    /// The ledger's file or directory cannot be reached.
    Unreachable(Error),
    /// A line of the input is wrong.
    Line { number: u64, error: Error },
    /// The answer could not be written.
    Output(io::Error),
    /// Something was found, and told.
    Finding,
    /// The answer is to wait, and it was told.
    Wait,
}

impl Failure {
    pub fn usage(what: impl Into<String>) -> Self {
        Self::Ledger(Error::invalid(what))
    }

    /// Lays an error at a line of the input, unless it is the store's.
    pub fn at_line(number: u64, error: Error) -> Self {
        match error {
            // A sum that overflows or a store that fails need not do so at this line.
            Error::Overflow { .. } | Error::Io { .. } => Self::Ledger(error),
            _ if error.is_store() => Self::Ledger(error),
            _ => Self::Line { number, error },
        }
    }

    fn code(&self) -> u8 {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Self::Finding | Self::Ledger(Error::Unproven { .. }) => FINDING,
            Self::Ledger(error) if error.is_store() => STORE,
            Self::Ledger(_) | Self::Line { .. } | Self::Output(_) => USAGE,
            Self::Unreachable(_) => STORE,
            Self::Wait => WAIT,
        }
    }

    /// What happened, where that was not told already.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Ledger(error) | Self::Unreachable(error) => Some(with_sources(error) + &command_for(error)),
            Self::Line { number, error } => {
                Some(format!("line {number}: {error}{}; nothing was written", command_for(error)))
            }
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Output(error) => Some(format!("the answer could not be written: {error}")),
            Self::Finding | Self::Wait => None,
        }
    }

    /// Says on stderr what happened, and gives the exit code.
    pub fn tell(&self) -> ExitCode {
        if let Some(message) = self.message() {
            // An error may quote what it could not read.
            say(&secrets::name(&message));
        }
        ExitCode::from(self.code())
    }
}

/// Says something on stderr. Where nobody listens, nothing is lost.
pub(crate) fn say(message: &str) {
    let _ = writeln!(io::stderr(), "usage-ledger: {}", visible(message, Breaks::Kept));
}

/// What to type after an error, as the end of its message. The library's own messages know no command line.
fn command_for(error: &Error) -> String {
    match error {
        Error::UnknownProvider { id, .. } => {
            format!(" (`usage-ledger provider declare {id} --metered`), or pass --allow-undeclared")
        }
        Error::Conflict { id, .. } => format!(" (`usage-ledger amend {id} …` amends it)"),
        Error::NotFound { .. } => ": `usage-ledger log` lists them".to_owned(),
        Error::Damaged { .. } => " (`usage-ledger verify` names what is damaged)".to_owned(),
        Error::NotALedger { .. } | Error::ReadOnly { .. } => " with --ledger".to_owned(),
        Error::InUse { .. } => " (`watch`, `serve`, `import --watch` and `log --follow` keep a ledger open)".to_owned(),
        Error::NotErased { .. } => {
            " with `usage-ledger shred --finish` (`watch` and `log --follow` use the ledger)".to_owned()
        }
        Error::AlreadyExists { .. } | Error::LeftLog { .. } => " with --replace".to_owned(),
        _ => String::new(),
    }
}

/// The message of an error with those of its causes that it does not tell itself.
fn with_sources(error: &Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
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

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Ledger(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::Output(error.into())
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Ledger(error) => Self::Ledger(error),
            ExportError::Output(error) => Self::Output(error),
        }
    }
}
