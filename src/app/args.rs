//! The complete command line.

use clap::{Args, CommandFactory, Parser, Subcommand};

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
                  3 the ledger is damaged or unreachable, \
                  or the answer is lost; 75 wait.\n\n\
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

impl CommandLine {
    /// The parser with every command described. Parsing describes the named one only, because all of them take longer than
    /// most commands run.
    pub fn described() -> clap::Command {
        let mut command = Self::command();
        command.build();
        command
    }
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
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
    #[command(hide = true)]
    Daily(Box<DailyArgs>),
    #[command(hide = true)]
    Weekly(Box<WeeklyArgs>),
    #[command(hide = true)]
    Monthly(Box<MonthlyArgs>),
    #[command(hide = true)]
    Session(Box<SessionArgs>),
    #[command(hide = true)]
    Blocks(Box<BlocksArgs>),
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

/// Declares the arguments of a report by one key. Its own text stands before that of `report`.
macro_rules! short_report {
    ($name:ident, $about:literal, $example:literal) => {
        #[doc = $about]
        #[derive(Args, Debug)]
        #[command(after_help = concat!("Example:\n  usage-ledger ", $example))]
        pub(crate) struct $name {
            #[command(flatten)]
            pub report: report::ReportArgs,
        }
    };
}

short_report!(DailyArgs, "Report by day; the options are those of report", "daily --since 7d");
short_report!(WeeklyArgs, "Report by week; the options are those of report", "weekly --provider anthropic");
short_report!(MonthlyArgs, "Report by month; the options are those of report", "monthly --json");
short_report!(SessionArgs, "Report by conversation; the options are those of report", "session --since today");
short_report!(BlocksArgs, "Report by session window; the options are those of report", "blocks --since 2d");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_described_when_they_are_asked_for() {
        let about = |command: &clap::Command, name: &str| {
            command.find_subcommand(name).unwrap().get_about().map(ToString::to_string)
        };
        assert_eq!(about(&CommandLine::command(), "record"), None, "describing every command takes a millisecond");
        let described = CommandLine::described();
        assert!(
            described.get_subcommands().all(|command| command.get_name() == "help" || command.get_about().is_some())
        );
        assert_eq!(about(&described, "daily").unwrap(), "Report by day; the options are those of report");
    }
}
