//! `import --dry-run`: shows the effect of an import.

use std::collections::BTreeSet;
use std::io::Write;

use serde::Serialize;

use super::context::Context;
use super::import_summary::human;
use crate::import::Preview;
use crate::model::event::TokenRecord;
use crate::model::tokens::TokenClass;
use crate::present::failure::Failure;
use crate::present::output::{JsonAnswer, grouped};

/// Maximum number of amendments and withdrawals to list for people. JSON lists all.
const CHANGES: usize = 20;

/// The answer of a dry run.
#[derive(Serialize)]
struct DryRun<'p> {
    dry_run: bool,
    #[serde(flatten)]
    preview: &'p Preview,
}

/// Prints the effect of an import. Exits 1 if the import would.
pub(super) fn write(preview: &Preview, all: bool, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let unreadable = preview.report.sources.iter().any(|source| source.unreadable > 0);
    if context.json {
        JsonAnswer::new(DryRun { dry_run: true, preview }).write(out)?;
    } else {
        writeln!(out, "dry run: nothing is written")?;
        human(&preview.report, all, out)?;
        changed(preview, out)?;
    }
    if unreadable { Err(Failure::Finding) } else { Ok(()) }
}

fn changed(preview: &Preview, out: &mut dyn Write) -> Result<(), Failure> {
    for amendment in preview.amendments.iter().take(CHANGES) {
        let changes = changes(amendment.before.as_ref(), &amendment.after).join(", ");
        writeln!(out, "would amend {}: {changes} ({})", amendment.target, amendment.reason)?;
    }
    for withdrawal in preview.withdrawals.iter().take(CHANGES) {
        writeln!(out, "would withdraw {} ({})", withdrawal.target, withdrawal.reason)?;
    }
    let beyond = |count: usize| count.saturating_sub(CHANGES) as u64;
    let more = beyond(preview.amendments.len()) + beyond(preview.withdrawals.len());
    if more > 0 {
        writeln!(out, "and {} more: --json lists all", grouped(more))?;
    }
    Ok(())
}

/// Describes the differences between two states of a record.
fn changes(before: Option<&TokenRecord>, after: &TokenRecord) -> Vec<String> {
    let Some(before) = before else { return vec!["a record of this import".to_owned()] };
    let mut changes_found = Vec::new();
    let named = [
        ("provider", Some(&*before.provider), Some(&*after.provider)),
        ("model", before.model.as_deref(), after.model.as_deref()),
        ("conversation", before.conversation.as_deref(), after.conversation.as_deref()),
        ("project", before.project.as_deref(), after.project.as_deref()),
    ];
    for (name, from, to) in named.into_iter().filter(|(_, from, to)| from != to) {
        changes_found.push(format!("{name} {} -> {}", from.unwrap_or("-"), to.unwrap_or("-")));
    }
    let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), grouped);
    for class in TokenClass::ALL {
        let (from, to) = (before.tokens.get(class), after.tokens.get(class));
        if from != to {
            changes_found.push(format!("{} {} -> {}", class.name(), count(from), count(to)));
        }
    }
    let labels: BTreeSet<&String> = before.labels.keys().chain(after.labels.keys()).collect();
    for name in labels {
        let [from, to] = [before, after].map(|record| record.labels.get(name).map_or("-", String::as_str));
        if from != to {
            changes_found.push(format!("label {name} {from} -> {to}"));
        }
    }
    if changes_found.is_empty() {
        changes_found.push("keys, times or other details".to_owned());
    }
    changes_found
}
