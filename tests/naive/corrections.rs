//! Determines which amendments and voids apply.

use usage_ledger::EventId;
use usage_ledger::event::Payload;

use super::{CountedRecord, LoggedEvent, Naive};

fn target(event: &LoggedEvent) -> Option<EventId> {
    match &event.payload {
        Payload::TokensAmended(amend) => Some(amend.target),
        Payload::EventVoided(void) => Some(void.target),
        _ => None,
    }
}

const fn is_void(event: &LoggedEvent) -> bool {
    matches!(event.payload, Payload::EventVoided(_))
}

impl Naive {
    fn corrections_of(&self, id: EventId) -> impl Iterator<Item = &LoggedEvent> {
        self.events.iter().filter(move |event| target(event) == Some(id))
    }

    /// A correction is voided by a later void that is not voided itself.
    fn is_voided(&self, correction: &LoggedEvent) -> bool {
        self.corrections_of(correction.id)
            .any(|void| is_void(void) && void.rank() > correction.rank() && !self.is_voided(void))
    }

    /// The latest correction that is not voided applies.
    fn holding(&self, id: EventId) -> Option<&LoggedEvent> {
        self.corrections_of(id).filter(|rival| !self.is_voided(rival)).max_by_key(|rival| rival.rank())
    }

    /// Whether the event at a position is voided.
    pub fn is_void_at(&self, position: u64) -> bool {
        let event = self.events.iter().find(|event| event.position == position).unwrap();
        match &event.payload {
            Payload::TokensRecorded(_) => self.holding(event.id).is_some_and(is_void),
            Payload::TokensAmended(_) | Payload::EventVoided(_) => self.is_voided(event),
            _ => self.is_void(event),
        }
    }

    /// Whether an event other than a record or a correction is voided; it cannot be amended.
    pub(super) fn is_void(&self, event: &LoggedEvent) -> bool {
        self.corrections_of(event.id).any(|correction| is_void(correction) && !self.is_voided(correction))
    }

    /// Every token record that counts, with its corrections.
    pub(super) fn counted(&self) -> Vec<CountedRecord> {
        let mut counted = Vec::new();
        for event in &self.events {
            let Payload::TokensRecorded(record) = &event.payload else { continue };
            match self.holding(event.id).map(|correction| &correction.payload) {
                None => counted.push(CountedRecord { at: event.at.millis(), record: record.clone() }),
                Some(Payload::TokensAmended(amend)) => {
                    let at = amend.at.unwrap_or(event.at).millis();
                    counted.push(CountedRecord { at, record: amend.replacement.clone() });
                }
                Some(_) => {}
            }
        }
        counted
    }

    /// The records of one account, by time.
    pub(super) fn counted_of(&self, account: (&str, Option<&str>)) -> Vec<CountedRecord> {
        let mut counted = self.counted();
        counted.retain(|record| record.account() == account);
        counted.sort_by_key(|record| record.at);
        counted
    }
}
