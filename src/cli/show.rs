//! `show`: prints one event, its position, and its current values.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::context::Context;
use super::event_ref::EventRef;
use super::json_indent::pretty;
use crate::ledger::Snapshot;
use crate::merkle::InclusionProof;
use crate::model::error::Error;
use crate::model::event::{Event, Payload, Position, TokenRecord, Tombstone, on_one_line};
use crate::model::provider::ProviderId;
use crate::model::time::{Timestamp, Zone};
use crate::present::clock::full;
use crate::present::failure::Failure;
use crate::present::output::{JsonAnswer, counted};
use crate::present::summary::record;
use crate::usage::accounts;

/// Show an event: its current values, its line, and the proof that it is in the tree
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    usage-ledger show 120\n  \
    usage-ledger show msg_01ABC")]
pub(crate) struct ShowArgs {
    /// A position, an event id, or the provider's own key: a message, response or request id
    #[arg(value_name = "POSITION|ID|KEY")]
    event: String,
    /// The provider of the key
    #[arg(long)]
    provider: Option<ProviderId>,
}

/// The current values of a token record.
#[derive(Serialize)]
struct CountsAs {
    at: Timestamp,
    position: Position,
    record: TokenRecord,
}

/// One event.
#[derive(Serialize)]
struct ShownEvent<'a> {
    position: Position,
    leaf: String,
    /// Who erased its body, when and why. Then `event` is the tombstone.
    #[serde(skip_serializing_if = "Option::is_none")]
    shredded: Option<TombstoneAnswer>,
    void: bool,
    /// Whether it is in effect.
    holds: bool,
    amended: bool,
    counts_as: Option<CountsAs>,
    /// `None` if the tree is damaged.
    proof: Option<EventProof>,
    event: &'a RawValue,
}

/// The `event_shredded` that names the event, with its content.
#[derive(Serialize)]
struct TombstoneAnswer {
    position: Position,
    /// `None` if the snapshot ends before it.
    at: Option<Timestamp>,
    author: Option<String>,
    reason: Option<String>,
}

impl TombstoneAnswer {
    fn read(position: Position, snapshot: &Snapshot<'_>) -> Result<Self, Failure> {
        if position > snapshot.head()?.position {
            return Ok(Self { position, at: None, author: None, reason: None });
        }
        let event = snapshot.event(position)?;
        let at = Some(event.occurred_at);
        match event.payload {
            Payload::EventShredded(data) => Ok(Self { position, at, author: data.author, reason: Some(data.reason) }),
            _ => {
                Err(Error::damaged(position, "an event is a tombstone that refers to this one, which does not name it")
                    .into())
            }
        }
    }

    fn describe(&self, zone: Zone) -> String {
        let at = self.at.map_or_else(|| ", later than this".to_owned(), |at| format!(", {}", full(at, zone)));
        let author = self.author.as_ref().map(|author| format!(", requested by {author}")).unwrap_or_default();
        let reason = self.reason.as_ref().map(|reason| format!("; {reason}")).unwrap_or_default();
        format!("at position {}{at}{author}{reason}", self.position)
    }
}

/// Proof that the event is in the tree (RFC 6962 §2.1.1).
#[derive(Serialize)]
struct EventProof {
    /// Its position minus one.
    index: u64,
    size: u64,
    root: String,
    hashes: Vec<String>,
}

