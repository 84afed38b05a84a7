//! The help of the whole program: commands in groups.

use std::fmt::Write;

use clap::Command;

/// Every command, in groups by purpose.
const GROUPS: [(&str, &[&str]); 6] = [
    ("Look", &["status", "watch", "statusline", "report", "log", "show", "sql", "allocate"]),
    ("Decide", &["gate", "reserve", "settle", "release", "pause", "resume", "limit", "alert", "override", "quota"]),
    ("Record", &["import", "record", "switch", "scan-output", "amend", "void", "shred", "price", "provider"]),
    ("Prove", &["verify", "replay", "checkpoint", "prove", "seal", "reconcile", "key", "witness"]),
    ("Connect", &["install", "rpc", "mcp", "serve", "push", "pull", "fleet", "shards"]),
    ("Maintain", &["doctor", "backup", "restore", "archive", "export", "config", "completions", "man", "help"]),
];

/// Reports by one key, which clap hides.
const SHORT_REPORTS: &str =
    "daily, weekly, monthly, session, blocks: reports by day, week, month, conversation, window";

/// Maximum width of the column of command names.
const NAME_WIDTH: usize = 12;

/// Returns the command with a help text that lists its sub-commands in [`GROUPS`], in place of one flat list.
pub(crate) fn grouped(command: Command) -> Command {
    let mut text = String::from("{about-with-newline}\n{usage-heading} {usage}\n");
    for (title, names) in GROUPS {
        // Writing to a string does not fail.
        let _ = write!(text, "\n{title}:\n");
        for name in names {
            let about = match command.find_subcommand(name) {
                Some(command) => command.get_about().map(ToString::to_string).unwrap_or_default(),
                None if *name == "help" => "Print this text or the help of a command".to_owned(),
                // A build without a feature lacks its commands.
                None => continue,
            };
            let _ = writeln!(text, "  {name:NAME_WIDTH$} {about}");
            if *name == "report" {
                let _ = writeln!(text, "  {SHORT_REPORTS}");
            }
        }
    }
    text.push_str("\nOptions:\n{options}{after-help}");
    command.help_template(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::args::CommandLine;

    /// The sub-commands, without the one that clap adds.
    fn own_commands(described: &Command) -> impl Iterator<Item = &Command> {
        described.get_subcommands().filter(|command| command.get_name() != "help")
    }

    #[test]
    fn every_command_is_in_one_group_and_has_an_example() {
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        for command in own_commands(&CommandLine::described()) {
            let name = command.get_name();
            // Agents run `hook`, people do not.
            let is_listed = !command.is_hide_set() || SHORT_REPORTS.contains(name) || name == "hook";
            assert!(is_listed, "`{name}` is not in the help");
            if command.is_hide_set() {
                continue;
            }
            assert_eq!(grouped.iter().filter(|listed| **listed == name).count(), 1, "the groups of `{name}`");
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains(&format!("usage-ledger {name}")), "`{name}` has no example: {after}");
        }
    }

    /// Pages with "How do I" entries.
    const PAGES: [&str; 19] = [
        include_str!("../../docs/archive.md"),
        include_str!("../../docs/bill.md"),
        include_str!("../../docs/budget.md"),
        include_str!("../../docs/ccusage.md"),
        include_str!("../../docs/clients.md"),
        include_str!("../../docs/costs.md"),
        include_str!("../../docs/import.md"),
        include_str!("../../docs/interfaces.md"),
        include_str!("../../docs/operations.md"),
        include_str!("../../docs/programs.md"),
        include_str!("../../docs/proofs.md"),
        include_str!("../../docs/reports.md"),
        include_str!("../../docs/safety.md"),
        include_str!("../../docs/scale.md"),
        include_str!("../../docs/sql.md"),
        include_str!("../../docs/telemetry.md"),
        include_str!("../../docs/sync.md"),
        include_str!("../../docs/witness.md"),
        include_str!("../../docs/allocate.md"),
    ];

    #[test]
    fn every_command_has_an_entry_in_the_documentation() {
        let mut shown = Vec::new();
        for page in PAGES {
            let mut is_how_to = false;
            for line in page.lines() {
                is_how_to |= line.starts_with("## How do I");
                is_how_to &= !line.starts_with("## ") || line.starts_with("## How do I");
                if is_how_to {
                    let words = line.split(|char: char| !char.is_alphanumeric() && char != '-');
                    shown.extend(words.map(str::to_owned));
                }
            }
        }
        for command in own_commands(&CommandLine::described()) {
            let name = command.get_name();
            // Agents run `hook`, people do not.
            assert!(
                name == "hook" || shown.iter().any(|word| word == name),
                "`{name}` is in no \"How do I\" of docs/*.md"
            );
        }
    }

    #[test]
    fn the_help_lists_the_groups() {
        let help = super::grouped(CommandLine::described()).render_long_help().to_string();
        for (title, names) in GROUPS {
            assert!(help.contains(&format!("\n{title}:\n  {}", names[0])), "{title} is missing in\n{help}");
        }
        assert!(!help.contains('{'), "{help}");
    }
}
