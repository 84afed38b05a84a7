//! Failures of commands, and their exit codes.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::export::ExportError;
use crate::model::error::Error;
use crate::model::invariant::bug;
use crate::model::secrets;
use crate::present::errors::FaultKind;
use crate::present::visible::{Breaks, visible};

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An operation on the ledger failed, or its input is invalid.
    Ledger(Error),
    /// The ledger's file or directory is not reachable.
    Unreachable(Error),
    /// A line of the input is invalid.
    Line { number: u64, error: Error },
    /// The answer could not be written.
    Output(io::Error),
    /// The command failed after it had written something, which stays.
    AfterWriting { what: String, why: Box<Self> },
    /// The command has printed a finding.
    Finding,
    /// The command has printed that the caller must wait.
    Wait,
}

impl Failure {
    pub fn usage(what: impl Into<String>) -> Self {
        Self::Ledger(Error::invalid(what))
    }

    /// Attributes an error to a line of the input, unless it is the store's.
    pub fn at_line(number: u64, error: Error) -> Self {
        match error {
            // An overflow or an I/O error need not be caused by this line.
            Error::Overflow { .. } | Error::Io { .. } => Self::Ledger(error),
            _ if error.is_store() => Self::Ledger(error),
            _ => Self::Line { number, error },
        }
    }

    /// States what the command wrote before it failed. A closed pipe is no failure.
    pub fn after_writing(self, what: impl Into<String>) -> Self {
        match self {
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Self::Output(error),
            why => Self::AfterWriting { what: what.into(), why: Box::new(why) },
        }
    }

    /// Returns the kind of the failure in the list of all interfaces.
    fn kind(&self) -> FaultKind {
        match self {
            Self::Finding => FaultKind::Finding,
            Self::Wait => FaultKind::Wait,
            // The kinds of wrong input promise that nothing was written.
            Self::Unreachable(_) | Self::AfterWriting { .. } => FaultKind::Unavailable,
            // The user named a file that cannot be read or written.
            Self::Ledger(Error::Io { .. }) | Self::Output(_) | Self::Line { .. } => FaultKind::InvalidInput,
            Self::Ledger(error) => FaultKind::of(error),
        }
    }

    /// Returns the exit code.
    ///
    /// # Errors
    ///
    /// [`Error::Bug`] if the command cannot have this kind of failure.
    fn exit_code(&self) -> Result<u8, Error> {
        if matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe) {
            return Ok(0);
        }
        let entry = self.kind().entry();
        entry.exit.ok_or_else(|| bug!("the error `{}` has no exit code", entry.name))
    }

    /// Returns the message, unless the command has printed it already.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Ledger(error) | Self::Unreachable(error) => Some(error.with_causes() + &command_for(error)),
            Self::Line { number, error } => {
                Some(format!("line {number}: {error}{}; nothing was written", command_for(error)))
            }
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Output(error) => Some(format!("the answer could not be written: {error}")),
            Self::AfterWriting { what, why } => Some(match why.message() {
                Some(why) => format!("{why}; {what}"),
                None => what.clone(),
            }),
            Self::Finding | Self::Wait => None,
        }
    }

    /// Prints the message to stderr, and returns the exit code.
    pub fn report(&self) -> ExitCode {
        if let Some(message) = self.message() {
            // An error may quote input.
            print_message(&secrets::message(&message));
        }
        match self.exit_code() {
            Ok(code) => ExitCode::from(code),
            Err(bug) => Self::Ledger(bug).report(),
        }
    }
}

/// Prints a message to stderr, on one line: a line break in a name or a path could forge another message. A closed stderr
/// is ignored.
pub(crate) fn print_message(message: &str) {
    let _ = writeln!(io::stderr(), "usage-ledger: {}", visible(message, Breaks::Blank));
}

/// Prints a message of several lines to stderr, in which foreign texts have no line break.
pub(crate) fn print_lines(message: &str) {
    let _ = writeln!(io::stderr(), "usage-ledger: {}", visible(message, Breaks::Kept));
}

/// Returns the command that solves a problem, as the end of its message. The library's messages do not mention the
/// command line.
fn command_for(error: &Error) -> String {
    match error {
        Error::UnknownProvider { id, .. } => {
            format!(" (`usage-ledger provider declare {id} --metered`), or pass --allow-undeclared")
        }
        Error::SeveralAccounts { .. } => " with --account".to_owned(),
        Error::Conflict { id, .. } => format!(" (`usage-ledger amend {id} …` amends it)"),
        Error::NotFound { .. } => ": `usage-ledger log` lists them".to_owned(),
        Error::Damaged { .. } => " (`usage-ledger verify` names what is damaged)".to_owned(),
        Error::NotALedger { .. } | Error::ReadOnly { .. } | Error::Moved { is_complete: true, .. } => {
            " with --ledger".to_owned()
        }
        Error::Moved { cluster, is_complete: false, .. } => {
            format!(" (`usage-ledger shards move LEDGER --to {cluster}`)")
        }
        Error::InUse { .. } => " (`watch`, `serve`, `import --watch` and `log --follow` keep a ledger open)".to_owned(),
        Error::NotErased { .. } => {
            " with `usage-ledger shred --finish` (`watch` and `log --follow` use the ledger)".to_owned()
        }
        Error::AlreadyExists { .. } => " with --replace".to_owned(),
        _ => String::new(),
    }
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
