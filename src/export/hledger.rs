use std::collections::BTreeMap;
use std::io::Write;

use rust_decimal::Decimal;

use super::{ExportError, ExportOptions, Exporter};
use crate::ledger::Snapshot;
use crate::model::tokens::TokenClass;
use crate::readers::price::Prices;
use crate::report::{Report, ReportKey, ReportRow};

/// A journal of plain-text accounting for [hledger](https://hledger.org): a transaction a day, provider account and
/// model, a posting a token class, and behind each the balance that it must bring its account to.
///
/// Whoever adds the journal up has added the ledger up without its help: `hledger check` refuses an amount that is off
/// by one. Reported cost stands beside the tokens in US dollars.
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

/// What each account has come to.
#[derive(Default)]
struct Balances {
    tokens: BTreeMap<String, u128>,
    usd: BTreeMap<String, Decimal>,
}

/// A name as a part of an account's: without what would end it or part it.
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
    let mut keys = row.keys.iter().map(|key| key.as_deref().unwrap_or_default());
    let mut next = || keys.next().unwrap_or_default();
    let (day, provider, account, model) = (next(), part(next()), next(), part(next()));
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
        let amount: Decimal = cost.to_string().parse().unwrap_or_default();
        let balance = balances.usd.entry(name.clone()).or_default();
        *balance += amount;
        writeln!(out, "    {name}  {amount} USD = {balance} USD")?;
        writeln!(out, "    reported:{owner}  {} USD", -amount)?;
    }
    Ok(())
}
