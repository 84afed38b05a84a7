//! `gate`: decides whether a run may start.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::context::Context;
use super::gate_from;
use super::server_request::TOKEN_HELP;
use crate::api::gate;
use crate::api::input::GateInput;
use crate::budget::{Mode, Probe, RunRequest, Tier, Verdict};
use crate::ledger::{Ledger, Snapshot};
use crate::model::provider::ProviderId;
use crate::model::time::Timestamp;
use crate::present::clock::{duration, short};
use crate::present::decision_text;
use crate::present::failure::{Failure, print_message};
use crate::present::output::{EscapedText, JsonAnswer, wrapped};
use crate::present::summary::summary;
use crate::readers::quota::QuotaFormat;

/// Decide whether a run may start, and which mode of work it may use
///
/// Exits 75 if the run must wait. A provider without a quota never waits. The command refuses a provider that no catalogue,
/// event or declaration contains (exit 2).
///
/// Each mode begins at a percentage used: by default implement at 51 %, review at 61 %, wait at 76 %. `limit set` changes
/// them with --implement, --warn and --stop. The expected cost of a run at its tier can restrict the mode further. A refusal
/// by the provider shuts the gate in every budget mode.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger gate anthropic || sleep 600\n  \
    usage-ledger gate --explain\n  \
    usage-ledger gate anthropic --feed anthropic-oauth=usage.json\n  \
    usage-ledger --as-of 2026-06-01T12:00:00Z gate anthropic --explain\n  \
    usage-ledger gate ollama --model qwen3.5:cloud --json\n  \
    usage-ledger gate anthropic --from https://ledger.example --token-file token.txt\n  \
    usage-ledger gate anthropic --probe 'claude -p ok' --line")]
pub(crate) struct GateArgs {
    /// The provider of the run [default: the active provider]
    provider: Option<ProviderId>,
    /// The account
    #[arg(long, value_parser = super::record_flags::text)]
    account: Option<String>,
    /// The model of the run
    #[arg(long)]
    model: Option<String>,
    /// The project of the run, which may have money limits of its own; the end of its path is enough
    #[arg(long, value_parser = super::record_flags::text)]
    project: Option<String>,
    /// The difficulty of the task: trivial, simple, medium, complex or critical
    #[arg(long, default_value = "medium", hide_default_value = true)]
    tier: Tier,
    /// The mode that the run needs: the gate is also shut if only a lesser mode is allowed
    #[arg(long, value_name = "MODE", default_value = "review", hide_default_value = true)]
    need: NeededMode,
    /// Accept an undeclared provider; it counts as metered
    #[arg(long)]
    allow_undeclared: bool,
    /// Record the current readings of a provider's feed first; a feed that cannot be read causes a warning
    #[arg(long, value_name = "FORMAT=FILE", value_parser = feed)]
    feed: Option<(QuotaFormat, PathBuf)>,
    /// Run a command first that calls the provider, such as 'claude -p ok', unless it succeeded recently
    ///
    /// Its output is judged as `scan-output` does: a refusal is recorded, and shuts the gate unless it is of another model than
    /// that of the run. A command that fails for another reason, or takes longer than a minute, does not shut it. A provider
    /// that nothing gates is not probed.
    #[arg(long, value_name = "COMMAND")]
    probe: Option<String>,
    /// How long a successful probe counts [default: 10m]
    #[arg(long, value_name = "DURATION", requires = "probe", default_value = "10m", hide_default_value = true, value_parser = super::record_flags::duration)]
    probe_for: i64,
    /// Ask this server about the usage of all machines; if it does not answer, the decision rests on the local ledger, and the
    /// basis says so
    #[arg(long, value_name = "URL", conflicts_with_all = ["explain", "feed", "probe"])]
    from: Option<String>,
    #[arg(long, value_name = "FILE", requires = "from", help = TOKEN_HELP)]
    token_file: Option<PathBuf>,
    /// Print one line for scripts, mode:left:reason
    #[arg(long, conflicts_with_all = ["explain"])]
    line: bool,
    /// Show each step of the decision
    #[arg(long)]
    explain: bool,
}

