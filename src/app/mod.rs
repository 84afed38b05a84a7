//! The program: parses the command line, starts the requested surface, and returns an exit code.

mod args;
mod help;
#[cfg(any(feature = "tui", feature = "web"))]
mod importing;
#[cfg(feature = "mcp")]
mod mcp;
#[cfg(feature = "web")]
mod serve;
mod shell;
#[cfg(feature = "tui")]
mod watch;
mod witness;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, format};
use tracing_subscriber::registry::LookupSpan;

use clap::error::ErrorKind;
use clap::{FromArgMatches, Parser};

use self::args::{Command, CommandLine};
use crate::cli::context::Context;
use crate::cli::{
    alert, allocate, amend_void, backup, checkpoint, config, doctor, export, gate, hook, import, install, key, limit,
    log, override_usage, overview, pause, price, prove, provider, pull, push, quota, reconcile, record, report,
    reserve, rpc, scan_output, seal, show, shred, sql, status, statusline, switch, verify,
};
use crate::present::failure::{Failure, print_lines};
use crate::present::visible::{Breaks, OutputForm, VisibleWriter, visible};
use crate::report::ReportKey;

/// Runs the command with the arguments of this process and returns its exit code.
///
/// 0 done; 1 a finding; 2 bad usage or input, nothing written; 3 the ledger is damaged or unreachable, or the command wrote
/// and its answer is lost; 75 wait.
pub fn main() -> ExitCode {
    shell::answer_completion(CommandLine::described);
    match CommandLine::try_parse().or_else(described) {
        Ok(line) => finish(run(line)),
        Err(error) => explain(&error),
    }
}

