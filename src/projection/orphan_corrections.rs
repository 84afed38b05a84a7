//! Corrections that were there before what they correct, which is rare; a fold that knows of none need not ask for each
//! record.

use super::corrections;
use super::key::take_id;
use crate::model::error::Result;
use crate::model::event::{EventId, Position};
use crate::store::{GO_ON, Order, ReadView, STOP, Table};

/// Records for which a fold asks before it looks through the corrections.
const ASKED: u32 = 64;
/// Targets that it looks through at most.
const LOOKED_AT: usize = 1_024;

/// What a fold knows of early corrections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Early {
    /// There are none.
    None,
    /// There are corrections; so many records were asked for.
    Unknown(u32),
    /// There may be some.
    Some,
}

impl Early {
    /// What is known of a view without a long look.
    pub fn new(view: &dyn ReadView) -> Result<Self> {
        Ok(if corrections::corrections_exist(view)? { Self::Unknown(0) } else { Self::None })
    }

    /// Whether a record that is folded now has corrections already.
    pub fn is_corrected(&mut self, view: &dyn ReadView, record: EventId, position: Position) -> Result<bool> {
        if let Self::Unknown(asked) = self {
            if *asked < ASKED {
                *asked += 1;
            } else {
                *self = if any_early(view, position)? { Self::Some } else { Self::None };
            }
        }
        if *self == Self::None { Ok(false) } else { corrections::any(view, record) }
    }

    /// Notes a correction that is folded now.
    pub fn note(&mut self, view: &dyn ReadView, target: EventId, position: Position) -> Result<()> {
        if *self == Self::None && is_ahead(view, target, position)? {
            *self = Self::Some;
        }
        Ok(())
    }
}

/// Whether what a correction is of is not folded yet.
fn is_ahead(view: &dyn ReadView, target: EventId, position: Position) -> Result<bool> {
    Ok(view.position_of(target)?.is_none_or(|at| at >= position))
}

/// Whether some correction may be of what is not folded yet.
fn any_early(view: &dyn ReadView, position: Position) -> Result<bool> {
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
            // In one transaction and its only batch: what stands behind in the log is not folded yet.
            let calls = (1..=300).map(|number| NewEvent::new(call(number), now));
            let rest = (301..=600).map(|number| NewEvent::new(call(number), now));
            ledger.append(calls.chain([void(400)]).chain(rest), now).unwrap();
            let counted = ledger.provider("openai", now).unwrap().all_time.requests;
            assert_eq!(counted, 599 - u64::from(voided_first));
            assert!(ledger.replay().unwrap().ok);
        }
    }
}
