//! Reads the reset time of a quota from a message.
//!
//! It reads times of day (`10am`, `8:40am`, `18:00`, `noon`) with a date, a weekday, `today` or `tomorrow` before or
//! after them; days without a time, which begin at midnight; lengths of time (`in 1h 30m`, `PT5H`); instants (RFC 3339,
//! `resetsAt` with Unix seconds or milliseconds); and `Retry-After` or "try again in 20 minutes". A zone may follow: a
//! name of the IANA database, an abbreviation or an offset, with or without parentheses. Otherwise the caller's zone
//! applies. A time of day denotes its next occurrence, and so does a date without a year, unless that passed lately. A
//! weekday, or a time of a session limit, that passed within the last ten minutes has passed, too. A reset is therefore
//! never in the past, except if it was given as a number. Of the headers of a response, those of the exhausted
//! windows count.

mod clock;
mod headers;
mod hint;
mod length;
mod phrase;
mod windows_zones;
mod zone;

#[cfg(any(test, feature = "internals"))]
use crate::model::time::Zone;
use crate::model::time::{DAY, Timestamp};

use headers::LimitHeaders;
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
    read(text, ResetReading::of_text(now, host))
}

/// How a text is read.
#[derive(Clone, Copy)]
pub(super) struct ResetReading {
    pub now: Timestamp,
    /// The zone of times without a zone.
    pub host: ClockZone,
    /// The longest accepted `Retry-After`, in milliseconds.
    pub bare: i64,
    /// A date without a year that passed at most so long ago, in milliseconds, does not mean the next year.
    pub past: i64,
}

impl ResetReading {
    /// A text about which nothing is known.
    #[cfg(any(test, feature = "internals"))]
    const fn of_text(now: Timestamp, host: Zone) -> Self {
        Self { now, host: ClockZone::Zone(host), bare: BACK_OFF, past: DAY }
    }
}

/// The furthest reset that counts, in milliseconds from now: a 29 February is at most eight years ahead. A refusal until
/// a later time would close the gate for ever.
const FURTHEST: i64 = 8 * 366 * DAY;

/// In a refusal, a date without a year that passed at most so long ago, in milliseconds, has passed: no limit lasts for
/// ten months.
pub(super) const REFUSAL_PAST: i64 = 62 * DAY;

/// The longest accepted `Retry-After` without other evidence, in milliseconds: a server's back-off.
pub(super) const BACK_OFF: i64 = DAY;

/// The first reset of the most reliable kind that has an instant.
fn instant(text: &str, reading: ResetReading) -> Option<Reset> {
    let headers = LimitHeaders::read(text);
    phrase::find(text, reading, &headers.places)
        .or_else(|| headers.reset(text, reading))
        .or_else(|| hint::find(text, reading))
}

/// The reset in the headers around a line that has one of them and no phrase. A line that ends with a number, such as
/// `HTTP 429`, comes with the next one. One header alone does not tell whether its window refused.
pub(super) fn around_header(line: &str, around: &str, reading: ResetReading) -> Option<Reset> {
    if !line.lines().any(headers::is_header) || phrase::find(line, reading, &LimitHeaders::read(line).places).is_some()
    {
        return None;
    }
    LimitHeaders::read(around).reset(around, reading).map(|reset| reset.believed(reading.now))
}

/// Searches a text for a reset.
pub(super) fn read(text: &str, reading: ResetReading) -> Option<Reset> {
    let read = instant(text, reading).map(|reset| reset.believed(reading.now));
    read.or_else(|| phrase::unread(text).map(Reset::wordy))
}

/// Parses a text about a reset. An unreadable text becomes the phrase unchanged.
#[cfg(any(test, feature = "internals"))]
pub fn parse(text: &str, now: Timestamp, host: Zone) -> Reset {
    instant(text, ResetReading::of_text(now, host))
        .map_or_else(|| Reset::wordy(text.trim()), |reset| reset.believed(now))
}

#[cfg(test)]
mod tests;
