//! The ledger of a command: which one it is, and how it is opened.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::super::config_file::ValueOrigin;
use super::super::server_ledger::{self, ServerAddress};
use super::{Context, variable};
use crate::ledger::Ledger;
use crate::model::error::Error;
use crate::present::failure::{Failure, print_message};
use crate::store::{DraftLedger, EventStore, Options};
#[cfg(feature = "web")]
use crate::sync::fleet::{FleetServer, StreamPlace};

impl Context {
    /// Returns the path of the ledger.
    pub fn path(&self) -> Result<PathBuf, Failure> {
        self.path_and_origin().map(|(path, _)| path)
    }

    /// The ledger's file, or its address without user and password; and what names it.
    pub fn path_and_origin(&self) -> Result<(PathBuf, ValueOrigin), Failure> {
        let Some((given, origin)) = self.given() else {
            let strategy = etcetera::choose_base_strategy().map_err(|error| {
                Failure::usage(format!("no place for a ledger ({error}): give one with --ledger PATH"))
            })?;
            return Ok((strategy.data_dir().join("usage-ledger").join("usage.db"), ValueOrigin::default()));
        };
        if given.is_empty() {
            return Err(Failure::usage("the path of the ledger is empty: give one with --ledger PATH"));
        }
        let path = match address_in(&given)? {
            Some(address) => PathBuf::from(address.to_string()),
            None => given.into(),
        };
        Ok((path, origin))
    }

    /// The path or address that the user gave, and what names it.
    fn given(&self) -> Option<(OsString, ValueOrigin)> {
        let flag = self.globals.ledger.clone().map(|given| (given, ValueOrigin::flag("--ledger")));
        let named = flag.or_else(|| Some((variable("USAGE_LEDGER")?, ValueOrigin::environment("USAGE_LEDGER"))));
        named.or_else(|| {
            let stated = self.config.ledger.as_ref()?;
            Some((stated.value.clone().into_os_string(), ValueOrigin::file(&self.config, stated)))
        })
    }

    /// The address of the ledger, if it is on a server.
    fn server(&self) -> Result<Option<ServerAddress>, Failure> {
        self.given().map_or(Ok(None), |(given, _)| address_in(&given))
    }

    /// The clusters of the map that the ledger's address names.
    #[cfg(feature = "postgres")]
    pub fn shards(&self) -> Result<std::sync::Arc<crate::store::ShardClusters>, Failure> {
        match self.server()? {
            Some(ServerAddress::Shards(address)) => Ok(server_ledger::shards(&address.map)),
            _ => {
                Err(Failure::usage("the ledger is not one of a map of clusters: give --ledger shards:PATH?ledger=NAME"))
            }
        }
    }

    /// The database where the ledger is.
    #[cfg(all(feature = "postgres", feature = "archive"))]
    pub fn database(&self) -> Result<std::sync::Arc<crate::store::PostgresStore>, Failure> {
        self.refuse_as_of("this command writes")?;
        self.note_written();
        self.expect_existing()?;
        let found = match self.server()? {
            Some(address) => server_ledger::database_of(&address)?,
            None => None,
        };
        found.ok_or_else(|| {
            Failure::usage("the ledger is no one in PostgreSQL: only those keep hashes without their lines")
        })
    }

    /// The directory of the machines that push to this ledger's server, and where their ledgers are.
    #[cfg(feature = "web")]
    pub fn fleet_place(&self, given: Option<&Path>) -> Result<(PathBuf, StreamPlace), Failure> {
        let server = self.server()?;
        let directory = match (given, &server) {
            (Some(given), _) => given.to_owned(),
            (None, None) => FleetServer::beside(&self.path()?),
            (None, Some(_)) => {
                let strategy = etcetera::choose_base_strategy().map_err(|error| {
                    Failure::usage(format!("no place for the list of machines ({error}): give one with --fleet DIR"))
                })?;
                strategy.data_dir().join("usage-ledger").join("fleet")
            }
        };
        let place = match server {
            Some(address) => server_ledger::stream_place(address),
            None => StreamPlace::Files(directory.join("ledgers")),
        };
        Ok((directory, place))
    }

    /// Fails for a ledger on a server, with a reason.
    pub fn expect_file(&self, why: &str) -> Result<(), Failure> {
        if self.server()?.is_some() { Err(Failure::usage(why)) } else { Ok(()) }
    }

