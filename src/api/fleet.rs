//! The operations over the ledgers of all machines.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fault::{Fault, FaultKind};
use super::input::{GateInput, ReportInput, StatusInput};
use super::service::{LedgerOperations, OperationReply, ServiceClock};
use crate::ledger::Ledger;
use crate::model::time::{Timestamp, Zone};
use crate::sync::fleet::{FleetServer, LABELS};

/// The operations over the ledgers of all machines. Each answer has `heads`: the position of each ledger up to which its
/// events count in the answer.
pub(crate) struct FleetOperations {
    fleet: Arc<FleetServer>,
    zone: Zone,
}

impl FleetOperations {
    pub const fn new(fleet: Arc<FleetServer>, zone: Zone) -> Self {
        Self { fleet, zone }
    }

    /// The server of the pushed ledgers.
    pub const fn server(&self) -> &Arc<FleetServer> {
        &self.fleet
    }

    /// Reports usage and cost. Further keys are `machine`, `person`, `team` and `ledger`.
    pub fn report(&self, mut input: ReportInput, now: Timestamp) -> Result<String, Fault> {
        refuse_as_of(input.as_of.is_some())?;
        // The API separates keys by commas, too.
        let keys = input.by.iter().flat_map(|keys| keys.split(','));
        let label = |key: &str| if LABELS.contains(&key) { format!("label:{key}") } else { key.to_owned() };
        input.by = keys.map(label).collect();
        let answer = self.ask(now, |service| service.report(&input))?;
        // Inside a text of JSON a quote is escaped, so only the name of a member can have this form.
        Ok(LABELS
            .iter()
            .fold(answer, |answer, key| answer.replace(&format!("\"label:{key}\":"), &format!("\"{key}\":"))))
    }

    /// Windows and cost of every provider account. An account that several machines use has one set of windows.
    pub fn status(&self, input: &StatusInput, now: Timestamp) -> Result<String, Fault> {
        refuse_as_of(input.as_of.is_some())?;
        self.ask(now, |service| service.status(input))
    }

    /// Decides whether a run may start, from the usage of all machines.
    pub fn gate(&self, input: &GateInput, now: Timestamp) -> Result<String, Fault> {
        refuse_as_of(input.as_of.is_some())?;
        self.ask(now, |service| service.gate(input))
    }

    fn ask(
        &self,
        now: Timestamp,
        ask: impl FnOnce(&LedgerOperations) -> Result<OperationReply, Fault>,
    ) -> Result<String, Fault> {
        self.fleet.ask_merged(now, |ledger: &Ledger, heads: &BTreeMap<String, u64>| {
            let clock = ServiceClock { named: Some(now), now: Box::new(move || now) };
            let reply = ask(&LedgerOperations::new(ledger.clone(), clock, self.zone, None))?;
            let heads = serde_json::to_string(heads)
                .map_err(|error| Fault::new(FaultKind::Bug, error.to_string(), "report this message"))?;
            let body = reply.body.trim_end();
            let body = body.strip_suffix('}').ok_or_else(|| {
                Fault::new(FaultKind::Bug, "an answer is no object".to_owned(), "report this message")
            })?;
            Ok(format!("{body},\"heads\":{heads}}}"))
        })?
    }
}

/// A position belongs to one ledger, and each ledger has its own times of recording.
fn refuse_as_of(is_given: bool) -> Result<(), Fault> {
    if is_given { Err(Fault::input("`as_of` names a position of one ledger: leave it out")) } else { Ok(()) }
}
