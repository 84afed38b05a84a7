//! `watch`: the dashboard.

use std::io::{self, IsTerminal};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use clap::Args;

use crate::app::importing::keep_importing;
use crate::cli::config_file::ThemeName;
use crate::cli::context::Context;
use crate::cli::override_usage::author;
use crate::ledger::{Ledger, Outcome};
use crate::model::event::{Paused, Position, UsageOverridden};
use crate::model::provider::ProviderId;
use crate::model::threads::{Stop, start};
use crate::present::failure::Failure;
use crate::tui::{self, Action, Backend, Theme, ViewModel};

/// Seconds that an action waits for another process that writes. The keys do nothing meanwhile.
const PATIENCE: u64 = 3;

/// Show a live dashboard in the terminal
///
/// The dashboard shows a bar for each provider window, a time line of switches, tokens per day, and new events. Its
/// actions (override, pause, resume) append events. With --as-of, actions are disabled.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger watch\n  \
    usage-ledger watch --interval 10 --days 14\n  \
    usage-ledger --as-of 2026-06-01T12:00:00Z watch")]
pub(crate) struct WatchArgs {
    /// Seconds between refreshes while no event is appended
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Number of days to show
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=90))]
    days: u16,
    #[arg(long, help = "Use no colours [env: NO_COLOR]")]
    no_color: bool,
    /// The colours [default: `theme` in config.toml, else those of the terminal's background if it states one]
    #[arg(long, value_enum, conflicts_with = "no_color")]
    theme: Option<ThemeName>,
    /// Do not import new calls while the dashboard runs
    #[arg(long)]
    no_import: bool,
}

pub(crate) fn run(args: &WatchArgs, context: &Context) -> Result<(), Failure> {
    if context.json {
        return Err(Failure::usage("watch has no answer in JSON: use `usage-ledger status --json`"));
    }
    if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
        return Err(Failure::usage("watch draws on a terminal: use `usage-ledger status` where there is none"));
    }
    let (ledger, obstacle) = context.read_with_reason()?;
    let import_failure = Mutex::new(None);
    let mut place = LedgerPlace { context, days: args.days, ledger, obstacle, import_failure: &import_failure };
    let view_model = place.look_at()?;
    let interval = Duration::from_secs(args.interval);
    // A time that stands still needs no new calls, and the past has none.
    let imports = !args.no_import && !context.is_past() && context.fixed_now().is_none();
    let stop = Stop::default();
    thread::scope(|scope| {
        if imports {
            let (failure, stop) = (&import_failure, &stop);
            start(scope, move || {
                keep_importing(context, interval, stop, |failed| {
                    *failure.lock().unwrap_or_else(PoisonError::into_inner) = failed;
                });
            })?;
        }
        let done = tui::run(&mut place, view_model, theme(args, context), interval);
        stop.request();
        Ok(done?)
    })
}

/// The colours that the command line, the environment, the settings or the terminal ask for.
fn theme(args: &WatchArgs, context: &Context) -> Theme {
    let named = if args.no_color { Some(ThemeName::None) } else { args.theme.or(context.theme_and_origin().0) };
    match named {
        Some(ThemeName::None) => Theme::plain(),
        Some(ThemeName::Light) => Theme::light(),
        None if is_light() => Theme::light(),
        Some(ThemeName::Dark) | None => Theme::dark(),
    }
}

/// Whether the terminal states a light background, as rxvt and its followers do: `15;0` is black on white.
fn is_light() -> bool {
    let colours = std::env::var("COLORFGBG").unwrap_or_default();
    colours.rsplit(';').next().is_some_and(|background| matches!(background, "7" | "15"))
}

/// Opens the ledger that the command line names.
struct LedgerPlace<'c> {
    context: &'c Context,
    days: u16,
    ledger: Ledger,
    /// Why the ledger is open read-only, if it is.
    obstacle: Option<String>,
    /// Why the last import failed, if it did.
    import_failure: &'c Mutex<Option<String>>,
}

impl LedgerPlace<'_> {
    fn look_at(&mut self) -> Result<ViewModel, Failure> {
        let snapshot = self.context.snapshot(&self.ledger)?;
        let now = self.context.query_time(&snapshot);
        let mut view_model = ViewModel::read(&snapshot, now, self.context.zone(), self.days)?;
        view_model.past = self.context.is_past();
        view_model.obstacle.clone_from(&self.obstacle);
        view_model.import_failure.clone_from(&self.import_failure.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(view_model)
    }

    fn write(&mut self, action: Action) -> Result<String, Failure> {
        // Report a deleted ledger instead of creating a new one.
        self.ledger.head()?;
        let (ledger, now) = (self.context.write_within(PATIENCE)?, self.context.now());
        let (outcome, what) = match action {
            Action::Override { provider, account, window, used } => {
                let what = format!("{provider}'s {} window is at {used} %", window.name());
                let (resets_at, author, reason) = (None, author(), "said in the dashboard".to_owned());
                let provider = ProviderId::resolve(&provider)?;
                let overridden =
                    UsageOverridden { provider, account, window, used_percent: used, resets_at, author, reason };
                (ledger.override_with(overridden, now)?, what)
            }
            Action::Pause => {
                let pause = Paused { reason: "manual".to_owned(), until: None, note: None };
                (ledger.pause(pause, now)?, "work is paused".to_owned())
            }
            Action::Resume => (ledger.resume("resumed in the dashboard", now)?, "work goes on".to_owned()),
            Action::Quit => return Ok(String::new()),
        };
        Ok(match outcome {
            Outcome::Appended { position, .. } => format!("position {position}: {what}"),
            Outcome::Existing { position, .. } => format!("already at position {position}: {what}"),
        })
    }
}

/// Formats a failure.
fn text(failure: &Failure) -> String {
    failure.message().unwrap_or_default()
}

impl Backend for LedgerPlace<'_> {
    fn read(&mut self) -> Result<ViewModel, String> {
        self.look_at().map_err(|failure| text(&failure))
    }

    fn is_news(&mut self, view_model: &ViewModel) -> Result<bool, String> {
        if view_model.position == Position::START {
            // A ledger that did not exist before may exist now.
            (self.ledger, self.obstacle) = self.context.read_with_reason().map_err(|failure| text(&failure))?;
        }
        let head = self.ledger.head().map_err(|error| error.to_string())?;
        Ok(head.position != view_model.position)
    }

    fn act(&mut self, action: Action) -> Result<String, String> {
        self.write(action).map_err(|failure| text(&failure))
    }
}
