use std::collections::BTreeMap;
use std::io::Write;

use super::{ExportError, ExportOptions, Exporter, named};
use crate::ledger::Snapshot;
use crate::model::tokens::{TokenClass, Usd};
use crate::readers::price::Prices;
use crate::report::{Report, ReportKey, ReportRow};

/// Exports a journal for plain-text accounting with [hledger](https://hledger.org): one transaction per day and
/// provider account, one posting per token class, each with a balance assertion.
///
/// The assertions verify the sums independently: `hledger check` refuses an amount that is off by one. Reported cost is
/// posted next to the tokens, in US dollars.
pub(super) struct Hledger;

impl Exporter for Hledger {
    fn name(&self) -> &'static str {
        "hledger"
    }

    fn export(&self, snapshot: &Snapshot<'_>, out: &mut dyn Write) -> Result<(), ExportError> {
        self.export_with(snapshot, &ExportOptions::default(), out)
    }

    fn export_with(
        &self,
        snapshot: &Snapshot<'_>,
        options: &ExportOptions,
        out: &mut dyn Write,
    ) -> Result<(), ExportError> {
        let report = Report::by(ReportKey::Day).and(ReportKey::Provider).and(ReportKey::Account).and(ReportKey::Model);
        let mut report = report.prices(Prices::none()).tz(options.zone);
        if let Some(provider) = &options.provider {
            report = report.only(ReportKey::Provider, provider)?;
        }
        let table = snapshot.report(&report)?;
        let head = snapshot.head()?;
        writeln!(out, "; usage-ledger, position {}, root {}", head.position, snapshot.root()?)?;
        writeln!(out, "; {} requests, {} tokens", table.total.requests, table.total.tokens.total())?;
        writeln!(out, "commodity 1. tokens\ncommodity 1.00 USD")?;
        let mut balances = Balances::default();
        for row in &table.rows {
            transaction(row, &mut balances, out)?;
        }
        Ok(())
    }
}

/// Balances of the accounts.
#[derive(Default)]
struct Balances {
    tokens: BTreeMap<String, u128>,
    usd: BTreeMap<String, Usd>,
}

/// Escapes a name for an account, which must not contain separators.
fn part(name: &str) -> String {
    let clean: String = name
        .chars()
        .map(|c| match c {
            ':' => '/',
            ';' | '*' | '|' | '"' | '(' | ')' | '[' | ']' | '{' | '}' => '_',
            c if c.is_control() || c.is_whitespace() => '_',
            c => c,
        })
        .collect();
    if clean.is_empty() { "none".to_owned() } else { clean }
}

fn transaction(row: &ReportRow, balances: &mut Balances, out: &mut dyn Write) -> Result<(), ExportError> {
    let [day, provider, account, model] = named(row)?;
    let (provider, model) = (part(provider), part(model));
    let owner = if account.is_empty() { provider } else { format!("{provider}/{}", part(account)) };
    writeln!(out, "\n{day} {owner} {model}  ; {} requests", row.usage.requests)?;
    let mut sum = 0_u128;
    for class in TokenClass::ALL {
        let count = row.usage.tokens.get(class);
        if count > 0 {
            let name = format!("tokens:{owner}:{model}:{}", class.name());
            let balance = balances.tokens.entry(name.clone()).or_default();
            *balance += count;
            sum += count;
            writeln!(out, "    {name}  {count} tokens = {balance} tokens")?;
        }
    }
    writeln!(out, "    served:{owner}  -{sum} tokens")?;
    if let Some(cost) = row.usage.cost.reported_usd {
        let name = format!("cost:{owner}:{model}");
        let balance = balances.usd.entry(name.clone()).or_default();
        *balance = balance.checked_add(cost)?;
        writeln!(out, "    {name}  {cost} USD = {balance} USD")?;
        writeln!(out, "    reported:{owner}  -{cost} USD")?;
    }
    Ok(())
}
