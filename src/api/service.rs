//! The operations on a ledger, with their answers.

#[cfg(feature = "web")]
use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use super::call::Call;
use super::fault::{Fault, FaultKind};
use super::input::{
    CheckpointInput, ConsistencyInput, EventsInput, GateInput, InclusionInput, ReleaseInput, ReportInput, ReserveInput,
    ScanInput, StatusInput, SwitchInput, as_of,
};
use super::proofs::{self, ProvenState, SignedCheckpoint};
use super::record::{self, RecordTally};
use super::{events, gate, report, reserve, scan, status, switch};
use crate::ledger::{Ledger, Snapshot};
use crate::merkle::Signer;
use crate::model::error::Error;
use crate::model::event::{EventId, Position};
use crate::model::invariant::bug;
use crate::model::time::{Timestamp, Zone};
use crate::present::output::JsonAnswer;

/// Number of events that a stream examines per step.
#[cfg(feature = "web")]
const STREAMED: u64 = 10_000;
/// Maximum number of records in a batch. A larger one would block other writers too long.
const BATCH_RECORDS: usize = 50_000;

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct OperationReply {
    /// JSON.
    pub body: String,
    /// Hash of what it depends on besides the events; `None` if it depends on events alone.
    #[cfg_attr(not(feature = "web"), allow(dead_code))] // entity tags of HTTP are made from it
    pub varying: Option<u64>,
}

impl OperationReply {
    pub(super) fn new(answer: impl Serialize) -> Result<Self, Fault> {
        Ok(Self { body: to_json(&JsonAnswer::new(answer))?, varying: None })
    }

    /// Creates an answer that depends on the time. `part` is the part that varies.
    pub(super) fn varying(answer: impl Serialize, part: &impl Serialize) -> Result<Self, Fault> {
        let varying = Some(xxh3_64(to_json(part)?.as_bytes()));
        Ok(Self { varying, ..Self::new(answer)? })
    }
}

fn to_json(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| bug!("an answer has no JSON form: {error}").into())
}

/// The state of the ledger that answers are based on.
#[cfg(feature = "web")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    position: Position,
    hash: u64,
}

#[cfg(feature = "web")]
impl State {
    /// Returns an HTTP entity tag: the head position, and a hash of the root and everything else the answer depends on.
    /// The tag of an answer that depends on the time is weak.
    pub fn tag(&self, varying: Option<u64>) -> String {
        let (weak, hash) = varying.map_or(("", self.hash), |part| ("W/", self.hash ^ part.rotate_left(1)));
        format!("{weak}\"{}-{hash:016x}\"", self.position)
    }
}

/// The clock of a service.
pub(crate) struct ServiceClock {
    /// A fixed time for all operations, if the user set one.
    pub named: Option<Timestamp>,
    /// Returns the current time.
    pub now: Box<dyn Fn() -> Timestamp + Send + Sync>,
}

/// A ledger with the operations on it.
pub(crate) struct LedgerOperations {
    ledger: Ledger,
    clock: ServiceClock,
    pub(super) zone: Zone,
    pub(super) signer: Option<Signer>,
    /// Home directories with logs of agents; `None` if this program does not look for logs.
    pub(super) homes: Option<Vec<PathBuf>>,
}

/// Parses a JSON input. Error messages name the field.
pub(crate) fn parse<I: DeserializeOwned>(json: &[u8]) -> Result<I, Fault> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let input = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, why) = (error.path().to_string(), error.inner().to_string());
        // Line numbers are useless within one object.
        Fault::field(&path, why.split(" at line ").next().unwrap_or(&why))
    })?;
    reader.end().map_err(|_| Fault::field(".", "there is more than one value"))?;
    Ok(input)
}

impl LedgerOperations {
    /// Creates a service for a ledger.
    pub const fn new(ledger: Ledger, clock: ServiceClock, zone: Zone, signer: Option<Signer>) -> Self {
        Self { ledger, clock, zone, signer, homes: None }
    }

    /// Also looks for logs that an import would read: in these homes, or in the user's own if there are none.
    #[cfg(feature = "web")]
    pub fn with_homes(self, homes: Option<Vec<PathBuf>>) -> Self {
        Self { homes, ..self }
    }

    /// Returns the current time of the service.
    pub fn now(&self) -> Timestamp {
        (self.clock.now)()
    }

