//! The context of a command: the path of the ledger, the time, and the form of answers.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use etcetera::BaseStrategy;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::config_file::{ConfigFile, ThemeName, ValueOrigin};
use super::server_ledger::{self, ServerAddress};
use crate::ledger::{AsOf, Ledger, Snapshot};
use crate::model::error::Error;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::instant;
use crate::present::failure::{Failure, print_message};
use crate::report::ReportKey;
use crate::store::{DraftLedger, EventStore, Options};

/// Options of every command, before or after its name.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    #[arg(
        long,
        global = true,
        value_name = "PATH|postgres://…",
        hide_env_values = true,
        help = "The ledger file, or postgres://HOST/DATABASE?ledger=NAME [env: USAGE_LEDGER] [default: usage-ledger/usage.db in the XDG data directory]"
    )]
    pub ledger: Option<OsString>,
    /// The time zone of days, weeks and months [default: the system's zone, else UTC]
    #[arg(long, global = true, value_name = "ZONE")]
    pub tz: Option<Zone>,
    #[arg(
        long,
        global = true,
        value_name = "RFC3339",
        value_parser = crate::present::clock::instant,
        help = "Use this time as the current time [env: USAGE_LEDGER_NOW]"
    )]
    pub now: Option<Timestamp>,
    /// Answer from the events up to this position, or from the events recorded up to this time
    #[arg(long, global = true, value_name = "POSITION|RFC3339", value_parser = crate::api::input::as_of)]
    pub as_of: Option<AsOf>,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

/// The context of every command.
pub(crate) struct Context {
    globals: Globals,
    /// The time that replaces the system's clock.
    clock: Option<Timestamp>,
    /// What the user prefers on this machine.
    config: ConfigFile,
    /// Whether to answer in JSON.
    pub json: bool,
}

/// Keys of a report without `--by`.
const REPORT_KEYS: [ReportKey; 2] = [ReportKey::Provider, ReportKey::Day];
/// Where `serve` listens.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 4318);

/// Returns an environment variable unless it is unset or empty.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

impl Context {
    pub fn new(globals: Globals) -> Result<Self, Failure> {
        let clock = variable("USAGE_LEDGER_NOW").map(|now| instant(&now.to_string_lossy()));
        let clock = clock.transpose().map_err(|error| Failure::usage(format!("USAGE_LEDGER_NOW: {error}")))?;
        let unset = Self { json: globals.json, globals, clock, config: ConfigFile::default() };
        Ok(Self { config: ConfigFile::read(|path| unset.refuse_ledger(path))?, ..unset })
    }

    /// The settings of this machine.
    pub const fn config(&self) -> &ConfigFile {
        &self.config
    }

    /// Returns the path of the ledger.
    pub fn path(&self) -> Result<PathBuf, Failure> {
        self.path_and_origin().map(|(path, _)| path)
    }

    /// The ledger's file, and what names it.
    pub fn path_and_origin(&self) -> Result<(PathBuf, ValueOrigin), Failure> {
        let flag = self.globals.ledger.clone().map(|given| (given, ValueOrigin::flag("--ledger")));
        let named = flag.or_else(|| Some((variable("USAGE_LEDGER")?, ValueOrigin::environment("USAGE_LEDGER"))));
        let named = named.or_else(|| {
            let stated = self.config.ledger.as_ref()?;
            Some((stated.value.clone().into_os_string(), ValueOrigin::file(&self.config, stated)))
        });
        let Some((given, origin)) = named else {
            let strategy = etcetera::choose_base_strategy().map_err(|error| {
                Failure::usage(format!("no place for a ledger ({error}): give one with --ledger PATH"))
            })?;
            return Ok((strategy.data_dir().join("usage-ledger").join("usage.db"), ValueOrigin::default()));
        };
        if given.is_empty() {
            return Err(Failure::usage("the path of the ledger is empty: give one with --ledger PATH"));
        }
        let text = given.to_string_lossy();
        if server_ledger::is_address(&text) {
            return Ok((server_ledger::shown(&text)?, origin));
        }
        Ok((given.into(), origin))
    }