    /// The ledger that the command line names, as a whole path.
    ///
    /// The address of a server is left out: settings of agents are no place for a password.
    pub fn named_ledger(&self) -> Option<PathBuf> {
        let named = PathBuf::from(self.globals.ledger.as_ref()?);
        if server_ledger::is_address(&named.to_string_lossy()) {
            return None;
        }
        Some(std::path::absolute(&named).unwrap_or(named))
    }

    /// Opens the ledger for reading and never creates it. A ledger that does not exist is an empty one.
    pub fn read(&self) -> Result<Ledger, Failure> {
        let (ledger, obstacle) = self.read_with_reason()?;
        if let Some(why) = obstacle {
            note_read_only(&self.path()?, &why);
        }
        Ok(ledger)
    }

    /// As [`read`](Self::read), but returns the reason for read-only mode instead of printing it.
    pub fn read_with_reason(&self) -> Result<(Ledger, Option<String>), Failure> {
        if let Some(address) = self.server()? {
            let store = server_ledger::open_existing(&address)?;
            return Ok((store.map_or_else(|| Ok(Ledger::in_memory()?), upgraded)?, None));
        }
        let path = self.path()?;
        if !has_content(&path)? {
            return Ok((Ledger::in_memory()?, None));
        }
        match open(&path, false) {
            Ok(ledger) => Ok((ledger, None)),
            Err(failure) => read_only(&path, failure).map(|(ledger, why)| (ledger, Some(why))),
        }
    }

    /// As [`read`](Self::read), but warns if there is no file, because the user may take the answer as a proof.
    pub fn read_with_warning(&self) -> Result<Ledger, Failure> {
        let path = self.path()?;
        if !self.exists()? {
            print_message(&format!("there is no {} yet: answering for an empty ledger", path.display()));
        }
        self.read()
    }

    /// Opens an existing ledger for reading. An answer about a missing ledger would prove nothing.
    pub fn read_existing(&self) -> Result<Ledger, Failure> {
        self.expect_existing()?;
        self.read()
    }

    /// Returns whether the ledger exists.
    pub fn exists(&self) -> Result<bool, Failure> {
        if let Some(address) = self.server()? {
            return Ok(server_ledger::open_existing(&address)?.is_some());
        }
        has_content(&self.path()?)
    }

    /// Fails if a file that the user names for another purpose is the ledger. Every such path is checked before it is
    /// opened: closing the file would drop the locks that this process holds on the ledger.
    pub fn refuse_ledger(&self, given: &Path) -> Result<(), Failure> {
        // Some commands need no ledger. If no path can be determined, no file can be the ledger.
        Ok(crate::store::refuse_ledger(given, self.path().ok().as_deref())?)
    }

    /// Fails if there is no ledger.
    pub fn expect_existing(&self) -> Result<(), Failure> {
        let path = self.path()?;
        if self.exists()? {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "there is no ledger at {}: give the path of one with --ledger, or record or import first",
            path.display()
        )))
    }

    /// Opens the ledger for writing. Creates it and its directory if necessary.
    pub fn write(&self) -> Result<Ledger, Failure> {
        if let Some(address) = self.server()? {
            self.refuse_as_of("this command writes")?;
            self.note_written();
            return upgraded(server_ledger::open(&address, None)?);
        }
        open(&self.place()?, true)
    }

    /// Creates a draft of a new ledger, unless a ledger exists.
    pub fn draft(&self) -> Result<Option<DraftLedger>, Failure> {
        if self.server()?.is_some() {
            return Ok(None);
        }
        DraftLedger::beside(&self.place()?).map_err(on_opening)
    }

    /// Returns the path of the ledger, and creates its directory.
    pub fn place(&self) -> Result<PathBuf, Failure> {
        self.refuse_as_of("this command writes")?;
        self.expect_file("`restore` writes a file: name it with --ledger PATH")?;
        self.note_written();
        let path = self.path()?;
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            make_private(directory)?;
        }
        Ok(path)
    }

    /// As [`write`](Self::write), but fails at once if another process holds the write lock.
    pub fn write_now(&self) -> Result<Ledger, Failure> {
        self.write_within(0)
    }

    /// As [`write`](Self::write), but waits at most `seconds` for another process that holds the write lock.
    pub fn write_within(&self, seconds: u64) -> Result<Ledger, Failure> {
        if let Some(address) = self.server()? {
            self.refuse_as_of("this command writes")?;
            self.note_written();
            return upgraded(server_ledger::open(&address, Some(seconds))?);
        }
        open_with(&self.place()?, Options::new().create(true).busy_timeout_seconds(seconds))
    }

    /// Opens the ledger for a process that answers others, as [`write_within`](Self::write_within). A ledger that cannot
    /// be written to is opened read-only: questions are answered, and requests to write are refused with the reason.
    pub fn serve_within(&self, seconds: u64) -> Result<Ledger, Failure> {
        let failure = match self.write_within(seconds) {
            Err(failure) if self.server()?.is_none() => failure,
            opened => return opened,
        };
        let path = self.path()?;
        let (ledger, why) = read_only(&path, failure)?;
        note_read_only(&path, &why);
        print_message(
            "note: requests to write are refused: once the ledger can be written to, start this command again",
        );
        Ok(ledger)
    }

    /// Opens an existing ledger for writing, for commands that refer to its events.
    pub fn write_existing(&self) -> Result<Ledger, Failure> {
        self.refuse_as_of("this command writes")?;
        if self.exists()? { self.write() } else { self.read() }
    }
}

