//! Distinguishes calls whose responses have the same id, because a relay may give all its responses one id.
//!
//! Two responses with one id are the same call if their counts and model agree and neither a stated time nor the
//! conversation differs. A copy of a call in another conversation has equal counts and model, and the same time or a
//! random id. Any other response is another call: it keeps its other keys, or gets a key that includes its time or its
//! content. Time and content determine this key, so a repeated attempt gets the same one.

use crate::ledger::Outcome;
use crate::model::error::Result;
use crate::model::event::{Event, EventId, Payload, TokenRecord, Tombstone, is_random};
use crate::model::invariant::bug;
use crate::model::time::Timestamp;
use crate::projection::find_record;
use crate::readers::price::prompt;
use crate::store::ReadView;

/// A call that is about to be appended, whose last key is the id of its response.
pub(super) struct NewCall<'r> {
    pub record: &'r mut TokenRecord,
    pub at: Timestamp,
    /// Whether the caller gave the event an id.
    pub has_id: bool,
    /// Whether the caller stated a time other than the clock's.
    pub has_time: bool,
}

/// What a recorded call with the same id is.
enum Relation {
    /// The same call, or a contradiction of it.
    Same,
    /// The same call, copied from another conversation.
    Copy(Outcome),
    Another,
}

impl NewCall<'_> {
    /// Gives the call keys of its own if its response has the id of another call. Returns the outcome if the call is a
    /// copy of a recorded one, and `None` if the call is to be appended.
    pub fn resolve(self, view: &dyn ReadView) -> Result<Option<Outcome>> {
        let id = self.record.keys.pop().ok_or_else(|| bug!("a record with the id of a response has no key"))?;
        let with_time = self.has_time.then(|| format!("{id}@{}", self.at));
        for key in std::iter::once(id.clone()).chain(with_time) {
            match self.relation(view, &key)? {
                None | Some(Relation::Same) => {
                    self.record.keys.push(key);
                    return Ok(None);
                }
                Some(Relation::Copy(outcome)) => return Ok(Some(outcome)),
                // The caller's id or the other keys identify the call.
                Some(Relation::Another) if self.has_id || !self.record.keys.is_empty() => return Ok(None),
                // The next key may be free.
                Some(Relation::Another) => {}
            }
        }
        let key = self.content_key(&id)?;
        self.record.keys.push(key);
        Ok(None)
    }

    /// Returns a key that is made from the conversation, the model and the counts.
    fn content_key(&self, id: &str) -> Result<String> {
        let record = &*self.record;
        let content = serde_json::to_string(&(&record.conversation, &record.model, &record.tokens));
        let content = content.map_err(|error| bug!("the counts of a call are not written as JSON: {error}"))?;
        Ok(format!("{id}#{}", EventId::from_key(&record.provider, &content)))
    }

    /// Compares the call with the recorded calls that have a key. Returns `None` if there are none. The call is another
    /// call only if it differs from each of them.
    fn relation(&self, view: &dyn ReadView, key: &str) -> Result<Option<Relation>> {
        let found = find_record(view, &TokenRecord::new(&self.record.provider, "").key(key))?;
        let mut relation = None;
        for position in found {
            let line = view.expect_line(position)?;
            // A shredded record has no content to compare.
            if Tombstone::is(&line) {
                return Ok(Some(Relation::Same));
            }
            let event = Event::from_line(position, &line)?;
            let Payload::TokensRecorded(known) = &event.payload else { return Ok(Some(Relation::Same)) };
            let copy = Outcome::Existing { position, id: event.id };
            match self.compare(known, event.occurred_at, copy, key) {
                Relation::Another => relation = Some(Relation::Another),
                other => return Ok(Some(other)),
            }
        }
        Ok(relation)
    }

    fn compare(&self, known: &TokenRecord, known_at: Timestamp, copy: Outcome, key: &str) -> Relation {
        let new = &*self.record;
        if new.keys.iter().any(|own| known.keys.contains(own)) {
            return Relation::Same;
        }
        let is_random = is_random(key);
        // Each caller named its call, and the names differ.
        if !is_random && !new.keys.is_empty() && known.keys.len() > 1 {
            return Relation::Another;
        }
        let is_at_same_time = known_at == self.at;
        let is_same_place = known.conversation == new.conversation;
        if known.tokens == new.tokens && known.model == new.model {
            return match is_same_place {
                true if is_at_same_time || is_random || !self.has_time => Relation::Same,
                false if is_at_same_time || is_random => Relation::Copy(copy),
                _ => Relation::Another,
            };
        }
        let differs_in_time = !is_at_same_time && (self.has_time || !is_random);
        if prompt(&known.tokens) != prompt(&new.tokens) || !is_same_place || differs_in_time {
            return Relation::Another;
        }
        Relation::Same
    }
}

#[cfg(test)]
mod tests {
    use crate::Ledger;
    use crate::model::error::Error;
    use crate::model::event::{NewEvent, TokenRecord};
    use crate::model::time::Timestamp;
    use crate::readers::normalise::{self, UsageFormat};

