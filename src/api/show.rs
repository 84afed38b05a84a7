//! `show`: one event, its current values, its line, and the proof that it is in the tree.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::ledger::Snapshot;
use crate::merkle::InclusionProof;
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventId, Payload, Position, TokenRecord, Tombstone, on_one_line};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::usage::accounts;

/// Maximum length of a part of a line, in bytes. JSON escapes at most double it.
const PART: usize = 40_000;

/// The current values of a token record.
#[derive(Serialize)]
pub(crate) struct CountsAs {
    at: Timestamp,
    pub position: Position,
    pub record: TokenRecord,
}

/// One event.
#[derive(Serialize)]
pub(crate) struct ShownEvent {
    pub position: Position,
    pub leaf: String,
    /// Who erased its body, when and why. Then `event` is the tombstone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shredded: Option<TombstoneAnswer>,
    pub void: bool,
    /// Whether it is in effect.
    pub holds: bool,
    pub amended: bool,
    pub counts_as: Option<CountsAs>,
    /// `None` if the tree is damaged.
    pub proof: Option<EventProof>,
    /// `None` for a line that is too long for one answer.
    event: Option<Box<RawValue>>,
}

/// The `event_shredded` that names the event, with its content.
#[derive(Serialize)]
pub(crate) struct TombstoneAnswer {
    pub position: Position,
    /// `None` if the snapshot ends before it.
    pub at: Option<Timestamp>,
    pub author: Option<String>,
    pub reason: Option<String>,
}

/// Proof that the event is in the tree (RFC 6962 §2.1.1).
#[derive(Serialize)]
pub(crate) struct EventProof {
    /// Its position minus one.
    index: u64,
    pub size: u64,
    pub root: String,
    pub hashes: Vec<String>,
}

/// A part of the line of an event: the text that is hashed.
#[derive(Serialize)]
pub(crate) struct LinePart {
    position: Position,
    leaf: String,
    /// Whether the body is erased: the text is then the tombstone, which has another hash.
    shredded: bool,
    /// Length of the whole line in bytes.
    bytes: usize,
    from: usize,
    text: String,
    /// Value of `from` for the next part; null at the end.
    next: Option<usize>,
}

impl TombstoneAnswer {
    fn read(position: Position, snapshot: &Snapshot<'_>) -> Result<Self> {
        if position > snapshot.head()?.position {
            return Ok(Self { position, at: None, author: None, reason: None });
        }
        let event = snapshot.event(position)?;
        let at = Some(event.occurred_at);
        match event.payload {
            Payload::EventShredded(data) => Ok(Self { position, at, author: data.author, reason: Some(data.reason) }),
            _ => {
                Err(Error::damaged(position, "an event is a tombstone that refers to this one, which does not name it"))
            }
        }
    }
}

impl ShownEvent {
    /// Leaves out a line that is too long for one answer; [`line`] returns it in parts.
    pub fn without_long_line(mut self) -> Self {
        self.event = self.event.filter(|line| line.get().len() <= PART);
        self
    }
}

/// Reads the event at a position, and its line as folds read it.
pub(crate) fn answer(snapshot: &Snapshot<'_>, position: Position) -> Result<(ShownEvent, Event, String)> {
    let line = snapshot.stored(position)?;
    let tombstone = Tombstone::read(position, &line)?;
    let stored_line = tombstone.as_ref().map_or(line.as_str(), |tombstone| tombstone.kept).to_owned();
    let event = Event::from_line(position, &stored_line)?;
    let void = snapshot.is_void(event.id)?;
    let raw = RawValue::from_string(on_one_line(&stored_line).to_string())
        .map_err(|error| Error::damaged(position, format!("the line is no JSON ({error})")))?;
    let shown = ShownEvent {
        position,
        leaf: snapshot.leaf(position)?.to_string(),
        shredded: tombstone.map(|tombstone| TombstoneAnswer::read(tombstone.by, snapshot)).transpose()?,
        void,
        holds: !void,
        amended: false,
        counts_as: None,
        proof: prove(position, snapshot)?,
        event: Some(raw),
    };
    let shown = set_current_state(shown, &event, snapshot)?;
    Ok((shown, event, stored_line))
}

/// Returns a part of the line of an event.
pub(crate) fn line(snapshot: &Snapshot<'_>, position: Position, from: u64) -> Result<LinePart> {
    let line = snapshot.stored(position)?;
    let beyond = || Error::invalid(format!("`from` is {from}: it must be 0, or `next` of the part before"));
    let from = usize::try_from(from).map_err(|_| beyond())?;
    let rest = line.get(from..).filter(|rest| !rest.is_empty()).ok_or_else(beyond)?;
    let mut end = rest.len().min(PART);
    while !rest.is_char_boundary(end) {
        end -= 1;
    }
    let (text, later) = rest.split_at_checked(end).ok_or_else(|| bug!("byte {end} is inside a character"))?;
    Ok(LinePart {
        position,
        leaf: snapshot.leaf(position)?.to_string(),
        shredded: Tombstone::is(&line),
        bytes: line.len(),
        from,
        next: (!later.is_empty()).then_some(from + end),
        text: text.to_owned(),
    })
}

/// Finds an event by its position, its id, or the provider's own key of a call.
pub(crate) fn find(snapshot: &Snapshot<'_>, text: &str) -> Result<Position> {
    if let Ok(number) = text.parse() {
        return Ok(Position::new(number));
    }
    match text.parse::<EventId>() {
        Ok(id) => snapshot.position(id),
        Err(_) => by_key(text, snapshot),
    }
}

/// Finds the record with a key, of any provider in this ledger.
fn by_key(key: &str, snapshot: &Snapshot<'_>) -> Result<Position> {
    let mut records = BTreeMap::new();
    for account in accounts(snapshot.view())? {
        if let Some(position) = snapshot.find(&account.provider, key)? {
            records.insert(position, account.provider);
        }
    }
    match records.first_key_value() {
        None => Err(Error::NotFound { what: format!("with the position, id or key `{key}`") }),
        Some((position, _)) if records.len() == 1 => Ok(*position),
        Some(_) => {
            let records: Vec<_> =
                records.iter().map(|(position, provider)| format!("{position} ({provider})")).collect();
            Err(Error::invalid(format!(
                "several providers have a record with the key `{key}`: name its position, one of {}",
                records.join(", ")
            )))
        }
    }
}

/// Returns the proof. An event is shown even if the tree is damaged.
fn prove(position: Position, snapshot: &Snapshot<'_>) -> Result<Option<EventProof>> {
    let made = snapshot.prove_inclusion(position, None).and_then(|proof| Ok((snapshot.root()?, proof)));
    match made {
        Ok((root, InclusionProof { size, hashes, .. })) => Ok(Some(EventProof {
            index: position.get().saturating_sub(1),
            size,
            root: root.to_string(),
            hashes: hashes.iter().map(ToString::to_string).collect(),
        })),
        Err(Error::Damaged { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

/// Sets whether the event is in effect, and the current values of a token record.
fn set_current_state(mut shown: ShownEvent, event: &Event, snapshot: &Snapshot<'_>) -> Result<ShownEvent> {
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
