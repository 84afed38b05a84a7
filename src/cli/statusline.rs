//! `statusline`: prints one line for a prompt or an agent's status bar.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::context::Context;
use super::statusline_session::SessionInput;
use crate::ProviderStatus;
use crate::budget::{MoneyWindow, RunRequest};
use crate::ledger::Snapshot;
use crate::model::event::Percent;
use crate::model::humanize::duration::countdown;
use crate::model::humanize::duration::window_length;
use crate::model::humanize::number::scaled;
use crate::model::provider::ProviderId;
use crate::model::time::{MINUTE, Timestamp};
use crate::present::bars::bar_cells;
use crate::present::failure::{Failure, print_message};
use crate::present::money::dollars;
use crate::present::output::{EscapedText, JsonAnswer};
use crate::present::tint::tint;
use crate::readers::quota::{self, QuotaFormat};
use crate::report::{Report, ReportKey};
use crate::usage::{Cost, Pause, WindowUsage, active_provider, paused};

/// Maximum size of a document in bytes.
const LONGEST: u64 = 1 << 20;
/// How long to wait for a document. An agent sends it at once.
const PATIENCE: Duration = Duration::from_millis(500);
/// Cells of the bar.
const CELLS: usize = 8;

/// Print one line for a status bar: windows, mode, tokens and cost of today, model and context
///
/// The command reads the JSON that Claude Code sends to its statusLine command, and records its windows if they changed. It
/// always exits with 0 and prints problems on stderr.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger statusline --provider openai\n  \
    in Claude Code's settings.json: \"statusLine\": {\"type\": \"command\", \"command\": \"usage-ledger statusline\"}")]
pub(crate) struct StatuslineArgs {
    /// The provider [default: the provider of the JSON, else the active provider]
    #[arg(long)]
    provider: Option<ProviderId>,
    /// The account, if you have several
    #[arg(long)]
    account: Option<String>,
    /// Do not record the windows of the JSON
    #[arg(long)]
    no_record: bool,
    /// Use ASCII characters only
    #[arg(long)]
    ascii: bool,
    #[arg(long, help = "Use no colours [env: NO_COLOR]")]
    no_color: bool,
}

/// The content of the line.
#[derive(Serialize)]
struct StatuslineInput {
    #[serde(flatten)]
    status: ProviderStatus,
    tokens_today: u128,
    cost_today: Cost,
    #[serde(flatten)]
    session: SessionInput,
    paused: Option<Pause>,
    #[serde(skip)]
    now: Timestamp,
}

pub(crate) fn run(args: &StatuslineArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let input = input(args, context);
    if context.json
        && let Ok(Some(input)) = &input
    {
        return JsonAnswer::new(input).write(out);
    }
    let line = match input {
        Ok(Some(input)) => Style::of(args).line(&input),
        Ok(None) => "usage-ledger: nothing recorded yet".to_owned(),
        Err(failure) => {
            failure.message().iter().for_each(|message| print_message(message));
            "usage-ledger: not available".to_owned()
        }
    };
    Ok(writeln!(out, "{line}")?)
}

/// Reads the document on stdin, if there is one. Does not wait for a writer that sends nothing.
fn document() -> Option<String> {
    if io::stdin().is_terminal() {
        return None;
    }
    let (send, receive) = mpsc::channel();
    let reader = thread::Builder::new().spawn(move || {
        let mut text = String::new();
        let read = io::stdin().lock().take(LONGEST + 1).read_to_string(&mut text);
        // The receiver is gone after the time limit.
        let _ = send.send(read.map(|_| text));
    });
    if let Err(error) = reader {
        print_message(&format!("the document cannot be read ({error}): left out"));
        return None;
    }
    match receive.recv_timeout(PATIENCE).ok()? {
        Ok(text) if text.len() as u64 > LONGEST => {
            print_message(&format!("the document is longer than {LONGEST} bytes: left out"));
            None
        }
        Ok(text) => Some(text).filter(|text| !text.trim().is_empty()),
        Err(error) => {
            print_message(&format!("the document cannot be read ({error}): left out"));
            None
        }
    }
}

fn input(args: &StatuslineArgs, context: &Context) -> Result<Option<StatuslineInput>, Failure> {
    let (document, now) = (document(), context.now());
    let observed = document.as_ref().and_then(|text| match quota::observe(QuotaFormat::ClaudeStatusline, text, now) {
        Ok(observed) => Some(observed.of(None, args.account.as_deref())),
        Err(error) => {
            print_message(&error.to_string());
            None
        }
    });
    let from_claude = observed.is_some().then(|| QuotaFormat::ClaudeStatusline.provider());
    let records = !args.no_record && !context.is_past();
    let news = observed.map(|observed| observed.observations).filter(|seen| records && !seen.is_empty());
    if let Some(news) = news {
        // A status line does not wait for other writers. The next document repeats the readings.
        let recorded = context.write_now().map(|ledger| ledger.source("statusline").observe(news, now, now));
        if !matches!(recorded, Ok(Ok(_))) {
            print_message(
                "the readings of the document were not recorded: another process is writing, or the ledger cannot be written",
            );
        }
    }
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let now = context.query_time(&snapshot);
    let named = args.provider.as_ref().map(ProviderId::as_str).or(from_claude).map(str::to_owned);
    let Some(provider) = named.map_or_else(|| active_provider(snapshot.view(), now), |named| Ok(Some(named)))? else {
        return Ok(None);
    };
    let provider = ProviderId::resolve(&provider)?;
    let session = document.as_deref().map(SessionInput::read).unwrap_or_default();
    Ok(Some(collect_input(&snapshot, provider.as_str(), args.account.as_deref(), now, context, session)?))
}

