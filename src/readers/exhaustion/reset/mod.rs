//! Reads the reset time of a quota from a message.
//!
//! It reads times of day (`10am`, `8:40am`, `18:00`, `noon`) with a date, a weekday, `today` or `tomorrow` before or
//! after them; days without a time, which begin at midnight; lengths of time (`in 1h 30m`, `PT5H`); instants (RFC 3339,
//! `resetsAt` with Unix seconds or milliseconds); and `Retry-After` or "try again in 20 minutes". A zone may follow: a
//! name of the IANA database, an abbreviation or an offset, with or without parentheses. Otherwise the caller's zone
//! applies. A time of day denotes its next occurrence, and so does a date without a year. A reset is therefore never in
//! the past, except if it was given as a number.

mod clock;
mod hint;
mod length;
mod phrase;
mod windows_zones;
mod zone;

#[cfg(any(test, feature = "internals"))]
use crate::model::time::Zone;
use crate::model::time::{DAY, Timestamp};

pub(super) use zone::ClockZone;

/// The reset that a text states.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reset {
    /// The phrase. A server's hint becomes `resets in 1h 30m`.
    pub phrase: String,
    /// The phrase in a uniform form, with its zone.
    pub display: String,
    /// The instant, if the phrase determines one.
    pub at: Option<Timestamp>,
    /// Whether it is relative to the time of the message, so that the same phrase denotes another instant later.
    pub relative: bool,
    /// The zone that the phrase names, if it is not known. The caller's zone applies then.
    pub unknown_zone: Option<String>,
}

impl Reset {
    fn wordy(phrase: &str) -> Self {
        Self { phrase: phrase.to_owned(), display: phrase.to_owned(), at: None, relative: false, unknown_zone: None }
    }

    /// The reset without an instant that is too far ahead.
    fn believed(self, now: Timestamp) -> Self {
        Self { at: self.at.filter(|at| *at <= now.plus(FURTHEST)), ..self }
    }
}

/// Searches a text for a reset: first a phrase with `resets`, then a number after `resetsAt`, then a request to retry
/// later. Phrases about other resets do not hide these.
#[cfg(any(test, feature = "internals"))]
pub fn find(text: &str, now: Timestamp, host: Zone) -> Option<Reset> {
    read(text, now, ClockZone::Zone(host), BACK_OFF)
}

/// The furthest reset that counts, in milliseconds from now: a 29 February is at most eight years ahead. A refusal until
/// a later time would close the gate for ever.
const FURTHEST: i64 = 8 * 366 * DAY;

/// The longest accepted `Retry-After` without other evidence, in milliseconds: a server's back-off.
pub(super) const BACK_OFF: i64 = DAY;

/// Searches a text for a reset in any zone. `bare` is the longest accepted `Retry-After` in milliseconds.
pub(super) fn read(text: &str, now: Timestamp, host: ClockZone, bare: i64) -> Option<Reset> {
    let read = phrase::find(text, now, host).or_else(|| hint::find(text, now, bare));
    read.map(|reset| reset.believed(now)).or_else(|| phrase::unread(text).map(Reset::wordy))
}

/// Parses a text about a reset. An unreadable text becomes the phrase unchanged.
#[cfg(any(test, feature = "internals"))]
pub fn parse(text: &str, now: Timestamp, host: Zone) -> Reset {
    phrase::find(text, now, ClockZone::Zone(host))
        .or_else(|| hint::find(text, now, BACK_OFF))
        .map_or_else(|| Reset::wordy(text.trim()), |reset| reset.believed(now))
}

#[cfg(test)]
mod tests;
