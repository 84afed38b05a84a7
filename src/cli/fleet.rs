//! `fleet`: the machines that may push their ledgers to this server.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::context::Context;
use crate::present::failure::Failure;
use crate::present::output::{EscapedText, JsonAnswer};
use crate::sync::fleet::{FleetServer, HeadVector, MachineChange};

/// Enrol the machines that push their ledgers to this server
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger fleet enrol laptop --person ann --team search > token.txt\n  \
    usage-ledger fleet list\n  \
    usage-ledger fleet revoke laptop")]
pub(crate) struct FleetArgs {
    #[command(subcommand)]
    command: FleetCommand,
}

#[derive(Debug, Subcommand)]
enum FleetCommand {
    Enrol(EnrolArgs),
    List(ListMachinesArgs),
    Revoke(RevokeArgs),
    Key(ServerKeyArgs),
    Merge(MergeArgs),
}

/// Where a server keeps its machines and cosignatures.
#[derive(Args, Debug)]
pub(crate) struct FleetPlaceArgs {
    /// The directory of machines, of the server's key and of its cosigned checkpoints [default: LEDGER-fleet; for a ledger in
    /// PostgreSQL, usage-ledger/fleet in the XDG data directory]
    #[arg(long = "fleet", value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// Enrol a machine, and print its token once
///
/// The server keeps only a hash of the token. With the token a machine pushes its own ledgers, and restores them.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger fleet enrol laptop --person ann --team search > token.txt")]
struct EnrolArgs {
    /// The name of the machine
    name: String,
    /// The person who uses it
    #[arg(long)]
    person: Option<String>,
    /// The team of the person
    #[arg(long)]
    team: Option<String>,
    /// Give an enrolled machine a new token; the old one ends
    #[arg(long)]
    renew: bool,
    /// The name in the server's cosignatures, an address without a scheme that you own; only for the first machine
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    #[command(flatten)]
    place: FleetPlaceArgs,
}

/// List machines and their ledgers
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger fleet list --json")]
struct ListMachinesArgs {
    #[command(flatten)]
    place: FleetPlaceArgs,
}

/// End the token of a machine; its ledgers stay
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger fleet revoke laptop")]
struct RevokeArgs {
    /// The name of the machine
    name: String,
    #[command(flatten)]
    place: FleetPlaceArgs,
}

/// Print the public key of this server's cosignatures
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  usage-ledger fleet key > server.pub")]
struct ServerKeyArgs {
    #[command(flatten)]
    place: FleetPlaceArgs,
}

/// Make one ledger of all machines, and print its path
///
/// Every command that reads a ledger reads it, for example `report --by label:team`. A call that several machines report counts
/// once, and an account that several machines use has one set of windows. The labels `machine`, `person`, `team` and `ledger`
/// name where a call comes from. The file follows from the pushed ledgers; write nothing to it.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  usage-ledger --ledger \"$(usage-ledger fleet merge)\" report --by label:team,account"
)]
struct MergeArgs {
    #[command(flatten)]
    place: FleetPlaceArgs,
}

#[derive(Serialize)]
struct MergeAnswer<'a> {
    file: PathBuf,
    heads: &'a HeadVector,
}

#[derive(Serialize)]
struct EnrolAnswer<'a> {
    machine: &'a str,
    token: &'a str,
    server: &'a str,
}

#[derive(Serialize)]
struct MachinesAnswer {
    machines: Vec<ListedMachine>,
}

#[derive(Serialize)]
struct ListedMachine {
    machine: String,
    person: Option<String>,
    team: Option<String>,
    enrolled_at: String,
    revoked_at: Option<String>,
    ledgers: Vec<String>,
}

/// Opens the server's list of machines, and its pushed ledgers.
pub(crate) fn open(args: &FleetPlaceArgs, context: &Context) -> Result<FleetServer, Failure> {
    let (directory, place) = context.fleet_place(args.directory.as_deref())?;
    Ok(FleetServer::new(&directory, place))
}

pub(crate) fn run(args: &FleetArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    match &args.command {
        FleetCommand::Enrol(args) => enrol(args, context, out),
        FleetCommand::List(args) => list(args, context, out),
        FleetCommand::Revoke(args) => {
            let change = MachineChange::Revoke { name: &args.name, now: context.now() };
            open(&args.place, context)?.change_machine(&change, None)?;
            if context.json {
                return JsonAnswer::new(serde_json::json!({"machine": args.name, "revoked": true})).write(out);
            }
            Ok(writeln!(out, "the token of {} has ended", EscapedText(&args.name))?)
        }
        FleetCommand::Merge(args) => {
            let mut server = open(&args.place, context)?;
            if context.exists()? {
                server = server.with_own(context.read()?);
            }
            let (heads, file) = (server.merge_all(context.now())?, server.merged_file());
            if context.json {
                return JsonAnswer::new(MergeAnswer { file, heads: &heads }).write(out);
            }
            Ok(writeln!(out, "{}", file.display())?)
        }
        FleetCommand::Key(args) => {
            let key = open(&args.place, context)?.public_key()?;
            if context.json {
                return JsonAnswer::new(serde_json::json!({"server": key})).write(out);
            }
            Ok(writeln!(out, "{key}")?)
        }
    }
}

fn enrol(args: &EnrolArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let server = open(&args.place, context)?;
    let change = MachineChange::Enrol {
        name: &args.name,
        person: args.person.as_deref(),
        team: args.team.as_deref(),
        renew: args.renew,
        now: context.now(),
    };
    let token = server.change_machine(&change, args.server_name.as_deref())?.unwrap_or_default();
    if context.json {
        let answer = EnrolAnswer { machine: &args.name, token: &token, server: &server.public_key()? };
        return JsonAnswer::new(answer).write(out);
    }
    Ok(writeln!(out, "{token}")?)
}

fn list(args: &ListMachinesArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let registry = open(&args.place, context)?.registry()?;
    let machines = registry.machines().iter().map(|machine| ListedMachine {
        machine: machine.name.clone(),
        person: machine.person.clone(),
        team: machine.team.clone(),
        enrolled_at: machine.enrolled_at.to_string(),
        revoked_at: machine.revoked_at.map(|at| at.to_string()),
        ledgers: registry
            .ledgers()
            .iter()
            .filter(|(_, ledger)| ledger.machine == machine.name)
            .map(|(id, _)| id.clone())
            .collect(),
    });
    let answer = MachinesAnswer { machines: machines.collect() };
    if context.json {
        return JsonAnswer::new(answer).write(out);
    }
    for machine in answer.machines {
        let name = |name: &Option<String>| name.as_ref().map_or("-".to_owned(), |name| EscapedText(name).to_string());
        let state = if machine.revoked_at.is_some() { "revoked" } else { "enrolled" };
        let (person, team, ledgers) = (name(&machine.person), name(&machine.team), machine.ledgers.join(" "));
        writeln!(out, "{}  {person}  {team}  {state}  {ledgers}", EscapedText(&machine.machine))?;
    }
    Ok(())
}