/// The address of a server that a text is; `None` for the path of a file.
fn address_in(given: &OsStr) -> Result<Option<ServerAddress>, Failure> {
    let text = given.to_string_lossy();
    if server_ledger::is_address(&text) { server_ledger::address(&text).map(Some) } else { Ok(None) }
}

fn unreachable(path: &Path, source: std::io::Error) -> Failure {
    Failure::Unreachable(Error::Io { path: path.to_owned(), source })
}

/// Returns whether a path has content. An empty file counts as absent.
fn has_content(path: &Path) -> Result<bool, Failure> {
    let has_content = match fs::metadata(path) {
        Ok(meta) => !meta.is_file() || meta.len() > 0,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(unreachable(path, error)),
    };
    if !has_content {
        // Its events are those of a ledger that was moved: the answer for an empty ledger would hide them.
        crate::store::refuse_stale_log(path).map_err(on_opening)?;
    }
    Ok(has_content)
}

fn open(path: &Path, create: bool) -> Result<Ledger, Failure> {
    open_with(path, Options::new().create(create))
}

fn note_read_only(path: &Path, why: &str) {
    print_message(&format!("note: answering from {}, which is read-only here: {why}", path.display()));
}

/// Opens a ledger read-only because it cannot be opened for writing, and returns the reason.
fn read_only(path: &Path, failure: Failure) -> Result<(Ledger, String), Failure> {
    let why = match &failure {
        Failure::Ledger(Error::ReadOnly { why, .. }) => why.clone(),
        // On a full disk or a failing device, SQLite cannot create its files next to the ledger.
        Failure::Ledger(error @ (Error::Store { .. } | Error::DiskFull)) | Failure::Unreachable(error) => {
            error.to_string()
        }
        _ => return Err(failure),
    };
    match open_with(path, Options::new().read_only(true)) {
        Ok(ledger) => Ok((ledger, why)),
        // The permission to write would not help: this error says what does.
        Err(error) if matches!(failure, Failure::Ledger(Error::ReadOnly { .. })) => Err(error),
        Err(_) => Err(failure),
    }
}

fn open_with(path: &Path, options: Options) -> Result<Ledger, Failure> {
    upgraded(Box::new(options.keep_small_log().open(path).map_err(on_opening)?))
}

/// A ledger with every projection of this build.
fn upgraded(store: Box<dyn EventStore>) -> Result<Ledger, Failure> {
    let mut bar: Option<ProgressBar> = None;
    let ledger = Ledger::upgraded(store, &mut |done, of| {
        let bar = bar.get_or_insert_with(upgrade_bar);
        bar.set_length(of);
        bar.set_position(done);
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(ledger.map_err(on_opening)?.source("cli"))
}

/// A progress bar for the upgrade of an older ledger. indicatif shows it only on a terminal.
fn upgrade_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("upgrading the ledger {wide_bar} {percent} %") {
        bar.set_style(style);
    }
    bar
}

/// Classifies an error from opening the ledger.
fn on_opening(error: Error) -> Failure {
    match error {
        Error::Io { .. } => Failure::Unreachable(error),
        other => Failure::Ledger(other),
    }
}

/// Creates a missing directory that only its owner can read.
pub(crate) fn make_private(directory: &Path) -> Result<(), Failure> {
    crate::store::directory::make_private(directory).map_err(|error| unreachable(directory, error))
}
