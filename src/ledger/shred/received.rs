//! Shreddings that another copy of the ledger carried out, and that reach this copy as `event_shredded` events.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::ShredPlan;
use super::{RemovedNames, refresh_blocks, root_of};
use crate::ledger::Appender;
use crate::merkle::Hash;
use crate::model::error::{Error, Result};
use crate::model::event::{Event, EventShredded, Payload, Position, Tombstone};
use crate::projection::past::rewrite;
use crate::projection::{leaf_at, refile};
use crate::store::ReadView;

/// A body to replace.
struct Replacement {
    removed: RemovedNames,
    tombstone: String,
}

/// Replaces the bodies that `event_shredded` events name, and returns how many were there. The events are appended
/// already. A later event about the same position replaces an earlier one.
pub(in crate::ledger) fn carry_out(
    appender: &mut Appender<'_>,
    shreddings: Vec<(Position, EventShredded)>,
) -> Result<u64> {
    let latest: BTreeMap<Position, (Position, EventShredded)> =
        shreddings.into_iter().map(|(by, shredded)| (shredded.position, (by, shredded))).collect();
    if latest.is_empty() {
        return Ok(0);
    }
    let mut replacements = Vec::new();
    for (by, shredded) in latest.values() {
        replacements.extend(replacement(appender.view()?, *by, shredded)?);
    }
    if replacements.is_empty() {
        return Ok(0);
    }
    let mut roots: Vec<Position> = Vec::new();
    for one in &replacements {
        roots.extend(root_of(appender.view()?, &one.removed)?);
    }
    roots.sort_unstable();
    roots.dedup();
    appender.count(&roots, true)?;
    let positions: Vec<Position> = replacements.iter().map(|one| one.removed.position).collect();
    let has_imports = replacements.iter().any(|one| matches!(one.removed.event.payload, Payload::Imported(_)));
    let tombstones: Vec<(Position, String)> =
        replacements.into_iter().map(|one| (one.removed.position, one.tombstone)).collect();
    appender.replace_bodies(&tombstones)?;
    appender.count(&roots, false)?;
    let chapters = ShredPlan::chapters_of(appender.view()?, positions.iter().copied().collect::<BTreeSet<_>>())?;
    let sink = appender.sink()?;
    if has_imports {
        refile(sink)?;
    }
    refresh_blocks(sink, &positions)?;
    rewrite(sink, &chapters)?;
    Ok(positions.len() as u64)
}

/// The replacement that an `event_shredded` asks for; `None` if the body is gone already.
fn replacement(view: &dyn ReadView, by: Position, shredded: &EventShredded) -> Result<Option<Replacement>> {
    let position = shredded.position;
    let refuse = |why: &str| Err(Error::invalid(format!("the event_shredded at position {by} {why}")));
    if position == Position::START || position >= by {
        return refuse("names no earlier event");
    }
    let line = view.expect_line(position)?;
    let leaf: Hash = shredded.leaf.parse()?;
    if leaf != leaf_at(view, position)? {
        return refuse(&format!("gives another leaf hash of position {position}"));
    }
    let event = Event::from_line(position, &line)?;
    if event.id != shredded.target {
        return refuse(&format!("names another event than the one at position {position}"));
    }
    let kept = shredded.keeps.get();
    let tombstone = Tombstone { position, leaf: &shredded.leaf, by, kept }.to_line();
    match Tombstone::read(position, &line)? {
        // A later `event_shredded` follows, and is checked then.
        Some(stored) if stored.by > by => return Ok(None),
        Some(stored) if stored.by == by => {
            return if line == tombstone {
                Ok(None)
            } else {
                refuse(&format!("keeps other data than the tombstone at position {position}"))
            };
        }
        _ => {}
    }
    let remaining = Event::from_line(position, &tombstone)?;
    if (remaining.id, remaining.occurred_at, remaining.recorded_at) != (event.id, event.occurred_at, event.recorded_at)
        || remaining.payload.event_kind() != event.payload.event_kind()
    {
        return refuse(&format!("keeps another event than the one at position {position}"));
    }
    Ok(Some(Replacement { removed: RemovedNames { event, position, leaf, keeps: kept.to_owned() }, tombstone }))
}
