//! The records of a source that an import did not meet in a log.

use std::collections::HashSet;

use crate::model::error::Result;
use crate::model::event::{EventKind, Position};
use crate::projection::{Effective, effective};
use crate::store::{GO_ON, ReadView, STOP};

/// The records that an import met in logs, and the last position before it. Later records are its own.
pub(in crate::import) type MetRecords<'m> = (&'m HashSet<Position>, Position);

/// Visits the records of a source, as they count, that an import did not meet. Leaves out shredded ones.
pub(in crate::import) fn visit_unmet(
    view: &dyn ReadView,
    source: &str,
    (met, until): MetRecords<'_>,
    each: &mut dyn FnMut(Position, Effective) -> Result<()>,
) -> Result<()> {
    let member = format!("\"source\":\"{source}\"");
    let mut positions = Vec::new();
    view.rows(Position::START.next(), &mut |position, row| {
        if position > until {
            return STOP;
        }
        if row.is_kind(EventKind::TokensRecorded) && !met.contains(&position) && row.body.contains(&member) {
            positions.push(position);
        }
        GO_ON
    })?;
    for position in positions {
        let Some(recorded) = effective(view, position, None)? else { continue };
        if recorded.source == source && !recorded.shredded {
            each(position, recorded)?;
        }
    }
    Ok(())
}