    const RANDOM: &str = "msg_01XFDUDYJgAACzvnptvVoYEL";

    fn answer(id: &str, input: u64, output: u64) -> TokenRecord {
        let json = format!(
            r#"{{"id":"{id}","model":"claude-opus-4-5","usage":{{"input_tokens":{input},"output_tokens":{output}}}}}"#
        );
        normalise::calls(UsageFormat::Anthropic, &json).unwrap().remove(0)
    }

    /// Appends calls with their times, `None` for the clock's, and returns the number of events after each.
    fn counts(calls: impl IntoIterator<Item = (TokenRecord, Option<i64>)>) -> Vec<u64> {
        let ledger = Ledger::in_memory().unwrap();
        let start = Timestamp::from_millis(1_780_308_000_000);
        let append = |(place, (record, minute)): (usize, (TokenRecord, Option<i64>))| {
            let now = start.plus(i64::try_from(place).unwrap() * 7_000);
            let at = minute.map_or(now, |minute| start.plus(minute * 60_000 + 1));
            ledger.append([NewEvent::new(record, at)], now).unwrap();
            ledger.head().unwrap().position.get()
        };
        let counts = calls.into_iter().enumerate().map(append).collect();
        assert!(ledger.verify().unwrap().ok);
        counts
    }

    #[test]
    fn responses_with_one_id_are_several_calls_and_retries_are_none() {
        let one = || (answer("relay", 10, 1), None);
        let other = || (answer("relay", 20, 1), None);
        let same_prompt = || (answer("relay", 10, 2), None);
        let elsewhere = || (answer("relay", 10, 1).conversation("b"), None);
        let all = [one(), other(), same_prompt(), elsewhere(), elsewhere(), same_prompt(), other(), one()];
        assert_eq!(counts(all), [1, 2, 3, 4, 4, 4, 4, 4]);
    }

    #[test]
    fn a_stated_time_distinguishes_calls_with_equal_counts() {
        let at = |minute| (answer("relay", 10, 1).conversation("a"), Some(minute));
        assert_eq!(counts([at(0), at(1), at(2), at(1), at(0)]), [1, 2, 3, 3, 3]);
        // A resumed session repeats the calls with their times.
        let copy = |minute| (answer("relay", 10, 1).conversation("b"), Some(minute));
        assert_eq!(counts([at(0), at(1), copy(0), copy(1), copy(2)]), [1, 2, 2, 2, 3]);
    }

    #[test]
    fn a_random_id_names_one_call_unless_the_prompt_differs() {
        let call = |conversation: &str, input, minute| (answer(RANDOM, input, 1).conversation(conversation), minute);
        let all = [call("a", 10, Some(0)), call("b", 10, Some(5)), call("a", 10, None), call("a", 20, None)];
        assert_eq!(counts(all), [1, 1, 1, 2]);
    }

    #[test]
    fn own_keys_stay_a_promise() {
        let keyed = |key: &str, input| {
            let mut record = answer("relay", input, 1);
            record.keys.insert(0, key.to_owned());
            record
        };
        assert_eq!(counts([(keyed("a", 1), None), (keyed("b", 2), None), (keyed("b", 2), None)]), [1, 2, 2]);
        let ledger = Ledger::in_memory().unwrap();
        let now = Timestamp::from_millis(1_780_308_000_000);
        ledger.record(keyed("a", 1), now).unwrap();
        assert!(matches!(ledger.record(keyed("a", 2), now).unwrap_err(), Error::Conflict { .. }));
        let own = |input| TokenRecord::new("openai", "gpt-5").input(input).key("mine");
        ledger.record(own(1), now).unwrap();
        assert!(matches!(ledger.record(own(2), now.plus(9)).unwrap_err(), Error::Conflict { .. }));
    }

    #[test]
    fn a_contradiction_of_a_recorded_response_is_a_conflict() {
        let ledger = Ledger::in_memory().unwrap();
        let now = Timestamp::from_millis(1_780_308_000_000);
        ledger.record(answer(RANDOM, 10, 1), now).unwrap();
        assert!(matches!(ledger.record(answer(RANDOM, 10, 2), now.plus(9)).unwrap_err(), Error::Conflict { .. }));
        let renamed = ledger.record(answer(RANDOM, 10, 1).project("acme"), now).unwrap_err();
        assert!(matches!(renamed, Error::Conflict { .. }));
    }

    #[test]
    fn advisors_of_responses_with_one_id_are_several_calls() {
        let calls = |input: u64| {
            let json = format!(
                r#"{{"id":"relay","model":"claude-sonnet-4-6","usage":{{"input_tokens":{input},"output_tokens":2,
                "iterations":[{{"type":"advisor_message","model":"claude-opus-4-7","input_tokens":{input},"output_tokens":4}}]}}}}"#
            );
            normalise::calls(UsageFormat::Anthropic, &json).unwrap().into_iter().map(|record| (record, None))
        };
        assert_eq!(counts(calls(5).chain(calls(6)).chain(calls(5)).chain(calls(6))), [1, 2, 3, 4, 4, 4, 4, 4]);
    }
}
