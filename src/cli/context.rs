//! Where the ledger is, what time it is, and in which form to answer.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use clap::Args;
use etcetera::BaseStrategy;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::ledger::{AsOf, Ledger, Snapshot};
use crate::model::error::Error;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::instant;
use crate::present::failure::{Failure, say};
use crate::store::{DraftLedger, Options};

/// Options of every command, before or after its name.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help = "The ledger file [env: USAGE_LEDGER] [default: usage-ledger/usage.db in the XDG data directory]"
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

/// What every command is given.
pub(crate) struct Context {
    globals: Globals,
    /// What stands in for the system's clock.
    clock: Option<Timestamp>,
    /// Whether to answer in JSON.
    pub json: bool,
}

/// An environment variable that is set to something.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

impl Context {
    pub fn new(globals: Globals) -> Result<Self, Failure> {
        let clock = variable("USAGE_LEDGER_NOW").map(|now| instant(&now.to_string_lossy()));
        let clock = clock.transpose().map_err(|error| Failure::usage(format!("USAGE_LEDGER_NOW: {error}")))?;
        Ok(Self { json: globals.json, globals, clock })
    }

    /// The ledger's file.
    pub fn path(&self) -> Result<PathBuf, Failure> {
        let Some(given) = self.globals.ledger.clone().or_else(|| variable("USAGE_LEDGER")) else {
            let strategy = etcetera::choose_base_strategy().map_err(|error| {
                Failure::usage(format!("no place for a ledger ({error}): give one with --ledger PATH"))
            })?;
            return Ok(strategy.data_dir().join("usage-ledger").join("usage.db"));
        };
        if given.is_empty() {
            return Err(Failure::usage("the path of the ledger is empty: give one with --ledger PATH"));
        }
        let text = given.to_string_lossy();
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Err(Failure::usage(
                "this build cannot open a PostgreSQL ledger: give the path of a file with --ledger PATH",
            ));
        }
        Ok(given.into())
    }

    /// The ledger to read, which is never made: one that is not there yet is an empty one.
    pub fn read(&self) -> Result<Ledger, Failure> {
        let (ledger, obstacle) = self.read_and_tell()?;
        if let Some(why) = obstacle {
            say(&format!("note: answering from {}, which is read-only here: {why}", self.path()?.display()));
        }
        Ok(ledger)
    }

    /// As [`read`](Self::read), but returns why the ledger is read-only here instead of printing it.
    pub fn read_and_tell(&self) -> Result<(Ledger, Option<String>), Failure> {
        let path = self.path()?;
        if !exists(&path)? {
            return Ok((Ledger::in_memory()?, None));
        }
        match open(&path, false) {
            Ok(ledger) => Ok((ledger, None)),
            Err(failure) => read_only(&path, failure).map(|(ledger, why)| (ledger, Some(why))),
        }
    }

    /// As [`read`](Self::read), but says so when there is no file: for answers that would be taken as a proof.
    pub fn read_aloud(&self) -> Result<Ledger, Failure> {
        let path = self.path()?;
        if !exists(&path)? {
            say(&format!("there is no {} yet: answering for an empty ledger", path.display()));
        }
        self.read()
    }

    /// The ledger to read, which must be there: what is said of it is taken as a proof, and of nothing there is none.
    pub fn read_existing(&self) -> Result<Ledger, Failure> {
        self.expect_existing()?;
        self.read()
    }

    /// Whether the ledger's file exists.
    pub fn is_made(&self) -> Result<bool, Failure> {
        exists(&self.path()?)
    }

    /// Fails if a file that the user names for another purpose is the ledger. Every such path is checked before it is
    /// opened: closing the file would drop the locks that this process holds on the ledger.
    pub fn refuse_ledger(&self, given: &Path) -> Result<(), Failure> {
        // Some commands need no ledger. Where no path can be determined, there is none that a file could be.
        Ok(crate::store::refuse_ledger(given, self.path().ok().as_deref())?)
    }

    /// That there is a ledger.
    pub fn expect_existing(&self) -> Result<(), Failure> {
        let path = self.path()?;
        if exists(&path)? {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "there is no ledger at {}: give the path of one with --ledger, or record or import first",
            path.display()
        )))
    }

    /// The ledger to write, made with its directory when it is not there.
    pub fn write(&self) -> Result<Ledger, Failure> {
        open(&self.place()?, true)
    }

    /// A ledger in the making, when there is nothing at its place yet.
    pub fn draft(&self) -> Result<Option<DraftLedger>, Failure> {
        DraftLedger::beside(&self.place()?).map_err(on_opening)
    }

    /// Where a ledger is written to, with the directory made that it is in.
    pub fn place(&self) -> Result<PathBuf, Failure> {
        self.refuse_as_of("this command writes")?;
        let path = self.path()?;
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            make_private(directory)?;
        }
        Ok(path)
    }

    /// As [`write`](Self::write), for who cannot wait: when another process holds the write lock it fails at once.
    pub fn write_now(&self) -> Result<Ledger, Failure> {
        self.write_within(0)
    }

    /// As [`write`](Self::write), for who can wait so many seconds only for another process that holds the write lock.
    pub fn write_within(&self, seconds: u64) -> Result<Ledger, Failure> {
        open_with(&self.place()?, Options::new().create(true).busy_timeout_seconds(seconds))
    }

    /// The ledger to write something about what is in it; without a file there is nothing in it.
    pub fn write_known(&self) -> Result<Ledger, Failure> {
        self.refuse_as_of("this command writes")?;
        if exists(&self.path()?)? { self.write() } else { self.read() }
    }

    /// Whether the past is asked about.
    pub const fn is_past(&self) -> bool {
        self.globals.as_of.is_some()
    }

    pub fn refuse_as_of(&self, why: &str) -> Result<(), Failure> {
        match self.globals.as_of {
            None => Ok(()),
            Some(_) => Err(Failure::usage(format!(
                "{why}, so it cannot be asked --as-of a moment: use that with status, report, log, show, export, \
                 checkpoint, prove, limit show or provider list"
            ))),
        }
    }

    /// The ledger as it stands, or as it stood.
    pub fn snapshot<'l>(&self, ledger: &'l Ledger) -> Result<Snapshot<'l>, Failure> {
        Ok(match self.globals.as_of {
            None => ledger.snapshot()?,
            Some(moment) => {
                if let AsOf::Time(time) = moment {
                    self.warn_of_a_jump(&ledger.snapshot()?, time)?;
                }
                ledger.as_of(moment)?
            }
        })
    }

    /// Says so when a time cannot name the state that was known then: after a clock that jumped ahead, later events are
    /// recorded at the time of the jump too.
    fn warn_of_a_jump(&self, snapshot: &Snapshot<'_>, time: Timestamp) -> Result<(), Failure> {
        let Some((position, recorded_at)) = snapshot.recorded_ahead_of(self.now())? else { return Ok(()) };
        let before = snapshot.position_at(time)?;
        if before.next() == position {
            say(&format!(
                "position {position} is recorded at {recorded_at}, which is in the future: a clock was ahead. Events behind \
                 it are recorded no earlier, so {time} can only name position {before}: ask --as-of POSITION for a later one"
            ));
        }
        Ok(())
    }

    /// The clock, or what stands in for it.
    pub fn now(&self) -> Timestamp {
        self.globals.now.or(self.clock).unwrap_or_else(|| chrono::Utc::now().into())
    }

    /// The time that stands in for the clock, if one is named.
    pub fn fixed_now(&self) -> Option<Timestamp> {
        self.globals.now.or(self.clock)
    }

    /// The time that the command line names for every question.
    pub const fn named_now(&self) -> Option<Timestamp> {
        self.globals.now
    }

    /// The time that a snapshot is asked at: its own moment when it is of the past, unless the command line names one.
    pub fn now_of(&self, snapshot: &Snapshot<'_>) -> Timestamp {
        self.globals.now.or(snapshot.moment()).unwrap_or_else(|| self.now())
    }

    /// The zone of days and of the times that are shown.
    pub fn zone(&self) -> Zone {
        let named = |name: &str| name.trim_start_matches(':').parse().ok();
        self.globals
            .tz
            .or_else(|| variable("TZ").and_then(|name| named(&name.to_string_lossy())))
            .or_else(|| iana_time_zone::get_timezone().ok().and_then(|name| named(&name)))
            .unwrap_or(Zone::UTC)
    }
}