fn feed(text: &str) -> Result<(QuotaFormat, PathBuf), String> {
    let (format, path) = text.split_once('=').ok_or("write a format of `quota observe`, =, and a file")?;
    Ok((format.parse().map_err(|error: crate::Error| error.to_string())?, path.into()))
}

/// Reads a feed's document. A file that cannot be read counts as an invalid document.
fn document(path: &Path, context: &Context) -> Result<String, Failure> {
    const LONGEST: u64 = 1 << 20;
    if path != Path::new("-") {
        context.refuse_ledger(path)?;
    }
    let mut text = String::new();
    let read = super::input_lines::open(path, context).map(|file| file.take(LONGEST).read_to_string(&mut text));
    Ok(if matches!(read, Ok(Ok(_))) { text } else { String::new() })
}

/// The mode of work that a run needs.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum NeededMode {
    /// Reading and small answers
    Review,
    /// Ordinary work
    Implement,
    /// Anything
    Deep,
}

impl NeededMode {
    const fn mode(self) -> Mode {
        match self {
            Self::Review => Mode::Review,
            Self::Implement => Mode::Implement,
            Self::Deep => Mode::Deep,
        }
    }
}

/// Builds the request and its time.
fn request(args: &GateArgs, snapshot: &Snapshot<'_>, context: &Context) -> Result<(RunRequest, Timestamp), Failure> {
    let now = context.query_time(snapshot);
    let input = GateInput {
        provider: args.provider.as_ref().map(|provider| provider.as_str().to_owned()),
        account: args.account.clone(),
        model: args.model.clone(),
        project: args.project.clone(),
        tier: None,
        need: None,
        allow_undeclared: args.allow_undeclared,
        as_of: None,
    };
    Ok((input.request(snapshot, now)?.tier(args.tier).need(args.need.mode()), now))
}

pub(crate) fn run(args: &GateArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    for (option, is_given) in [("--probe", args.probe.is_some()), ("--feed", args.feed.is_some())] {
        if is_given {
            context.refuse_as_of(&format!("{option} writes"))?;
        }
    }
    let writes = args.feed.is_some() || args.probe.is_some();
    let ledger = match writes.then(|| context.write()) {
        Some(Err(failure)) if args.probe.is_some() => return Err(failure),
        Some(Ok(ledger)) => ledger,
        // The reading cannot be recorded, but the decision can use it.
        Some(Err(_)) | None => context.read()?,
    };
    let fed = match &args.feed {
        Some((format, path)) => Some((*format, document(path, context)?)),
        None => None,
    };
    let (mut request, now) = request(args, &context.snapshot(&ledger)?, context)?;
    if let Some(command) = &args.probe
        && let Some(model) = probe(command, args, (&ledger, &request, now), context)?
    {
        // The probe stands for a run that names no model.
        request = request.model(model);
    }
    let fed = fed.map(|(format, text)| ledger.gate_with_feed(&request, format, &text, now)).transpose()?;
    let unanswered = match &args.from {
        None => None,
        Some(url) => match ask_server(url, args, &request, context)? {
            Ok(answer) => return gate_from::print(answer, args.line, context, out),
            Err(why) => {
                print_message(&format!("the server does not answer ({why}): the decision rests on the local ledger"));
                Some("local ledger: the server did not answer")
            }
        },
    };
    let snapshot = context.snapshot(&ledger)?;
    let verdict = match fed {
        Some(verdict) => verdict,
        None => snapshot.gate(&request, now)?,
    };
    if context.json {
        let answer = gate::priced(&snapshot, verdict.clone(), context.zone(), now)?;
        match unanswered {
            None => JsonAnswer::new(&answer).write(out)?,
            Some(why) => {
                let mut answer = serde_json::to_value(&answer)?;
                if let Some(fields) = answer.as_object_mut() {
                    fields.insert("basis".to_owned(), format!("{} ({why})", verdict.basis.name()).into());
                }
                JsonAnswer::new(&answer).write(out)?;
            }
        }
    } else if args.line {
        writeln!(out, "{}", verdict.rung())?;
    } else {
        print(&verdict, args, &snapshot, context, out)?;
        if let Some(why) = unanswered {
            writeln!(out, "  {why}")?;
        }
    }
    if verdict.gated { Err(Failure::Wait) } else { Ok(()) }
}

