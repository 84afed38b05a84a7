//! The context of a command: its options, the time, and the preferences of the user.

mod ledger;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

pub(crate) use self::ledger::make_private;
use super::config_file::{ConfigFile, StatedValue, ThemeName, ValueOrigin};
use crate::api::input::PastState;
use crate::ledger::{AsOf, Ledger, Snapshot};
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::instant;
use crate::present::failure::{Failure, print_message};
use crate::report::ReportKey;

/// Options of every command, before or after its name.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Globals {
    #[arg(
        long,
        global = true,
        value_name = "PATH|postgres://…|shards:…",
        hide_env_values = true,
        help = "The ledger file, postgres://HOST/DATABASE?ledger=NAME, or shards:MAP?ledger=NAME [env: USAGE_LEDGER] [default: usage-ledger/usage.db in the XDG data directory]"
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
    /// Answer from the events up to this position, or from the events recorded up to this time, or up to the end of this
    /// date or month in your zone
    #[arg(long, global = true, value_name = "POSITION|TIME|DATE", value_parser = crate::api::input::as_of)]
    pub as_of: Option<PastState>,
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
    /// Whether the command may have written something.
    has_written: AtomicBool,
    /// Whether to answer in JSON.
    pub json: bool,
}

/// Labels by name.
type CallLabels = BTreeMap<String, String>;

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
        let json = globals.json;
        let unset = Self { globals, clock, config: ConfigFile::default(), has_written: AtomicBool::new(false), json };
        Ok(Self { config: ConfigFile::read(|path| unset.refuse_ledger(path))?, ..unset })
    }

    /// The settings of this machine.
    pub const fn config(&self) -> &ConfigFile {
        &self.config
    }

    /// Records that the command may have written events or a file.
    pub fn note_written(&self) {
        self.has_written.store(true, Ordering::Relaxed);
    }

    /// Returns whether the command may have written something.
    pub fn has_written(&self) -> bool {
        self.has_written.load(Ordering::Relaxed)
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
                let moment = moment.resolve(self.zone(), self.now());
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

    /// The labels of the calls of every log, and those of the logs below a directory. An option replaces both.
    pub fn labels(&self, given: &[(String, String)]) -> (CallLabels, BTreeMap<PathBuf, CallLabels>) {
        let stated = |labels: &BTreeMap<String, StatedValue<String>>| {
            let of_file = labels.iter().map(|(name, stated)| (name.clone(), stated.value.clone()));
            of_file.chain(given.iter().cloned()).collect::<CallLabels>()
        };
        let of_homes = self.config.home_labels.iter().map(|(home, labels)| (home.clone(), stated(labels)));
        (stated(&self.config.labels), of_homes.collect())
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
