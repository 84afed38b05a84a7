//! `show`: one event, where it stands, and what it counts as now.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::clock::full;
use super::context::Context;
use super::failure::Failure;
use super::output::{Answer, counted};
use super::pretty::pretty;
use super::summary::record;
use super::target::Target;
use crate::audit::InclusionProof;
use crate::error::Error;
use crate::event::{Event, Payload, Position, Stub, TokenRecord, on_one_line};
use crate::ledger::Sight;
use crate::provider::ProviderId;
use crate::time::{Timestamp, Zone};
use crate::usage::accounts;

/// Show an event: what it counts as now, its line, and the proof that it is in the tree
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger show 120\n  \
    usage-ledger show msg_01ABC")]
pub(super) struct ShowArgs {
    /// A position, an event id, or the provider's own key: a message, response or request id
    #[arg(value_name = "POSITION|ID|KEY")]
    event: String,
    /// The provider whose key it is
    #[arg(long)]
    provider: Option<ProviderId>,
}

/// What a token record counts as now.
#[derive(Serialize)]
struct CountsAs {
    at: Timestamp,
    position: Position,
    record: TokenRecord,
}

/// One event.
#[derive(Serialize)]
struct Shown<'a> {
    position: Position,
    leaf: String,
    /// Who took its body, when and why; then `event` is what stays of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    shredded: Option<Shredded>,
    void: bool,
    /// Whether it has its effect.
    holds: bool,
    amended: bool,
    counts_as: Option<CountsAs>,
    /// `None` when the tree is damaged.
    proof: Option<Proof>,
    event: &'a RawValue,
}

/// Where an event is said to be shredded, and what is said there.
#[derive(Serialize)]
struct Shredded {
    position: Position,
    /// `None` where a sight of the past ends before it.
    at: Option<Timestamp>,
    author: Option<String>,
    reason: Option<String>,
}

impl Shredded {
    fn read(position: Position, sight: &Sight<'_>) -> Result<Self, Failure> {
        if position > sight.head()?.position {
            return Ok(Self { position, at: None, author: None, reason: None });
        }
        let word = sight.event(position)?;
        let at = Some(word.occurred_at);
        match word.payload {
            Payload::EventShredded(data) => Ok(Self { position, at, author: data.author, reason: Some(data.reason) }),
            _ => Err(Error::damaged(position, "an event is shredded by this one, which does not say so").into()),
        }
    }

    fn told(&self, zone: Zone) -> String {
        let at = self.at.map_or_else(|| ", later than this".to_owned(), |at| format!(", {}", full(at, zone)));
        let author = self.author.as_ref().map(|author| format!(", says {author}")).unwrap_or_default();
        let reason = self.reason.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default();
        format!("at position {}{at}{author}{reason}", self.position)
    }
}

/// That the event is in the tree (RFC 6962 §2.1.1).
#[derive(Serialize)]
struct Proof {
    /// Its position less one.
    index: u64,
    size: u64,
    root: String,
    hashes: Vec<String>,
}

