//! Every operation by name, for interfaces that take a name and an object of parameters.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::fault::Fault;
use super::service::{LedgerOperations, OperationReply, parse};

/// An operation.
pub(crate) struct Operation {
    pub name: &'static str,
    /// Runs the operation with a JSON object of parameters.
    pub run: fn(&LedgerOperations, &[u8]) -> Result<OperationReply, Fault>,
}

/// Every operation.
pub(crate) const OPERATIONS: [Operation; 24] = [
    Operation { name: "record", run: LedgerOperations::record },
    Operation { name: "records", run: |service, input| service.batch(input, false) },
    Operation { name: "switch", run: |service, input| service.switch(&parse(input)?) },
    Operation { name: "gate", run: |service, input| service.gate(&parse(input)?) },
    Operation { name: "reserve", run: |service, input| service.reserve(&parse(input)?) },
    Operation { name: "settle", run: LedgerOperations::settle },
    Operation { name: "release", run: |service, input| service.release(&parse(input)?) },
    Operation { name: "scan", run: |service, input| service.scan(&parse(input)?) },
    Operation { name: "report", run: |service, input| service.report(&parse(input)?) },
    Operation { name: "status", run: |service, input| service.status(&parse(input)?) },
    Operation { name: "events", run: |service, input| service.events(&parse(input)?) },
    Operation { name: "proof", run: proof },
    Operation { name: "checkpoint", run: |service, input| service.checkpoint(&parse(input)?) },
    Operation { name: "overview", run: |service, input| service.overview(&parse(input)?) },
    Operation { name: "log", run: |service, input| service.log(&parse(input)?) },
    Operation { name: "summaries", run: |service, input| service.summaries(&parse(input)?) },
    Operation { name: "show", run: |service, input| service.show(&parse(input)?) },
    Operation { name: "line", run: |service, input| service.line(&parse(input)?) },
    Operation { name: "figure", run: |service, input| service.figure(&parse(input)?) },
    Operation { name: "bill", run: |service, input| service.bill(&parse(input)?) },
    Operation { name: "imports", run: |service, input| service.imports(&parse(input)?) },
    Operation { name: "warnings", run: |service, input| service.warnings(&parse(input)?) },
    Operation { name: "about", run: |service, input| service.about(&parse(input)?) },
    Operation { name: "version", run: |_, input| version(&parse(input)?) },
];

/// Returns the operation with a name.
pub(crate) fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

/// Proves that an event is in the ledger (`event`), or that a later state extends an earlier one (`old`).
fn proof(service: &LedgerOperations, input: &[u8]) -> Result<OperationReply, Fault> {
    #[derive(Deserialize)]
    struct ProofSubject {
        event: Option<IgnoredAny>,
        old: Option<IgnoredAny>,
    }
    match parse(input)? {
        ProofSubject { event: Some(_), old: None } => service.inclusion(&parse(input)?),
        ProofSubject { event: None, old: Some(_) } => service.consistency(&parse(input)?),
        _ => Err(Fault::input(
            "a proof is about an event or about an earlier state: send `event`, or send `old` for the size of that state",
        )),
    }
}

/// `version` has no parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

fn version(Nothing {}: &Nothing) -> Result<OperationReply, Fault> {
    #[derive(Serialize)]
    struct Version {
        name: &'static str,
        version: &'static str,
    }
    OperationReply::new(Version { name: "usage-ledger", version: env!("CARGO_PKG_VERSION") })
}
