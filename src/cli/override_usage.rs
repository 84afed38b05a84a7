//! `override`: records a user's statement of how much of a window is used.

use std::io::Write;

use clap::{ArgGroup, Args, ValueEnum};

use super::amend_void::answer;
use super::context::Context;
use super::record::hint;
use crate::model::event::{Percent, UsageOverridden, WindowKind};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::present::failure::Failure;

/// State the percentage used of a provider's window, or that it was reset
///
/// Later records are added to it. It applies until the provider or a person reports a newer value for the window. The
/// computed value stays visible. `void` undoes it.
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("word").required(true).args(["used", "reset"]),
    after_help = "Examples:\n  \
    usage-ledger override anthropic --used 32 --reason \"read it on the usage page\"\n  \
    usage-ledger override anthropic --reset --window weekly"
)]
pub(crate) struct OverrideArgs {
    /// The provider
    provider: ProviderId,
    /// The percentage used, 0 to 100
    #[arg(long, value_name = "PERCENT")]
    used: Option<Percent>,
    /// The window was reset: 0 % is used
    #[arg(long)]
    reset: bool,
    /// The window
    #[arg(long, default_value = "session")]
    window: OverrideWindow,
    /// When the window ends [default: a session opens now]
    #[arg(long, value_name = "RFC3339", value_parser = crate::present::clock::instant)]
    resets_at: Option<Timestamp>,
    /// The account
    #[arg(long, value_parser = super::record_flags::text)]
    account: Option<String>,
    /// The reason
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reason: String,
    /// The author [default: the user's name]
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OverrideWindow {
    /// The session window (five hours)
    Session,
    /// The weekly window
    Weekly,
}

/// Returns the user's name from the environment.
pub(crate) fn author() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|name| !name.is_empty()))
        .unwrap_or_else(|| "someone".to_owned())
}

pub(crate) fn run(args: OverrideArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let now = context.now();
    let provider = args.provider.as_str().to_owned();
    let overridden = UsageOverridden {
        provider: args.provider,
        account: args.account,
        window: match args.window {
            OverrideWindow::Session => WindowKind::Session,
            OverrideWindow::Weekly => WindowKind::Weekly,
        },
        used_percent: args.used.unwrap_or_default(),
        resets_at: args.resets_at,
        author: args.author.unwrap_or_else(author),
        reason: args.reason,
    };
    let ledger = context.write()?;
    let outcome = ledger.override_with(overridden, now)?;
    hint(&provider, &ledger, now)?;
    answer(&ledger, outcome, context, out)
}