pub(super) fn run(args: &ShowArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let mut ledger = context.read()?;
    let sight = context.sight(&mut ledger)?;
    let position = match &args.provider {
        Some(provider) => sight
            .find(provider.as_str(), &args.event)?
            .ok_or_else(|| Error::NotFound { what: format!("of {provider} with the key `{}`", args.event) })?,
        None => match args.event.parse()? {
            Target::Other(key) => by_key(&key, &sight)?,
            target => target.position(&sight)?,
        },
    };
    let line = sight.stored(position)?;
    let stub = Stub::read(position, &line)?;
    let kept = stub.map_or(line.as_str(), |stub| stub.kept);
    let event = Event::from_line(position, kept)?;
    let on_one_line = on_one_line(kept);
    let void = sight.is_void(event.id)?;
    let shown = Shown {
        position,
        leaf: sight.leaf(position)?.to_string(),
        shredded: stub.map(|stub| Shredded::read(stub.by, &sight)).transpose()?,
        void,
        holds: !void,
        amended: false,
        counts_as: None,
        proof: prove(position, &sight)?,
        event: serde_json::from_str(&on_one_line)?,
    };
    let shown = weigh(shown, &event, &sight)?;
    if context.json {
        return Answer::new(shown).write(out);
    }
    let zone = context.zone();
    writeln!(out, "position {position}")?;
    writeln!(out, "leaf     {}", shown.leaf)?;
    writeln!(out, "happened {}", full(event.occurred_at, zone))?;
    writeln!(out, "recorded {}", full(event.recorded_at, zone))?;
    writeln!(out, "holds    {}", state(&shown))?;
    if let Some(now) = shown.counts_as.as_ref().filter(|_| shown.amended) {
        writeln!(out, "as       {}", super::output::Plain(&record(&now.record)))?;
    }
    if let Some(shredded) = &shown.shredded {
        writeln!(out, "shredded {}", super::output::Plain(&shredded.told(zone)))?;
    }
    writeln!(out, "{}", pretty(kept))?;
    let Some(proof) = &shown.proof else {
        return Ok(writeln!(out, "proof    none: the tree is damaged; run `usage-ledger verify`")?);
    };
    writeln!(out, "root     {} over {}", proof.root, counted(proof.size, "event"))?;
    for (index, hash) in proof.hashes.iter().enumerate() {
        writeln!(out, "{:<8} {hash}", if index == 0 { "proof" } else { "" })?;
    }
    Ok(())
}

/// The way from the event up to the root. An event is shown whatever state the tree is in.
fn prove(position: Position, sight: &Sight<'_>) -> Result<Option<Proof>, Failure> {
    let made = sight.prove_inclusion(position, None).and_then(|proof| Ok((sight.root()?, proof)));
    match made {
        Ok((root, InclusionProof { size, hashes, .. })) => Ok(Some(Proof {
            index: position.get().saturating_sub(1),
            size,
            root: root.to_string(),
            hashes: hashes.iter().map(ToString::to_string).collect(),
        })),
        Err(Error::Damaged { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// The record that a key finds, whichever of this ledger's providers made it.
fn by_key(key: &str, sight: &Sight<'_>) -> Result<Position, Failure> {
    let mut found = BTreeMap::new();
    for account in accounts(sight.view())? {
        if let Some(position) = sight.find(&account.provider, key)? {
            found.insert(position, account.provider);
        }
    }
    match found.first_key_value() {
        None => Err(Error::NotFound { what: format!("with the position, id or key `{key}`") }.into()),
        Some((position, _)) if found.len() == 1 => Ok(*position),
        Some(_) => {
            let providers: Vec<_> = found.into_values().collect();
            Err(Failure::usage(format!(
                "several providers have a record with the key `{key}`: say --provider with one of {}",
                providers.join(", ")
            )))
        }
    }
}

/// Whether the event has its effect, and what a token record counts as.
fn weigh<'a>(mut shown: Shown<'a>, event: &Event, sight: &Sight<'_>) -> Result<Shown<'a>, Failure> {
    match &event.payload {
        Payload::TokensRecorded(_) => {
            let effective = sight.effective(shown.position)?;
            shown.amended = effective.as_ref().is_some_and(|effective| effective.amended_at.is_some());
            shown.counts_as = effective.map(|mut now| {
                now.record.minify();
                CountsAs { at: now.at, position: now.evidence, record: now.record }
            });
        }
        Payload::TokensAmended(amend) => {
            let target = sight.view().position_of(amend.target)?;
            let standing = target.map(|target| sight.effective(target)).transpose()?.flatten();
            shown.holds = standing.is_some_and(|standing| standing.evidence == shown.position);
        }
        _ => {}
    }
    Ok(shown)
}

fn state(shown: &Shown<'_>) -> String {
    match &shown.counts_as {
        _ if shown.void => "no: it is withdrawn".to_owned(),
        Some(now) if shown.amended => format!("as amended at position {}", now.position),
        _ if shown.holds => "yes".to_owned(),
        _ => "no: its record is not there, is withdrawn, or stands on a later amend".to_owned(),
    }
}