/// Parses the arguments of this process again with every command described. Help and errors name other commands.
fn described(error: clap::Error) -> Result<CommandLine, clap::Error> {
    if error.kind() == ErrorKind::DisplayVersion {
        return Err(error);
    }
    let mut command = help::grouped(CommandLine::described());
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Prints the requested help, or the fault in the arguments.
fn explain(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        let shown = error_with_visible_arguments();
        let text = shown.as_ref().unwrap_or(error).render().to_string();
        print_lines(text.strip_prefix("error: ").unwrap_or(&text).trim_end());
    } else {
        // The reader of the help can close the pipe early.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// The error of the same arguments with their control characters written out, if they have any. A text for terminals
/// loses the escapes of an argument, so it would name another argument, and a line break could forge another message.
fn error_with_visible_arguments() -> Option<clap::Error> {
    let mut is_hidden = false;
    let arguments: Vec<String> = std::env::args_os()
        .map(|argument| {
            let argument = argument.to_string_lossy();
            let shown = visible(&argument, Breaks::Blank);
            is_hidden |= matches!(shown, Cow::Owned(_));
            shown.into_owned()
        })
        .collect();
    if !is_hidden {
        return None;
    }
    let mut command = help::grouped(CommandLine::described());
    match command.try_get_matches_from_mut(arguments) {
        Err(error) => Some(error),
        Ok(matches) => CommandLine::from_arg_matches(&matches).err().map(|error| error.format(&mut command)),
    }
}

fn finish(done: Result<(), Failure>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// Prints warnings of the library for commands that decide, and errors for the server. The answers of other commands
/// contain their warnings.
fn listen(command: &Command) {
    let level = match command {
        Command::Gate(_) => Some(tracing::Level::WARN),
        #[cfg(feature = "web")]
        Command::Serve(_) => Some(tracing::Level::ERROR),
        _ => None,
    };
    if let Some(level) = level {
        let warnings = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(io::stderr)
            .fmt_fields(format::debug_fn(|out, field, value| match field.name() {
                "message" => write!(out, "{}", visible(&format!("{value:?}"), Breaks::Blank)),
                _ => Ok(()),
            }))
            .event_format(WarningFormat);
        // This fails if a subscriber is already installed; that one receives the warnings.
        let _ = warnings.try_init();
    }
}

/// The form of a warning: a sentence behind the name of the program, as every message on stderr has it.
struct WarningFormat;

impl<S, N> FormatEvent<S, N> for WarningFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut out: format::Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        write!(out, "usage-ledger: warning: ")?;
        context.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

fn run(line: CommandLine) -> Result<(), Failure> {
    let context = match Context::new(line.globals) {
        // A status line always prints one line.
        Err(failure) if matches!(line.command, Some(Command::Statusline(_))) => {
            failure.message().iter().for_each(|message| crate::present::failure::print_message(message));
            return Ok(writeln!(io::stdout(), "usage-ledger: not available")?);
        }
        made => made?,
    };
    // Another thread of this command writes to standard output, so it must not be locked here.
    #[cfg(feature = "mcp")]
    if let Some(Command::Mcp(args)) = &line.command
        && !line.no_import
    {
        return self::mcp::run(args, &context);
    }
    let out = BufWriter::new(io::stdout().lock());
    if let Some(command) = &line.command {
        listen(command);
    }
    let mut out: Box<dyn Write> = match form(line.command.as_ref(), &context) {
        // serde writes small pieces, and `VisibleWriter` examines each piece.
        Some(form) => Box::new(BufWriter::new(VisibleWriter::new(out, form))),
        None => Box::new(out),
    };
    let done = match line.command {
        None => overview::run(line.no_import, &context, &mut *out),
        Some(_) if line.no_import => Err(Failure::usage("--no-import is an option of the program without a command")),
        Some(command) => dispatch(command, &context, &mut *out),
    };
    // Output from before a failure is printed. If both the command and the flush fail, the command's error is returned.
    let flushed = out.flush();
    match done.and_then(|()| Ok(flushed?)) {
        // A repeated command could write twice.
        Err(failure @ Failure::Output(_)) if context.has_written() => {
            Err(failure.after_writing("the command had written its events and files before"))
        }
        done => done,
    }
}

/// Returns the form of an answer; `None` if other programs parse its exact bytes. Control characters are always made
/// visible on a terminal.
fn form(command: Option<&Command>, context: &Context) -> Option<OutputForm> {
    let exact = io::stdout().is_terminal().then_some(OutputForm::Text);
    match command {
        None => Some(if context.json { OutputForm::Json } else { OutputForm::Text }),
        Some(command) => form_of(command, context, exact),
    }
}

fn form_of(command: &Command, context: &Context, exact: Option<OutputForm>) -> Option<OutputForm> {
    match command {
        // Exports, proofs, notes and keys are read by programs.
        Command::Export(_)
        | Command::Prove(_)
        | Command::Checkpoint(_)
        | Command::Key(_)
        | Command::Witness(_)
        | Command::Completions(_)
        | Command::Man(_) => exact,
        _ if report_of(command).is_some_and(report::ReportArgs::is_csv) => exact,
        _ if report_of(command).is_some_and(report::ReportArgs::is_foreign_json) => Some(OutputForm::Json),
        Command::Sql(args) if args.is_csv() => exact,
        Command::Allocate(args) if args.is_for_programs() => exact,
        _ if context.json || matches!(command, Command::Rpc(_)) => Some(OutputForm::Json),
        Command::Statusline(_) => Some(OutputForm::Coloured),
        _ => Some(OutputForm::Text),
    }
}

/// The arguments of a report, under any of its names.
fn report_of(command: &Command) -> Option<&report::ReportArgs> {
    match command {
        Command::Report(args) => Some(args),
        Command::Daily(args) => Some(&args.report),
        Command::Weekly(args) => Some(&args.report),
        Command::Monthly(args) => Some(&args.report),
        Command::Session(args) => Some(&args.report),
        Command::Blocks(args) => Some(&args.report),
        _ => None,
    }
}

fn dispatch(command: Command, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        Command::Status(args) => status::run(&args, context, out),
        #[cfg(feature = "tui")]
        Command::Watch(args) => self::watch::run(&args, context),
        #[cfg(feature = "web")]
        Command::Serve(args) => self::serve::run(&args, context, out),
        #[cfg(feature = "mcp")]
        Command::Mcp(args) => self::mcp::run(&args, context),
        Command::Rpc(args) => rpc::run(&args, context, out),
        Command::Statusline(args) => statusline::run(&args, context, out),
        Command::Record(args) => record::run(*args, context, out),
        Command::Switch(args) => switch::run(&args, context, out),
        Command::ScanOutput(args) => scan_output::run(&args, context, out),
        Command::Import(args) => import::run(args, context, out),
        Command::Report(args) => report::run(&args, &context.report_and_origin().0, context, out),
        Command::Daily(args) => report::run(&args.report, &[ReportKey::Day], context, out),
        Command::Weekly(args) => report::run(&args.report, &[ReportKey::Week], context, out),
        Command::Monthly(args) => report::run(&args.report, &[ReportKey::Month], context, out),
        Command::Session(args) => report::run(&args.report, &[ReportKey::Conversation], context, out),
        Command::Blocks(args) => report::run(&args.report, &[ReportKey::Window], context, out),
        Command::Log(args) => log::run(&args, context, out),
        Command::Sql(args) => sql::run(&args, context, out),
        Command::Show(args) => show::run(&args, context, out),
        Command::Amend(args) => amend_void::amend(&args, context, out),
        Command::Void(args) => amend_void::void(&args, context, out),
        Command::Shred(args) => shred::run(&args, context, out),
        Command::Limit(args) => limit::run(args, context, out),
        Command::Provider(args) => provider::run(args, context, out),
        Command::Price(args) => price::run(args, context, out),
        Command::Quota(args) => quota::run(args, context, out),
        Command::Replay(args) => verify::replay(&args, context, out),
        Command::Verify(args) => verify::verify(&args, context, out),
        Command::Checkpoint(args) => checkpoint::run(&args, context, out),
        Command::Prove(args) => prove::run(args, context, out),
        Command::Key(args) => key::run(args, context, out),
        Command::Export(args) => export::run(&args, context, out),
        Command::Gate(args) => gate::run(&args, context, out),
        Command::Override(args) => override_usage::run(args, context, out),
        Command::Pause(args) => pause::pause(args, context, out),
        Command::Resume(args) => pause::resume(args, context, out),
        Command::Reserve(args) => reserve::reserve(&args, context, out),
        Command::Settle(args) => reserve::settle(&args, context, out),
        Command::Release(args) => reserve::release(&args, context, out),
        Command::Backup(args) => backup::backup(&args, context, out),
        Command::Restore(args) => backup::restore(&args, context, out),
        Command::Doctor(args) => doctor::run(args, context, out),
        Command::Witness(args) => witness::run(&args, context, out),
        #[cfg(feature = "archive")]
        Command::Archive(args) => crate::cli::archive::run(&args, context, out),
        Command::Push(args) => push::run(&args, context, out),
        Command::Pull(args) => pull::run(&args, context, out),
        #[cfg(feature = "web")]
        Command::Fleet(args) => crate::cli::fleet::run(&args, context, out),
        #[cfg(feature = "postgres")]
        Command::Shards(args) => crate::cli::shards::run(&args, context, out),
        Command::Allocate(args) => allocate::run(&args, context, out),
        Command::Seal(args) => seal::run(&args, context, out),
        Command::Reconcile(args) => reconcile::run(&args, context, out),
        Command::Install(args) => install::run(args, context, out),
        Command::Hook(args) => {
            hook::run(&args, context);
            Ok(())
        }
        Command::Alert(args) => alert::run(args, context, out),
        Command::Config(args) => config::run(&args, context, out),
        Command::Completions(args) => self::shell::completions(&args, out),
        Command::Man(args) => self::shell::man(&args, &CommandLine::described(), context, out),
    }
}
