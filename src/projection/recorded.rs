//! Positions by the time of recording.

use crate::model::error::{Error, Result};
use crate::model::event::Position;
use crate::model::time::Timestamp;
use crate::store::{ReadView, STOP};

/// Returns when the event at a position was recorded.
pub(crate) fn recorded_at(view: &dyn ReadView, position: Position) -> Result<Timestamp> {
    let mut recorded_at = None;
    view.rows(position, &mut |_, row| {
        recorded_at = Some(row.recorded_at);
        STOP
    })?;
    recorded_at.ok_or_else(|| Error::damaged(position, "a position before the head has no event"))
}

/// Returns the position of the last event that was recorded up to a time; 0 if there is none.
pub(crate) fn last_recorded_until(view: &dyn ReadView, time: Timestamp) -> Result<Position> {
    // `recorded_at` never decreases, so a binary search finds the position.
    let (mut low, mut high) = (0, view.head()?.position.get());
    while low < high {
        let middle = high - (high - low) / 2;
        if recorded_at(view, Position::new(middle))? <= time {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    Ok(Position::new(low))
}