pub(crate) fn run(args: &ShowArgs, context: &Context, out: &mut dyn Write) -> Result<(), Failure> {
    let ledger = context.read()?;
    let snapshot = context.snapshot(&ledger)?;
    let position = match &args.provider {
        Some(provider) => snapshot
            .find(provider.as_str(), &args.event)?
            .ok_or_else(|| Error::NotFound { what: format!("of {provider} with the key `{}`", args.event) })?,
        None => match args.event.parse()? {
            EventRef::Other(key) => by_key(&key, &snapshot)?,
            target => target.position(&snapshot)?,
        },
    };
    let line = snapshot.stored(position)?;
    let tombstone = Tombstone::read(position, &line)?;
    let stored_line = tombstone.map_or(line.as_str(), |tombstone| tombstone.kept);
    let event = Event::from_line(position, stored_line)?;
    let on_one_line = on_one_line(stored_line);
    let void = snapshot.is_void(event.id)?;
    let shown = ShownEvent {
        position,
        leaf: snapshot.leaf(position)?.to_string(),
        shredded: tombstone.map(|tombstone| TombstoneAnswer::read(tombstone.by, &snapshot)).transpose()?,
        void,
        holds: !void,
        amended: false,
        counts_as: None,
        proof: prove(position, &snapshot)?,
        event: serde_json::from_str(&on_one_line)?,
    };
    let shown = set_current_state(shown, &event, &snapshot)?;
    if context.json {
        return JsonAnswer::new(shown).write(out);
    }
    let zone = context.zone();
    writeln!(out, "position {position}")?;
    writeln!(out, "leaf     {}", shown.leaf)?;
    writeln!(out, "happened {}", full(event.occurred_at, zone))?;
    writeln!(out, "recorded {}", full(event.recorded_at, zone))?;
    writeln!(out, "holds    {}", state(&shown))?;
    if let Some(now) = shown.counts_as.as_ref().filter(|_| shown.amended) {
        writeln!(out, "as       {}", crate::present::output::EscapedText(&record(&now.record)))?;
    }
    if let Some(shredded) = &shown.shredded {
        writeln!(out, "shredded {}", crate::present::output::EscapedText(&shredded.describe(zone)))?;
    }
    writeln!(out, "{}", pretty(stored_line))?;
    let Some(proof) = &shown.proof else {
        return Ok(writeln!(out, "proof    none: the tree is damaged; run `usage-ledger verify`")?);
    };
    writeln!(out, "root     {} over {}", proof.root, counted(proof.size, "event"))?;
    for (index, hash) in proof.hashes.iter().enumerate() {
        writeln!(out, "{:<8} {hash}", if index == 0 { "proof" } else { "" })?;
    }
    Ok(())
}

/// Returns the proof. An event is shown even if the tree is damaged.
fn prove(position: Position, snapshot: &Snapshot<'_>) -> Result<Option<EventProof>, Failure> {
    let made = snapshot.prove_inclusion(position, None).and_then(|proof| Ok((snapshot.root()?, proof)));
    match made {
        Ok((root, InclusionProof { size, hashes, .. })) => Ok(Some(EventProof {
            index: position.get().saturating_sub(1),
            size,
            root: root.to_string(),
            hashes: hashes.iter().map(ToString::to_string).collect(),
        })),
        Err(Error::Damaged { .. }) => Ok(None),
        Err(other) => Err(other.into()),
    }
}

/// Finds the record with a key, of any provider in this ledger.
fn by_key(key: &str, snapshot: &Snapshot<'_>) -> Result<Position, Failure> {
    let mut records = BTreeMap::new();
    for account in accounts(snapshot.view())? {
        if let Some(position) = snapshot.find(&account.provider, key)? {
            records.insert(position, account.provider);
        }
    }
    match records.first_key_value() {
        None => Err(Error::NotFound { what: format!("with the position, id or key `{key}`") }.into()),
        Some((position, _)) if records.len() == 1 => Ok(*position),
        Some(_) => {
            let providers: Vec<_> = records.into_values().collect();
            Err(Failure::usage(format!(
                "several providers have a record with the key `{key}`: give --provider with one of {}",
                providers.join(", ")
            )))
        }
    }
}

/// Sets whether the event is in effect, and the current values of a token record.
fn set_current_state<'a>(
    mut shown: ShownEvent<'a>,
    event: &Event,
    snapshot: &Snapshot<'_>,
) -> Result<ShownEvent<'a>, Failure> {
    match &event.payload {
        Payload::TokensRecorded(_) => {
            let effective = snapshot.effective(shown.position)?;
            shown.amended = effective.as_ref().is_some_and(|effective| effective.amended_at.is_some());
            shown.counts_as = effective.map(|mut now| {
                if let Some(raw) = &mut now.record.raw {
                    raw.minify();
                }
                CountsAs { at: now.at, position: now.evidence, record: now.record }
            });
        }
        Payload::TokensAmended(amend) => {
            let target = snapshot.view().position_of(amend.target)?;
            let standing = target.map(|target| snapshot.effective(target)).transpose()?.flatten();
            shown.holds = standing.is_some_and(|standing| standing.evidence == shown.position);
        }
        _ => {}
    }
    Ok(shown)
}

fn state(shown: &ShownEvent<'_>) -> String {
    match &shown.counts_as {
        _ if shown.void => "no: it is withdrawn".to_owned(),
        Some(now) if shown.amended => format!("as amended at position {}", now.position),
        _ if shown.holds => "yes".to_owned(),
        _ => "no: its record is missing, withdrawn, or amended later".to_owned(),
    }
}