    /// Runs a query on the current snapshot or a past one. The second argument of `run` is the time of the query.
    pub(super) fn query<T>(
        &self,
        moment: Option<&str>,
        run: impl FnOnce(&Snapshot<'_>, Timestamp) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let moment = moment.map(as_of).transpose()?;
        let snapshot = match moment {
            None => self.ledger.snapshot()?,
            Some(moment) => {
                self.ledger.as_of(moment.resolve(self.zone, self.clock.named.unwrap_or_else(|| self.now())))?
            }
        };
        let now = self.clock.named.or(snapshot.moment()).unwrap_or_else(|| self.now());
        run(&snapshot, now)
    }

    pub(super) fn write<T>(&self, write: impl FnOnce(&Ledger, Timestamp) -> Result<T, Fault>) -> Result<T, Fault> {
        write(&self.ledger, self.now())
    }

    /// Returns the current state.
    #[cfg(feature = "web")]
    pub fn state(&self) -> Result<State, Fault> {
        let (position, root) =
            self.query(None, |snapshot, _| Ok((snapshot.head()?.position, snapshot.root()?.to_string())))?;
        let mut of = root;
        write!(of, " {} {:?}", env!("CARGO_PKG_VERSION"), self.zone)
            .map_err(|error| Fault::from(bug!("a state has no text: {error}")))?;
        Ok(State { position, hash: xxh3_64(of.as_bytes()) })
    }

    /// Returns the last position.
    #[cfg(any(feature = "web", test))]
    pub fn head(&self) -> Result<Position, Fault> {
        self.query(None, |snapshot, _| Ok(snapshot.head()?.position))
    }

    /// Checks that the ledger contains a position.
    #[cfg(feature = "web")]
    pub fn expect_position(&self, position: Position) -> Result<Position, Fault> {
        let head = self.head()?;
        if position <= head {
            return Ok(position);
        }
        Err(Error::NotFound { what: format!("at position {position} (the last one is {head})") }.into())
    }

    /// Windows, cost and decision of every provider account.
    pub fn status(&self, input: &StatusInput) -> Result<OperationReply, Fault> {
        self.query(input.as_of.as_deref(), |snapshot, now| {
            let answer = status::answer(snapshot, now)?;
            OperationReply::varying(&answer, &answer.state)
        })
    }

    /// Decides whether a run may start.
    pub fn gate(&self, input: &GateInput) -> Result<OperationReply, Fault> {
        self.query(input.as_of.as_deref(), |snapshot, now| {
            let verdict = snapshot.gate(&input.request(snapshot, now)?, now)?;
            let answer = gate::priced(snapshot, verdict, self.zone, now)?;
            OperationReply::varying(&answer, &answer)
        })
    }

    /// Forecasts how long each session window lasts.
    #[cfg(feature = "mcp")]
    pub fn forecast(&self, input: &super::input::ForecastInput) -> Result<OperationReply, Fault> {
        self.query(input.as_of.as_deref(), |snapshot, now| {
            let answer = super::forecast::answer(snapshot, input, now)?;
            OperationReply::varying(&answer, &answer)
        })
    }

    /// Explains a decision of the gate.
    #[cfg(feature = "mcp")]
    pub fn explain(&self, input: &GateInput) -> Result<OperationReply, Fault> {
        self.query(input.as_of.as_deref(), |snapshot, now| {
            let verdict = snapshot.gate(&input.request(snapshot, now)?, now)?;
            let answer = super::explain::answer(snapshot, gate::priced(snapshot, verdict, self.zone, now)?)?;
            OperationReply::varying(&answer, &answer)
        })
    }

    /// Reports usage and cost.
    pub fn report(&self, input: &ReportInput) -> Result<OperationReply, Fault> {
        self.query(input.as_of.as_deref(), |snapshot, now| {
            let answer = report::answer(snapshot, input.query(self.zone, now)?, input)?;
            let body = to_json(&answer)?;
            let varying = (!input.is_timeless()).then(|| xxh3_64(body.as_bytes()));
            Ok(OperationReply { body, varying })
        })
    }

    /// Lists events.
    pub fn events(&self, input: &EventsInput) -> Result<OperationReply, Fault> {
        let (limit, after) = (input.limit()?, input.after()?);
        self.query(None, |snapshot, now| {
            let filter = input.filter(self.zone, now)?;
            let answer = events::answer(snapshot, after, limit, &filter)?;
            let varying = if input.is_timeless() { None } else { Some(xxh3_64(to_json(&answer)?.as_bytes())) };
            Ok(OperationReply { varying, ..OperationReply::new(answer)? })
        })
    }

    /// Returns the next selected events of a stream, and the last position that was examined.
    #[cfg(feature = "web")]
    pub fn next_events(
        &self,
        after: Position,
        filter: &events::EventSelection,
        visit: &mut dyn FnMut(Position, &str, String) -> bool,
    ) -> Result<Position, Fault> {
        self.query(None, |snapshot, _| {
            let head = snapshot.head()?.position;
            if after > head {
                return Err(Error::NotFound { what: format!("at position {after} (the last one is {head})") }.into());
            }
            let mut last = after;
            if after < head {
                snapshot.lines(after.next(), &mut |position, line| {
                    last = position;
                    if !filter.admits(position, line)? {
                        return Ok(position.get() - after.get() < STREAMED);
                    }
                    let kind = events::kind(position, line)?;
                    Ok(visit(position, &kind, events::shown(position, line)?))
                })?;
            }
            Ok(last)
        })
    }

    /// Proves that an event is in the ledger.
    pub fn inclusion(&self, input: &InclusionInput) -> Result<OperationReply, Fault> {
        self.query(None, |snapshot, _| {
            let position = match input.event.parse::<u64>() {
                Ok(position) => Position::new(position),
                Err(_) => snapshot.position(input.event.parse::<EventId>()?)?,
            };
            let anchor = ProvenState::at(snapshot, input.size, self.signer.as_ref())?;
            OperationReply::new(proofs::inclusion(snapshot, position, anchor)?)
        })
    }

    /// Proves that a later state extends an earlier one.
    pub fn consistency(&self, input: &ConsistencyInput) -> Result<OperationReply, Fault> {
        self.query(None, |snapshot, _| {
            let old = (input.old, snapshot.root_at(input.old)?);
            let anchor = ProvenState::at(snapshot, input.new, self.signer.as_ref())?;
            OperationReply::new(proofs::consistency(snapshot, old, anchor)?)
        })
    }

    /// Signs size and root hash.
    pub fn checkpoint(&self, input: &CheckpointInput) -> Result<OperationReply, Fault> {
        let signer = self
            .signer
            .as_ref()
            .ok_or_else(|| Fault::of_message(FaultKind::NoKey, "this program has no key to sign with"))?;
        self.query(None, |snapshot, _| {
            let size = input.size.map_or_else(|| Ok(snapshot.head()?.position.get()), Ok::<_, Error>)?;
            OperationReply::new(SignedCheckpoint::new(snapshot.checkpoint_at(size, signer)?)?)
        })
    }

    /// Records one call.
    pub fn record(&self, body: &[u8]) -> Result<OperationReply, Fault> {
        self.write(|ledger, now| OperationReply::new(record::record_sent(ledger, body, now)?))
    }

    /// Records many calls: all, or none.
    pub fn records<'r>(&self, records: impl Iterator<Item = &'r [u8]>) -> Result<OperationReply, Fault> {
        let mut lines = Vec::new();
        for (number, record) in (1_u64..).zip(records) {
            if lines.len() == BATCH_RECORDS {
                return Err(Fault::input(&format!("there are over {BATCH_RECORDS} records: send fewer at a time")));
            }
            let line = Call::parse(record).and_then(Call::lines);
            lines.push(line.map_err(|error| Fault::from(error).at_record(number))?);
        }
        if lines.is_empty() {
            return OperationReply::new(RecordTally::default());
        }
        self.write(|ledger, now| {
            let (own, mut number) = (ledger.source.clone(), 0);
            let pushed = ledger.transact(now, |appender| {
                let mut tally = RecordTally::default();
                for (calls, source) in lines {
                    number += 1;
                    for line in calls {
                        tally.push(appender, line, source.as_deref().unwrap_or(&own), now)?;
                    }
                }
                number = 0;
                Ok(tally)
            });
            match pushed {
                Ok(tally) => OperationReply::new(tally),
                Err(error) if number > 0 && !error.is_store() => Err(Fault::from(error).at_record(number)),
                Err(error) => Err(error.into()),
            }
        })
    }