    /// The address of the ledger, if it is on a server.
    fn server(&self) -> Result<Option<ServerAddress>, Failure> {
        let named = self.globals.ledger.clone().or_else(|| variable("USAGE_LEDGER"));
        let named = named.or_else(|| Some(self.config.ledger.as_ref()?.value.clone().into_os_string()));
        let text = named.unwrap_or_default();
        let text = text.to_string_lossy();
        if server_ledger::is_address(&text) { server_ledger::address(&text).map(Some) } else { Ok(None) }
    }

    /// Whether the ledger is on a server, not in a file.
    pub fn is_on_server(&self) -> bool {
        matches!(self.server(), Ok(Some(_)))
    }

    /// Fails for a ledger on a server, with a reason.
    pub fn expect_file(&self, why: &str) -> Result<(), Failure> {
        if self.is_on_server() { Err(Failure::usage(why)) } else { Ok(()) }
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
            print_message(&format!("note: answering from {}, which is read-only here: {why}", self.path()?.display()));
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
            return upgraded(server_ledger::open(&address, None)?);
        }
        open(&self.place()?, true)
    }

    /// Creates a draft of a new ledger, unless a ledger exists.
    pub fn draft(&self) -> Result<Option<DraftLedger>, Failure> {
        if self.is_on_server() {
            return Ok(None);
        }
        DraftLedger::beside(&self.place()?).map_err(on_opening)
    }

    /// Returns the path of the ledger, and creates its directory.
    pub fn place(&self) -> Result<PathBuf, Failure> {
        self.refuse_as_of("this command writes")?;
        self.expect_file("a ledger on a server has no file: `usage-ledger pull` restores from a server")?;
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
            return upgraded(server_ledger::open(&address, Some(seconds))?);
        }
        open_with(&self.place()?, Options::new().create(true).busy_timeout_seconds(seconds))
    }

    /// Opens an existing ledger for writing, for commands that refer to its events.
    pub fn write_existing(&self) -> Result<Ledger, Failure> {
        self.refuse_as_of("this command writes")?;
        if self.exists()? { self.write() } else { self.read() }
    }

    /// Returns whether the command is about the past.
    pub const fn is_past(&self) -> bool {
        self.globals.as_of.is_some()
    }

    pub fn refuse_as_of(&self, why: &str) -> Result<(), Failure> {
        match self.globals.as_of {
            None => Ok(()),
            Some(_) => Err(Failure::usage(format!(
                "{why}, so it has no --as-of: use that with status, report, log, show, export, \
                 checkpoint, prove, limit show or provider list"
            ))),
        }
    }

    /// Returns the current snapshot, or the past one that the command line names.
    pub fn snapshot<'l>(&self, ledger: &'l Ledger) -> Result<Snapshot<'l>, Failure> {
        Ok(match self.globals.as_of {
            None => ledger.snapshot()?,
            Some(moment) => {
                if let AsOf::Time(time) = moment {
                    self.warn_about_jump(&ledger.snapshot()?, time)?;
                }
                ledger.as_of(moment)?
            }
        })
    }

    /// Warns if a time does not identify a past state: after the clock jumped ahead, later events have the recording
    /// time of the jump.
    fn warn_about_jump(&self, snapshot: &Snapshot<'_>, time: Timestamp) -> Result<(), Failure> {
        let Some((position, recorded_at)) = snapshot.recorded_ahead_of(self.now())? else { return Ok(()) };
        let before = snapshot.position_at(time)?;
        if before.next() == position {
            print_message(&format!(
                "position {position} is recorded at {recorded_at}, which is in the future: a clock was ahead. Events after it are recorded no earlier, so {time} can only name position {before}: ask --as-of POSITION for a later one"
            ));
        }
        Ok(())
    }

    /// Returns the time of the clock, or the one that replaces it.
    pub fn now(&self) -> Timestamp {
        self.globals.now.or(self.clock).unwrap_or_else(|| chrono::Utc::now().into())
    }

    /// Returns the time that replaces the clock, if there is one.
    pub fn fixed_now(&self) -> Option<Timestamp> {
        self.globals.now.or(self.clock)
    }

    /// Returns the time from the command line, if there is one.
    pub const fn named_now(&self) -> Option<Timestamp> {
        self.globals.now
    }

    /// Returns the time of queries on a snapshot: for a past snapshot its own time, unless the command line sets one.
    pub fn query_time(&self, snapshot: &Snapshot<'_>) -> Timestamp {
        self.globals.now.or(snapshot.moment()).unwrap_or_else(|| self.now())
    }

    /// Returns the time zone of days and printed times.
    pub fn zone(&self) -> Zone {
        self.zone_and_origin().0
    }

    /// The zone, and what names it.
    pub fn zone_and_origin(&self) -> (Zone, ValueOrigin) {
        let named = |name: &str| name.trim_start_matches(':').parse().ok();
        if let Some(zone) = self.globals.tz {
            return (zone, ValueOrigin::flag("--tz"));
        }
        if let Some(zone) = variable("TZ").and_then(|name| named(&name.to_string_lossy())) {
            return (zone, ValueOrigin::environment("TZ"));
        }
        if let Some(stated) = &self.config.zone {
            return (stated.value, ValueOrigin::file(&self.config, stated));
        }
        let system = iana_time_zone::get_timezone().ok().and_then(|name| named(&name));
        (system.unwrap_or(Zone::UTC), ValueOrigin::default())
    }

    /// The home directories whose logs are read; none stands for the user's own and what the agents' environment variables
    /// name.
    pub fn homes(&self, given: Vec<PathBuf>) -> Vec<PathBuf> {
        if given.is_empty() { self.homes_and_origin().0 } else { given }
    }

    /// The home directories without an option, and what names them.
    pub fn homes_and_origin(&self) -> (Vec<PathBuf>, ValueOrigin) {
        match &self.config.homes {
            Some(stated) => (stated.value.clone(), ValueOrigin::file(&self.config, stated)),
            None => (Vec::new(), ValueOrigin::default()),
        }
    }

    /// The colours of the dashboard without an option, and what names them; without a name they suit the terminal.
    pub fn theme_and_origin(&self) -> (Option<ThemeName>, ValueOrigin) {
        if variable("NO_COLOR").is_some() {
            return (Some(ThemeName::None), ValueOrigin::environment("NO_COLOR"));
        }
        match &self.config.theme {
            Some(stated) => (Some(stated.value), ValueOrigin::file(&self.config, stated)),
            None => (None, ValueOrigin::default()),
        }
    }

    /// Where `serve` listens without an option, and what names it.
    pub fn listen_and_origin(&self) -> (SocketAddr, ValueOrigin) {
        match &self.config.listen {
            Some(stated) => (stated.value, ValueOrigin::file(&self.config, stated)),
            None => (LISTEN, ValueOrigin::default()),
        }
    }

    /// The keys of a report without `--by`, and what names them.
    pub fn report_and_origin(&self) -> (Vec<ReportKey>, ValueOrigin) {
        match &self.config.report {
            Some(stated) => (stated.value.clone(), ValueOrigin::file(&self.config, stated)),
            None => (REPORT_KEYS.to_vec(), ValueOrigin::default()),
        }
    }
}

fn unreachable(path: &Path, source: std::io::Error) -> Failure {
    Failure::Unreachable(Error::Io { path: path.to_owned(), source })
}

/// Returns whether a path has content. An empty file counts as absent.
fn has_content(path: &Path) -> Result<bool, Failure> {
    match fs::metadata(path) {
        Ok(meta) => Ok(!meta.is_file() || meta.len() > 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unreachable(path, error)),
    }
}

fn open(path: &Path, create: bool) -> Result<Ledger, Failure> {
    open_with(path, Options::new().create(create))
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
    let Ok(ledger) = open_with(path, Options::new().read_only(true)) else { return Err(failure) };
    Ok((ledger, why))
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
