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

use crate::model::time::{DAY, Timestamp, Zone};

pub(super) use zone::ClockZone;

/// The reset that a text states.
///
/// ```
/// use usage_ledger::Zone;
/// use usage_ledger::exhaustion::reset;
/// let now = "2026-02-04T08:00:00Z".parse()?;
/// let found = reset::find("out of extra usage · resets 3pm (UTC)", now, Zone::UTC).unwrap();
/// assert_eq!(found.display, "resets 3pm (UTC)");
/// assert_eq!(found.at, Some("2026-02-04T15:00:00Z".parse()?));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
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
}

impl Reset {
    fn wordy(phrase: &str) -> Self {
        Self { phrase: phrase.to_owned(), display: phrase.to_owned(), at: None, relative: false }
    }
}

/// Searches a text for a reset: first a phrase with `resets`, then a number after `resetsAt`, then a request to retry
/// later. Phrases about other resets do not hide these.
///
/// ```
/// use usage_ledger::Zone;
/// use usage_ledger::exhaustion::reset;
/// let now = "2026-02-04T12:00:00Z".parse()?;
/// let found = reset::find("the job resets everything. Retry-After: 5400", now, Zone::UTC).unwrap();
/// assert_eq!(found.phrase, "resets in 1h 30m");
/// assert_eq!(found.at, Some("2026-02-04T13:30:00Z".parse()?));
/// assert_eq!(reset::find("all is well", now, Zone::UTC), None);
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn find(text: &str, now: Timestamp, host: Zone) -> Option<Reset> {
    read(text, now, ClockZone::Zone(host), BACK_OFF)
}

/// The longest accepted `Retry-After` without other evidence, in milliseconds: a server's back-off.
pub(super) const BACK_OFF: i64 = DAY;

/// Like [`find`], for any zone. `bare` is the longest accepted `Retry-After` in milliseconds.
pub(super) fn read(text: &str, now: Timestamp, host: ClockZone, bare: i64) -> Option<Reset> {
    phrase::find(text, now, host)
        .or_else(|| hint::find(text, now, bare))
        .or_else(|| phrase::unread(text).map(Reset::wordy))
}

/// Parses a text about a reset. An unreadable text becomes the phrase unchanged.
///
/// ```
/// use usage_ledger::Zone;
/// use usage_ledger::exhaustion::reset;
/// let now = "2026-02-04T12:00:00Z".parse()?;
/// let paris = "Europe/Paris".parse()?;
/// assert_eq!(reset::parse("resets in 5 hours", now, Zone::UTC).display, "resets in 5h");
/// assert_eq!(reset::parse("resets Oct 9 at 5pm", now, paris).display, "resets Oct 9 at 5pm (Europe/Paris)");
/// let odd = reset::parse("resets Feb 30 at 10am (UTC)", now, Zone::UTC);
/// assert_eq!((odd.display.as_str(), odd.at), ("resets Feb 30 at 10am (UTC)", None));
/// # Ok::<(), usage_ledger::Error>(())
/// ```
pub fn parse(text: &str, now: Timestamp, host: Zone) -> Reset {
    phrase::find(text, now, ClockZone::Zone(host))
        .or_else(|| hint::find(text, now, BACK_OFF))
        .unwrap_or_else(|| Reset::wordy(text.trim()))
}

#[cfg(test)]
mod tests;