    /// Records many calls from a JSON array in an object, or from JSON lines.
    pub fn batch(&self, body: &[u8], is_lines: bool) -> Result<OperationReply, Fault> {
        #[derive(serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct BatchBody<'a> {
            #[serde(borrow)]
            records: Vec<&'a RawValue>,
        }
        if is_lines {
            let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
            return self.records(lines);
        }
        let batch: BatchBody<'_> = serde_json::from_slice(body).map_err(|error| {
            Fault::input(&format!("{error}: send {{\"records\":[…]}}, or lines of JSON as application/x-ndjson"))
        })?;
        self.records(batch.records.iter().map(|record| record.get().as_bytes()))
    }

    /// Appends a provider switch.
    pub fn switch(&self, input: &SwitchInput) -> Result<OperationReply, Fault> {
        self.write(|ledger, now| OperationReply::new(switch::switch(ledger, input, now)?.1))
    }

    /// Reserves tokens.
    pub fn reserve(&self, input: &ReserveInput) -> Result<OperationReply, Fault> {
        self.write(|ledger, now| OperationReply::new(reserve::reserve(ledger, input, now)?))
    }

    /// Settles a reservation with the record of its call.
    pub fn settle(&self, body: &[u8]) -> Result<OperationReply, Fault> {
        self.write(|ledger, now| OperationReply::new(reserve::settle(ledger, body, now)?))
    }

    /// Releases a reservation.
    pub fn release(&self, input: &ReleaseInput) -> Result<OperationReply, Fault> {
        self.write(|ledger, now| OperationReply::new(reserve::release(ledger, input, now)?))
    }
    /// Detects an exhausted quota and records it.
    pub fn scan(&self, input: &ScanInput) -> Result<OperationReply, Fault> {
        self.write(|ledger, now| scan::scan(ledger, input, (now, self.zone), |answer| OperationReply::new(answer))?)
    }
}
