use std::borrow::Cow;

use serde::Deserialize;

use super::{EventId, EventKind, LINE_VERSION};
use crate::model::time::Timestamp;

/// The line of a `tokens_recorded`, parsed in one pass. `D` is the type of its data.
///
/// The envelope of any other line is parsed first, because it names the type of the data.
#[derive(Deserialize)]
pub(crate) struct RecordLine<'a, D> {
    v: u32,
    pub id: EventId,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    pub occurred_at: Timestamp,
    pub recorded_at: Timestamp,
    #[serde(borrow)]
    pub source: Cow<'a, str>,
    pub data: D,
}

impl<'a, D: Deserialize<'a>> RecordLine<'a, D> {
    /// `None` for a tombstone, for another kind or version, and for an unreadable line.
    /// [`Envelope::parse`](super::Envelope::parse) reads these, and reports what is wrong.
    pub fn read(line: &'a str) -> Option<Self> {
        let read: Self = serde_json::from_str(line).ok()?;
        (read.v == LINE_VERSION && read.kind == EventKind::TokensRecorded.name()).then_some(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{Envelope, Event, Position, TokenRecord, TokenView};

    fn line() -> String {
        let record = TokenRecord::new("openai", "gpt-5").input(7).label("team", "a\"b").key("k").project("/src/é");
        let at = Timestamp::from_millis(1_780_000_000_123);
        let id = EventId::from_key("openai", "k");
        Event { id, occurred_at: at, recorded_at: at.plus(1), source: "a\\b".into(), payload: record.into() }
            .to_line()
            .unwrap()
    }

    #[test]
    fn one_pass_reads_what_two_passes_read() {
        let line = line();
        let event = Envelope::parse(Position::new(1), &line).unwrap().open(Position::new(1)).unwrap();
        let read = RecordLine::<TokenRecord>::read(&line).unwrap();
        assert_eq!((read.id, read.occurred_at, read.recorded_at), (event.id, event.occurred_at, event.recorded_at));
        assert_eq!(read.source, event.source);
        assert_eq!(event.payload, read.data.into());
    }

    #[test]
    fn other_lines_are_left_to_the_envelope() {
        let line = line();
        for other in [
            line.replace("\"v\":1", "\"v\":2"),
            line.replace("tokens_recorded", "paused"),
            line.replace("\"input\":7", "\"input\":seven"),
            format!("{{\"shredded\":1,\"leaf\":\"\",\"by\":2,\"kept\":{line}}}"),
        ] {
            assert!(RecordLine::<TokenView<'_>>::read(&other).is_none(), "{other}");
        }
    }
}
