//! The complete command line.

use clap::{Parser, Subcommand};

use crate::cli::context::Globals;

use super::{
    alert, allocate, amend_void, backup, checkpoint, config, doctor, export, gate, hook, import, install, key, limit,
    log, override_usage, pause, prove, provider, pull, push, quota, reconcile, record, report, reserve, rpc,
    scan_output, seal, show, shred, sql, status, statusline, switch, verify,
};
use crate::app::shell;

/// An event-sourced, tamper-evident ledger of LLM token usage.
///
/// Every token record and every provider switch is an event. Events are appended and never changed. Counters are
/// computed from events. Without a command, the program imports new calls from agents' logs and shows usage, cost and quota
/// windows.
#[derive(Debug, Parser)]
#[command(
    name = "usage-ledger",
    version,
    max_term_width = 120,
    after_help = "Exit codes: 0 done; 1 a finding; 2 bad usage or input, nothing written; \
                  3 the ledger is damaged or unreachable; 75 wait.\n\n\
                  Example:\n  \
                  usage-ledger record --provider anthropic --model claude-opus-4-5 --input 120 --output 40\n  \
                  usage-ledger report --by day,model"
)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub globals: Globals,
    /// Without a command: do not import new calls first
    #[arg(long)]
    pub no_import: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Status(status::StatusArgs),
    #[cfg(feature = "tui")]
    Watch(crate::app::watch::WatchArgs),
    #[cfg(feature = "web")]
    Serve(crate::app::serve::ServeArgs),
    Rpc(rpc::RpcArgs),
    #[cfg(feature = "mcp")]
    Mcp(crate::app::mcp::McpArgs),
    Statusline(statusline::StatuslineArgs),
    Record(Box<record::RecordArgs>),
    Switch(switch::SwitchArgs),
    ScanOutput(scan_output::ScanOutputArgs),
    Import(import::ImportArgs),
    Report(Box<report::ReportArgs>),
    /// Report by day; the options are those of report
    #[command(hide = true, after_help = "Example:\n  usage-ledger daily --since 7d")]
    Daily(Box<report::ReportArgs>),
    /// Report by week; the options are those of report
    #[command(hide = true, after_help = "Example:\n  usage-ledger weekly --provider anthropic")]
    Weekly(Box<report::ReportArgs>),
    /// Report by month; the options are those of report
    #[command(hide = true, after_help = "Example:\n  usage-ledger monthly --json")]
    Monthly(Box<report::ReportArgs>),
    /// Report by conversation; the options are those of report
    #[command(hide = true, after_help = "Example:\n  usage-ledger session --since today")]
    Session(Box<report::ReportArgs>),
    /// Report by session window; the options are those of report
    #[command(hide = true, after_help = "Example:\n  usage-ledger blocks --since 2d")]
    Blocks(Box<report::ReportArgs>),
    Log(log::LogArgs),
    Show(show::ShowArgs),
    Sql(sql::SqlArgs),
    Amend(Box<amend_void::AmendArgs>),
    Void(amend_void::VoidArgs),
    Shred(shred::ShredArgs),
    Limit(limit::LimitArgs),
    Provider(provider::ProviderArgs),
    Price(crate::cli::price::PriceArgs),
    Quota(quota::QuotaArgs),
    Replay(verify::ReplayArgs),
    Verify(verify::VerifyArgs),
    Checkpoint(checkpoint::CheckpointArgs),
    Prove(prove::ProveArgs),
    Key(key::KeyArgs),
    Export(export::ExportArgs),
    Gate(gate::GateArgs),
    Override(override_usage::OverrideArgs),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    Reserve(reserve::ReserveArgs),
    Settle(Box<reserve::SettleArgs>),
    Release(reserve::ReleaseArgs),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Doctor(doctor::DoctorArgs),
    Seal(seal::SealArgs),
    Reconcile(reconcile::ReconcileArgs),
    Witness(crate::app::witness::WitnessArgs),
    #[cfg(feature = "archive")]
    Archive(crate::cli::archive::ArchiveArgs),
    Push(push::PushArgs),
    Pull(pull::PullArgs),
    #[cfg(feature = "web")]
    Fleet(crate::cli::fleet::FleetArgs),
    #[cfg(feature = "postgres")]
    Shards(crate::cli::shards::ShardsArgs),
    Allocate(Box<allocate::AllocateArgs>),
    Alert(alert::AlertArgs),
    Install(install::InstallArgs),
    #[command(hide = true)]
    Hook(hook::HookArgs),
    Config(config::ConfigArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

/// A command line with no command or with one of the most frequent ones.
///
/// Building the parser of every command takes longer than running one of these. Any other line, including a request for
/// help and a line with an error, is parsed as a [`CommandLine`].
#[derive(Debug, Parser)]
#[command(name = "usage-ledger")]
pub(crate) struct OftenLine {
    #[command(flatten)]
    globals: Globals,
    #[arg(long)]
    no_import: bool,
    #[command(subcommand)]
    command: Option<FrequentCommand>,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
enum FrequentCommand {
    Status(status::StatusArgs),
    Statusline(statusline::StatuslineArgs),
    Report(Box<report::ReportArgs>),
    Gate(gate::GateArgs),
}

impl From<OftenLine> for CommandLine {
    fn from(line: OftenLine) -> Self {
        let command = line.command.map(|command| match command {
            FrequentCommand::Status(args) => Command::Status(args),
            FrequentCommand::Statusline(args) => Command::Statusline(args),
            FrequentCommand::Report(args) => Command::Report(args),
            FrequentCommand::Gate(args) => Command::Gate(args),
        });
        Self { globals: line.globals, no_import: line.no_import, command }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_parser_agrees_with_the_whole_parser() {
        for line in [
            "",
            "--json",
            "status --since-switch",
            "--ledger a.db --now 2026-06-10T10:00:00Z statusline --provider openai --ascii",
            "statusline --json --account work --as-of 12",
            "report --by day,model --since 2026-06-01 --tz Europe/Paris --provider anthropic",
            "gate anthropic --explain",
        ] {
            let arguments = || std::iter::once("usage-ledger").chain(line.split_whitespace());
            let (often, whole) = (OftenLine::try_parse_from(arguments()), CommandLine::try_parse_from(arguments()));
            assert_eq!(format!("{:?}", CommandLine::from(often.unwrap())), format!("{:?}", whole.unwrap()), "{line}");
        }
        for line in ["--help", "--version", "help", "status --help", "report --by", "statusline --nonsense", "record"] {
            let arguments = std::iter::once("usage-ledger").chain(line.split_whitespace());
            assert!(OftenLine::try_parse_from(arguments).is_err(), "{line} is for the whole parser");
        }
    }
}
