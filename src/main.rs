//! The `usage-ledger` command.

fn main() -> std::process::ExitCode {
    usage_ledger::app::main()
}