/// Runs the probe. Returns the model that it refuses, if the run names none.
fn probe(
    command: &str,
    args: &GateArgs,
    (ledger, request, now): (&Ledger, &RunRequest, Timestamp),
    context: &Context,
) -> Result<Option<String>, Failure> {
    let mut refused = None;
    ledger.preflight(request, args.probe_for, now, || {
        let found = super::probe::run(command, request.provider(), args.model.as_deref(), (now, context.zone()));
        if let Probe::ModelExhausted { model, .. } = &found {
            refused = Some(model.clone());
        }
        found
    })?;
    Ok(refused.filter(|_| args.model.is_none()))
}

/// Asks the server for the decision of a request.
fn ask_server(
    url: &str,
    args: &GateArgs,
    request: &RunRequest,
    context: &Context,
) -> Result<Result<serde_json::Value, String>, Failure> {
    context.refuse_as_of("the server knows the present")?;
    let need = args.need.mode().name();
    let fields = [
        ("provider", Some(request.provider().as_str())),
        ("account", args.account.as_deref()),
        ("model", args.model.as_deref()),
        ("project", args.project.as_deref()),
        ("tier", Some(args.tier.name())),
        ("need", Some(need)),
        ("allow_undeclared", args.allow_undeclared.then_some("true")),
    ];
    gate_from::ask_server(url, args.token_file.as_deref(), &fields, context)
}

fn print(
    verdict: &Verdict,
    args: &GateArgs,
    snapshot: &Snapshot<'_>,
    context: &Context,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let (now, zone) = (context.query_time(snapshot), context.zone());
    let account = verdict.account.as_ref().map(|account| format!(" ({})", EscapedText(account))).unwrap_or_default();
    let gated = if verdict.gated && verdict.mode > Mode::Wait {
        format!(" (gated: {} is needed)", verdict.need)
    } else {
        String::new()
    };
    writeln!(out, "{}{account}: {}{gated}", verdict.provider, verdict.mode)?;
    for line in wrapped(&EscapedText(&verdict.reason).to_string(), 77) {
        writeln!(out, "  {line}")?;
    }
    for money in &verdict.money {
        writeln!(out, "  {}: {}", EscapedText(&money.name()), decision_text::spent(money))?;
    }
    writeln!(out, "  basis: {}; budget mode: {}", verdict.basis.name(), verdict.budget_mode.name())?;
    if let Some(confirmed) = gate::of_account(snapshot, verdict, now)? {
        writeln!(out, "  confirmed: {}", confirmed.text())?;
    }
    if let Some(at) = verdict.resumes_at {
        writeln!(out, "  retry in {} ({})", duration(now, at), short(at, zone))?;
    }
    if !args.explain {
        return Ok(());
    }
    writeln!(out, "\nhow it was decided")?;
    for (number, step) in verdict.trail.iter().enumerate() {
        print_labelled(&format!("  {}. ", number + 1), step, out)?;
    }
    for warning in &verdict.warnings {
        print_labelled("  !  ", warning, out)?;
    }
    writeln!(out, "\nwhat it rests on")?;
    if verdict.evidence.is_empty() {
        writeln!(out, "  no event: none counts for it now")?;
    }
    for position in &verdict.evidence {
        let event = snapshot.event(*position)?;
        let text = format!("{}  {}  {}", short(event.occurred_at, zone), event.payload.kind(), summary(&event.payload));
        print_labelled(&format!("  {:>6}  ", position.get()), &text, out)?;
    }
    Ok(())
}

/// Prints a text after a label, with further lines indented.
fn print_labelled(mark: &str, text: &str, out: &mut dyn Write) -> Result<(), Failure> {
    for (number, line) in wrapped(&EscapedText(text).to_string(), 79 - mark.len()).into_iter().enumerate() {
        let mark = if number == 0 { mark.to_owned() } else { " ".repeat(mark.len()) };
        writeln!(out, "{mark}{line}")?;
    }
    Ok(())
}
