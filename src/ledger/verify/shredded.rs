//! Compares tombstones with the `event_shredded` events that name them, in both directions.

use std::collections::BTreeMap;

use super::Findings;
use super::lines::{TombstoneRow, VerifiedLog};
use crate::model::error::Result;
use crate::model::event::{Event, EventShredded, Payload, Position, Tombstone};

/// A tombstone is valid only if the last `event_shredded` of its position names it with the same content.
pub(super) fn check(seen: &VerifiedLog, findings: &mut Findings) -> Result<()> {
    let mut words: BTreeMap<Position, Vec<(Position, EventShredded)>> = BTreeMap::new();
    for (by, line) in seen.others.iter().filter(|(_, line)| line.contains("\"event_shredded\"")) {
        if let Payload::EventShredded(word) = Event::from_line(*by, line)?.payload {
            words.entry(word.position).or_default().push((*by, word));
        }
    }
    for row in &seen.tombstones {
        match words.remove(&row.position) {
            Some(words) => compare(row, &words, findings)?,
            None => findings.add(row.position, "its body is missing, and no event_shredded names it"),
        }
    }
    for (position, words) in words {
        for (by, _) in words {
            findings
                .add(by, format!("it names position {position} as shredded, but that body exists or never existed"));
        }
    }
    Ok(())
}

fn compare(row: &TombstoneRow, words: &[(Position, EventShredded)], findings: &mut Findings) -> Result<()> {
    let Some(tombstone) = Tombstone::read(row.position, &row.body)? else { return Ok(()) };
    for (by, word) in words {
        if word.leaf != tombstone.leaf {
            findings.add(*by, format!("the leaf hash that it gives of position {} is another", row.position));
        }
        if word.target != row.id || *by <= row.position {
            findings.add(*by, format!("position {} is not the event that it names", row.position));
        }
    }
    if let Some((by, word)) = words.last() {
        let expected = Tombstone { position: row.position, leaf: &word.leaf, by: *by, kept: word.keeps.get() };
        if expected.to_line() != row.body {
            findings.add(row.position, format!("its remaining data differ from those in position {by}"));
        }
    }
    Ok(())
}
