//! `provider`: lists providers and declares whether they have a quota.

use std::collections::BTreeMap;
use std::io::Write;

use clap::{ArgGroup, Args, Subcommand};
use serde::Serialize;

use super::amend_void::answer;
use super::context::Context;
use crate::ledger::Snapshot;
use crate::model::event::{AccountRef, ProviderDeclared};
use crate::model::provider::{CATALOGUE, ProviderId};
use crate::model::time::Timestamp;
use crate::present::failure::Failure;
use crate::present::output::{self, EscapedText, JsonAnswer};
use crate::usage::{AccountAt, accounts, is_metered};

/// List the known providers, or declare one
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger provider list")]
pub(crate) struct ProviderArgs {
    #[command(subcommand)]
    command: ProviderCommand,
}

#[derive(Debug, Subcommand)]
enum ProviderCommand {
    /// List the providers of the catalogue and of this ledger
    #[command(after_help = "Example:\n  usage-ledger provider list --json")]
    List,
    Declare(DeclareArgs),
}

/// Declare whether a provider has a quota; a provider without one is never gated
#[derive(Args, Debug)]
#[command(
    group = ArgGroup::new("quota").required(true).args(["metered", "unmetered"]),
    after_help = "Example:\n  usage-ledger provider declare my-gateway --unmetered"
)]
struct DeclareArgs {
    /// The provider
    #[arg(value_name = "NAME")]
    provider: ProviderId,
    /// The provider has a quota
    #[arg(long)]
    metered: bool,
    /// The provider has no quota
    #[arg(long)]
    unmetered: bool,
    /// The account [default: every account without its own declaration]
    #[arg(long)]
    account: Option<String>,
}

pub(crate) fn run(args: ProviderArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match args.command {
        ProviderCommand::List => list(context, out),
        ProviderCommand::Declare(args) => {
            let ledger = context.write()?;
            let declaration =
                ProviderDeclared { provider: args.provider, account: args.account, metered: args.metered };
            let outcome = ledger.declare(declaration, context.now())?;
            answer(&ledger, outcome, context, out)
        }
    }
}

/// A provider account.
#[derive(Serialize)]
#[allow(clippy::struct_excessive_bools)] // facts that do not depend on each other, as JSON shows them
struct ProviderEntry {
    provider: String,
    account: Option<String>,
    name: Option<&'static str>,
    metered: bool,
    catalogue: bool,
    /// Whether the catalogue or this ledger states if it has a quota.
    declared: bool,
    /// Whether this ledger has records or settings of it.
    used: bool,
    aliases: &'static [&'static str],
}

#[derive(Serialize)]
struct ProviderList {
    providers: Vec<ProviderEntry>,
}

fn gather(snapshot: &Snapshot<'_>, now: Timestamp) -> Result<Vec<ProviderEntry>, Failure> {
    let view = snapshot.view();
    let mut known: BTreeMap<AccountRef<'static>, bool> = BTreeMap::new();
    for listed in CATALOGUE {
        known.insert(AccountRef::new(listed.id, None), false);
    }
    for account in accounts(view)? {
        known.insert(account, true);
    }
    let mut all = Vec::new();
    for (account, used) in known {
        let (metered, declared, _) = is_metered(AccountAt::new(view, &account, now))?;
        let listed = CATALOGUE.iter().find(|listed| listed.id == account.provider);
        all.push(ProviderEntry {
            provider: account.provider.into_owned(),
            account: account.account.map(std::borrow::Cow::into_owned),
            name: listed.map(|listed| listed.name),
            metered,
            catalogue: listed.is_some(),
            declared,
            used,
            aliases: listed.map(|listed| listed.aliases).unwrap_or_default(),
        });
    }
    Ok(all)
}

fn list(context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let providers = gather(&snapshot, context.query_time(&snapshot))?;
    if context.json {
        return JsonAnswer::new(ProviderList { providers }).write(out);
    }
    let header = ["provider", "account", "quota", "in this ledger", "also called"];
    let rows = providers.into_iter().map(|shown| {
        let quota = match (shown.metered, shown.declared) {
            (true, true) => "metered",
            (false, _) => "unmetered",
            (true, false) => "undeclared",
        };
        vec![
            shown.provider,
            shown.account.map(|account| EscapedText(&account).to_string()).unwrap_or_default(),
            quota.to_owned(),
            if shown.used { "yes" } else { "" }.to_owned(),
            shown.aliases.join(", "),
        ]
    });
    output::write_table(out, &output::table(header.map(str::to_owned).to_vec(), header.len(), rows))
}
