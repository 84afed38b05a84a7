//! Matches the log and the telemetry of one call that share no key.
//!
//! They match if they name the same conversation and no different agent or model, state the same counts, and are at
//! most five minutes apart. Each record matches at most one other. So the number of calls is that of the feed that has
//! more.

use std::cell::RefCell;
use std::collections::BTreeSet;

use crate::import::engine::feed_counts::repeats_start;
use crate::import::engine::match_features::{of_tokens, spans, trace};
use crate::import::engine::match_index::{Feed, MatchIndex};
use crate::import::engine::parsed_call::ParsedCall;
pub(in crate::import) use crate::import::engine::telemetry_names::{
    GUESSED, KEY, NAMED, OWN_SDK, is_instrumented, is_reported_by_telemetry, is_telemetry,
};
use crate::ledger::Appender;
use crate::model::error::Result;
use crate::model::event::{Position, TELEMETRY, TokenRecord};
use crate::model::time::{MINUTE, Timestamp};
use crate::projection::{effective, file_states};
use crate::store::ReadView;
#[cfg(feature = "web")]
use crate::{
    model::event::{Event, EventKind, Payload},
    store::GO_ON,
};

/// Maximum difference in milliseconds between the times of an answer, its end and its telemetry.
const APART: i64 = 5 * MINUTE;

/// Finds the record of a call that another feed reported. It belongs to one ledger, and follows it.
#[derive(Debug)]
pub(in crate::import) struct TelemetryMatcher(RefCell<Followed>);

#[derive(Debug)]
struct Followed {
    /// The end of the log when it was last read.
    head: Position,
    /// Conversations that telemetry has reported. Calls of other conversations need no search.
    conversations: BTreeSet<String>,
    index: MatchIndex,
}

impl TelemetryMatcher {
    pub fn read(view: &dyn ReadView) -> Result<Self> {
        let states = file_states(view, TELEMETRY)?;
        let conversations = states.into_values().filter_map(|state| state.conversation).collect();
        Ok(Self(RefCell::new(Followed { head: view.head()?.position, conversations, index: MatchIndex::default() })))
    }

    /// Returns whether telemetry has reported the conversation of a record.
    pub fn is_reported(&self, record: &TokenRecord) -> bool {
        record.conversation.as_ref().is_some_and(|conversation| self.0.borrow().conversations.contains(conversation))
    }

    /// Adds a conversation. Returns whether it is new.
    #[cfg(feature = "web")]
    pub fn add(&self, conversation: &str) -> bool {
        let mut followed = self.0.borrow_mut();
        !followed.conversations.contains(conversation) && followed.conversations.insert(conversation.to_owned())
    }

    /// Reads what was appended since, by this and by other processes.
    #[cfg(feature = "web")]
    pub fn follow(&self, view: &dyn ReadView) -> Result<()> {
        let mut followed = self.0.borrow_mut();
        let Followed { head, conversations, .. } = &mut *followed;
        view.rows(head.next(), &mut |position, row| {
            if row.is_kind(EventKind::Imported)
                && let Payload::Imported(run) = Event::from_line(position, row.body)?.payload
                && run.source == TELEMETRY
            {
                conversations.extend(run.files.into_iter().filter_map(|file| file.conversation));
            }
            GO_ON
        })?;
        followed.catch_up(view)
    }

    /// Finds the record of the same call among those of the wanted feeds that `wanted` accepts; if there are several, the
    /// nearest in time.
    pub fn find(
        &self,
        appender: &mut Appender<'_>,
        record: &TokenRecord,
        at: Timestamp,
        feeds: &dyn Fn(Feed) -> bool,
        wanted: &dyn Fn(&ParsedCall) -> bool,
    ) -> Result<Option<Position>> {
        if record.conversation.is_none() && trace(record).is_none() {
            return Ok(None);
        }
        let (from, to) = (at.plus(-APART), at.plus(APART));
        let mut followed = self.0.borrow_mut();
        let is_loaded = followed.index.has(from, to);
        if !is_loaded {
            // The summaries of blocks must contain the corrections of this transaction.
            appender.sink()?;
        }
        let view = appender.view()?;
        followed.catch_up(view)?;
        if !is_loaded {
            followed.index.load(view, from, to)?;
        }
        for (_, position, then) in followed.index.candidates(record, at, APART.unsigned_abs(), feeds) {
            let Some(now) = effective(view, position, None)? else { continue };
            // A correction may have changed the entry.
            if now.at == then && is_same(&now.record, record) && wanted(&ParsedCall { at: now.at, record: now.record })
            {
                return Ok(Some(position));
            }
        }
        Ok(None)
    }
}

impl Followed {
    fn catch_up(&mut self, view: &dyn ReadView) -> Result<()> {
        let head = view.head()?.position;
        self.index.extend(view, self.head.next(), head.next())?;
        self.head = head;
        Ok(())
    }
}

fn is_same(a: &TokenRecord, b: &TokenRecord) -> bool {
    let agree = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
    let same_place = (a.conversation.is_some() && a.conversation == b.conversation)
        || (agree(&a.conversation, &b.conversation) && trace(a).is_some() && trace(a) == trace(b));
    let same_counts = of_tokens(&a.tokens) == of_tokens(&b.tokens) || repeats_start(a, b) || repeats_start(b, a);
    // An instrumentation names the program that contains it, not the agent.
    let same_agent = agree(&a.agent, &b.agent) || is_instrumented(a) || is_instrumented(b);
    same_place && same_agent && agree(&a.model, &b.model) && same_counts
}

/// Returns whether an instrumentation reported one of two overlapping calls, and the provider's SDK or the agent the other one,
/// and neither was joined with a further span before.
pub(in crate::import) fn are_of_two_feeds(a: &ParsedCall, b: &ParsedCall) -> bool {
    let overlap = a.began() <= b.at && b.began() <= a.at;
    let is_single = |call: &ParsedCall| spans(&call.record).count() <= 1;
    overlap && is_instrumented(&a.record) != is_instrumented(&b.record) && is_single(a) && is_single(b)
}
