//! A model of the ledger as a plain list of events. It computes every answer from the first event in the simplest way,
//! and shares no code with the tested folds.

pub mod answers;
mod corrections;
mod facts;
mod report;
pub mod script;
mod status;
mod windows;

pub use report::{Question, Rows};

use usage_ledger::event::{NewEvent, Payload};
use usage_ledger::{EventId, Timestamp, TokenClass, TokenRecord, Usd};

/// Time and id, which order rivals.
type Rank = (Timestamp, EventId);

/// An event with its position.
#[derive(Clone, Debug)]
struct LoggedEvent {
    position: u64,
    id: EventId,
    at: Timestamp,
    payload: Payload,
}

impl LoggedEvent {
    const fn rank(&self) -> Rank {
        (self.at, self.id)
    }
}

/// The list.
#[derive(Clone, Debug)]
pub struct Naive {
    events: Vec<LoggedEvent>,
}

impl Naive {
    /// The events of a log, in its order.
    pub fn new(log: &[NewEvent]) -> Self {
        let known = |(position, event): (u64, &NewEvent)| LoggedEvent {
            position,
            id: event.id.unwrap(),
            at: event.occurred_at,
            payload: event.payload.clone(),
        };
        Self { events: (1..).zip(log).map(known).collect() }
    }
}

/// A token record with its corrections.
#[derive(Clone, Debug)]
struct CountedRecord {
    at: i64,
    record: TokenRecord,
}

impl CountedRecord {
    fn account(&self) -> (&str, Option<&str>) {
        (&self.record.provider, self.record.account.as_deref())
    }
}

/// Requests, tokens and reported cost of some records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    pub requests: u64,
    pub tokens: [u64; 7],
    pub reported: Option<Usd>,
}

impl Sum {
    fn of<'a>(records: impl IntoIterator<Item = &'a CountedRecord>) -> Self {
        let mut sum = Self::default();
        for CountedRecord { record, .. } in records {
            sum.requests += 1;
            for (slot, class) in sum.tokens.iter_mut().zip(TokenClass::ALL) {
                *slot += record.tokens.get(class).unwrap_or(0);
            }
            if let Some(cost) = record.cost {
                sum.reported = Some(sum.reported.unwrap_or_default().checked_add(cost).unwrap());
            }
        }
        sum
    }
}