fn unreachable(path: &Path, source: std::io::Error) -> Failure {
    Failure::Unreachable(Error::Io { path: path.to_owned(), source })
}

/// Whether there is anything at a path; a file that nothing was written to yet is as good as none.
fn exists(path: &Path) -> Result<bool, Failure> {
    match fs::metadata(path) {
        Ok(meta) => Ok(!meta.is_file() || meta.len() > 0),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unreachable(path, error)),
    }
}

fn open(path: &Path, create: bool) -> Result<Ledger, Failure> {
    open_with(path, Options::new().create(create))
}

/// Opens a ledger to be read where it cannot be opened to be written to, and returns why it cannot.
fn read_only(path: &Path, failure: Failure) -> Result<(Ledger, String), Failure> {
    let why = match &failure {
        Failure::Ledger(Error::ReadOnly { why, .. }) => why.clone(),
        // A disk that is full, or a device that fails, has no room for the files that SQLite writes beside the ledger.
        Failure::Ledger(error @ (Error::Store { .. } | Error::DiskFull)) | Failure::Unreachable(error) => {
            error.to_string()
        }
        _ => return Err(failure),
    };
    let Ok(ledger) = open_with(path, Options::new().read_only(true)) else { return Err(failure) };
    Ok((ledger, why))
}

fn open_with(path: &Path, options: Options) -> Result<Ledger, Failure> {
    let store = options.keep_small_log().open(path).map_err(on_opening)?;
    let mut bar: Option<ProgressBar> = None;
    let ledger = Ledger::upgraded(Box::new(store), &mut |done, of| {
        let bar = bar.get_or_insert_with(upgrade_bar);
        bar.set_length(of);
        bar.set_position(done);
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    Ok(ledger.map_err(on_opening)?.source("cli"))
}

/// A bar for a ledger that an earlier build wrote; indicatif shows it on a terminal only.
fn upgrade_bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("upgrading the ledger {wide_bar} {percent} %") {
        bar.set_style(style);
    }
    bar
}

/// An error about the ledger's file.
fn on_opening(error: Error) -> Failure {
    match error {
        Error::Io { .. } => Failure::Unreachable(error),
        other => Failure::Ledger(other),
    }
}

/// Makes a directory that only its owner can look into, if it is missing.
pub(crate) fn make_private(directory: &Path) -> Result<(), Failure> {
    crate::store::directory::make_private(directory).map_err(|error| unreachable(directory, error))
}
