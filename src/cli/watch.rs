//! `watch`: the dashboard.

use std::io::{self, IsTerminal};
use std::time::Duration;

use clap::Args;

use super::colours;
use super::context::Context;
use super::failure::Failure;
use super::override_usage::author;
use crate::event::{Paused, Position, UsageOverridden};
use crate::ledger::{Ledger, Outcome};
use crate::provider::ProviderId;
use crate::tui::{self, Action, Desk, Scene, Theme};

/// Watch the status in a dashboard that keeps itself up to date
///
/// Bars of each provider's windows, the time line of switches, tokens per day, and the events as they come in. What is
/// done in it (override, pause, resume) is an event like any other. With --as-of it only shows.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger watch\n  \
    usage-ledger watch --interval 10 --days 14\n  \
    usage-ledger --as-of 2026-06-01T12:00:00Z watch")]
pub(super) struct WatchArgs {
    /// How often to look at the clock when nothing is appended, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// How many days to look back
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(1..=90))]
    days: u16,
    #[arg(long, help = "Use no colours [env: NO_COLOR]")]
    no_color: bool,
}

pub(super) fn run(args: &WatchArgs, context: &Context) -> Result<(), Failure> {
    if context.json {
        return Err(Failure::usage("watch has no answer in JSON: use `usage-ledger status --json`"));
    }
    if !(io::stdout().is_terminal() && io::stdin().is_terminal()) {
        return Err(Failure::usage("watch draws on a terminal: use `usage-ledger status` where there is none"));
    }
    let mut place = Place { context, days: args.days, ledger: context.read()? };
    let scene = place.look_at()?;
    let theme = Theme::new(colours(args.no_color));
    Ok(tui::run(&mut place, scene, theme, Duration::from_secs(args.interval))?)
}

/// The ledger that the command line names.
struct Place<'c> {
    context: &'c Context,
    days: u16,
    ledger: Ledger,
}

impl Place<'_> {
    fn look_at(&mut self) -> Result<Scene, Failure> {
        let sight = self.context.sight(&mut self.ledger)?;
        let now = self.context.now_of(&sight);
        let mut scene = Scene::look(&sight, now, self.context.zone(), self.days)?;
        scene.past = self.context.is_past();
        Ok(scene)
    }

    fn write(&self, action: Action) -> Result<String, Failure> {
        let (mut ledger, now) = (self.context.write()?, self.context.now());
        let (outcome, what) = match action {
            Action::Override { provider, account, window, used } => {
                let what = format!("{provider}'s {} window is at {used} %", window.name());
                let (resets_at, author, reason) = (None, author(), "said in the dashboard".to_owned());
                let provider = ProviderId::resolve(&provider)?;
                let word = UsageOverridden { provider, account, window, used_percent: used, resets_at, author, reason };
                (ledger.override_with(word, now)?, what)
            }
            Action::Pause => {
                let pause = Paused { reason: "manual".to_owned(), until: None, note: None };
                (ledger.pause(pause, now)?, "work is paused".to_owned())
            }
            Action::Resume => (ledger.resume("resumed in the dashboard", now)?, "work goes on".to_owned()),
            Action::Quit => return Ok(String::new()),
        };
        Ok(match outcome {
            Outcome::Appended(position) => format!("position {position}: {what}"),
            Outcome::Existing(position) => format!("already at position {position}: {what}"),
        })
    }
}

/// A failure in words.
fn words(failure: &Failure) -> String {
    failure.message().unwrap_or_default()
}

impl Desk for Place<'_> {
    fn look(&mut self) -> Result<Scene, String> {
        self.look_at().map_err(|failure| words(&failure))
    }

    fn is_news(&mut self, scene: &Scene) -> Result<bool, String> {
        if scene.position == Position::START {
            // A ledger that was not there may be there now.
            self.ledger = self.context.read().map_err(|failure| words(&failure))?;
        }
        let head = self.ledger.head().map_err(|error| error.to_string())?;
        Ok(head.position != scene.position)
    }

    fn act(&mut self, action: Action) -> Result<String, String> {
        self.write(action).map_err(|failure| words(&failure))
    }
}
