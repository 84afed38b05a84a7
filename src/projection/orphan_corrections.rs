//! Tracks corrections that arrived before their targets, which is rare. Without any, a fold need not look up
//! corrections for each record.

use super::corrections;
use super::key::take_id;
use crate::model::error::Result;
use crate::model::event::{EventId, Position};
use crate::store::{GO_ON, Order, ReadView, STOP, Table};

/// The number of lookups before the fold scans the corrections.
const MAX_LOOKUPS: u32 = 64;
/// The maximal number of targets in that scan.
const LOOKED_AT: usize = 1_024;

/// The fold's knowledge of orphan corrections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Orphans {
    /// Not read yet.
    #[default]
    Unread,
    /// There are none.
    None,
    /// There are corrections; this many records were looked up.
    Unknown(u32),
    /// There may be some.
    Some,
}

impl Orphans {
    /// Determines what can be determined quickly, at the first use: only then does a fold read anything.
    pub fn read(&mut self, view: &dyn ReadView) -> Result<()> {
        if *self == Self::Unread {
            *self = if corrections::corrections_exist(view)? { Self::Unknown(0) } else { Self::None };
        }
        Ok(())
    }

    /// Whether a record being folded already has corrections.
    pub fn is_corrected(&mut self, view: &dyn ReadView, record: EventId, position: Position) -> Result<bool> {
        self.read(view)?;
        if let Self::Unknown(asked) = self {
            if *asked < MAX_LOOKUPS {
                *asked += 1;
            } else {
                *self = if any_orphan(view, position)? { Self::Some } else { Self::None };
            }
        }
        if *self == Self::None { Ok(false) } else { corrections::any(view, record) }
    }

    /// Records a correction being folded.
    pub fn note(&mut self, view: &dyn ReadView, target: EventId, position: Position) -> Result<()> {
        self.read(view)?;
        if *self == Self::None && is_ahead(view, target, position)? {
            *self = Self::Some;
        }
        Ok(())
    }
}

/// Whether the target of a correction is not folded yet.
fn is_ahead(view: &dyn ReadView, target: EventId, position: Position) -> Result<bool> {
    Ok(view.position_of(target)?.is_none_or(|at| at >= position))
}

/// Whether the target of any correction may not be folded yet.
fn any_orphan(view: &dyn ReadView, position: Position) -> Result<bool> {
    let mut targets = Vec::new();
    view.scan(Table::Corrections, &[], &[], Order::Ascending, &mut |key, _| {
        targets.extend(take_id(key).map(|(target, _)| target));
        if targets.len() > LOOKED_AT { STOP } else { GO_ON }
    })?;
    if targets.len() > LOOKED_AT {
        return Ok(true);
    }
    for target in targets {
        if is_ahead(view, target, position)? {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{EventVoided, NewEvent};
    use crate::{Ledger, Timestamp, TokenRecord};

    #[test]
    fn a_correction_before_its_target_applies_at_any_distance() {
        let now: Timestamp = "2026-11-23T20:00:00Z".parse().unwrap();
        let call = |number: u32| TokenRecord::new("openai", "m").input(1).key(number.to_string());
        let void = |number: u32| {
            let target = EventId::from_key("openai", &number.to_string());
            NewEvent::new(EventVoided { target, reason: "twice".to_owned() }, now)
        };
        for voided_first in [false, true] {
            let ledger = Ledger::in_memory().unwrap();
            ledger.record(call(0), now).unwrap();
            ledger.append([void(0)], now).unwrap();
            if voided_first {
                ledger.append([void(500)], now).unwrap();
            }
            // All in one transaction and one batch: the later events of the log are not folded yet.
            let calls = (1..=300).map(|number| NewEvent::new(call(number), now));
            let rest = (301..=600).map(|number| NewEvent::new(call(number), now));
            ledger.append(calls.chain([void(400)]).chain(rest), now).unwrap();
            let counted = ledger.provider("openai", now).unwrap().all_time.requests;
            assert_eq!(counted, 599 - u64::from(voided_first));
            assert!(ledger.replay().unwrap().ok);
        }
    }
}