/// Collects the values of the line.
fn collect_input(
    snapshot: &Snapshot<'_>,
    provider: &str,
    account: Option<&str>,
    now: Timestamp,
    context: &Context,
    session: SessionInput,
) -> Result<StatuslineInput, Failure> {
    let mut request = RunRequest::new(provider)?;
    if let Some(account) = account {
        request = request.account(account);
    }
    // The line shows no all-time totals, so they are computed only for JSON.
    let status = snapshot.strictest_status(&request, context.json, now)?;
    let zone = context.zone();
    let midnight = zone.start_of_day(zone.day(now));
    let mut today = Report::by_all([]).tz(zone).since(midnight).until(now.plus(1));
    today = today.only(ReportKey::Provider, provider)?;
    if let Some(account) = &status.usage.account {
        today = today.only(ReportKey::Account, account)?;
    }
    let today = snapshot.report(&today)?.total;
    let (tokens_today, cost_today) = (today.tokens.total(), today.cost);
    Ok(StatuslineInput { status, tokens_today, cost_today, session, paused: paused(snapshot.view(), now)?, now })
}

/// The form of the line.
struct Style {
    ascii: bool,
    colour: bool,
}

impl Style {
    fn of(args: &StatuslineArgs) -> Self {
        Self { ascii: args.ascii, colour: crate::present::tint::colours(args.no_color) }
    }

    /// `anthropic 5h 42% ▕███░░░░░▏ 2h10m · 7d 61% · deep · 1.20M tok today · $3.20 · Opus 4.5 · ctx 37%`
    fn line(&self, input: &StatuslineInput) -> String {
        let (usage, verdict) = (&input.status.usage, &input.status.budget);
        let account = usage.account.as_ref().map(|account| format!(" ({})", EscapedText(account))).unwrap_or_default();
        let mut parts = Vec::new();
        let head = format!("{}{account}", usage.provider);
        if usage.metered {
            parts.push(format!("{head} {}", self.window("5h", &usage.session, true, input.now)));
            parts.push(self.window("7d", &usage.weekly, false, input.now));
        } else {
            parts.push(format!("{head} no API quota"));
        }
        let wait = verdict.resumes_at.filter(|_| verdict.gated);
        let wait = wait.map(|at| format!(" {}", countdown(Some(at.millis() - input.now.millis()))));
        parts.push(format!("{}{}", verdict.mode, wait.unwrap_or_default()));
        parts.extend(input.paused.as_ref().map(|pause| format!("paused ({})", EscapedText(&pause.reason))));
        parts.extend(input.status.money.iter().filter(|money| money.project.is_none()).map(|money| self.money(money)));
        parts.push(format!("{} tok today", scaled(input.tokens_today)));
        parts.extend(input.cost_today.usd.map(dollars));
        parts.extend(input.session.model.as_ref().map(|model| EscapedText(model).to_string()));
        parts.extend(
            input
                .session
                .context_percent
                .map(|used| format!("ctx {}", self.painted(&format!("{}%", used.rounded()), used))),
        );
        let line = parts.join(if self.ascii { " | " } else { " · " });
        if self.ascii { line.chars().map(|char| if char.is_ascii() { char } else { '?' }).collect() } else { line }
    }

    /// Formats a window with its length, or `usual` if it is not open; `whole` adds the bar and the time to the reset.
    fn window(&self, usual: &str, window: &WindowUsage, whole: bool, now: Timestamp) -> String {
        let span = window.started_at.zip(window.resets_at).map(|(start, end)| (end.millis() - start.millis()) / MINUTE);
        let known = span.and_then(|span| u32::try_from(span).ok()).filter(|span| span % 60 == 0).map(window_length);
        let name = known.unwrap_or_else(|| usual.to_owned());
        let Some(percent) = window.used() else {
            return format!("{name} {} tok", scaled(window.usage.tokens.total()));
        };
        let shown = self.painted(&format!("{percent}%"), percent);
        if !whole {
            return format!("{name} {shown}");
        }
        let left = window.resets_at.map(|end| format!(" {}", countdown(Some(end.millis() - now.millis()))));
        let full = window.forecast.filter(|input| input.before_reset == Some(true)).and_then(|input| input.used_up_at);
        let full = full
            .filter(|end| *end > now)
            .map(|end| format!(" (full in {})", countdown(Some(end.millis() - now.millis()))));
        let (left, full) = (left.unwrap_or_default(), full.unwrap_or_default());
        format!("{name} {shown} {}{left}{full}", self.bar(percent))
    }

    /// `$4.00/$20.00 a day`
    fn money(&self, money: &MoneyWindow) -> String {
        let spent = self.painted(&dollars(money.spent()), money.percent);
        format!("{spent}/{} a {}", dollars(money.limit_usd), money.period.name())
    }

    fn bar(&self, percent: Percent) -> String {
        let filled = bar_cells(percent, CELLS);
        let (full, empty, open, close) = if self.ascii { ("#", "-", "[", "]") } else { ("█", "░", "▕", "▏") };
        let bar = format!("{}{}", full.repeat(filled), empty.repeat(CELLS - filled));
        format!("{open}{}{close}", self.painted(&bar, percent))
    }

    fn painted(&self, text: &str, percent: Percent) -> String {
        if self.colour { format!("\u{1b}[38;5;{}m{text}\u{1b}[0m", tint(percent).colour()) } else { text.to_owned() }
    }
}
