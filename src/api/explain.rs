//! `explain`: a decision with the events that it depends on.

use serde::Serialize;
use serde_json::value::RawValue;

use super::events::shown;
use super::gate::PricedVerdict;
use crate::ledger::Snapshot;
use crate::model::error::{Error, Result};

/// Maximum number of events in one answer. The decision lists the positions of all.
const SHOWN: usize = 100;

/// A decision and its events.
#[derive(Serialize)]
pub(crate) struct Explanation {
    #[serde(flatten)]
    verdict: PricedVerdict,
    events: Vec<Box<RawValue>>,
}

/// Adds the events that a decision rests on.
pub(crate) fn answer(snapshot: &Snapshot<'_>, verdict: PricedVerdict) -> Result<Explanation> {
    let mut events = Vec::new();
    for position in verdict.verdict.evidence.iter().take(SHOWN) {
        let text = shown(*position, &snapshot.stored(*position)?)?;
        let event = RawValue::from_string(text);
        events.push(event.map_err(|error| Error::damaged(*position, format!("the line is no JSON ({error})")))?);
    }
    Ok(Explanation { verdict, events })
}
